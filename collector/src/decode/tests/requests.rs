//! Requests as a whole: links, what is remembered between requests, duplicates within one, and what is rejected.

use domain::Evidence;
use domain::observation::Kind;
use serde_json::{Value, json};

use super::{attribute, decode, decode_with, request, span};
use crate::decode::{AiTraces, Decoded, RejectReason};

fn call() -> Value {
    json!({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 9})
}

/// What each span left, by the first byte of its id.
fn left(decoded: &Decoded) -> Vec<(u8, &'static str)> {
    let mut left: Vec<_> = decoded
        .evidence
        .iter()
        .map(|evidence| {
            let what = match evidence {
                Evidence::Observation(observation) => observation.kind.name(),
                Evidence::Link(_) => "link",
            };
            (evidence.span().bytes()[0], what)
        })
        .collect();
    left.sort_unstable();
    left
}

#[test]
fn other_spans_leave_links_only_where_their_trace_has_ai_usage() {
    let spans = vec![
        span(1, 1, 0, "before the call", json!({})),
        span(1, 2, 1, "chat", call()),
        span(1, 3, 1, "names a user", json!({"user.id": "u"})),
        span(2, 4, 0, "another trace", json!({})),
        span(2, 5, 4, "names a user there", json!({"user.id": "u"})),
        span(2, 6, 4, "names a tenant there", json!({"tenant.id": "acme"})),
    ];
    let decoded = decode(&request("s", json!({}), spans));
    assert_eq!(left(&decoded), [(1, "link"), (2, "call"), (3, "attribution"), (6, "attribution")]);
    assert_eq!((decoded.spans, decoded.ai_spans), (6, 1));
}

#[test]
fn ai_traces_are_remembered_from_request_to_request() {
    let traces = AiTraces::default();
    let root = request("s", json!({}), vec![span(1, 1, 0, "root", json!({}))]);
    assert_eq!(left(&decode_with(&traces, &root)), []);
    decode_with(&traces, &request("s", json!({}), vec![span(1, 2, 1, "chat", call())]));
    assert_eq!(left(&decode_with(&traces, &root)), [(1, "link")]);
}

#[test]
fn of_an_attribute_written_twice_the_last_counts() {
    let mut twice = span(1, 1, 0, "chat", call());
    twice.attributes.push(attribute("gen_ai.usage.input_tokens", &json!(17)));
    twice.attributes.push(attribute("tenant.id", &json!("first")));
    twice.attributes.push(attribute("tenant.id", &json!("last")));
    let decoded = decode(&request("s", json!({}), vec![twice]));
    let [Evidence::Observation(seen)] = &decoded.evidence[..] else { panic!("{:?}", decoded.evidence) };
    assert_eq!(seen.usage.get(domain::TokenClass::Input), Some(17));
    assert_eq!(seen.dimensions.tenant.as_deref(), Some("last"));
}

#[test]
fn a_resource_tells_its_dimensions_and_its_process() {
    let of = |resource: Value| {
        let decoded = decode(&request("s", resource, vec![span(1, 1, 0, "chat", call())]));
        match decoded.evidence.into_iter().next() {
            Some(Evidence::Observation(seen)) => (seen.resource_dimensions.clone(), seen.process),
            other => panic!("{other:?}"),
        }
    };
    let (dimensions, process) = of(
        json!({"service.name": "api", "tenant.id": "acme", "deployment.environment": "prod", "process.pid": 7}),
    );
    assert_eq!(dimensions.service.as_deref(), Some("api"));
    assert_eq!(
        (dimensions.tenant.as_deref(), dimensions.environment.as_deref()),
        (Some("acme"), Some("prod"))
    );
    let (_, same) = of(json!({"process.pid": 7, "service.name": "api", "telemetry.sdk.name": "x"}));
    let (_, other) = of(json!({"process.pid": 8, "service.name": "api"}));
    let (_, none) = of(json!({"telemetry.sdk.name": "x"}));
    assert!(process == same && process != other && process != 0 && none == 0);
}

#[test]
fn spans_without_ids_are_rejected_by_reason_and_the_rest_is_kept() {
    let mut no_trace = span(1, 1, 0, "chat", call());
    no_trace.trace_id = vec![0; 16];
    let mut short_id = span(1, 2, 0, "chat", call());
    short_id.span_id.pop();
    let decoded = decode(&request("s", json!({}), vec![no_trace, short_id, span(1, 3, 0, "chat", call())]));
    assert_eq!(left(&decoded), [(3, "call")]);
    let rejected: Vec<_> = decoded.rejected.iter().collect();
    assert_eq!(rejected, [(RejectReason::TraceId, 1), (RejectReason::SpanId, 1)]);
    assert_eq!((decoded.spans, decoded.rejected.total()), (3, 2));
}

#[test]
fn failed_spans_say_what_failed() {
    use opentelemetry_proto::tonic::trace::v1::{Status, span::Event};
    let mut failed = span(1, 1, 0, "chat", json!({"gen_ai.operation.name": "chat"}));
    failed.status = Some(Status { message: "429".into(), code: 2 });
    failed.events.push(Event {
        name: "exception".into(),
        attributes: vec![attribute("exception.type", &json!("RateLimitError"))],
        ..Default::default()
    });
    let decoded = decode(&request("s", json!({}), vec![failed]));
    let [Evidence::Observation(seen)] = &decoded.evidence[..] else { panic!("{:?}", decoded.evidence) };
    assert_eq!((seen.kind, seen.error_type.as_deref()), (Kind::Call, Some("RateLimitError")));
}
