//! One batch into ClickHouse: its rows, then the row that vouches for them.
//!
//! Promises: a [`CommittedBatch`] exists only after both inserts succeeded. Trying again is for the caller.

use std::time::Duration;

use schemas::rows::BatchRow;
use schemas::{Database, DatabaseError, record};
use tokio::time::timeout;

use crate::append::Clock;
use crate::seal::{Seal, SealedBatch};

/// Proof that a batch is in the database, rows and all. Only a success of `Committer::commit` makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedBatch {
    collector_id: [u8; 16],
    last_seq: u64,
    rows: u64,
}

impl CommittedBatch {
    /// Whose positions these are.
    pub fn collector_id(&self) -> [u8; 16] {
        self.collector_id
    }

    /// The last position; the first follows the batch before.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// How many rows the database holds of it.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommitError {
    /// The database said no, or nothing sensible.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// It did not answer in time. It may still do what it was asked.
    #[error("clickhouse at {url} did not answer within {after:?}")]
    Timeout {
        /// Where.
        url: String,
        /// For how long.
        after: Duration,
    },
}

/// Commits batches to one database.
pub(super) struct Committer {
    pub database: Database,
    pub insert_timeout: Duration,
    pub clock: Clock,
}

impl Committer {
    /// One attempt at a whole batch.
    pub async fn commit(&self, batch: &SealedBatch) -> Result<CommittedBatch, CommitError> {
        let outcome = self.insert(batch).await;
        if outcome.is_err() {
            // What the client remembers of the tables may be what fails: the schema may have changed since.
            let forget = self.database.client().clear_cached_metadata();
            // A statement that hangs holds the memory; its own timeout frees it, and the next failure comes here again.
            let _ = timeout(Duration::from_secs(1), forget).await;
        }
        outcome
    }

    async fn insert(&self, batch: &SealedBatch) -> Result<CommittedBatch, CommitError> {
        let seal = batch.seal();
        if !batch.rows().is_empty() {
            self.in_time(self.database.insert_observations(&batch.insert_token(), batch.rows())).await?;
        }
        let (rows, content_hash) = if batch.is_faithful() {
            (seal.rows, seal.content_hash)
        } else {
            self.what_is_there(seal).await?
        };
        // Only the time differs between attempts, and the first stands.
        let token = format!("{}-{rows}-{content_hash:016x}", seal.insert_token());
        let row = BatchRow {
            collector_id: seal.collector_id,
            first_seq: seal.first_seq,
            last_seq: seal.last_seq,
            received_day: seal.received_day,
            rows,
            content_hash,
            committed_at: self.clock.unix_micros(),
        };
        self.in_time(self.database.insert_batch(&token, &row)).await?;
        Ok(CommittedBatch { collector_id: seal.collector_id, last_seq: seal.last_seq, rows })
    }

    /// The journal lost records after the batch was sealed. An earlier run may have sent them, so what the batch row
    /// vouches for is what the database holds now.
    async fn what_is_there(&self, seal: &Seal) -> Result<(u64, u64), CommitError> {
        let (first, last) = (seal.first_seq, seal.last_seq);
        let records = self.database.records_between(seal.collector_id, seal.received_day, first, last);
        let records = self.in_time(records).await?;
        let hash = records.iter().fold(0, |hash, row| record::fold_hash(hash, record::hash(&row.record)));
        Ok((records.len() as u64, hash))
    }

    async fn in_time<T>(
        &self,
        statement: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, CommitError> {
        let after = self.insert_timeout;
        let url = || self.database.target().url.clone();
        Ok(timeout(after, statement).await.map_err(|_| CommitError::Timeout { url: url(), after })??)
    }
}
