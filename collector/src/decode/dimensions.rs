//! Whom and what a span or a resource is for, gathered from wherever it says so.

use std::borrow::Cow;

use domain::observation::Dimensions;

use super::config::Dimension;
use super::index::Index;
use super::scan::{Scan, Value, unquoted};
use crate::otlp::ValueView;

/// Longer values are no names. They are dropped, not cut: a cut name would bill somebody else.
const NAME_BYTES_MAX: usize = 256;
/// How much of a JSON object of attributes is looked at, in bytes.
const JSON_BYTES_MAX: usize = 16 * 1024;

/// The strongest value seen of each dimension.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    best: [Option<(u16, Cow<'a, str>)>; Dimension::LEN],
    ruling: Option<String>,
}

impl<'a> Told<'a> {
    /// Whether something is told of a dimension.
    pub(super) fn tells(&self, dimension: Dimension) -> bool {
        self.best[dimension as usize].is_some()
    }

    /// Takes a value, unless a stronger name was seen. Of equal names the last one counts.
    pub(super) fn take(&mut self, (dimension, strength): (Dimension, u16), value: ValueView<'a>) {
        let text = match value {
            ValueView::Str(text) => unquoted(text),
            ValueView::Int(int) => Cow::Owned(int.to_string()),
            _ => return,
        };
        self.offer(dimension, strength, text);
    }

    /// Takes what a JSON object tells, with the keys of objects in it joined by dots.
    pub(super) fn take_json(&mut self, index: &Index, text: &'a str) {
        if text.len() <= JSON_BYTES_MAX {
            let mut scan = Scan::new(text);
            if matches!(scan.value(), Some(Value::Object)) {
                let _whole = self.object(index, &mut scan, "");
            }
        }
    }

    fn object(&mut self, index: &Index, scan: &mut Scan<'a>, within: &str) -> Option<()> {
        while let Some(key) = scan.key()? {
            let name =
                if within.is_empty() { Cow::Borrowed(key) } else { Cow::Owned(format!("{within}.{key}")) };
            let mut ahead = scan.clone();
            match ahead.value()? {
                Value::Object if within.is_empty() => {
                    *scan = ahead;
                    self.object(index, scan, key)?;
                }
                Value::Object | Value::Array => scan.skip()?,
                value @ (Value::Str(_) | Value::Bare(_)) => {
                    *scan = ahead;
                    let dimension = index.json_key(&name);
                    let ruled = index.rulings.are_about(&name);
                    if dimension.is_none() && !ruled {
                        continue;
                    }
                    let text = match value {
                        Value::Str(text) => text.get(),
                        Value::Bare(text) => Cow::Borrowed(text),
                        Value::Object | Value::Array => continue,
                    };
                    if ruled {
                        self.rule(index.rulings.on(&name, as_json(&text)));
                    }
                    if let Some((dimension, strength)) = dimension {
                        self.offer(dimension, strength, text);
                    }
                }
            }
        }
        Some(())
    }

    fn offer(&mut self, dimension: Dimension, strength: u16, text: Cow<'a, str>) {
        let none = matches!(&*text, "" | "None" | "none" | "null" | "undefined");
        let best = &mut self.best[dimension as usize];
        if !none && text.len() <= NAME_BYTES_MAX && best.as_ref().is_none_or(|(held, _)| strength <= *held) {
            *best = Some((strength, text));
        }
    }

    /// Takes a ruling that an attribute meets; of several the smallest name, so that their order does not count.
    pub(super) fn rule(&mut self, name: Option<&str>) {
        if let Some(name) = name
            && self.ruling.as_deref().is_none_or(|held| name < held)
        {
            self.ruling = Some(name.to_owned());
        }
    }

    /// The ruling that was met.
    pub(super) fn take_ruling(&mut self) -> Option<String> {
        self.ruling.take()
    }

    /// What was told, as the domain's record.
    pub(super) fn dimensions(&mut self) -> Dimensions<Cow<'a, str>> {
        let mut dimensions = Dimensions::default();
        for (dimension, best) in Dimension::ALL.into_iter().zip(&mut self.best) {
            *dimension.of(&mut dimensions) = best.take().map(|(_, text)| text);
        }
        dimensions
    }
}

/// A truth value as JSON has it; some producers write an object as Python shows it.
fn as_json(text: &str) -> &str {
    match text {
        "True" => "true",
        "False" => "false",
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::DecodeConfig;

    #[test]
    fn a_json_object_tells_by_plain_and_nested_keys() {
        let index = Index::new(&DecodeConfig::default());
        for (json, tenant) in [
            (r#"{"tenant.id": "acme", "plan": "pro"}"#, Some("acme")),
            (r#"{"x": [1, {"tenant.id": "no"}], "tenant": {"id": "acme"}}"#, Some("acme")),
            (r#"{"tenant_id": 17}"#, Some("17")),
            (r#"{"tenant": "\u00e9t\u00e9"}"#, Some("été")),
            (r#"{"tenant": null}"#, None),
            ("not json", None),
        ] {
            let mut told = Told::default();
            told.take_json(&index, json);
            assert_eq!(told.dimensions().tenant.as_deref(), tenant, "{json}");
        }
    }

    #[test]
    fn a_value_that_is_no_name_is_dropped_whole() {
        let mut told = Told::default();
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        told.take((Dimension::Tenant, 0), ValueView::Str(&long));
        told.take((Dimension::Tenant, 3), ValueView::Str("None"));
        assert!(!told.tells(Dimension::Tenant));
        told.take((Dimension::Tenant, 3), ValueView::Str("\"acme\""));
        told.take((Dimension::Tenant, 5), ValueView::Str("weaker"));
        assert_eq!(told.dimensions().tenant.as_deref(), Some("acme"));
    }
}
