//! What the clients know: which calls they sent, and which of them were acknowledged. The ledger is judged by this alone.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

/// The clients' books.
#[derive(Debug, Default)]
pub struct Books {
    next: AtomicU64,
    /// By call number: whether a report of it was acknowledged.
    acknowledged: Mutex<Vec<bool>>,
    /// What happened to requests.
    pub requests: Requests,
}

/// Requests by what happened to them.
#[derive(Debug, Default)]
pub struct Requests {
    /// Answered with a success.
    pub acknowledged: AtomicU64,
    /// Refused, to be sent again.
    pub refused: AtomicU64,
    /// Sent into a connection that broke, or to nobody.
    pub unanswered: AtomicU64,
    /// Given up by the client before the answer could come.
    pub hung_up: AtomicU64,
    /// Sent again though acknowledged.
    pub repeated: AtomicU64,
}

impl Books {
    /// Numbers for so many calls that are about to be sent.
    pub fn begin(&self, calls: u64) -> std::ops::Range<u64> {
        let first = self.next.fetch_add(calls, Ordering::Relaxed);
        first..first + calls
    }

    /// Every call of these was acknowledged.
    pub fn acknowledge(&self, calls: &[u64]) {
        let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = self.sent() as usize;
        acknowledged.resize(sent, false);
        for &call in calls {
            acknowledged[call as usize] = true;
        }
    }

    /// How many calls were sent, or would have been had anybody been there.
    pub fn sent(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Whether a call was acknowledged, by number.
    pub fn acknowledged(&self) -> Vec<bool> {
        let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        acknowledged.resize(self.sent() as usize, false);
        acknowledged
    }
}

/// One more of something that is counted.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
