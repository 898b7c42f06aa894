//! Calls that nobody charges for, by what an attribute of theirs says: a gateway's cache hit, a customer's own provider key.
//!
//! Which attributes say so is an operator's to rule; nothing is built in. A ruling is looked for wherever dimensions are. What
//! the attribute says is compared and forgotten: an observation has the ruling's name alone.

use std::borrow::Cow;
use std::collections::HashMap;

use super::scan::unquoted;
use crate::otlp::ValueView;

/// An attribute that says of a call that it is not billed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ruling {
    /// What people call it; the reason that they are given.
    pub name: String,
    /// The name of a span attribute.
    pub attribute: String,
    /// The values that say so, as text, exactly: `true` is a boolean or the text, `7` a whole number or the text.
    pub values: Vec<String>,
}

/// Rulings by their attributes.
#[derive(Debug, Default)]
pub(super) struct Rulings {
    /// Attribute to value to the smallest name of a ruling.
    of: HashMap<Box<str>, HashMap<Box<str>, Box<str>>>,
}

impl Rulings {
    pub(super) fn new<'r>(rulings: impl Iterator<Item = &'r Ruling>) -> Self {
        let mut of: HashMap<Box<str>, HashMap<Box<str>, Box<str>>> = HashMap::new();
        for ruling in rulings {
            let values = of.entry(ruling.attribute.as_str().into()).or_default();
            for value in &ruling.values {
                let name = values.entry(value.as_str().into()).or_insert_with(|| ruling.name.as_str().into());
                if *ruling.name < **name {
                    *name = ruling.name.as_str().into();
                }
            }
        }
        Self { of }
    }

    /// Whether there is none, as in most configurations.
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Whether one is about an attribute.
    pub(super) fn are_about(&self, attribute: &str) -> bool {
        self.of.contains_key(attribute)
    }

    /// The ruling on an attribute that says this.
    pub(super) fn on(&self, attribute: &str, text: &str) -> Option<&str> {
        Some(&**self.of.get(attribute)?.get(text)?)
    }

    /// The same for a value as it stands on a span.
    pub(super) fn on_value(&self, attribute: &str, value: ValueView<'_>) -> Option<&str> {
        let text = match value {
            ValueView::Str(text) => unquoted(text),
            ValueView::Bool(truth) => Cow::Borrowed(if truth { "true" } else { "false" }),
            ValueView::Int(int) => Cow::Owned(int.to_string()),
            _ => return None,
        };
        self.on(attribute, &text)
    }
}
