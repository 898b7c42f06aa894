//! What the decoder went by that is not among the kept attributes: without it, the same span could not be read again.
//!
//! It stands in the kept attributes as one object under a key of its own, `ledgerline`: what recorded content gave away (the
//! provider's id, models, tier, counts; never text), and facts of the span and its resource that are no attributes. A client
//! cannot write it: no table knows the key, so no attribute of that name is ever kept.

use super::answer::Recorded;

/// The key under which it stands.
pub(super) const KEY: &str = "ledgerline";

/// What is remembered besides the attributes; nothing of it for most spans.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(super) struct Beside {
    /// Whether an attribute that stated something was too long to be kept: the rest is not the whole span.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) cut: bool,
    /// That the span is of OpenTelemetry's kind `client`, where no marker says what it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) client: bool,
    /// That its resource was set up by OpenLIT, where its scope has no name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) openlit: bool,
    /// What the recorded answer gave away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<Recorded>,
    /// What the recorded request gave away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<Recorded>,
}

impl Beside {
    /// It as a member of a JSON object.
    pub(super) fn as_member(&self) -> String {
        let json = serde_json::to_string(self).expect("texts, counts and truths have a form in JSON");
        format!("\"{KEY}\":{json}")
    }
}
