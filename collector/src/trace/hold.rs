//! Traces that wait for their decision, in bounded memory.
//!
//! A trace waits for a fixed time from its first span on, so the one that came first is due first. When all traces
//! together hold more than they may, the oldest are decided before their time, on what has come of them: that is a
//! decision like any other, it only sees less. Nothing is dropped here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use domain::{Evidence, TraceId};
use tokio::time::Instant;

use crate::otlp::{ResourceSpans, ScopeSpans};

/// What a held span takes besides its bytes: its place, the allocator's share.
const SPAN_OVERHEAD: usize = 80;
/// What a held trace takes besides spans and evidence: its places in the map and in the queue.
const TRACE_OVERHEAD: usize = 256;

/// What the spans of one scope share, once for all of them.
#[derive(Debug)]
pub(super) struct Source {
    /// A protobuf `Resource`.
    pub(super) resource: Box<[u8]>,
    /// A protobuf `InstrumentationScope`.
    pub(super) scope: Box<[u8]>,
    /// The URLs of the schemas of both, empty where not stated.
    pub(super) resource_schema: Box<str>,
    pub(super) scope_schema: Box<str>,
    bytes: usize,
    held: Arc<AtomicUsize>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Relaxed);
    }
}

/// A span that waits, as it came.
#[derive(Debug)]
pub(super) struct HeldSpan {
    /// A protobuf `Span`.
    pub(super) bytes: Box<[u8]>,
    pub(super) source: Arc<Source>,
}

/// A trace that waits.
#[derive(Debug, Default)]
pub(super) struct HeldTrace {
    pub(super) spans: Vec<HeldSpan>,
    pub(super) evidence: Vec<Evidence>,
    /// The random number that the application chose for the trace, where a span of it says so.
    pub(super) randomness: Option<u64>,
    bytes: usize,
}

impl HeldTrace {
    /// Evidence without its spans.
    pub(super) fn of_evidence(evidence: Vec<Evidence>) -> Self {
        Self { evidence, ..Self::default() }
    }
}

/// All traces that wait.
#[derive(Debug)]
pub(super) struct Hold {
    wait: Duration,
    bytes_max: usize,
    traces: HashMap<TraceId, HeldTrace>,
    /// In the order in which they are due.
    order: VecDeque<(Instant, TraceId)>,
    /// What they hold, with what their spans share.
    held: Arc<AtomicUsize>,
}

impl Hold {
    /// Nothing yet. `held` is where others read how much is held.
    pub(super) fn new(wait: Duration, bytes_max: usize, held: Arc<AtomicUsize>) -> Self {
        Self { wait, bytes_max, traces: HashMap::new(), order: VecDeque::new(), held }
    }

    /// Copies what spans of one scope share.
    pub(super) fn source(&self, group: &ResourceSpans<'_>, scope: &ScopeSpans<'_>) -> Arc<Source> {
        self.source_of(group.resource.bytes(), scope.scope.bytes(), [group.schema_url, scope.schema_url])
    }

    fn source_of(&self, resource: &[u8], scope: &[u8], schemas: [&str; 2]) -> Arc<Source> {
        let texts = schemas.map(str::len).into_iter().sum::<usize>();
        let bytes = resource.len() + scope.len() + texts + size_of::<Source>();
        self.held.fetch_add(bytes, Relaxed);
        Arc::new(Source {
            resource: resource.into(),
            scope: scope.into(),
            resource_schema: schemas[0].into(),
            scope_schema: schemas[1].into(),
            bytes,
            held: Arc::clone(&self.held),
        })
    }

    /// Holds a span.
    pub(super) fn push(&mut self, trace: TraceId, span: &[u8], source: Arc<Source>, randomness: Option<u64>) {
        let bytes = span.len() + SPAN_OVERHEAD;
        let held = self.traces.entry(trace).or_insert_with(|| {
            self.order.push_back((Instant::now() + self.wait, trace));
            self.held.fetch_add(TRACE_OVERHEAD, Relaxed);
            HeldTrace { bytes: TRACE_OVERHEAD, ..HeldTrace::default() }
        });
        held.bytes += bytes;
        held.randomness = held.randomness.or(randomness);
        held.spans.push(HeldSpan { bytes: span.into(), source });
        self.held.fetch_add(bytes, Relaxed);
    }

    /// Adds what spans of a trace say to billing, of so many bytes; of a trace that is not held, nothing is kept.
    pub(super) fn add_evidence(&mut self, trace: TraceId, evidence: Vec<Evidence>, bytes: usize) {
        if let Some(held) = self.traces.get_mut(&trace) {
            held.evidence.extend(evidence);
            held.bytes += bytes;
            self.held.fetch_add(bytes, Relaxed);
        }
    }

    /// The next trace to be decided: whose time has come, or the oldest while too much is held.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(TraceId, HeldTrace)> {
        let (due_at, _) = self.order.front()?;
        if *due_at > now && !self.is_over() { None } else { self.take_oldest() }
    }

    /// The oldest trace, due or not.
    pub(super) fn take_oldest(&mut self) -> Option<(TraceId, HeldTrace)> {
        let (_, trace) = self.order.pop_front()?;
        let held = self.traces.remove(&trace)?;
        self.held.fetch_sub(held.bytes, Relaxed);
        Some((trace, held))
    }

    /// Whether more is held than may be.
    pub(super) fn is_over(&self) -> bool {
        self.held.load(Relaxed) > self.bytes_max
    }

    /// When the next trace is due.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.order.front().map(|(due_at, _)| *due_at)
    }

    /// How many spans wait.
    pub(super) fn spans(&self) -> usize {
        self.traces.values().map(|trace| trace.spans.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(index: u8) -> TraceId {
        TraceId::from_bytes([index + 1; 16]).unwrap()
    }

    fn hold(bytes_max: usize) -> Hold {
        Hold::new(Duration::from_secs(10), bytes_max, Arc::default())
    }

    fn push(hold: &mut Hold, index: u8, bytes: usize) {
        let source = hold.source_of(b"resource", b"scope", ["", ""]);
        hold.push(trace(index), &vec![0; bytes], source, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trace_is_due_when_its_first_span_has_waited() {
        let mut hold = hold(usize::MAX);
        push(&mut hold, 0, 10);
        tokio::time::advance(Duration::from_secs(6)).await;
        push(&mut hold, 1, 10);
        push(&mut hold, 0, 10);
        assert!(hold.take_due(Instant::now()).is_none());
        tokio::time::advance(Duration::from_secs(4)).await;
        let (due, held) = hold.take_due(Instant::now()).unwrap();
        assert_eq!((due, held.spans.len()), (trace(0), 2));
        assert!(hold.take_due(Instant::now()).is_none());
        assert_eq!(hold.due_at(), Some(Instant::now() + Duration::from_secs(6)));
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_its_bound_the_oldest_are_due_and_none_is_lost() {
        let mut hold = hold(100_000);
        let mut taken = 0;
        for index in 0..200 {
            push(&mut hold, index, 2_000);
            while let Some((due, held)) = hold.take_due(Instant::now()) {
                assert_eq!((due, held.spans.len()), (trace(taken), 1));
                taken += 1;
            }
            assert!(hold.held.load(Relaxed) <= 100_000);
        }
        assert!(taken > 100, "{taken}");
        while hold.take_oldest().is_some() {
            taken += 1;
        }
        assert_eq!((taken, hold.held.load(Relaxed), hold.spans()), (200, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_spans_share_is_counted_once() {
        let mut hold = hold(usize::MAX);
        let source = hold.source_of(&[0; 10_000], b"", ["", ""]);
        (0..100).for_each(|index| hold.push(trace(index), b"span", Arc::clone(&source), None));
        drop(source);
        let held = hold.held.load(Relaxed);
        assert!((10_000..10_000 + 100 * 400 + 200).contains(&held), "{held}");
        while hold.take_oldest().is_some() {}
        assert_eq!(hold.held.load(Relaxed), 0);
    }
}
