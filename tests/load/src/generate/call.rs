//! One AI call as an instrumentation reports it: a client span of two dozen attributes by OpenTelemetry's GenAI
//! conventions, with a tenant and a feature. No prompt and no completion.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::manifest::Totals;
use super::scatter::Draw;

/// Tenants there are; low numbers have more calls, as customers do.
const TENANTS: u64 = 50;
/// Provider, model asked for, model that answered.
const MODELS: [(&str, &str, &str); 6] = [
    ("openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    ("openai", "gpt-4o", "gpt-4o-2024-08-06"),
    ("openai", "o3-mini", "o3-mini-2025-01-31"),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
    ("anthropic", "claude-haiku-4-5", "claude-haiku-4-5-20251001"),
    ("gcp.gemini", "gemini-2.5-flash", "gemini-2.5-flash"),
];

/// What stands in a template where every request has something of its own.
#[derive(Clone, Debug)]
pub struct Marks {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub started_at: u64,
    pub ended_at: u64,
    /// The whole response id.
    pub response_id: String,
}

/// A made call.
#[derive(Debug)]
pub struct Call {
    pub span: Span,
    pub tenant: String,
    pub totals: Totals,
    pub duration_nanos: u64,
}

/// Makes a call.
pub fn call(draw: &mut Draw, marks: &Marks) -> Call {
    let (provider, request_model, model) = draw.one_of(&MODELS);
    let tenant = format!("tenant-{:03}", draw.below(TENANTS) * draw.below(TENANTS) / TENANTS);
    let totals = totals(draw, request_model.starts_with('o'));
    let duration_nanos = 20_000_000 + draw.below(8_000_000_000);
    let mut attributes = vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.provider.name", provider),
        text("gen_ai.request.model", request_model),
        text("gen_ai.response.model", model),
        text("gen_ai.response.id", &marks.response_id),
        whole("gen_ai.usage.input_tokens", totals.input_tokens),
        whole("gen_ai.usage.output_tokens", totals.output_tokens),
        whole("gen_ai.usage.cache_read.input_tokens", totals.cache_read_tokens),
        whole("gen_ai.usage.cache_creation.input_tokens", totals.cache_write_tokens),
        whole("gen_ai.request.max_tokens", 4096),
        attribute("gen_ai.request.temperature", Value::DoubleValue(0.2)),
        attribute("gen_ai.request.top_p", Value::DoubleValue(0.95)),
        attribute("gen_ai.request.stream", Value::BoolValue(true)),
        list("gen_ai.response.finish_reasons", &["stop"]),
        text("gen_ai.output.type", "text"),
        text("gen_ai.conversation.id", &format!("conversation-{:08x}", draw.below(1 << 32))),
        text("tenant.id", &tenant),
        text("feature.name", draw.one_of(&["search", "chat", "summary", "translate", "review", "support"])),
        text("enduser.id", &format!("user-{:06}", draw.below(100_000))),
        text("customer.plan", draw.one_of(&["free", "pro", "enterprise"])),
        text("server.address", &format!("api.{provider}.example.com")),
        whole("server.port", 443),
        whole("http.response.status_code", 200),
        text("network.protocol.version", "1.1"),
    ];
    if totals.reasoning_tokens > 0 {
        attributes.push(whole("gen_ai.usage.reasoning.output_tokens", totals.reasoning_tokens));
    }
    let span = Span {
        trace_id: marks.trace_id.to_vec(),
        span_id: marks.span_id.to_vec(),
        // The application's own span, which it does not send here.
        parent_span_id: (draw.any() | 1).to_be_bytes().to_vec(),
        name: format!("chat {request_model}"),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: marks.started_at,
        end_time_unix_nano: marks.ended_at,
        attributes,
        status: Some(Status { message: String::new(), code: StatusCode::Ok.into() }),
        // Sampled, random trace id.
        flags: 0x3,
        ..Span::default()
    };
    Call { span, tenant, totals, duration_nanos }
}

/// Usage whose parts are never more than their whole.
fn totals(draw: &mut Draw, reasons: bool) -> Totals {
    let input_tokens = 50 + draw.below(6_000);
    let cache_read_tokens = if draw.below(3) == 0 { draw.below(input_tokens) } else { 0 };
    let uncached = input_tokens - cache_read_tokens;
    let cache_write_tokens = if draw.below(8) == 0 { draw.below(uncached) } else { 0 };
    let output_tokens = 5 + draw.below(1_500);
    let reasoning_tokens = if reasons { draw.below(output_tokens) } else { 0 };
    Totals { calls: 1, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens }
}

/// An attribute of text.
pub fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_string()))
}

/// An attribute of a whole number.
pub fn whole(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).expect("made numbers are small")))
}

fn list(key: &str, values: &[&str]) -> KeyValue {
    let values = values
        .iter()
        .map(|value| AnyValue { value: Some(Value::StringValue((*value).to_string())) })
        .collect();
    attribute(key, Value::ArrayValue(ArrayValue { values }))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_string(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
