//! What waits for one backend, bounded in bytes; what does not fit is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::target::Target;
use crate::receive::Signal;

/// How many requests may wait, whatever their size.
const REQUESTS_MAX: usize = 4096;

/// What became of requests that were offered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Offered.
    pub offered: u64,
    /// Taken by the backend.
    pub sent: u64,
    /// Dropped because too much waited.
    pub dropped_queue_full: u64,
    /// Dropped because the backend refused them for good.
    pub dropped_refused: u64,
    /// Dropped because the backend did not take them for too long.
    pub dropped_expired: u64,
    /// Given up when the program stopped.
    pub abandoned: u64,
    /// What waits now, in bytes; goes up and down.
    pub waiting_bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    offered: AtomicU64,
    pub(super) sent: AtomicU64,
    dropped_queue_full: AtomicU64,
    pub(super) dropped_refused: AtomicU64,
    pub(super) dropped_expired: AtomicU64,
    abandoned: AtomicU64,
    waiting_bytes: AtomicUsize,
}

/// The end that requests are offered to.
#[derive(Debug)]
pub(super) struct Queue {
    name: String,
    signals: Vec<Signal>,
    bytes_max: usize,
    waiting: mpsc::Sender<Waiting>,
    counters: Arc<Counters>,
    _tells_the_worker: DropGuard,
}

/// A request that waits, or is being sent. It holds its bytes of the bound until dropped; dropped before something was
/// counted for it, it counts as abandoned.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) signal: Signal,
    pub(super) request: Bytes,
    counters: Arc<Counters>,
    settled: bool,
}

/// The queue of a backend: its two ends, and the signal that the first is gone.
pub(super) fn bounded(target: &Target) -> (Queue, mpsc::Receiver<Waiting>, CancellationToken) {
    let (waiting, receiver) = mpsc::channel(REQUESTS_MAX);
    let closed = CancellationToken::new();
    let queue = Queue {
        name: target.name.clone(),
        signals: target.signals.clone(),
        bytes_max: target.queue_bytes_max,
        waiting,
        counters: Arc::default(),
        _tells_the_worker: closed.clone().drop_guard(),
    };
    (queue, receiver, closed)
}

impl Queue {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn wants(&self, signal: Signal) -> bool {
        self.signals.contains(&signal)
    }

    pub(super) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    pub(super) fn offer(&self, signal: Signal, request: &Bytes) {
        let counters = &self.counters;
        counters.offered.fetch_add(1, Relaxed);
        let fits = |held: usize| held.checked_add(request.len()).filter(|sum| *sum <= self.bytes_max);
        if counters.waiting_bytes.fetch_update(Relaxed, Relaxed, fits).is_err() {
            counters.dropped_queue_full.fetch_add(1, Relaxed);
            return;
        }
        let waiting =
            Waiting { signal, request: request.clone(), counters: Arc::clone(counters), settled: false };
        if let Err(mpsc::error::TrySendError::Full(waiting)) = self.waiting.try_send(waiting) {
            waiting.settle(&counters.dropped_queue_full);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let counters = &self.counters;
        Counts {
            sent: counters.sent.load(Relaxed),
            dropped_queue_full: counters.dropped_queue_full.load(Relaxed),
            dropped_refused: counters.dropped_refused.load(Relaxed),
            dropped_expired: counters.dropped_expired.load(Relaxed),
            abandoned: counters.abandoned.load(Relaxed),
            waiting_bytes: counters.waiting_bytes.load(Relaxed) as u64,
            offered: counters.offered.load(Relaxed),
        }
    }
}

impl Waiting {
    /// Counts what became of it.
    pub(super) fn settle(mut self, counter: &AtomicU64) {
        self.settled = true;
        counter.fetch_add(1, Relaxed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.counters.waiting_bytes.fetch_sub(self.request.len(), Relaxed);
        if !self.settled {
            self.counters.abandoned.fetch_add(1, Relaxed);
        }
    }
}
