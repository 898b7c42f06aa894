//! What came into the trace arm and what became of it: counters for the metrics page.
//!
//! The books balance in two lines. Of requests: offered = walked + dropped for a full queue + abandoned + waiting. Of
//! spans: seen = kept + sampled out + held + abandoned while held, kept = inserted + dropped for a failing database +
//! abandoned + pending.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Release},
};

use super::judge::Reason;

/// Counters of one trace arm, shared with whoever shows them.
#[derive(Debug, Default)]
pub struct TraceStats {
    pub(super) requests_offered: AtomicU64,
    pub(super) requests_walked: AtomicU64,
    pub(super) requests_dropped_queue_full: AtomicU64,
    pub(super) requests_abandoned: AtomicU64,
    pub(super) requests_malformed: AtomicU64,
    pub(super) queue_bytes: AtomicUsize,
    pub(super) held_bytes: Arc<AtomicUsize>,
    pub(super) traces_kept: [AtomicU64; Reason::ALL.len()],
    pub(super) traces_left: AtomicU64,
    pub(super) traces_early: AtomicU64,
    pub(super) spans_late: AtomicU64,
    pub(super) spans_abandoned_held: AtomicU64,
    pub(super) spans_kept: AtomicU64,
    pub(super) spans_sampled_out: AtomicU64,
    pub(super) spans_unreadable: AtomicU64,
    pub(super) spans_inserted: AtomicU64,
    pub(super) spans_dropped_sink_error: AtomicU64,
    pub(super) spans_abandoned: AtomicU64,
    pub(super) panics: AtomicU64,
}

/// The counters at one moment. All but `queue_bytes` only grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Requests the fork offered while the arm was on.
    pub requests_offered: u64,
    /// Requests whose spans were sampled, malformed ones as far as they could be read.
    pub requests_walked: u64,
    /// Requests dropped because the queue was full, in bytes or in number.
    pub requests_dropped_queue_full: u64,
    /// Requests given up: the arm was told to stop before it came to them, or failed over them.
    pub requests_abandoned: u64,
    /// Walked requests whose framing broke off somewhere.
    pub requests_malformed: u64,
    /// What waiting requests hold now, in bytes; goes up and down.
    pub queue_bytes: usize,
    /// What traces that wait for their decision hold now, in bytes; goes up and down.
    pub held_bytes: usize,
    /// Traces that were kept, by reason, in the order of [`Reason::ALL`].
    pub traces_kept: [u64; Reason::ALL.len()],
    /// Traces that were not kept.
    pub traces_left: u64,
    /// Traces that were decided before their time, because too much was held. They are among the others too.
    pub traces_early: u64,
    /// Spans that came after their trace was decided, and followed the decision.
    pub spans_late: u64,
    /// Held spans given up when the arm stopped.
    pub spans_abandoned_held: u64,
    /// Spans the sampler kept.
    pub spans_kept: u64,
    /// Spans the sampler did not keep.
    pub spans_sampled_out: u64,
    /// Spans without usable ids, or that do not hold together.
    pub spans_unreadable: u64,
    /// Kept spans that the database took.
    pub spans_inserted: u64,
    /// Kept spans dropped because the database failed to take them in all attempts.
    pub spans_dropped_sink_error: u64,
    /// Kept spans given up when the arm stopped. The database may have taken those that were on their way.
    pub spans_abandoned: u64,
    /// Times the arm failed and was started again; our own fault.
    pub panics: u64,
}

impl TraceStats {
    /// The counters now. What became of something is read before that it came in, so that no snapshot shows an end
    /// without its beginning.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            spans_inserted: self.spans_inserted.load(Acquire),
            spans_dropped_sink_error: self.spans_dropped_sink_error.load(Acquire),
            spans_abandoned: self.spans_abandoned.load(Acquire),
            spans_abandoned_held: self.spans_abandoned_held.load(Acquire),
            spans_late: self.spans_late.load(Acquire),
            spans_kept: self.spans_kept.load(Acquire),
            spans_sampled_out: self.spans_sampled_out.load(Acquire),
            spans_unreadable: self.spans_unreadable.load(Acquire),
            traces_kept: std::array::from_fn(|at| self.traces_kept[at].load(Acquire)),
            traces_left: self.traces_left.load(Acquire),
            traces_early: self.traces_early.load(Acquire),
            held_bytes: self.held_bytes.load(Acquire),
            panics: self.panics.load(Acquire),
            requests_malformed: self.requests_malformed.load(Acquire),
            requests_walked: self.requests_walked.load(Acquire),
            requests_dropped_queue_full: self.requests_dropped_queue_full.load(Acquire),
            requests_abandoned: self.requests_abandoned.load(Acquire),
            queue_bytes: self.queue_bytes.load(Acquire),
            requests_offered: self.requests_offered.load(Acquire),
        }
    }
}

impl Snapshot {
    /// Everything that was dropped, as (unit, reason, count), for a metric with these labels.
    pub fn dropped(&self) -> [(&'static str, &'static str, u64); 6] {
        [
            ("requests", "queue_full", self.requests_dropped_queue_full),
            ("requests", "abandoned", self.requests_abandoned),
            ("spans", "unreadable", self.spans_unreadable),
            ("spans", "sink_error", self.spans_dropped_sink_error),
            ("spans", "abandoned", self.spans_abandoned),
            ("spans", "abandoned_undecided", self.spans_abandoned_held),
        ]
    }
}

pub(super) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Release);
}
