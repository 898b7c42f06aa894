//! The journal's cursors: shipped behind committed batches, released behind settled ones.
//!
//! Promises: a cursor moves in one place at a time, and the two never in one step. So where the newest checkpoint file
//! is lost, the one before it knows of everything that was unlinked by it. Blocks its thread.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use journal::{
    Checkpoint, CheckpointError, CollectorId, Cursor, FileError, Journal, ReleasePolicy, Released,
};

use super::commit::CommittedBatch;

/// Up to where each collector's evidence is settled, as whoever settles says.
pub(super) type Settled = HashMap<[u8; 16], u64>;

/// Moves cursors. Clones move the same ones.
#[derive(Clone)]
pub(super) struct Cursors {
    journal: Arc<Journal>,
    /// Held from reading a cursor to storing it.
    moving: Arc<Mutex<()>>,
}

impl Cursors {
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { journal, moving: Arc::default() }
    }

    /// The batch needs not be shipped again.
    pub fn shipped(&self, batch: &CommittedBatch) -> Result<(), CheckpointError> {
        let _alone = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let id = CollectorId::from_bytes(batch.collector_id());
        let cursor = self.journal.checkpoint().get(id);
        // Behind a lost checkpoint batches are sent again that the cursor has passed.
        if batch.last_seq() <= cursor.shipped {
            return Ok(());
        }
        let mut checkpoint = Checkpoint::default();
        checkpoint.set(id, Cursor { shipped: batch.last_seq(), ..cursor });
        self.journal.store_checkpoint(&checkpoint)
    }

    /// What is settled and shipped needs not be kept.
    pub fn settled(&self, settled: &Settled) -> Result<(), CheckpointError> {
        let _alone = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut checkpoint = Checkpoint::default();
        for (id, cursor) in self.journal.checkpoint().iter() {
            let through = settled.get(&id.to_bytes()).copied().unwrap_or(0).min(cursor.shipped);
            if through > cursor.released {
                checkpoint.set(id, Cursor { released: through, ..cursor });
            }
        }
        if checkpoint.iter().next().is_some() { self.journal.store_checkpoint(&checkpoint) } else { Ok(()) }
    }

    /// Unlinks released segments that were kept long enough.
    pub fn release(&self, keep: Duration, now: SystemTime) -> Result<Released, FileError> {
        self.journal.release(&ReleasePolicy { keep, now })
    }
}
