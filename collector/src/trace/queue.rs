//! The border between the receive path and the trace arm: requests wait here to be sampled, within bounds of bytes and
//! number, and what does not fit is dropped and counted. Nobody ever waits for a place.
//!
//! A request's bytes are shared with the receive path, not copied. Where its body is a slice of a larger buffer, only
//! the slice is counted.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use domain::observation::KeyStamp;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::stats::{Snapshot, TraceStats, add};

/// The receive path's end of the trace arm. Cheap to clone; the arm ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct TraceTapHandle {
    /// `None`: the arm is off.
    tap: Option<Arc<Tap>>,
    stats: Arc<TraceStats>,
}

#[derive(Debug)]
struct Tap {
    waiting: mpsc::Sender<Queued>,
    bytes_max: usize,
    _tells_the_arm: DropGuard,
}

impl TraceTapHandle {
    /// A handle that does nothing.
    pub(super) fn off() -> Self {
        Self { tap: None, stats: Arc::default() }
    }

    /// Offers an acknowledged or soon acknowledged request, as a protobuf `ExportTraceServiceRequest`. Returns at once,
    /// whatever the arm is doing.
    pub fn offer(&self, body: &Bytes, key: &KeyStamp) {
        let Some(tap) = &self.tap else { return };
        add(&self.stats.requests_offered, 1);
        let Some(queued) = Queued::admit(body, key, tap.bytes_max, &self.stats) else {
            add(&self.stats.requests_dropped_queue_full, 1);
            return;
        };
        // A closed queue means that the arm is gone; the request is then counted as abandoned, by its drop.
        if let Err(mpsc::error::TrySendError::Full(queued)) = tap.waiting.try_send(queued) {
            queued.settle(&self.stats.requests_dropped_queue_full);
        }
    }

    /// Whether the arm is on.
    pub fn is_on(&self) -> bool {
        self.tap.is_some()
    }

    /// The arm's counters now.
    pub fn snapshot(&self) -> Snapshot {
        self.stats.snapshot()
    }
}

/// A queue and its bounds: the handle that fills it, what empties it, and the signal that the handle is gone.
pub(super) fn bounded(
    bytes_max: usize,
    requests_max: usize,
    stats: Arc<TraceStats>,
) -> (TraceTapHandle, mpsc::Receiver<Queued>, CancellationToken) {
    let (waiting, queue) = mpsc::channel(requests_max);
    let closed = CancellationToken::new();
    let tap = Tap { waiting, bytes_max, _tells_the_arm: closed.clone().drop_guard() };
    (TraceTapHandle { tap: Some(Arc::new(tap)), stats }, queue, closed)
}

/// A request that waits or is being walked. It holds its bytes of the bound until dropped; dropped before it was settled,
/// by whatever path, it counts as abandoned.
#[derive(Debug)]
pub(super) struct Queued {
    body: Bytes,
    key: KeyStamp,
    stats: Arc<TraceStats>,
    settled: bool,
}

impl Queued {
    fn admit(body: &Bytes, key: &KeyStamp, bytes_max: usize, stats: &Arc<TraceStats>) -> Option<Self> {
        stats
            .queue_bytes
            .fetch_update(Relaxed, Relaxed, |held| {
                held.checked_add(body.len()).filter(|sum| *sum <= bytes_max)
            })
            .ok()?;
        Some(Self { body: body.clone(), key: key.clone(), stats: stats.clone(), settled: false })
    }

    /// What the request's API key says.
    pub(super) fn key(&self) -> &KeyStamp {
        &self.key
    }

    /// The request's bytes.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The request was walked to its end.
    pub(super) fn walked(self) {
        let stats = self.stats.clone();
        self.settle(&stats.requests_walked);
    }

    fn settle(mut self, counter: &std::sync::atomic::AtomicU64) {
        self.settled = true;
        add(counter, 1);
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.stats.queue_bytes.fetch_sub(self.body.len(), Relaxed);
        if !self.settled {
            add(&self.stats.requests_abandoned, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(handle: &TraceTapHandle, body: &Bytes) {
        handle.offer(body, &KeyStamp::default());
    }

    fn queue(
        bytes_max: usize,
        requests_max: usize,
    ) -> (TraceTapHandle, mpsc::Receiver<Queued>, CancellationToken) {
        bounded(bytes_max, requests_max, Arc::default())
    }

    #[test]
    fn the_queue_is_bounded_in_bytes() {
        let (handle, mut waiting, _) = queue(100, 1_000);
        let body = Bytes::from(vec![0; 40]);
        (0..5).for_each(|_| offer(&handle, &body));
        offer(&handle, &Bytes::from(vec![0; 20]));
        offer(&handle, &Bytes::from(vec![0; 1_000]));
        let full = handle.snapshot();
        assert_eq!((full.queue_bytes, full.requests_offered, full.requests_dropped_queue_full), (100, 7, 4));
        waiting.try_recv().unwrap().walked();
        assert_eq!(handle.snapshot().queue_bytes, 60);
        offer(&handle, &body);
        assert_eq!(handle.snapshot().queue_bytes, 100);
    }

    #[test]
    fn the_queue_is_bounded_in_number() {
        let (handle, _waiting, _) = queue(usize::MAX, 2);
        (0..5).for_each(|_| offer(&handle, &Bytes::from_static(b"x")));
        let full = handle.snapshot();
        assert_eq!((full.requests_dropped_queue_full, full.requests_abandoned, full.queue_bytes), (3, 0, 2));
    }

    #[test]
    fn what_nobody_walks_is_counted_as_abandoned() {
        let (handle, waiting, _) = queue(100, 10);
        offer(&handle, &Bytes::from_static(b"x"));
        drop(waiting);
        offer(&handle, &Bytes::from_static(b"y"));
        let now = handle.snapshot();
        assert_eq!((now.requests_offered, now.requests_abandoned, now.queue_bytes), (2, 2, 0));
    }

    #[test]
    fn the_last_handle_tells_the_arm() {
        let (handle, _waiting, closed) = queue(1, 1);
        let clone = handle.clone();
        drop(handle);
        assert!(!closed.is_cancelled());
        drop(clone);
        assert!(closed.is_cancelled());
    }

    #[test]
    fn a_handle_that_is_off_does_nothing() {
        let handle = TraceTapHandle::off();
        offer(&handle, &Bytes::from_static(b"x"));
        assert!(!handle.is_on());
        assert_eq!(handle.snapshot(), Snapshot::default());
    }
}
