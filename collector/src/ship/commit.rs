//! One batch into ClickHouse: its rows, then the row that vouches for them.
//!
//! Promises: a [`CommittedBatch`] exists only after both inserts succeeded. Where an attempt may have gone before (one that
//! failed, or one of a process before this), the rows are read back before they are vouched for: a database that took a
//! part of an insert knows its token, and drops the rest when it is sent again. Trying again is for the caller.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sabotage::{Bug, Point};
use schemas::rows::{BatchRow, ObservationRow};
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
    /// It said yes, and the rows are not there.
    #[error("clickhouse at {url} took the rows of a batch and holds {found} of {expected}")]
    NotWhole {
        /// Where.
        url: String,
        /// Rows there.
        found: u64,
        /// Rows sent.
        expected: u64,
    },
}

/// Commits batches to one database.
pub(super) struct Committer {
    pub database: Database,
    pub insert_timeout: Duration,
    pub clock: Clock,
    /// Whether an attempt at the next batch may have gone before.
    in_doubt: AtomicBool,
}

impl Committer {
    /// Nothing is sent yet. What an earlier process sent is not known, so the first batch is in doubt.
    pub fn new(database: Database, insert_timeout: Duration, clock: Clock) -> Self {
        Self { database, insert_timeout, clock, in_doubt: AtomicBool::new(true) }
    }

    /// One attempt at a whole batch.
    pub async fn commit(&self, batch: &SealedBatch) -> Result<CommittedBatch, CommitError> {
        let outcome = self.insert(batch).await;
        self.in_doubt.store(outcome.is_err(), Ordering::Relaxed);
        if let Err(error) = &outcome
            && believed_anyway(error)
        {
            let seal = batch.seal();
            return Ok(CommittedBatch {
                collector_id: seal.collector_id,
                last_seq: seal.last_seq,
                rows: seal.rows,
            });
        }
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
            let token = batch.insert_token();
            let renumbered = renumbered(batch, &token);
            let rows = renumbered.as_deref().unwrap_or(batch.rows());
            let inserted = self.database.insert_observations(&token, rows);
            self.in_time(sabotage::in_flight(Point::ShipSending, inserted)).await?;
            sabotage::reached(Point::ShipRowsConfirmed);
        }
        let (rows, content_hash) = if batch.is_faithful() {
            if self.in_doubt.load(Ordering::Relaxed) {
                self.send_missing(seal, batch.rows()).await?;
            }
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
        sabotage::reached(Point::ShipBatchConfirmed);
        Ok(CommittedBatch { collector_id: seal.collector_id, last_seq: seal.last_seq, rows })
    }

    /// Sends what the database does not hold of a batch that it may have taken in part, under a token that it cannot know.
    async fn send_missing(&self, seal: &Seal, rows: &[ObservationRow]) -> Result<(), CommitError> {
        if rows.is_empty() {
            return Ok(());
        }
        let there = self.positions_there(seal).await?;
        let missing: Vec<ObservationRow> =
            rows.iter().filter(|row| !there.contains(&row.seq)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            missing = missing.len(),
            of = rows.len(),
            from = seal.first_seq,
            through = seal.last_seq,
            "clickhouse had taken a part of a batch; the rest is sent under a token of its own"
        );
        let token = format!("{}-rest-{:032x}", seal.insert_token(), rand::random::<u128>());
        self.in_time(self.database.insert_observations(&token, &missing)).await?;
        let there = self.positions_there(seal).await?;
        let found = rows.iter().filter(|row| there.contains(&row.seq)).count() as u64;
        let (url, expected) = (self.database.target().url.clone(), rows.len() as u64);
        if found == expected { Ok(()) } else { Err(CommitError::NotWhole { url, found, expected }) }
    }

    async fn positions_there(&self, seal: &Seal) -> Result<HashSet<u64>, CommitError> {
        let (first, last) = (seal.first_seq, seal.last_seq);
        let positions = self.database.positions_between(seal.collector_id, seal.received_day, first, last);
        Ok(self.in_time(positions).await?.into_iter().collect())
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

/// Two bugs of [`sabotage`]: a batch that failed is taken for committed.
fn believed_anyway(error: &CommitError) -> bool {
    sabotage::is_active(Bug::CursorBeforeConfirm)
        || sabotage::is_active(Bug::DropOnMemoryLimit)
            && format!("{error:?}").contains("MEMORY_LIMIT_EXCEEDED")
}

/// Another bug of [`sabotage`]: at a second attempt rows get other numbers.
fn renumbered(batch: &SealedBatch, token: &str) -> Option<Vec<ObservationRow>> {
    if !sabotage::is_active(Bug::RetryAsNewRows) || !sabotage::seen_before(token.as_bytes()) {
        return None;
    }
    let mut rows = batch.rows().to_vec();
    rows.iter_mut().for_each(|row| row.seq += 1 << 40);
    Some(rows)
}
