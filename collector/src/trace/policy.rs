//! What becomes of each attribute of a kept span, wherever it is written: kept, left out, or said without secrets.

use std::borrow::Cow;
use std::sync::Arc;

use super::content::{is_content, is_event_content};
use super::redact::Redactor;
use super::row::OURS;
use super::text::text;
use crate::otlp::AnyValue;
use crate::otlp::rewrite::{Fate, Keep};

/// The policy. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    keep_content: bool,
    redactor: Arc<Redactor>,
}

impl Policy {
    pub(super) fn new(keep_content: bool, redactor: Redactor) -> Self {
        Self { keep_content, redactor: Arc::new(redactor) }
    }

    /// The text of an attribute's value as it may be stored; `None` where it may not.
    pub(super) fn stored(&self, is_content: bool, value: AnyValue<'_>) -> Option<String> {
        if is_content && !self.keep_content {
            return None;
        }
        let text = text(value);
        Some(match self.redactor.redact(&text, is_content) {
            Cow::Borrowed(_) => text,
            Cow::Owned(redacted) => redacted,
        })
    }

    /// A text that is no attribute, as it may be stored.
    pub(super) fn said<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.redactor.redact(text, false)
    }

    fn fate(&self, is_content: bool, value: AnyValue<'_>) -> Fate {
        if is_content && !self.keep_content {
            return Fate::Leave;
        }
        match self.redactor.redact(&text(value), is_content) {
            Cow::Borrowed(_) => Fate::Keep,
            Cow::Owned(redacted) => Fate::Say(redacted),
        }
    }
}

impl Keep for Policy {
    fn attribute(&self, key: &str, value: AnyValue<'_>) -> Fate {
        if OURS.contains(&key) { Fate::Leave } else { self.fate(is_content(key), value) }
    }

    fn event_attribute(&self, event: &str, key: &str, value: AnyValue<'_>) -> Fate {
        self.fate(is_event_content(event, key), value)
    }

    fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.said(text)
    }
}
