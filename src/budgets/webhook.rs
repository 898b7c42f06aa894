//! One attempt to deliver an alert: an HTTP POST, signed as Standard Webhooks has it, so that receivers need no code of ours.
//!
//! `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`. The time is
//! that of the attempt, so that a receiver may refuse what was recorded and sent again later by somebody else; the id is the
//! alert's and stays. Any answer from 200 to 299 is a yes. TLS trusts the system's certificates.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sha2::Sha256;

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most that is read of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// A shorter secret is guessed.
const SECRET_BYTES_MIN: usize = 16;
/// What a secret begins with whose rest is base64.
const ENCODED: &str = "whsec_";

/// What alerts are signed with. Shown by nothing.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

/// Where alerts go. Cheap to clone.
#[derive(Clone)]
pub struct Webhook {
    url: Uri,
    key: SigningKey,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl SigningKey {
    /// Reads a secret: `whsec_` and base64, or any other text as it stands. `None` for one that is too short.
    pub fn read(secret: &str) -> Option<Self> {
        let bytes = match secret.strip_prefix(ENCODED) {
            Some(encoded) => STANDARD.decode(encoded).ok()?,
            None => secret.as_bytes().to_vec(),
        };
        (bytes.len() >= SECRET_BYTES_MIN).then_some(Self(bytes))
    }

    /// The value of `webhook-signature`.
    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl Webhook {
    /// A webhook; connects to nothing yet.
    ///
    /// # Errors
    /// When the URL is none, or the system's certificates cannot be read.
    pub fn new(url: &str, key: SigningKey) -> anyhow::Result<Self> {
        let connector =
            HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Self { url: url.parse()?, key, client })
    }

    /// Posts an alert once.
    ///
    /// # Errors
    /// Why it was not taken, on one line.
    pub async fn deliver(&self, id: &str, timestamp: i64, body: String) -> Result<(), String> {
        let signature = self.key.sign(id, timestamp, body.as_bytes());
        let request = Request::post(self.url.clone())
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(
                header::USER_AGENT,
                HeaderValue::from_static(concat!("ledgerline/", env!("CARGO_PKG_VERSION"))),
            )
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| chain(&error))?;
            let (head, body) = answer.into_parts();
            // Read, so that the connection can be used again; what it says is the receiver's business.
            let _ = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            if head.status.is_success() { Ok(()) } else { Err(format!("HTTP status {}", head.status)) }
        };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}")))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's own libraries: secret, id, time and body as they have them.
    #[test]
    fn the_signature_is_the_one_that_published_libraries_expect() {
        let key = SigningKey::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_short_or_not_what_it_says_is_refused() {
        assert!(SigningKey::read("sixteen letters!").is_some());
        for bad in ["", "fifteen letters", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64 at all, and long"] {
            assert!(SigningKey::read(bad).is_none(), "{bad}");
        }
    }
}
