//! What no input can do: panic, leave half a request behind, make more than it sent, or smuggle content through.

use domain::observation::KeyStamp;
use domain::{Evidence, ReceivedAt};
use proptest::prelude::*;
use serde_json::json;

use super::{attribute, decode, request, span};
use crate::decode::{AiTraces, DecodeConfig, Decoded, Decoder};

/// Names that mean something, so that random values reach every branch.
const NAMES: &[&str] = &[
    "gen_ai.operation.name",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.raw",
    "gen_ai.response.id",
    "openinference.span.kind",
    "output.value",
    "input.value",
    "metadata",
    "ai.operationId",
    "ai.response.providerMetadata",
    "ai.usage.cachedInputTokens",
    "langfuse.observation.usage_details",
    "mlflow.spanType",
    "mlflow.spanOutputs",
    "llm.x.usage",
    "tenant.id",
    "hidden_params",
    "gen_ai.prompt.0.content",
    "traceloop.association.properties.tenant",
    "gen_ai.usage.unknown",
    "",
];

const VALUES: &[&str] = &[
    "chat",
    "LLM",
    "generation",
    "\"LLM\"",
    "ai.generateText.doGenerate",
    "-1",
    "NaN",
    "99999999999999999999999",
    "None",
    "\"",
    "{",
    "[[[[",
    "{\"id\":\"x\",\"model\":\"m\",\"usage\":{\"input_tokens\":1",
    "{'usage': {'input_tokens': 18446744073709551615}}",
    "{\"anthropic\":{\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":18446744073709551615}}}",
    "é\\u00e",
    "{\"tenant.id\":\"\\ud800\"}",
];

fn values() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        prop::sample::select(VALUES).prop_map(|text| json!(text)),
        any::<i64>().prop_map(|int| json!(int)),
        any::<f64>().prop_map(|double| json!(double)),
        any::<bool>().prop_map(|truth| json!(truth)),
        ".{0,40}".prop_map(|text| json!(text)),
    ]
}

proptest! {
    #[test]
    fn no_attributes_make_it_panic_and_what_is_kept_is_bounded(
        pairs in prop::collection::vec((prop::sample::select(NAMES), values()), 0..20),
        raw in any::<bool>(), scope in prop::sample::select(&["ai", "gen_ai", "litellm", "openlit", "langfuse-sdk", ""][..]),
    ) {
        let mut one = span(1, 1, 0, if raw { "raw_gen_ai_request" } else { "n" }, json!({}));
        one.attributes = pairs.iter().map(|(key, value)| attribute(key, value)).collect();
        let decoded = decode(&request(scope, json!({}), vec![one]));
        prop_assert!(decoded.evidence.len() <= 1);
        for evidence in &decoded.evidence {
            let Evidence::Observation(seen) = evidence else { continue };
            prop_assert!(seen.attributes.len() <= 4096);
            let json = seen.attributes.json().unwrap();
            prop_assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{json}");
            prop_assert_eq!(seen.fault.is_none(), seen.usage.check().is_ok() && seen.fault.is_none());
        }
    }

    #[test]
    fn damaged_requests_are_an_error_that_leaves_nothing_or_are_accounted_for(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(),
    ) {
        let spans = (1..6).map(|id| span(1, id, 1, "chat", json!({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 9}))).collect();
        let mut body = request("s", json!({"service.name": "api"}), spans);
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] ^= byte;
        }
        let end = body.len() - cut.index(body.len()) / 8;
        let decoder = Decoder::new(&DecodeConfig::default());
        let mut decoded = Decoded::default();
        let read = decoder.decode(&body[..end], &KeyStamp::default(), ReceivedAt::from_nanos(1), &AiTraces::default(), &mut decoded);
        if read.is_err() {
            prop_assert_eq!(decoded, Decoded::default());
        } else {
            prop_assert!(decoded.evidence.len() as u64 + decoded.rejected.total() <= decoded.spans);
        }
    }
}

#[test]
fn ten_thousand_attributes_are_read_and_few_are_kept() {
    let mut one =
        span(1, 1, 0, "chat", json!({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 9}));
    one.attributes.extend((0..10_000).map(|n| attribute(&format!("gen_ai.request.extra_{n}"), &json!("x"))));
    one.attributes.push(attribute("gen_ai.usage.output_tokens", &json!(4)));
    let decoded = decode(&request("s", json!({}), vec![one]));
    let [Evidence::Observation(seen)] = &decoded.evidence[..] else { panic!("one span, one observation") };
    assert_eq!(seen.usage.get(domain::TokenClass::Output), Some(4));
    assert!(seen.attributes.len() <= 4096 + r#","ledgerline":{"cut":true}"#.len());
}

#[test]
fn long_values_are_dropped_whole_and_content_is_never_kept() {
    let secret = "secret ".repeat(2000);
    let one = span(
        1,
        1,
        0,
        "chat",
        json!({
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 9,
            "gen_ai.response.finish_reasons": secret, "gen_ai.unknown.attribute": secret, "tenant.id": secret,
            "gen_ai.prompt.0.content": "secret", "gen_ai.completion.0.content": "secret", "gen_ai.input.messages": "secret",
            "gen_ai.output.messages": "secret", "gen_ai.system_instructions": "secret", "gen_ai.tool.call.arguments": "secret",
            "llm.input_messages.0.message.content": "secret", "llm.output_messages.0.message.content": "secret", "input.value": "secret",
            "output.value": "secret", "ai.prompt": "secret", "ai.prompt.messages": "secret", "ai.response.text": "secret",
            "ai.response.object": "secret", "ai.response.toolCalls": "secret", "ai.response.reasoning": "secret", "ai.toolCall.args": "secret",
            "traceloop.entity.input": "secret", "traceloop.entity.output": "secret", "mlflow.spanInputs": "secret", "mlflow.spanOutputs": "secret",
            "langfuse.observation.input": "secret", "langfuse.observation.output": "secret", "llm.openai.messages": "secret",
            "pydantic_ai.all_messages": "secret", "gcp.vertex.agent.llm_request": "secret", "tool.parameters": "secret",
        }),
    );
    let decoded = decode(&request("s", json!({}), vec![one]));
    let [Evidence::Observation(seen)] = &decoded.evidence[..] else { panic!("one span, one observation") };
    assert!(!format!("{seen:?}").contains("secret"), "{seen:?}");
    let kept = seen.attributes.json().unwrap();
    assert!(kept.contains(r#""gen_ai.request.model":"gpt-4o""#), "{kept}");
}
