//! The fork with a real decoder and a real journal in a temporary directory.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use domain::observation::{Evidence, KeyStamp, Kind};
use journal::{Config, Journal, ReadItem};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

use super::{Fork, NoTrace, Snapshot, TraceTap};
use crate::append::{self, Clock};
use crate::decode::{AiTraces, DecodeConfig, Decoder};
use crate::receive::{Encoding, Intake, Refusal};

const NOW: Duration = Duration::from_secs(1_790_000_000);

fn journal() -> (tempfile::TempDir, Journal) {
    journal_with(Config::default())
}

fn journal_with(config: Config) -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), config).unwrap();
    (dir, journal)
}

fn fork<T: TraceTap>(journal: &Journal, trace: T) -> Fork<T> {
    let (append, _appended) = append::channel(journal);
    let clock = Clock::new(|| SystemTime::UNIX_EPOCH + NOW);
    Fork::new(Decoder::new(&DecodeConfig::default()), AiTraces::default(), append, trace, clock)
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// An AI call with usage.
fn call(n: u8) -> Span {
    let text = |text: &str| Value::StringValue(text.into());
    Span {
        trace_id: vec![n; 16],
        span_id: vec![n; 8],
        name: "chat gpt-4o".into(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        attributes: vec![
            attribute("gen_ai.operation.name", text("chat")),
            attribute("gen_ai.system", text("openai")),
            attribute("gen_ai.request.model", text("gpt-4o")),
            attribute("gen_ai.usage.input_tokens", Value::IntValue(10)),
            attribute("gen_ai.usage.output_tokens", Value::IntValue(5)),
        ],
        ..Default::default()
    }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans { spans, ..Default::default() }],
            ..Default::default()
        }],
    }
}

fn protobuf(spans: Vec<Span>) -> Bytes {
    request(spans).encode_to_vec().into()
}

fn journaled(journal: &Journal) -> Vec<Evidence> {
    let mut reader = journal.read_from(journal.collector_id(), 1);
    let mut evidence = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        let ReadItem::Record(record) = item else { panic!("{item:?}") };
        assert_eq!(record.kind, append::EVIDENCE);
        evidence.push(schemas::record::decode(record.bytes).unwrap());
    }
    evidence
}

fn observations(snapshot: &Snapshot, kind: Kind) -> u64 {
    snapshot.observations.iter().find(|(of, _)| *of == kind).unwrap().1
}

/// A trace arm that remembers what it was offered.
#[derive(Clone, Default)]
struct Offered(Arc<Mutex<Vec<Bytes>>>);

impl TraceTap for Offered {
    fn offer(&self, body: &Bytes, _key: &KeyStamp) {
        self.0.lock().unwrap().push(body.clone());
    }
}

#[tokio::test]
async fn an_acknowledged_span_is_in_the_journal_with_the_key_and_time_of_its_receipt() {
    let (_dir, journal) = journal();
    let (trace, key) = (Offered::default(), KeyStamp { tenant: Some("acme".into()), ..KeyStamp::default() });
    let fork = fork(&journal, trace.clone());
    let body = protobuf(vec![call(1), call(2)]);
    let accepted = fork.accept(body.clone(), Encoding::Protobuf, key.clone()).await.unwrap();
    assert_eq!((accepted.rejected_spans, accepted.message.as_str()), (0, ""));

    let evidence = journaled(&journal);
    assert_eq!(evidence.len(), 2);
    for evidence in &evidence {
        let Evidence::Observation(observation) = evidence else { panic!("{evidence:?}") };
        assert_eq!(observation.key, key);
        assert_eq!(u128::try_from(observation.received_at.nanos()).unwrap(), NOW.as_nanos());
    }
    assert_eq!(*trace.0.lock().unwrap(), [body]);
    let snapshot = fork.stats().snapshot();
    assert_eq!((snapshot.requests, snapshot.refused, snapshot.spans), (1, 0, 2));
    assert_eq!((observations(&snapshot, Kind::Call), snapshot.appended_records()), (2, 2));
}

#[tokio::test]
async fn json_is_the_same_evidence_and_the_trace_arm_gets_protobuf() {
    let (_dir, journal) = journal();
    let trace = Offered::default();
    let fork = fork(&journal, trace.clone());
    let json = serde_json::json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
    "traceId": "01010101010101010101010101010101", "spanId": "0101010101010101", "name": "chat gpt-4o",
    "startTimeUnixNano": "1", "endTimeUnixNano": "2",
    "attributes": [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.system", "value": {"stringValue": "openai"}},
        {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "10"}},
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "5"}},
    ]}]}]}]});
    fork.accept(json.to_string().into(), Encoding::Json, KeyStamp::default()).await.unwrap();
    fork.accept(protobuf(vec![call(1)]), Encoding::Protobuf, KeyStamp::default()).await.unwrap();
    let evidence = journaled(&journal);
    assert_eq!(evidence.len(), 2);
    assert_eq!(evidence[0], evidence[1]);
    for body in trace.0.lock().unwrap().iter() {
        assert_eq!(ExportTraceServiceRequest::decode(body.clone()).unwrap(), request(vec![call(1)]));
    }
}

#[tokio::test]
async fn unusable_spans_are_left_out_and_the_client_is_told() {
    let (_dir, journal) = journal();
    let fork = fork(&journal, NoTrace);
    let nameless = Span { trace_id: vec![], ..call(3) };
    let body = protobuf(vec![call(1), nameless]);
    let accepted = fork.accept(body, Encoding::Protobuf, KeyStamp::default()).await.unwrap();
    assert_eq!(accepted.rejected_spans, 1);
    assert_eq!(accepted.message, "1 spans: the trace id is not 16 bytes, or all zero");
    assert_eq!(journaled(&journal).len(), 1);
    let snapshot = fork.stats().snapshot();
    assert_eq!(snapshot.spans, 2);
    assert_eq!(snapshot.rejected.iter().map(|(_, count)| count).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_request_without_evidence_costs_the_journal_nothing() {
    let (_dir, journal) = journal();
    let trace = Offered::default();
    let fork = fork(&journal, trace.clone());
    let plain = Span { attributes: vec![], ..call(1) };
    fork.accept(protobuf(vec![plain]), Encoding::Protobuf, KeyStamp::default()).await.unwrap();
    assert_eq!(journal.stat().appended_frames, 0);
    assert_eq!(trace.0.lock().unwrap().len(), 1, "the trace arm sees every span");
    // Even a journal that takes nothing does not refuse it.
    journal.close();
    fork.accept(Bytes::new(), Encoding::Protobuf, KeyStamp::default()).await.unwrap();
}

#[tokio::test]
async fn what_is_not_durable_is_refused_and_kept_from_the_trace_arm() {
    let (_dir, journal) = journal();
    let trace = Offered::default();
    let fork = fork(&journal, trace.clone());
    journal.close();
    let refused = fork.accept(protobuf(vec![call(1)]), Encoding::Protobuf, KeyStamp::default()).await;
    assert!(matches!(refused, Err(Refusal::Stopping { .. })), "{refused:?}");
    assert!(trace.0.lock().unwrap().is_empty());
    let snapshot = fork.stats().snapshot();
    assert_eq!((snapshot.requests, snapshot.refused, snapshot.spans), (1, 1, 0));
}

#[tokio::test]
async fn a_full_journal_refuses_until_there_is_room_and_loses_nothing_it_acknowledged() {
    let config = Config {
        capacity_bytes: 64 << 10,
        segment_bytes: 32 << 10,
        frame_bytes_max: 16 << 10,
        queue_bytes_max: 16 << 10,
        ..Config::default()
    };
    let (_dir, journal) = journal_with(config);
    let fork = fork(&journal, NoTrace);
    let mut acknowledged = 0;
    let refused = loop {
        match fork.accept(protobuf(vec![call(1), call(2)]), Encoding::Protobuf, KeyStamp::default()).await {
            Ok(_) => acknowledged += 2,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, Refusal::Full { .. }), "{refused:?}");
    assert!(refused.retry_after().is_some_and(|wait| !wait.is_zero()));
    assert_eq!(journaled(&journal).len(), acknowledged);
    assert_eq!(fork.stats().snapshot().appended_records(), acknowledged as u64);
}

#[tokio::test]
async fn a_malformed_body_is_refused_for_good_and_not_quoted() {
    let (_dir, journal) = journal();
    let fork = fork(&journal, NoTrace);
    let prompt = "a secret prompt";
    for (body, encoding) in [
        (Bytes::from_static(b"\x0a\xff"), Encoding::Protobuf),
        (format!("{{{prompt:?}").into(), Encoding::Json),
    ] {
        match fork.accept(body, encoding, KeyStamp::default()).await {
            Err(Refusal::Malformed(reason)) => assert!(!reason.contains(prompt), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_large_request_is_understood_off_the_serving_thread_and_durable_all_the_same() {
    let (_dir, journal) = journal();
    let fork = fork(&journal, NoTrace);
    let spans: Vec<_> = (1..=200).cycle().take(2_000).map(call).collect();
    let body = protobuf(spans);
    assert!(body.len() > super::INLINE_BYTES_MAX);
    fork.accept(body, Encoding::Protobuf, KeyStamp::default()).await.unwrap();
    assert_eq!(journaled(&journal).len(), 2_000);
}
