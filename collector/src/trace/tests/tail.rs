//! The tail as the arm applies it: whole traces, late spans, money on the span it is billed by, bounded memory.

use std::time::Duration;

use bytes::Bytes;
use domain::observation::KeyStamp;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prost::Message as _;
use schemas::rows::SpanRow;

use super::fake_clickhouse::{FakeClickHouse, Mood};
use super::stem;
use crate::trace::arm::Arm;
use crate::trace::judge::{Reason, TailRules};
use crate::trace::{Config, ESTIMATED_COST, RULE, TraceArm, TraceTapHandle, WEIGHT};

fn config() -> Config {
    Config {
        sample_ratio: 1e-9,
        rules: TailRules { errors: true, ..TailRules::default() },
        wait: Duration::from_secs(3600),
        batch_rows_max: 1_000_000,
        batch_age_max: Duration::from_secs(3600),
        ..Config::default()
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A span of a trace whose random number is small, so that chance leaves it out.
fn span(trace: u8, id: u8, parent: u8, failed: bool) -> Span {
    let mut trace_id = vec![trace; 16];
    trace_id[9..].fill(0);
    Span {
        trace_id,
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: "work".into(),
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_001_000_000_000,
        status: failed.then(|| Status { code: 2, ..Status::default() }),
        ..Span::default()
    }
}

/// The same as a model call of so many tokens of input, and one of output.
fn call(trace: u8, id: u8, parent: u8, tokens: i64) -> Span {
    let text = |text: &str| Value::StringValue(text.into());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    Span {
        name: "chat gpt-4o".into(),
        kind: 3,
        start_time_unix_nano: now - 1_000_000_000,
        end_time_unix_nano: now,
        attributes: vec![
            attribute("gen_ai.operation.name", text("chat")),
            attribute("gen_ai.provider.name", text("openai")),
            attribute("gen_ai.request.model", text("gpt-4o")),
            attribute("gen_ai.usage.input_tokens", Value::IntValue(tokens)),
            attribute("gen_ai.usage.output_tokens", Value::IntValue(1)),
            attribute("tenant.id", text("acme")),
        ],
        ..span(trace, id, parent, false)
    }
}

fn request(spans: Vec<Span>) -> Bytes {
    let resource = Resource {
        attributes: vec![attribute("service.name", Value::StringValue("web".into()))],
        ..Resource::default()
    };
    let scope = ScopeSpans { spans, ..ScopeSpans::default() };
    let group =
        ResourceSpans { resource: Some(resource), scope_spans: vec![scope], ..ResourceSpans::default() };
    TracesData { resource_spans: vec![group] }.encode_to_vec().into()
}

/// An arm that is worked by hand: what it was offered, decided when told.
struct Bench {
    arm: Arm,
    handle: TraceTapHandle,
}

impl Bench {
    async fn new(config: Config) -> Self {
        let server = FakeClickHouse::start(Mood::Works).await;
        let (handle, arm) = TraceArm::build(config, &server.database(), stem());
        Self { arm, handle }
    }

    async fn take(&mut self, spans: Vec<Span>) {
        self.handle.offer(&request(spans), &KeyStamp::default());
        self.arm.take_next().await;
    }

    async fn rows(&mut self) -> Vec<SpanRow> {
        self.arm.decide_all().await;
        self.arm.batch.take()
    }
}

fn said<'r>(row: &'r SpanRow, key: &str) -> Option<&'r str> {
    row.span_attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn a_trace_is_kept_whole_for_what_one_of_its_spans_says_however_it_came() {
    let mut bench = Bench::new(config()).await;
    bench.take(vec![span(1, 1, 0, false), span(2, 1, 0, false)]).await;
    bench.take(vec![span(1, 2, 1, true), span(2, 2, 1, false)]).await;
    let rows = bench.rows().await;
    assert_eq!(
        rows.iter().map(|row| row.span_id.as_str()).collect::<Vec<_>>(),
        ["01".repeat(8), "02".repeat(8)]
    );
    for row in &rows {
        assert_eq!((said(row, RULE), said(row, WEIGHT)), (Some("error"), Some("1")), "{row:?}");
        assert!(row.trace_id.starts_with("01"));
        assert_eq!(row.service_name, "web");
    }
    // Late spans follow, a failed one of a trace that was left too.
    bench.take(vec![span(1, 3, 1, false), span(2, 3, 1, true)]).await;
    let late = bench.rows().await;
    assert_eq!(late.len(), 1);
    assert_eq!((late[0].span_id.as_str(), said(&late[0], RULE)), ("0303030303030303", Some("error")));
    let now = bench.handle.snapshot();
    assert_eq!((now.spans_kept, now.spans_sampled_out, now.spans_late), (3, 3, 2));
    assert_eq!((now.traces_kept[Reason::Error as usize], now.traces_left, now.held_bytes), (1, 1, 0));
}

#[tokio::test]
async fn an_estimate_stands_on_the_span_that_a_call_is_billed_by_and_counts_it_once() {
    let rules = TailRules { top_cost: 1, ..TailRules::default() };
    let mut bench = Bench::new(Config { rules, ..config() }).await;
    // A call, and the span of a framework around it that repeats its usage.
    let mut outer = call(1, 1, 0, 999);
    outer.attributes[0] = attribute("gen_ai.operation.name", Value::StringValue("invoke_agent".into()));
    bench.take(vec![outer, call(1, 2, 1, 999), span(1, 3, 1, false)]).await;
    let rows = bench.rows().await;
    let costs: Vec<_> =
        rows.iter().map(|row| (row.span_id[..2].to_string(), said(row, ESTIMATED_COST))).collect();
    assert_eq!(
        costs,
        [("01".to_string(), None), ("02".to_string(), Some("0.001000000000")), ("03".to_string(), None)]
    );
    assert!(rows.iter().all(|row| said(row, RULE) == Some("top_cost")));
    // A call that comes late counts, a wrapper that comes late was counted by its calls.
    let mut late_wrapper = call(1, 5, 0, 1_998);
    late_wrapper.attributes[0] =
        attribute("gen_ai.operation.name", Value::StringValue("invoke_agent".into()));
    bench.take(vec![call(1, 4, 1, 1_999), late_wrapper]).await;
    let late = bench.rows().await;
    let costs: Vec<_> = late.iter().map(|row| said(row, ESTIMATED_COST)).collect();
    assert_eq!(costs, [Some("0.002000000000"), None]);
}

#[tokio::test]
async fn what_is_held_stays_within_its_bound_and_overflow_decides_early() {
    const HOLD: usize = 256 << 10;
    let mut bench = Bench::new(Config { hold_bytes_max: HOLD, ..config() }).await;
    let mut highest = 0;
    for round in 0..100_u8 {
        let spans = (1..=50).map(|id| span(round + 1, id, 0, id == 50)).collect::<Vec<_>>();
        bench.take(spans).await;
        highest = highest.max(bench.handle.snapshot().held_bytes);
    }
    assert!(highest <= HOLD && highest > HOLD / 2, "{highest}");
    let now = bench.handle.snapshot();
    assert!(now.traces_early > 50, "{now:?}");
    let rows = bench.rows().await;
    assert_eq!(rows.len(), 100 * 50, "an early decision sees what has come, and loses nothing");
    assert_eq!(bench.handle.snapshot().held_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_decided_when_the_arm_ends() {
    let server = FakeClickHouse::start(Mood::Works).await;
    let (handle, arm) = TraceArm::start(config(), Some(server.database()), stem());
    handle.offer(&request(vec![span(1, 1, 0, true), span(2, 1, 0, false)]), &KeyStamp::default());
    drop(handle);
    let end = arm.await.unwrap();
    assert_eq!((end.spans_inserted, end.spans_sampled_out, end.spans_abandoned_held), (1, 1, 0));
}
