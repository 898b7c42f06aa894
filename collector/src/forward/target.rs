//! A backend that OTLP is sent on to.

use std::time::Duration;

use http::{HeaderMap, Uri};

use crate::receive::Signal;

/// How requests are written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wire {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP, in protobuf.
    Http,
}

/// How they are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

/// A backend.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in metrics and logs.
    pub name: String,
    /// Scheme, host and port; for HTTP also the path that `/v1/traces` and the like are put behind.
    pub url: Uri,
    /// The wire.
    pub wire: Wire,
    /// The compression.
    pub compression: Compression,
    /// What is sent with every request. Values may be secrets: they are sent and never shown.
    pub headers: HeaderMap,
    /// What it wants.
    pub signals: Vec<Signal>,
    /// What may wait for it, in bytes; a request beyond it is dropped.
    pub queue_bytes_max: usize,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How long a request is tried before it is dropped.
    pub patience: Duration,
}

/// Why a URL is none of a backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no address of a backend; write scheme, host and port, such as http://127.0.0.1:4317")]
pub struct TargetFault {
    url: String,
}

impl Target {
    /// A backend with the usual limits, that wants every signal.
    ///
    /// # Errors
    /// When the URL has no scheme of HTTP or no host.
    pub fn new(name: &str, url: &str, wire: Wire) -> Result<Self, TargetFault> {
        let refuse = || TargetFault { url: url.to_string() };
        let url: Uri = url.trim_end_matches('/').parse().map_err(|_| refuse())?;
        if !matches!(url.scheme_str(), Some("http" | "https"))
            || url.host().is_none()
            || url.query().is_some()
        {
            return Err(refuse());
        }
        Ok(Self {
            name: name.to_string(),
            url,
            wire,
            compression: Compression::Gzip,
            headers: HeaderMap::new(),
            signals: vec![Signal::Traces, Signal::Metrics, Signal::Logs],
            queue_bytes_max: 16 << 20,
            timeout: Duration::from_secs(10),
            patience: Duration::from_secs(300),
        })
    }
}
