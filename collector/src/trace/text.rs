//! Attribute values as text, the way the OpenTelemetry Collector writes them (`AsString` of its pdata): what reads the
//! exporter's tables finds the same text here.
//!
//! Numbers as JavaScript writes them, truth values as words, bytes as base64, nothing as the empty text; arrays and
//! lists as JSON with sorted keys and with `<`, `>` and `&` escaped, as Go's encoder does.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::otlp::{AnyValue, ValueView};

/// The text of a value; a value that does not hold together is empty.
pub(super) fn text(value: AnyValue<'_>) -> String {
    match value.view() {
        Ok(ValueView::Str(text)) => text.to_string(),
        Ok(ValueView::Bool(truth)) => truth.to_string(),
        Ok(ValueView::Int(int)) => int.to_string(),
        Ok(ValueView::Double(double)) => {
            number(double).unwrap_or_else(|name| format!("json: unsupported value: {name}"))
        }
        Ok(ValueView::Bytes(bytes)) => BASE64.encode(bytes),
        Ok(ValueView::Array(_) | ValueView::KvList(_)) => {
            let mut json = String::new();
            // Numbers that JSON lacks make the whole value unwritable there, and so empty.
            write_json(value, &mut json).map_or_else(|_| String::new(), |()| json)
        }
        Ok(ValueView::Empty) | Err(_) => String::new(),
    }
}

/// Some number within is not finite.
struct NotJson;

/// Recursion is bounded: the walker refuses values nested deeper than [`crate::otlp::DEPTH_MAX`].
fn write_json(value: AnyValue<'_>, json: &mut String) -> Result<(), NotJson> {
    match value.view() {
        Ok(ValueView::Str(text)) => write_string(text, json),
        Ok(ValueView::Bool(truth)) => json.push_str(if truth { "true" } else { "false" }),
        Ok(ValueView::Int(int)) => json.push_str(&int.to_string()),
        Ok(ValueView::Double(double)) => json.push_str(&number(double).map_err(|_| NotJson)?),
        Ok(ValueView::Bytes(bytes)) => write_string(&BASE64.encode(bytes), json),
        Ok(ValueView::Array(values)) => {
            json.push('[');
            for (index, value) in values.map_while(Result::ok).enumerate() {
                if index > 0 {
                    json.push(',');
                }
                write_json(value, json)?;
            }
            json.push(']');
        }
        Ok(ValueView::KvList(pairs)) => {
            let sorted: BTreeMap<_, _> =
                pairs.map_while(Result::ok).map(|attribute| (attribute.key, attribute.value)).collect();
            json.push('{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                write_string(key, json);
                json.push(':');
                write_json(value, json)?;
            }
            json.push('}');
        }
        Ok(ValueView::Empty) | Err(_) => json.push_str("null"),
    }
    Ok(())
}

fn write_string(text: &str, json: &mut String) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\0'..'\u{20}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(json, "\\u{:04x}", u32::from(character)).expect("text grows");
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}

/// The shortest digits that read back as the same number; `Err` is the name of what is no number.
fn number(double: f64) -> Result<String, &'static str> {
    let size = double.abs();
    if double.is_nan() {
        Err("NaN")
    } else if double.is_infinite() {
        Err(if double > 0.0 { "+Inf" } else { "-Inf" })
    } else if size == 0.0 || (1e-6..1e21).contains(&size) {
        Ok(double.to_string())
    } else {
        let digits = format!("{double:e}");
        Ok(if size < 1.0 { digits } else { digits.replace('e', "e+") })
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Proto;
    use opentelemetry_proto::tonic::common::v1::{
        AnyValue as ProtoValue, ArrayValue, KeyValue, KeyValueList,
    };
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, TracesData};
    use prost::Message as _;

    use super::*;
    use crate::otlp::ExportRequest;

    fn as_text(value: Option<Proto>) -> String {
        let pair = KeyValue { key: "k".into(), value: Some(ProtoValue { value }), ..KeyValue::default() };
        let resource = Resource { attributes: vec![pair], ..Resource::default() };
        let group = ResourceSpans { resource: Some(resource), ..ResourceSpans::default() };
        let bytes = TracesData { resource_spans: vec![group] }.encode_to_vec();
        let group = ExportRequest::new(&bytes).resource_spans().next().unwrap().unwrap();
        text(group.resource.attributes().next().unwrap().unwrap().value)
    }

    fn list(values: Vec<Proto>) -> Proto {
        Proto::ArrayValue(ArrayValue {
            values: values.into_iter().map(|value| ProtoValue { value: Some(value) }).collect(),
        })
    }

    fn pairs(pairs: Vec<(&str, Option<Proto>)>) -> Proto {
        let values = pairs.into_iter().map(|(key, value)| KeyValue {
            key: key.into(),
            value: Some(ProtoValue { value }),
            ..KeyValue::default()
        });
        Proto::KvlistValue(KeyValueList { values: values.collect() })
    }

    #[test]
    fn values_read_as_the_collector_writes_them() {
        let string = |text: &str| Proto::StringValue(text.into());
        for (value, expected) in [
            (None, ""),
            (Some(string("a \"quoted\" <text>")), "a \"quoted\" <text>"),
            (Some(Proto::BoolValue(true)), "true"),
            (Some(Proto::IntValue(-7)), "-7"),
            (Some(Proto::DoubleValue(0.0)), "0"),
            (Some(Proto::DoubleValue(2.0)), "2"),
            (Some(Proto::DoubleValue(0.1)), "0.1"),
            (Some(Proto::DoubleValue(1e-6)), "0.000001"),
            (Some(Proto::DoubleValue(1.5e-7)), "1.5e-7"),
            (Some(Proto::DoubleValue(1e20)), "100000000000000000000"),
            (Some(Proto::DoubleValue(-1.5e21)), "-1.5e+21"),
            (Some(Proto::DoubleValue(f64::NAN)), "json: unsupported value: NaN"),
            (Some(Proto::DoubleValue(f64::INFINITY)), "json: unsupported value: +Inf"),
            (Some(Proto::BytesValue(vec![0, 255])), "AP8="),
            (Some(list(vec![string("a"), Proto::IntValue(1), Proto::DoubleValue(0.5)])), r#"["a",1,0.5]"#),
            (Some(list(vec![Proto::DoubleValue(f64::NAN)])), ""),
            (Some(list(vec![Proto::BytesValue(vec![1])])), r#"["AQ=="]"#),
            (
                Some(pairs(vec![("b", None), ("a", Some(string("1"))), ("a", Some(string("2")))])),
                r#"{"a":"2","b":null}"#,
            ),
            (
                Some(list(vec![string("<a & b>\n\"\\\u{1}\u{2028}é")])),
                r#"["\u003ca \u0026 b\u003e\n\"\\\u0001\u2028é"]"#,
            ),
            (Some(pairs(vec![("a", Some(list(vec![])))])), r#"{"a":[]}"#),
        ] {
            assert_eq!(as_text(value.clone()), expected, "{value:?}");
        }
    }
}
