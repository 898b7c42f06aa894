//! The trace arm against databases that work, refuse, or never answer, and against its own failure.

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;
use tokio::task::yield_now;

use domain::observation::KeyStamp;

use super::fake_clickhouse::{FakeClickHouse, Mood};
use super::stem;
use crate::trace::{Config, Snapshot, TraceArm, TraceTapHandle};

fn offer(handle: &TraceTapHandle, body: &Bytes) {
    handle.offer(body, &KeyStamp::default());
}

/// A request with this many spans, each of a trace of its own.
fn request(spans: u64, name: &str) -> Bytes {
    let spans = (1..=spans).map(|index| Span {
        trace_id: xxhash_rust::xxh3::xxh3_128(&index.to_le_bytes()).to_be_bytes().to_vec(),
        span_id: index.to_be_bytes().to_vec(),
        name: name.into(),
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_000_000_000,
        ..Span::default()
    });
    let scope = ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() };
    let group = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    TracesData { resource_spans: vec![group] }.encode_to_vec().into()
}

fn config() -> Config {
    Config {
        sample_ratio: 1.0,
        wait: Duration::ZERO,
        batch_rows_max: 10,
        batch_age_max: Duration::ZERO,
        insert_attempts_max: 3,
        retry_pause: Duration::ZERO,
        ..Config::default()
    }
}

/// Waits until the arm is where it should be.
async fn until(handle: &TraceTapHandle, there: impl Fn(&Snapshot) -> bool) -> Snapshot {
    loop {
        let now = handle.snapshot();
        if there(&now) {
            return now;
        }
        yield_now().await;
    }
}

#[track_caller]
fn balanced(end: &Snapshot) {
    assert_eq!(end.queue_bytes, 0, "{end:?}");
    assert_eq!(
        end.requests_offered,
        end.requests_walked + end.requests_dropped_queue_full + end.requests_abandoned,
        "{end:?}"
    );
    assert_eq!(
        end.spans_kept,
        end.spans_inserted + end.spans_dropped_sink_error + end.spans_abandoned,
        "{end:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_spans_are_inserted_and_the_rest_is_counted() {
    let server = FakeClickHouse::start(Mood::Works).await;
    let (handle, arm) =
        TraceArm::start(Config { sample_ratio: 0.5, ..config() }, Some(server.database()), stem());
    assert!(handle.is_on());
    offer(&handle, &request(1_000, "chat"));
    offer(&handle, &Bytes::from_static(b"\x0a\x05x"));
    drop(handle);
    let end = arm.await.unwrap();
    balanced(&end);
    assert_eq!(end.spans_inserted, end.spans_kept);
    assert_eq!(end.spans_kept + end.spans_sampled_out, 1_000);
    assert!((400..600).contains(&end.spans_kept), "{end:?}");
    assert_eq!((end.requests_malformed, end.panics), (1, 0));
    assert!(
        server.inserts() as u64 >= end.spans_kept.div_ceil(10),
        "a request larger than a batch goes in several"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_that_is_alone_is_inserted_when_its_time_has_come() {
    let server = FakeClickHouse::start(Mood::Works).await;
    let (handle, _arm) = TraceArm::start(config(), Some(server.database()), stem());
    offer(&handle, &request(1, "chat"));
    until(&handle, |now| now.spans_inserted == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_never_answers_costs_sampled_spans_and_nothing_else() {
    let server = FakeClickHouse::start(Mood::NeverAnswers).await;
    let body = request(5, "chat");
    let bytes_max = 20 * body.len();
    let config = Config {
        queue_bytes_max: bytes_max,
        insert_timeout: Duration::from_secs(3600),
        drain: Duration::ZERO,
        ..config()
    };
    let (handle, arm) = TraceArm::start(config, Some(server.database()), stem());
    // Fill what the arm holds itself, then its queue: from there on every offer is dropped, and still returns.
    let mut full = handle.snapshot();
    while full.requests_dropped_queue_full < 10_000 || server.requests() == 0 {
        offer(&handle, &body);
        full = handle.snapshot();
        assert!(full.queue_bytes <= bytes_max, "{full:?}");
        let held = full.spans_kept - full.spans_inserted - full.spans_dropped_sink_error;
        assert!(held <= 2 * 10, "one batch grows and one is under way: {full:?}");
        yield_now().await;
    }
    assert_eq!(full.spans_inserted, 0);
    drop(handle);
    balanced(&arm.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_refusing_database_does_not_take_is_dropped_and_counted() {
    let server = FakeClickHouse::start(Mood::Refuses).await;
    let (handle, arm) = TraceArm::start(config(), Some(server.database()), stem());
    offer(&handle, &request(20, "chat"));
    let now = until(&handle, |now| now.spans_dropped_sink_error == 20).await;
    assert_eq!((now.spans_kept, now.spans_inserted), (20, 0));
    assert!(server.requests() >= 2 * 3, "each of two batches is tried three times");
    // The arm goes on.
    server.set(Mood::Works);
    offer(&handle, &request(5, "chat"));
    drop(handle);
    let end = arm.await.unwrap();
    balanced(&end);
    assert_eq!(end.spans_inserted, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_that_failed_is_tried_again() {
    let server = FakeClickHouse::start(Mood::Refuses).await;
    let (handle, arm) = TraceArm::start(
        Config { insert_attempts_max: u32::MAX, ..config() },
        Some(server.database()),
        stem(),
    );
    offer(&handle, &request(5, "chat"));
    while server.requests() == 0 {
        yield_now().await;
    }
    server.set(Mood::Works);
    drop(handle);
    let end = arm.await.unwrap();
    balanced(&end);
    assert_eq!((end.spans_inserted, end.spans_dropped_sink_error), (5, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_costs_the_request_it_came_from() {
    let server = FakeClickHouse::start(Mood::Works).await;
    let config = Config { batch_age_max: Duration::from_secs(3600), ..config() };
    let (handle, mut arm) = TraceArm::build(config, &server.database(), stem());
    arm.trap = Some("trap");
    let arm = tokio::spawn(arm.run());
    offer(&handle, &request(3, "chat"));
    offer(&handle, &request(2, "trap"));
    offer(&handle, &request(4, "chat"));
    drop(handle);
    let end = arm.await.unwrap();
    balanced(&end);
    assert_eq!((end.panics, end.requests_walked, end.requests_abandoned, end.spans_inserted), (1, 2, 1, 7));
}

#[tokio::test]
async fn the_arm_is_off_where_it_is_told_to_be_and_without_a_database() {
    let server = FakeClickHouse::start(Mood::Works).await;
    let off = Config { enabled: false, ..config() };
    for (config, database) in [(off, Some(server.database())), (config(), None)] {
        let (handle, arm) = TraceArm::start(config, database, stem());
        offer(&handle, &request(5, "chat"));
        assert!(!handle.is_on());
        assert_eq!(handle.snapshot(), Snapshot::default());
        assert_eq!(arm.await.unwrap(), Snapshot::default());
    }
    assert_eq!(server.requests(), 0);
}
