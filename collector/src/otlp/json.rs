//! OTLP/JSON read into the protobuf bytes it stands for, so that everything behind knows one form.
//!
//! Follows OTLP's own rules where they differ from protobuf's JSON mapping: ids are hexadecimal, not base64; 64-bit numbers may
//! be strings or numbers; enums are numbers, and by name for the producers that write names; unknown fields are
//! ignored; a field that is missing or `null` has its default. An id that is not hexadecimal becomes no id, so that
//! one bad span is rejected by itself, as it is in protobuf.
//!
//! The messages here are OTLP's, declared once more because reading needs these rules on each field; field numbers and
//! names are the standard's. Errors never quote the body: it holds prompts.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use prost::Message as _;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, Visitor};

/// Why a body is not an OTLP/JSON export request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed OTLP/JSON at line {line} column {column}: {what}")]
pub struct JsonError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1.
    pub column: usize,
    /// What kind of fault it is.
    pub what: &'static str,
}

/// The protobuf bytes of a JSON `ExportTraceServiceRequest`.
pub fn to_protobuf(body: &[u8]) -> Result<Vec<u8>, JsonError> {
    let request: Request = serde_json::from_slice(body).map_err(|error| JsonError {
        line: error.line(),
        column: error.column(),
        what: match error.classify() {
            serde_json::error::Category::Data => "a value that the field cannot take",
            serde_json::error::Category::Eof => "the body ends too early",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "not JSON",
        },
    })?;
    Ok(request.encode_to_vec())
}

macro_rules! messages {
    ($($(#[$doc:meta])* struct $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, prost::Message, serde::Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct $name {
            $($(#[$attribute])* $field: $type,)*
        }
    )*};
}

messages! {
    struct Request {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "or_default")]
        resource_spans: Vec<ResourceSpans>,
    }

    struct ResourceSpans {
        #[prost(message, optional, tag = "1")]
        resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        #[serde(deserialize_with = "or_default")]
        scope_spans: Vec<ScopeSpans>,
        #[prost(string, tag = "3")]
        #[serde(deserialize_with = "or_default")]
        schema_url: String,
    }

    struct Resource {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "or_default")]
        attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "2")]
        #[serde(deserialize_with = "number")]
        dropped_attributes_count: u32,
    }

    struct ScopeSpans {
        #[prost(message, optional, tag = "1")]
        scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")]
        #[serde(deserialize_with = "or_default")]
        spans: Vec<Span>,
        #[prost(string, tag = "3")]
        #[serde(deserialize_with = "or_default")]
        schema_url: String,
    }

    struct Scope {
        #[prost(string, tag = "1")]
        #[serde(deserialize_with = "or_default")]
        name: String,
        #[prost(string, tag = "2")]
        #[serde(deserialize_with = "or_default")]
        version: String,
        #[prost(message, repeated, tag = "3")]
        #[serde(deserialize_with = "or_default")]
        attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "4")]
        #[serde(deserialize_with = "number")]
        dropped_attributes_count: u32,
    }

    struct Span {
        #[prost(bytes = "vec", tag = "1")]
        #[serde(deserialize_with = "hex_id")]
        trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        #[serde(deserialize_with = "hex_id")]
        span_id: Vec<u8>,
        #[prost(string, tag = "3")]
        #[serde(deserialize_with = "or_default")]
        trace_state: String,
        #[prost(bytes = "vec", tag = "4")]
        #[serde(deserialize_with = "hex_id")]
        parent_span_id: Vec<u8>,
        #[prost(string, tag = "5")]
        #[serde(deserialize_with = "or_default")]
        name: String,
        #[prost(int32, tag = "6")]
        #[serde(deserialize_with = "span_kind")]
        kind: i32,
        #[prost(fixed64, tag = "7")]
        #[serde(deserialize_with = "number")]
        start_time_unix_nano: u64,
        #[prost(fixed64, tag = "8")]
        #[serde(deserialize_with = "number")]
        end_time_unix_nano: u64,
        #[prost(message, repeated, tag = "9")]
        #[serde(deserialize_with = "or_default")]
        attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "10")]
        #[serde(deserialize_with = "number")]
        dropped_attributes_count: u32,
        #[prost(message, repeated, tag = "11")]
        #[serde(deserialize_with = "or_default")]
        events: Vec<Event>,
        #[prost(uint32, tag = "12")]
        #[serde(deserialize_with = "number")]
        dropped_events_count: u32,
        #[prost(message, repeated, tag = "13")]
        #[serde(deserialize_with = "or_default")]
        links: Vec<Link>,
        #[prost(uint32, tag = "14")]
        #[serde(deserialize_with = "number")]
        dropped_links_count: u32,
        #[prost(message, optional, tag = "15")]
        status: Option<Status>,
        #[prost(fixed32, tag = "16")]
        #[serde(deserialize_with = "number")]
        flags: u32,
    }

    struct Event {
        #[prost(fixed64, tag = "1")]
        #[serde(deserialize_with = "number")]
        time_unix_nano: u64,
        #[prost(string, tag = "2")]
        #[serde(deserialize_with = "or_default")]
        name: String,
        #[prost(message, repeated, tag = "3")]
        #[serde(deserialize_with = "or_default")]
        attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "4")]
        #[serde(deserialize_with = "number")]
        dropped_attributes_count: u32,
    }

    struct Link {
        #[prost(bytes = "vec", tag = "1")]
        #[serde(deserialize_with = "hex_id")]
        trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        #[serde(deserialize_with = "hex_id")]
        span_id: Vec<u8>,
        #[prost(string, tag = "3")]
        #[serde(deserialize_with = "or_default")]
        trace_state: String,
        #[prost(message, repeated, tag = "4")]
        #[serde(deserialize_with = "or_default")]
        attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "5")]
        #[serde(deserialize_with = "number")]
        dropped_attributes_count: u32,
        #[prost(fixed32, tag = "6")]
        #[serde(deserialize_with = "number")]
        flags: u32,
    }

    struct Status {
        #[prost(string, tag = "2")]
        #[serde(deserialize_with = "or_default")]
        message: String,
        #[prost(int32, tag = "3")]
        #[serde(deserialize_with = "status_code")]
        code: i32,
    }

    struct KeyValue {
        #[prost(string, tag = "1")]
        #[serde(deserialize_with = "or_default")]
        key: String,
        #[prost(message, optional, tag = "2")]
        value: Option<AnyValue>,
    }

    struct ArrayValue {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "or_default")]
        values: Vec<AnyValue>,
    }

    struct KeyValueList {
        #[prost(message, repeated, tag = "1")]
        #[serde(deserialize_with = "or_default")]
        values: Vec<KeyValue>,
    }
}

#[derive(Clone, PartialEq, prost::Message, serde::Deserialize)]
#[serde(from = "ValueFields")]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Str(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    #[prost(message, tag = "6")]
    KvList(KeyValueList),
    #[prost(bytes, tag = "7")]
    Bytes(Vec<u8>),
}

/// A value as JSON writes it: an object with one field, named by its type.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ValueFields {
    string_value: Option<String>,
    bool_value: Option<bool>,
    int_value: Option<Number<i64>>,
    double_value: Option<Double>,
    array_value: Option<ArrayValue>,
    kvlist_value: Option<KeyValueList>,
    bytes_value: Option<Base64>,
}

impl From<ValueFields> for AnyValue {
    fn from(fields: ValueFields) -> Self {
        let value = None
            .or(fields.string_value.map(Value::Str))
            .or(fields.bool_value.map(Value::Bool))
            .or(fields.int_value.map(|int| Value::Int(int.0)))
            .or(fields.double_value.map(|double| Value::Double(double.0)))
            .or(fields.array_value.map(Value::Array))
            .or(fields.kvlist_value.map(Value::KvList))
            .or(fields.bytes_value.map(|bytes| Value::Bytes(bytes.0)));
        AnyValue { value }
    }
}

/// `null` is the default, as a missing field is.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// A whole number written as a number or as text.
#[derive(Default)]
struct Number<T>(T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = i128;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number, or text that is one")
            }
            fn visit_u64<E>(self, value: u64) -> Result<i128, E> {
                Ok(value.into())
            }
            fn visit_i64<E>(self, value: i64) -> Result<i128, E> {
                Ok(value.into())
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<i128, E> {
                // JavaScript producers may write 1e3; a fraction is no whole number.
                if value.fract() == 0.0 && value.abs() < 1e18 {
                    Ok(value as i128)
                } else {
                    Err(E::custom("not a whole number"))
                }
            }
            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<i128, E> {
                value.trim().parse().map_err(|_| E::custom("not a whole number"))
            }
        }
        let whole = from.deserialize_any(Whole)?;
        T::try_from(whole).map(Self).map_err(|_| D::Error::custom("number out of range"))
    }
}

fn number<'de, D: Deserializer<'de>, T: TryFrom<i128> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<Number<T>>::deserialize(from)?.map_or_else(T::default, |number| number.0))
}

/// A floating-point number; JSON has no `NaN` and no infinities, so protobuf writes them as text.
struct Double(f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(from)? {
            Written::Number(value) => Ok(Self(value)),
            Written::Text(text) => {
                text.trim().parse().map(Self).map_err(|_| D::Error::custom("not a number"))
            }
        }
    }
}

struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // Protobuf's mapping accepts the URL-safe alphabet and missing padding too.
        let text = text.replace('-', "+").replace('_', "/");
        STANDARD
            .decode(&text)
            .or_else(|_| STANDARD_NO_PAD.decode(&text))
            .map(Self)
            .map_err(|_| D::Error::custom("not base64"))
    }
}

fn hex_id<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(from)?.unwrap_or_default();
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    Ok(bytes.unwrap_or_default())
}

fn span_kind<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    const NAMES: [&str; 6] = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
    enumeration(from, "SPAN_KIND_", &NAMES)
}

fn status_code<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    enumeration(from, "STATUS_CODE_", &["UNSET", "OK", "ERROR"])
}

/// An enum by number or by name; a name that is not known is 0, as protobuf treats values of later versions.
fn enumeration<'de, D: Deserializer<'de>>(from: D, prefix: &str, names: &[&str]) -> Result<i32, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(i32),
        Name(String),
        Other(IgnoredAny),
    }
    Ok(match Option::<Written>::deserialize(from)? {
        None => 0,
        Some(Written::Number(number)) => number,
        Some(Written::Name(name)) => {
            let bare = name.strip_prefix(prefix).unwrap_or(&name);
            let known = names.iter().position(|known| *known == bare);
            known.map(|at| at as i32).or_else(|| name.parse().ok()).unwrap_or(0)
        }
        Some(Written::Other(_)) => return Err(D::Error::custom("not an enum value")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(json: &str) -> Span {
        let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{json}]}}]}}]}}"#);
        let bytes = to_protobuf(body.as_bytes()).unwrap();
        let mut request = Request::decode(&bytes[..]).unwrap();
        request.resource_spans.remove(0).scope_spans.remove(0).spans.remove(0)
    }

    fn value(json: &str) -> Option<Value> {
        let mut span = span(&format!(r#"{{"attributes":[{{"key":"k","value":{json}}}]}}"#));
        span.attributes.remove(0).value.and_then(|value| value.value)
    }

    #[test]
    fn numbers_are_read_as_numbers_and_as_text() {
        for json in [
            r#"{"startTimeUnixNano":"1700000000000000001","kind":3,"flags":257,"status":{"code":2}}"#,
            r#"{"startTimeUnixNano":1700000000000000001,"kind":"SPAN_KIND_CLIENT","flags":"257","status":{"code":"STATUS_CODE_ERROR"}}"#,
        ] {
            let span = span(json);
            let code = span.status.map(|status| status.code);
            assert_eq!(
                (span.start_time_unix_nano, span.kind, span.flags, code),
                (1_700_000_000_000_000_001, 3, 257, Some(2)),
                "{json}"
            );
        }
    }

    #[test]
    fn values_are_read_in_every_spelling() {
        for (json, wanted) in [
            (r#"{"intValue":"-5"}"#, Some(Value::Int(-5))),
            (r#"{"intValue":7}"#, Some(Value::Int(7))),
            (r#"{"doubleValue":2}"#, Some(Value::Double(2.0))),
            (r#"{"doubleValue":"Infinity"}"#, Some(Value::Double(f64::INFINITY))),
            (r#"{"bytesValue":"AAECAw=="}"#, Some(Value::Bytes(vec![0, 1, 2, 3]))),
            (r#"{"bytesValue":"-_8"}"#, Some(Value::Bytes(vec![0xfb, 0xff]))),
            (r#"{"boolValue":true,"later":{"x":[1]}}"#, Some(Value::Bool(true))),
            (r#"{"stringValue":null}"#, None),
            ("{}", None),
            ("null", None),
        ] {
            assert_eq!(value(json), wanted, "{json}");
        }
        let list = value(
            r#"{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":1}]}}}]}}"#,
        );
        assert!(matches!(list, Some(Value::KvList(list)) if list.values[0].key == "a"));
    }

    #[test]
    fn missing_null_and_unknown_fields_are_no_error() {
        for body in [
            "{}",
            r#"{"resourceSpans":null}"#,
            r#"{"resourceSpans":[{"resource":null,"scopeSpans":[{"scope":{},"spans":[]}]}],"x":1}"#,
        ] {
            assert!(to_protobuf(body.as_bytes()).is_ok(), "{body}");
        }
    }

    #[test]
    fn ids_are_hexadecimal_and_bad_ones_are_no_ids() {
        let good = span(r#"{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174"}"#);
        assert_eq!((good.trace_id.len(), good.span_id.len(), good.trace_id[0]), (16, 8, 0x5b));
        let bad = span(r#"{"traceId":"W47/95gDgQPSabYzgT/GDA==","spanId":"abc"}"#);
        assert!(bad.trace_id.is_empty() && bad.span_id.is_empty());
    }

    #[test]
    fn errors_say_where_and_quote_nothing() {
        let secret = r#"{"resourceSpans":[{"scopeSpans":"my secret prompt"}]}"#;
        let error = to_protobuf(secret.as_bytes()).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(error.what, "a value that the field cannot take");
        assert_eq!(to_protobuf(b"{\"resourceSpans\":[").unwrap_err().what, "the body ends too early");
        assert_eq!(to_protobuf(b"<xml>").unwrap_err().what, "not JSON");
    }

    #[test]
    fn nesting_without_end_is_an_error() {
        let deep = r#"{"arrayValue":{"values":["#.repeat(10_000);
        let body = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"attributes":[{{"key":"k","value":{deep}"#
        );
        assert!(to_protobuf(body.as_bytes()).is_err());
    }
}
