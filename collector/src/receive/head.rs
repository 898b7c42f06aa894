//! What both edges read from the head of a request.

use ::http::{HeaderMap, HeaderName, header};

use super::inflate::Coding;
use super::intake::Encoding;
use super::refusal::Refusal;
use super::stats::Signal;

/// An export as its head announces it.
pub(super) struct Export {
    pub(super) signal: Signal,
    pub(super) encoding: Encoding,
    pub(super) coding: Coding,
}

/// The content type without its parameters; empty where there is none.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim()
}

/// What a header says the body is compressed in; identity where it is not set.
pub(super) fn coding(headers: &HeaderMap, name: &HeaderName) -> Result<Coding, Refusal> {
    match headers.get(name) {
        None => Ok(Coding::Identity),
        Some(value) => value
            .to_str()
            .ok()
            .and_then(Coding::parse)
            .ok_or_else(|| Refusal::Unsupported(format!("{name} must be one of {}", Coding::ACCEPTED))),
    }
}
