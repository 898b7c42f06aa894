//! One row of the evidence log, read: what it says, its bytes, and what ties it to others.

use domain::identity::TraceId;
use domain::observation::Evidence;
use domain::resolve::{LinkKey, link_keys};
use schemas::record::{self, DecodeError};
use smallvec::SmallVec;

use super::store::{Position, TraceKey};

/// A row of evidence.
#[derive(Debug)]
pub(super) struct Row {
    /// Where it stands in its collector's journal.
    pub position: Position,
    /// Its bytes.
    pub record: Box<[u8]>,
    /// What they say.
    pub evidence: Evidence,
    /// What it may share with rows of other traces.
    pub links: SmallVec<[LinkKey; 2]>,
    /// A hash of the instrumentation that made the span.
    pub scope: u64,
    trace_hash: u64,
}

impl Row {
    /// Reads a row.
    ///
    /// # Errors
    /// [`DecodeError`] where this version cannot read the record.
    pub fn new(position: Position, record: Vec<u8>) -> Result<Self, DecodeError> {
        let evidence = record::decode(&record)?;
        let (links, scope) = match &evidence {
            Evidence::Observation(observation) => {
                (link_keys(observation).collect(), scope_hash(&observation.scope.name))
            }
            Evidence::Link(_) => (SmallVec::new(), scope_hash("")),
        };
        let trace_hash = trace_hash(evidence.realm().as_str(), evidence.trace());
        Ok(Self { position, record: record.into_boxed_slice(), evidence, links, scope, trace_hash })
    }

    /// The trace it belongs to.
    pub fn trace_key(&self) -> TraceKey {
        TraceKey { trace: self.evidence.trace(), realm: self.evidence.realm().clone() }
    }

    /// When its span started, by the client's clock, in nanoseconds.
    pub fn start(&self) -> i64 {
        self.times().0
    }

    /// From the earliest to the latest that it speaks of, in nanoseconds: its span, by the client's clock, whichever way round
    /// that ran, and its receipt.
    pub fn extent(&self) -> (i64, i64) {
        let (start, end) = self.times();
        let received = self.evidence.received_at().nanos();
        (start.min(end).min(received), start.max(end).max(received))
    }

    fn times(&self) -> (i64, i64) {
        match &self.evidence {
            Evidence::Observation(observation) => (observation.start.nanos(), observation.end.nanos()),
            Evidence::Link(link) => (link.start.nanos(), link.end.nanos()),
        }
    }

    /// Whether its span was read before.
    pub fn is_read_anew(&self) -> bool {
        matches!(&self.evidence, Evidence::Observation(observation) if observation.reread > 0)
    }

    /// The name of its trace in the window.
    pub fn trace_hash(&self) -> u64 {
        self.trace_hash
    }
}

/// The name of a trace in the window. Trace ids are random, so their bits need no mixing.
pub(super) fn trace_hash(realm: &str, trace: TraceId) -> u64 {
    let bytes = trace.bytes();
    let low = u64::from_le_bytes(bytes[..8].try_into().expect("sixteen bytes hold eight"));
    let high = u64::from_le_bytes(bytes[8..].try_into().expect("sixteen bytes hold eight"));
    low ^ high.rotate_left(23) ^ scope_hash(realm)
}

/// FNV-1a; any fixed hash would do, it never leaves the process.
pub(super) fn scope_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
