//! Calls for tests of money: what, when, for whom, by which report.

use serde_json::{Value, json};

/// One span of a call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Trace and span; the answer's id follows from `answer`.
    pub trace: u64,
    /// The answer; two reports of one call have the same. 0: it has no id.
    pub answer: u64,
    /// The instrumentation.
    pub scope: &'a str,
    /// Who pays.
    pub tenant: &'a str,
    /// The model.
    pub model: &'a str,
    /// When it ended.
    pub at: &'a str,
    /// Whole prompt and everything generated.
    pub tokens: (u64, u64),
    /// The part of the prompt read from the cache; 0 says nothing of it.
    pub cached: u64,
}

/// A call in October of which everything else is usual.
pub const OCTOBER: Call<'static> = Call {
    trace: 1,
    answer: 1,
    scope: "test",
    tenant: "acme",
    model: "gpt-4o",
    at: "2026-10-10T12:00:00Z",
    tokens: (1_000, 100),
    cached: 0,
};

/// The calls as one export request.
pub fn export(calls: &[Call<'_>]) -> Vec<u8> {
    let scopes: Vec<Value> =
        calls.iter().map(|call| json!({"scope": {"name": call.scope}, "spans": [span(call)]})).collect();
    json!({"resourceSpans": [{"resource": {"attributes": [text("service.name", "shop")]}, "scopeSpans": scopes}]})
        .to_string()
        .into_bytes()
}

fn span(call: &Call<'_>) -> Value {
    let end = chrono::DateTime::parse_from_rfc3339(call.at).unwrap().timestamp_nanos_opt().unwrap();
    let answer =
        format!("chatcmpl-{:016x}{:08x}", (call.answer + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15), call.answer);
    let mut span = json!({
        "traceId": format!("{:016x}{:016x}", call.trace + 1, !call.trace), "spanId": format!("{:016x}", call.trace + 1),
        "name": "chat", "kind": 3,
        "startTimeUnixNano": (end - 1_000_000_000).to_string(), "endTimeUnixNano": end.to_string(),
        "attributes": [
            text("gen_ai.operation.name", "chat"), text("gen_ai.provider.name", "openai"),
            text("gen_ai.request.model", call.model),
            text("tenant.id", call.tenant), text("feature.name", "search"),
            count("gen_ai.usage.input_tokens", call.tokens.0), count("gen_ai.usage.output_tokens", call.tokens.1),
        ],
    });
    let stated = [
        (call.answer > 0).then(|| text("gen_ai.response.id", &answer)),
        (call.cached > 0).then(|| count("gen_ai.usage.cache_read.input_tokens", call.cached)),
    ];
    if let Some(attributes) = span["attributes"].as_array_mut() {
        attributes.extend(stated.into_iter().flatten());
    }
    span
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn count(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}
