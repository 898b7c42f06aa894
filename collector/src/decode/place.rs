//! Where a call was served, as far as its host tells.

/// The region in a provider's host name: Bedrock's and Vertex AI's regional endpoints carry one.
pub(super) fn region_of_host(host: &str) -> Option<&str> {
    // bedrock-runtime.us-east-1.amazonaws.com
    if let Some(rest) = host.strip_suffix(".amazonaws.com").filter(|rest| rest.starts_with("bedrock")) {
        return rest.split('.').nth(1);
    }
    // europe-west4-aiplatform.googleapis.com
    host.strip_suffix("-aiplatform.googleapis.com").filter(|region| !region.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regional_hosts_tell_their_region() {
        for (host, region) in [
            ("bedrock-runtime.us-east-1.amazonaws.com", Some("us-east-1")),
            ("europe-west4-aiplatform.googleapis.com", Some("europe-west4")),
            ("aiplatform.googleapis.com", None),
            ("s3.us-east-1.amazonaws.com", None),
            ("api.openai.com", None),
        ] {
            assert_eq!(region_of_host(host), region, "{host}");
        }
    }
}
