//! A span written anew from its bytes: some attributes left out or said otherwise, some added, everything else as it came.
//!
//! Fields are copied as they stand, those of later versions of OTLP too.

use std::borrow::Cow;

use super::value::AnyValue;
use super::wire::{Fields, Slice, WalkError, Wire};

/// What becomes of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it came.
    Keep,
    /// It is left out.
    Leave,
    /// Its value becomes this text.
    Say(String),
}

/// What stays of a span.
pub trait Keep {
    /// Of the attributes of a span, a link, a resource or a scope.
    fn attribute(&self, key: &str, value: AnyValue<'_>) -> Fate;
    /// Of the attributes of an event of this name.
    fn event_attribute(&self, event: &str, key: &str, value: AnyValue<'_>) -> Fate;
    /// Of the text of its status.
    fn text<'t>(&self, text: &'t str) -> Cow<'t, str>;
}

/// Writes a protobuf `Span` with another trace state, and with texts as attributes at its end.
pub fn span(
    bytes: &[u8],
    trace_state: &str,
    keep: &impl Keep,
    added: impl Iterator<Item = (String, String)>,
) -> Result<Vec<u8>, WalkError> {
    let mut out = Vec::with_capacity(bytes.len() + 256);
    let mut fields = Fields::of(Slice::body(bytes));
    loop {
        let start = fields.position();
        let Some(field) = fields.next()? else { break };
        match field {
            (3, Wire::Bytes(_)) => {}
            (9, Wire::Bytes(_)) => {
                attribute(&mut out, &bytes[start..fields.position()], 9, field, &|key, value| {
                    keep.attribute(key, value)
                });
            }
            (11, Wire::Bytes(event)) => {
                let name = event_name(event)?;
                let rest = without(event.bytes, 3, |key, value| keep.event_attribute(name, key, value))?;
                put_bytes(&mut out, 11, &rest);
            }
            (15, Wire::Bytes(status)) => put_bytes(&mut out, 15, &status_of(status, keep)?),
            (13, Wire::Bytes(link)) => {
                put_bytes(&mut out, 13, &without(link.bytes, 4, |key, value| keep.attribute(key, value))?)
            }
            _ => out.extend_from_slice(&bytes[start..fields.position()]),
        }
    }
    if !trace_state.is_empty() {
        put_bytes(&mut out, 3, trace_state.as_bytes());
    }
    for (key, value) in added {
        put_bytes(&mut out, 9, &pair(&key, &value));
    }
    Ok(out)
}

/// Writes a protobuf `Resource`.
pub fn resource(bytes: &[u8], keep: &impl Keep) -> Result<Vec<u8>, WalkError> {
    without(bytes, 1, |key, value| keep.attribute(key, value))
}

/// Writes a protobuf `InstrumentationScope`.
pub fn scope(bytes: &[u8], keep: &impl Keep) -> Result<Vec<u8>, WalkError> {
    without(bytes, 3, |key, value| keep.attribute(key, value))
}

/// Writes a field that holds bytes, a text or a message.
pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, u64::from(field << 3 | 2));
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A message whose attributes, which stand in this field of it, become what they may be.
fn without(
    bytes: &[u8],
    attributes: u32,
    fate: impl Fn(&str, AnyValue<'_>) -> Fate,
) -> Result<Vec<u8>, WalkError> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut fields = Fields::of(Slice::body(bytes));
    loop {
        let start = fields.position();
        let Some(field) = fields.next()? else { return Ok(out) };
        let raw = &bytes[start..fields.position()];
        if field.0 == attributes {
            attribute(&mut out, raw, attributes, field, &fate);
        } else {
            out.extend_from_slice(raw);
        }
    }
}

/// Writes one attribute, whose field as it came is `raw`.
fn attribute(
    out: &mut Vec<u8>,
    raw: &[u8],
    number: u32,
    (_, wire): (u32, Wire<'_>),
    fate: &impl Fn(&str, AnyValue<'_>) -> Fate,
) {
    let Wire::Bytes(slice) = wire else { return };
    let (key, value) = key_and_value(slice);
    match fate(key, value) {
        Fate::Keep => out.extend_from_slice(raw),
        Fate::Leave => {}
        Fate::Say(text) => put_bytes(out, number, &pair(key, &text)),
    }
}

/// Of a `KeyValue`; what does not hold together is empty.
fn key_and_value(pair: Slice<'_>) -> (&str, AnyValue<'_>) {
    let mut fields = Fields::of(pair);
    let (mut key, mut value) = ("", Slice::EMPTY);
    while let Ok(Some(field)) = fields.next() {
        match field {
            (1, Wire::Bytes(text)) => key = text.text().unwrap_or_default(),
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    (key, AnyValue::of(value))
}

/// A `Status` whose text is said as it may be.
fn status_of(status: Slice<'_>, keep: &impl Keep) -> Result<Vec<u8>, WalkError> {
    let mut out = Vec::with_capacity(status.bytes.len());
    let mut fields = Fields::of(status);
    loop {
        let start = fields.position();
        match fields.next()? {
            None => return Ok(out),
            Some((2, Wire::Bytes(text))) => {
                put_bytes(&mut out, 2, keep.text(text.text().unwrap_or_default()).as_bytes());
            }
            Some(_) => out.extend_from_slice(&status.bytes[start..fields.position()]),
        }
    }
}

fn event_name(event: Slice<'_>) -> Result<&str, WalkError> {
    let mut fields = Fields::of(event);
    let mut name = "";
    while let Some(field) = fields.next()? {
        if let (2, Wire::Bytes(text)) = field {
            name = text.text().unwrap_or_default();
        }
    }
    Ok(name)
}

/// A `KeyValue` of a text.
fn pair(key: &str, value: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len() + 4);
    put_bytes(&mut text, 1, value.as_bytes());
    let mut pair = Vec::with_capacity(key.len() + text.len() + 8);
    put_bytes(&mut pair, 1, key.as_bytes());
    put_bytes(&mut pair, 2, &text);
    pair
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue as ProtoValue, KeyValue};
    use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
    use opentelemetry_proto::tonic::trace::v1::{Span, Status};
    use prost::Message as _;

    use super::*;

    struct NoSecrets;

    impl Keep for NoSecrets {
        fn attribute(&self, key: &str, value: AnyValue<'_>) -> Fate {
            match (key, value.text()) {
                ("secret", _) => Fate::Leave,
                (_, Some("word")) => Fate::Say("[redacted]".into()),
                _ => Fate::Keep,
            }
        }

        fn event_attribute(&self, event: &str, key: &str, value: AnyValue<'_>) -> Fate {
            if event == "message" { Fate::Leave } else { self.attribute(key, value) }
        }

        fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
            text.replace("word", "[redacted]").into()
        }
    }

    fn texts(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
        let text = |(key, value): &(&str, &str)| KeyValue {
            key: (*key).into(),
            value: Some(ProtoValue { value: Some(Value::StringValue((*value).into())) }),
            ..KeyValue::default()
        };
        pairs.iter().map(text).collect()
    }

    #[test]
    fn what_is_kept_is_as_it_came_and_what_is_added_stands_at_the_end() {
        let event = |name: &str| Event {
            time_unix_nano: 7,
            name: name.into(),
            attributes: texts(&[("secret", "s"), ("fact", "f")]),
            ..Event::default()
        };
        let before = Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            trace_state: "ot=th:4".into(),
            name: "chat".into(),
            start_time_unix_nano: 5,
            attributes: texts(&[("a", "1"), ("secret", "s"), ("b", "2"), ("c", "word")]),
            status: Some(Status { message: "pass word".into(), code: 2 }),
            events: vec![event("message"), event("retry")],
            links: vec![Link {
                trace_id: vec![3; 16],
                attributes: texts(&[("secret", "s")]),
                ..Link::default()
            }],
            flags: 0x101,
            ..Span::default()
        };
        let added = vec![("weight".to_string(), "10".to_string())];
        let bytes = span(&before.encode_to_vec(), "ot=th:8", &NoSecrets, added.into_iter()).unwrap();
        let expected = Span {
            trace_state: "ot=th:8".into(),
            attributes: texts(&[("a", "1"), ("b", "2"), ("c", "[redacted]"), ("weight", "10")]),
            status: Some(Status { message: "pass [redacted]".into(), code: 2 }),
            events: vec![
                Event { attributes: vec![], ..event("message") },
                Event { attributes: texts(&[("fact", "f")]), ..event("retry") },
            ],
            links: vec![Link { trace_id: vec![3; 16], ..Link::default() }],
            ..before
        };
        assert_eq!(Span::decode(&bytes[..]).unwrap(), expected);
    }
}
