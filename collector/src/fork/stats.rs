//! The books of the stem: what became of every span of an acknowledged request.
//!
//! A refused request is sent again and counted when it is acknowledged, so at any moment the records in the journal are
//! observations and links together, plus those of requests whose client went away before the answer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use domain::observation::Kind;

use crate::decode::{RejectReason, Rejections};

/// The kinds of observations, in the order of their counters.
const KINDS: [Kind; 4] = [Kind::Call, Kind::PossibleWrapper, Kind::Attribution, Kind::Unrecognised];

/// What the spans of one request are.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// All spans that were sent.
    pub spans: u64,
    pub rejected: Rejections,
    pub links: u64,
    observations: [u64; KINDS.len()],
}

impl Tally {
    pub fn observe(&mut self, kind: Kind) {
        self.observations[index(kind)] += 1;
    }
}

fn index(kind: Kind) -> usize {
    match kind {
        Kind::Call => 0,
        Kind::PossibleWrapper => 1,
        Kind::Attribution => 2,
        Kind::Unrecognised => 3,
    }
}

/// Counters of one fork, shared with whoever shows them.
#[derive(Debug, Default)]
pub struct ForkStats {
    requests: AtomicU64,
    refused: AtomicU64,
    spans: AtomicU64,
    rejected: [AtomicU64; RejectReason::ALL.len()],
    observations: [AtomicU64; KINDS.len()],
    links: AtomicU64,
}

/// The counters at one moment. They only grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Requests that came.
    pub requests: u64,
    /// Requests that were refused: malformed, or not durable.
    pub refused: u64,
    /// Spans of acknowledged requests.
    pub spans: u64,
    /// Those of them that cannot be used, by reason.
    pub rejected: Vec<(RejectReason, u64)>,
    /// Observations made durable, by kind.
    pub observations: Vec<(Kind, u64)>,
    /// Links made durable.
    pub links: u64,
}

impl Snapshot {
    /// Records of acknowledged requests in the journal.
    pub fn appended_records(&self) -> u64 {
        self.observations.iter().map(|(_, count)| count).sum::<u64>() + self.links
    }
}

impl ForkStats {
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn acknowledge(&self, tally: &Tally) {
        self.spans.fetch_add(tally.spans, Relaxed);
        self.links.fetch_add(tally.links, Relaxed);
        for (counter, count) in self.observations.iter().zip(tally.observations) {
            counter.fetch_add(count, Relaxed);
        }
        for (reason, count) in tally.rejected.iter() {
            self.rejected[reason as usize].fetch_add(count, Relaxed);
        }
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            requests: self.requests.load(Relaxed),
            refused: self.refused.load(Relaxed),
            spans: self.spans.load(Relaxed),
            rejected: RejectReason::ALL
                .map(|reason| (reason, self.rejected[reason as usize].load(Relaxed)))
                .to_vec(),
            observations: KINDS.map(|kind| (kind, self.observations[index(kind)].load(Relaxed))).to_vec(),
            links: self.links.load(Relaxed),
        }
    }
}
