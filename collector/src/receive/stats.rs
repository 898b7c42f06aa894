//! What was received, refused and is in work: counters for the metrics page, and the balance of the books.
//!
//! Each request is counted when its head is read and once more by its end: answered with success, refused (by
//! reason), or abandoned (the client went away). So received = accepted + refused + abandoned + in flight, at any
//! moment.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::budget::Budget;
use super::refusal::RefusalKind;

/// The protocol of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP.
    Http,
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Grpc, Self::Http];

    /// How people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "OTLP/gRPC",
            Self::Http => "OTLP/HTTP",
        }
    }

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }
}

/// What a request exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans: handed to the intake.
    Traces,
    /// Metrics: passed on where a backend wants them, else answered with success and dropped.
    Metrics,
    /// Logs: the same.
    Logs,
    /// The request's path names no signal.
    Unknown,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 4] = [Self::Traces, Self::Metrics, Self::Logs, Self::Unknown];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            Self::Unknown => "unknown",
        }
    }
}

/// Counters of one `Receive`, shared with whoever shows them.
#[derive(Debug)]
pub struct ReceiveStats {
    budget: Budget,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    requests: [[AtomicU64; Signal::ALL.len()]; Protocol::ALL.len()],
    accepted: AtomicU64,
    refused: [AtomicU64; RefusalKind::ALL.len()],
    abandoned: AtomicU64,
    in_flight: AtomicU64,
    rejected_spans: AtomicU64,
    body_bytes: AtomicU64,
    decompressed_bytes: AtomicU64,
    connections_accepted: AtomicU64,
    connections_refused: AtomicU64,
    connections_open: AtomicU64,
}

/// The counters at one moment. Counters only grow, except the two that say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Requests whose head was read.
    pub requests: Vec<(Protocol, Signal, u64)>,
    /// Requests answered with success (metrics and logs too).
    pub accepted: u64,
    /// Requests refused, by reason.
    pub refused: Vec<(RefusalKind, u64)>,
    /// Requests whose client went away, or that the end of a drain cut off, before they were answered.
    pub abandoned: u64,
    /// Requests in work now; goes up and down.
    pub in_flight: u64,
    /// Memory leased to requests in work, in bytes; goes up and down, never above `in_flight_bytes_max` and one KiB.
    pub in_flight_bytes: u64,
    /// Spans that accepted requests left out as unusable.
    pub rejected_spans: u64,
    /// Body bytes as they arrived, of refused requests too.
    pub body_bytes: u64,
    /// Bytes handed to the intake.
    pub decompressed_bytes: u64,
    /// Connections taken.
    pub connections_accepted: u64,
    /// Connections closed at once because too many were open.
    pub connections_refused: u64,
    /// Connections open now; goes up and down.
    pub connections_open: u64,
}

impl ReceiveStats {
    pub(super) fn of(budget: Budget) -> Self {
        Self { budget, counts: Counts::default() }
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        let requests = Protocol::ALL.into_iter().flat_map(|protocol| {
            Signal::ALL.map(|signal| {
                (protocol, signal, self.counts.requests[protocol as usize][signal as usize].load(Relaxed))
            })
        });
        Snapshot {
            requests: requests.collect(),
            accepted: self.counts.accepted.load(Relaxed),
            refused: RefusalKind::ALL
                .map(|kind| (kind, self.counts.refused[kind as usize].load(Relaxed)))
                .to_vec(),
            abandoned: self.counts.abandoned.load(Relaxed),
            in_flight: self.counts.in_flight.load(Relaxed),
            in_flight_bytes: self.budget.bytes_leased() as u64,
            rejected_spans: self.counts.rejected_spans.load(Relaxed),
            body_bytes: self.counts.body_bytes.load(Relaxed),
            decompressed_bytes: self.counts.decompressed_bytes.load(Relaxed),
            connections_accepted: self.counts.connections_accepted.load(Relaxed),
            connections_refused: self.counts.connections_refused.load(Relaxed),
            connections_open: self.counts.connections_open.load(Relaxed),
        }
    }

    /// Counts a request in; its account is settled once.
    pub(super) fn begin(&self, protocol: Protocol, signal: Signal) -> Account<'_> {
        self.counts.requests[protocol as usize][signal as usize].fetch_add(1, Relaxed);
        self.counts.in_flight.fetch_add(1, Relaxed);
        Account { stats: self, settled: false }
    }

    pub(super) fn add_body_bytes(&self, bytes: usize) {
        self.counts.body_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn add_decompressed_bytes(&self, bytes: usize) {
        self.counts.decompressed_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn connection_refused(&self) {
        self.counts.connections_refused.fetch_add(1, Relaxed);
    }

    pub(super) fn connection_opened(&self) -> OpenConnection<'_> {
        self.counts.connections_accepted.fetch_add(1, Relaxed);
        self.counts.connections_open.fetch_add(1, Relaxed);
        OpenConnection(self)
    }
}

impl Snapshot {
    /// Requests of one protocol and signal.
    pub fn requests_of(&self, protocol: Protocol, signal: Signal) -> u64 {
        self.requests.iter().filter(|row| (row.0, row.1) == (protocol, signal)).map(|row| row.2).sum()
    }

    /// All requests.
    pub fn requests_total(&self) -> u64 {
        self.requests.iter().map(|row| row.2).sum()
    }

    /// Requests refused for one reason.
    pub fn refused_as(&self, kind: RefusalKind) -> u64 {
        self.refused.iter().filter(|row| row.0 == kind).map(|row| row.1).sum()
    }

    /// All refused requests.
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().map(|row| row.1).sum()
    }
}

/// One request's line in the books. Dropped unsettled, the request was abandoned.
pub(super) struct Account<'a> {
    stats: &'a ReceiveStats,
    settled: bool,
}

impl Account<'_> {
    pub(super) fn accepted(mut self, rejected_spans: i64) {
        self.settled = true;
        self.stats.counts.accepted.fetch_add(1, Relaxed);
        self.stats.counts.rejected_spans.fetch_add(u64::try_from(rejected_spans).unwrap_or(0), Relaxed);
    }

    pub(super) fn refused(mut self, kind: RefusalKind) {
        self.settled = true;
        self.stats.counts.refused[kind as usize].fetch_add(1, Relaxed);
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.stats.counts.abandoned.fetch_add(1, Relaxed);
        }
        self.stats.counts.in_flight.fetch_sub(1, Relaxed);
    }
}

/// An open connection, counted as such until dropped.
pub(super) struct OpenConnection<'a>(&'a ReceiveStats);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.counts.connections_open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::{Limits, TimeLimits};
    use super::*;

    #[test]
    fn every_kind_is_counted_in_its_own_place() {
        for (index, kind) in RefusalKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "RefusalKind::ALL follows the declaration");
        }
        for (index, signal) in Signal::ALL.into_iter().enumerate() {
            assert_eq!(signal as usize, index);
        }
    }

    #[test]
    fn the_books_balance() {
        let budget = Budget::new(&Limits::default(), &TimeLimits::default());
        let stats = ReceiveStats::of(budget);
        stats.begin(Protocol::Grpc, Signal::Traces).accepted(2);
        stats.begin(Protocol::Http, Signal::Logs).refused(RefusalKind::Busy);
        drop(stats.begin(Protocol::Http, Signal::Traces));
        let open = stats.begin(Protocol::Http, Signal::Traces);
        let now = stats.snapshot();
        assert_eq!(now.requests_total(), now.accepted + now.refused_total() + now.abandoned + now.in_flight);
        assert_eq!(
            (now.accepted, now.refused_as(RefusalKind::Busy), now.abandoned, now.in_flight),
            (1, 1, 1, 1)
        );
        assert_eq!(now.requests_of(Protocol::Http, Signal::Traces), 2);
        assert_eq!(now.rejected_spans, 2);
        drop(open);
    }
}
