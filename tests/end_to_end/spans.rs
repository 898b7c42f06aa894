//! Made spans: AI calls with known ids, as OTLP/JSON.

use serde_json::{Value, json};

/// The response id of call number `n`.
pub fn response_id(n: u64) -> String {
    // Spread over the digits, so that the id is a strong one.
    format!("chatcmpl-{:016x}{n:08x}", (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// One export request with the calls of a range, each a trace of its own.
pub fn request(calls: std::ops::Range<u64>) -> Vec<u8> {
    let spans: Vec<Value> = calls.map(span).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", "crash")]},
        "scopeSpans": [{"scope": {"name": "test", "version": "1"}, "spans": spans}],
    }]})
    .to_string()
    .into_bytes()
}

fn span(n: u64) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    json!({
        "traceId": format!("{:016x}{:016x}", n + 1, !n), "spanId": format!("{:016x}", n + 1), "name": "chat", "kind": 3,
        "startTimeUnixNano": (now - 1_000_000_000).to_string(), "endTimeUnixNano": now.to_string(),
        "attributes": [
            text("gen_ai.operation.name", "chat"), text("gen_ai.provider.name", "openai"),
            text("gen_ai.request.model", "gpt-4o"), text("gen_ai.response.model", "gpt-4o-2024-08-06"),
            text("gen_ai.response.id", &response_id(n)), text("tenant.id", "acme"), text("feature.name", "search"),
            count("gen_ai.usage.input_tokens", 100 + n % 7), count("gen_ai.usage.output_tokens", 10),
        ],
    })
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn count(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}
