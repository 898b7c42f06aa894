//! What others ask of a running shipper: how far it is, and to hurry.

use std::sync::{Arc, Weak};
use std::time::Duration;

use journal::Journal;
use tokio::sync::watch;
use tokio::time::Instant;

use super::status::{self, SenderReport, ShipStatus};
use crate::seal::{SealerReport, Trouble};

/// A handle on a shipper. Clones ask the same one; it keeps neither the shipper nor the journal alive.
#[derive(Clone)]
pub struct ShipHandle {
    pub(super) journal: Weak<Journal>,
    pub(super) collector_id: [u8; 16],
    pub(super) flush: Arc<watch::Sender<u64>>,
    pub(super) sealer: watch::Receiver<SealerReport>,
    pub(super) sender: watch::Receiver<SenderReport>,
    pub(super) heartbeat: watch::Receiver<Option<Trouble>>,
    pub(super) commits: watch::Receiver<u64>,
}

/// Why positions are not known to be committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// It took longer than the caller would wait. Shipping goes on.
    #[error(
        "{unshipped} journal positions are not committed after {waited:?}; last error: {}",
        trouble.as_ref().map_or("none", |trouble| trouble.error.as_str())
    )]
    Deadline {
        /// How many positions are open.
        unshipped: u64,
        /// For how long this waited.
        waited: Duration,
        /// What fails, if something does.
        trouble: Option<Trouble>,
    },
    /// The shipper ended before. The rest is in the journal.
    #[error(
        "shipping has stopped with {unshipped} journal positions not committed; they ship at the next start"
    )]
    Stopped {
        /// How many positions are open.
        unshipped: u64,
    },
}

impl ShipHandle {
    /// Where everything stands.
    pub fn status(&self) -> ShipStatus {
        let sender = self.sender.borrow().clone();
        let sealer = self.sealer.borrow().clone();
        // A journal that is gone appended no more than was known to be shipped or scanned.
        let known = sender.shipped_seq.max(sealer.blank_through);
        let appended_seq = self.journal.upgrade().map_or(known, |journal| journal.stat().durable_seq);
        status::status(self.collector_id, appended_seq, &sender, &sealer, self.heartbeat.borrow().as_ref())
    }

    /// Counts committed batches; it changes with each, so that whoever settles can wake.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    /// Seals and ships at once everything that is durable now, earlier ids included, and returns when it is committed.
    ///
    /// # Errors
    /// See [`ShipHandle::flush_through`].
    pub async fn flush(&self, deadline: Instant) -> Result<(), FlushError> {
        self.flush_through(self.status().appended_seq, deadline).await
    }

    /// Seals and ships at once what is durable up to a position of the current id, and everything of earlier ids;
    /// returns when it is committed.
    ///
    /// # Errors
    /// The deadline passed, with the last error; or the shipper stopped.
    pub async fn flush_through(&self, seq: u64, deadline: Instant) -> Result<(), FlushError> {
        let began = Instant::now();
        // Only ever raised: several may wait, each for its own position.
        self.flush.send_if_modified(|wanted| {
            let raised = seq > *wanted;
            *wanted = seq.max(*wanted);
            raised
        });
        let (mut sender, mut sealer) = (self.sender.clone(), self.sealer.clone());
        loop {
            {
                let (sender, sealer) = (sender.borrow_and_update(), sealer.borrow_and_update());
                if sender.earlier_unshipped == 0 && status::committed_through(&sender, &sealer) >= seq {
                    return Ok(());
                }
            }
            let stopped = tokio::select! {
                changed = sender.changed() => changed.is_err(),
                changed = sealer.changed() => changed.is_err() && sender.has_changed().is_err(),
                () = tokio::time::sleep_until(deadline) => {
                    let ShipStatus { unshipped, trouble, .. } = self.status();
                    return Err(FlushError::Deadline { unshipped, waited: began.elapsed(), trouble });
                }
            };
            if stopped {
                return Err(FlushError::Stopped { unshipped: self.status().unshipped });
            }
        }
    }
}
