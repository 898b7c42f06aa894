//! The decoder as a whole: what each convention's spans become, and what no input can make it do.

mod conventions;
mod requests;
mod robustness;
mod rulings;

use domain::observation::{KeyStamp, Observation};
use domain::{Evidence, ReceivedAt};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

use super::{AiTraces, DecodeConfig, Decoded, Decoder};

/// An attribute, its value written as JSON writes it: text in quotes, numbers with and without a point, `true`.
fn attribute(key: &str, value: &serde_json::Value) -> KeyValue {
    let value = match value {
        serde_json::Value::Bool(truth) => Value::BoolValue(*truth),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| Value::DoubleValue(number.as_f64().unwrap()), Value::IntValue)
        }
        serde_json::Value::String(text) => Value::StringValue(text.clone()),
        other => Value::StringValue(other.to_string()),
    };
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// The attributes of a JSON object; a value that is an object itself stands as JSON text, as libraries write it.
fn attributes(object: serde_json::Value) -> Vec<KeyValue> {
    object.as_object().unwrap().iter().map(|(key, value)| attribute(key, value)).collect()
}

fn span(trace: u8, id: u8, parent: u8, name: &str, object: serde_json::Value) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: name.into(),
        kind: 1,
        start_time_unix_nano: 10,
        end_time_unix_nano: 20,
        attributes: attributes(object),
        ..Default::default()
    }
}

fn request(scope: &str, resource: serde_json::Value, spans: Vec<Span>) -> Vec<u8> {
    let scope = InstrumentationScope { name: scope.into(), ..Default::default() };
    let resource = Resource { attributes: attributes(resource), ..Default::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn decode_with(traces: &AiTraces, body: &[u8]) -> Decoded {
    let mut decoded = Decoded::default();
    Decoder::new(&DecodeConfig::default())
        .decode(body, &KeyStamp::default(), ReceivedAt::from_nanos(1), traces, &mut decoded)
        .unwrap();
    decoded
}

fn decode(body: &[u8]) -> Decoded {
    decode_with(&AiTraces::default(), body)
}

/// The observation that one span leaves, if it leaves one.
fn observe(scope: &str, name: &str, object: serde_json::Value) -> Option<Observation> {
    let decoded = decode(&request(scope, serde_json::json!({}), vec![span(1, 1, 0, name, object)]));
    decoded.evidence.into_iter().find_map(|evidence| match evidence {
        Evidence::Observation(observation) => Some(*observation),
        Evidence::Link(_) => None,
    })
}
