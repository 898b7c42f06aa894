//! From the headers of a request to the stamp of its key.

use std::net::SocketAddr;

use ::http::{HeaderMap, header};
use domain::observation::KeyStamp;

use super::refusal::Refusal;
use crate::keys::KeyStore;

/// Whether requests at an address need a key. A key that is presented is checked either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthPolicy {
    /// Whether a request without a key is refused.
    pub required: bool,
}

impl AuthPolicy {
    /// What is configured; else, keys are needed wherever another machine can reach.
    pub fn at(addr: SocketAddr, configured: Option<bool>) -> Self {
        Self { required: configured.unwrap_or(!addr.ip().is_loopback()) }
    }
}

/// The stamp of a request.
pub(super) fn authenticate(
    headers: &HeaderMap,
    policy: AuthPolicy,
    keys: &KeyStore,
) -> Result<KeyStamp, Refusal> {
    match presented(headers)? {
        Some(key) => keys.lookup(key).ok_or_else(|| {
            Refusal::Unauthenticated(
                "the API key is unknown or revoked; `ledgerline keys list` shows those in force".into(),
            )
        }),
        None if policy.required => Err(Refusal::Unauthenticated(
            "an API key is required; send it as `authorization: Bearer KEY` or `x-api-key: KEY` \
             (`ledgerline keys create` makes one)"
                .into(),
        )),
        None => Ok(KeyStamp::default()),
    }
}

/// The key a request presents. An empty header presents none: it is what an unset variable leaves in a configuration.
fn presented(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let bearer = text(headers, header::AUTHORIZATION.as_str())?.map(|value| {
        let (scheme, key) = value.split_once(' ').unwrap_or(("", value));
        (scheme.eq_ignore_ascii_case("bearer"), key.trim())
    });
    let api_key = text(headers, "x-api-key")?;
    match (bearer, api_key) {
        (Some((true, key)), _) if !key.is_empty() => Ok(Some(key)),
        // Another scheme beside an `x-api-key` is meant for a proxy on the way.
        (_, Some(key)) => Ok(Some(key)),
        (Some((false, _)), None) => {
            Err(Refusal::Unauthenticated("the authorization header is not `Bearer KEY`".into()))
        }
        _ => Ok(None),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        Err(_) => Err(Refusal::Unauthenticated(format!("the {name} header holds characters no key has"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::NewKey;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<HeaderMap>()
    }

    #[test]
    fn a_key_is_taken_from_either_header_and_checked_even_where_none_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyStore::open(dir.path()).unwrap();
        let new = NewKey { name: "k".into(), tenant: Some("acme".into()), ..NewKey::default() };
        let secret = keys.create(new).unwrap().secret;
        let key = secret.reveal();
        let bearer = format!("Bearer {key}");
        let lower = format!("bearer   {key} ");
        for (what, pairs, answers) in [
            ("bearer", &[("authorization", bearer.as_str())][..], [Some("acme"), Some("acme")]),
            ("bearer, untidy", &[("authorization", lower.as_str())], [Some("acme"), Some("acme")]),
            ("x-api-key", &[("x-api-key", key)], [Some("acme"), Some("acme")]),
            (
                "a proxy's scheme beside it",
                &[("authorization", "Basic eDp5"), ("x-api-key", key)],
                [Some("acme"), Some("acme")],
            ),
            ("none", &[], [None, Some("")]),
            ("empty", &[("x-api-key", ""), ("authorization", "")], [None, Some("")]),
            ("wrong", &[("x-api-key", "llk_wrong")], [None, None]),
            ("another scheme", &[("authorization", "Basic eDp5")], [None, None]),
            ("no scheme", &[("authorization", key)], [None, None]),
        ] {
            for (required, answer) in [true, false].into_iter().zip(answers) {
                let stamp = authenticate(&headers(pairs), AuthPolicy { required }, &keys).ok();
                let tenant = stamp.map(|stamp| stamp.tenant.unwrap_or_default());
                assert_eq!(tenant.as_deref(), answer, "{what}, required: {required}");
            }
        }
    }

    #[test]
    fn keys_are_needed_where_other_machines_can_reach() {
        for (addr, configured, required) in [
            ("127.0.0.1:1", None, false),
            ("[::1]:1", None, false),
            ("0.0.0.0:1", None, true),
            ("10.0.0.1:1", None, true),
            ("10.0.0.1:1", Some(false), false),
            ("127.0.0.1:1", Some(true), true),
        ] {
            assert_eq!(
                AuthPolicy::at(addr.parse().unwrap(), configured).required,
                required,
                "{addr} {configured:?}"
            );
        }
    }
}
