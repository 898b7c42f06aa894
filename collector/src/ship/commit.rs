//! One batch into ClickHouse: its rows, then the row that vouches for them.
//!
//! Promises: a [`CommittedBatch`] exists only after both inserts succeeded. An attempt sends everything, whatever another may
//! have sent before: the same rows under the same keys. Positions that are in quarantine are left out, and the batch row
//! says so. Trying again is for the caller.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sabotage::{Bug, Point};
use schemas::rows::{BatchRow, ObservationRow};
use schemas::{Database, DatabaseError, Refusal, record};
use tokio::time::timeout;

use super::log::Log;
use crate::append::Clock;
use crate::seal::{Seal, SealedBatch};

/// Proof that a batch is in the database, rows and all. Only a success of `Committer::commit` makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedBatch {
    collector_id: [u8; 16],
    last_seq: u64,
    rows: u64,
    refused: u64,
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

    /// How many positions of it are in quarantine instead.
    pub fn refused(&self) -> u64 {
        self.refused
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
    /// It refuses what no single row can be blamed for.
    #[error(
        "clickhouse at {url} refuses {what}, of positions {first}..={last}, for what is in them; see whether the table \
         observation_log has a constraint or a view that should not be there"
    )]
    Refused {
        /// Where.
        url: String,
        /// What it refuses.
        what: &'static str,
        /// First position of the batch.
        first: u64,
        /// Last position.
        last: u64,
    },
}

impl CommitError {
    /// What the database says against the content of rows, if that is what it is about.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Database(error) => error.refusal(),
            Self::Timeout { .. } | Self::Refused { .. } => None,
        }
    }
}

/// How often in a row a batch must be refused for its content before it is taken apart: an outage that looks like a refusal
/// once is an outage.
const REFUSALS_MIN: u64 = 3;

/// Commits batches to one database.
pub(super) struct Committer<L = Database> {
    pub database: L,
    pub insert_timeout: Duration,
    pub clock: Clock,
    /// Whether an attempt at the next batch may have gone before.
    in_doubt: AtomicBool,
    /// How often in a row the batch was refused for its content.
    refusals: AtomicU64,
    /// Positions in quarantine by collector id, as far as they matter here. Read anew in doubt.
    set_aside: Mutex<HashMap<[u8; 16], BTreeSet<u64>>>,
}

impl<L: Log> Committer<L> {
    /// Nothing is sent yet. What an earlier process sent is not known, so the first batch is in doubt.
    pub fn new(database: L, insert_timeout: Duration, clock: Clock) -> Self {
        Self {
            database,
            insert_timeout,
            clock,
            in_doubt: AtomicBool::new(true),
            refusals: AtomicU64::new(0),
            set_aside: Mutex::default(),
        }
    }

    /// One attempt at a whole batch.
    pub async fn commit(&self, batch: &SealedBatch) -> Result<CommittedBatch, CommitError> {
        let outcome = self.insert(batch).await;
        self.in_doubt.store(outcome.is_err(), Ordering::Relaxed);
        if outcome.is_ok() {
            self.refusals.store(0, Ordering::Relaxed);
        }
        if let Err(error) = &outcome
            && believed_anyway(error)
        {
            let seal = batch.seal();
            return Ok(CommittedBatch {
                collector_id: seal.collector_id,
                last_seq: seal.last_seq,
                rows: seal.rows,
                refused: 0,
            });
        }
        if outcome.is_err() {
            // What the client remembers of the tables may be what fails: the schema may have changed since.
            let forget = self.database.forget_tables();
            // A statement that hangs holds the memory; its own timeout frees it, and the next failure comes here again.
            let _ = timeout(Duration::from_secs(1), forget).await;
        }
        outcome
    }

    async fn insert(&self, batch: &SealedBatch) -> Result<CommittedBatch, CommitError> {
        let seal = batch.seal();
        let mut refused = self.set_aside(seal).await?;
        let mut rest: Vec<&ObservationRow> =
            batch.rows().iter().filter(|row| !refused.contains(&row.seq)).collect();
        if !rest.is_empty() {
            match self.insert_rows(&rest).await {
                Ok(()) => {}
                Err(error) => {
                    let found = self.isolated(seal, &rest, error).await?;
                    rest.retain(|row| !found.contains(&row.seq));
                    refused.extend(found);
                    self.remember(seal, &refused);
                }
            }
            sabotage::reached(Point::ShipRowsConfirmed);
        }
        let (rows, content_hash) = if batch.is_faithful() {
            if refused.is_empty() { (seal.rows, seal.content_hash) } else { added_up(&rest) }
        } else {
            self.what_is_there(seal, &refused).await?
        };
        // Only the time differs between attempts.
        let row = BatchRow {
            collector_id: seal.collector_id,
            first_seq: seal.first_seq,
            last_seq: seal.last_seq,
            received_day: seal.received_day,
            rows,
            content_hash,
            committed_at: self.clock.unix_micros(),
            refused: refused.iter().copied().collect(),
        };
        self.in_time(self.database.insert_batch(&row)).await?;
        sabotage::reached(Point::ShipBatchConfirmed);
        let (collector_id, last_seq) = (seal.collector_id, seal.last_seq);
        Ok(CommittedBatch { collector_id, last_seq, rows, refused: refused.len() as u64 })
    }

    async fn insert_rows(&self, rows: &[&ObservationRow]) -> Result<(), CommitError> {
        let renumbered = renumbered(rows);
        let inserted = async {
            match &renumbered {
                Some(rows) => {
                    let rows: Vec<&ObservationRow> = rows.iter().collect();
                    self.database.insert_observations(&rows).await
                }
                None => self.database.insert_observations(rows).await,
            }
        };
        self.in_time(sabotage::in_flight(Point::ShipSending, inserted)).await
    }

    /// What an error of an insert comes to: the positions that are in quarantine by now, all other rows being in the log; or
    /// the error, where it is about anything else or comes for the first times.
    async fn isolated(
        &self,
        seal: &Seal,
        rows: &[&ObservationRow],
        error: CommitError,
    ) -> Result<BTreeSet<u64>, CommitError> {
        let Some(refusal) = error.refusal() else {
            self.refusals.store(0, Ordering::Relaxed);
            return Err(error);
        };
        if self.refusals.fetch_add(1, Ordering::Relaxed) + 1 < REFUSALS_MIN {
            return Err(error);
        }
        self.isolate(seal, rows, refusal).await
    }

    /// Positions of the batch that are in quarantine. The database is asked once a collector id, and whenever an attempt failed.
    async fn set_aside(&self, seal: &Seal) -> Result<BTreeSet<u64>, CommitError> {
        let known = self.quarantined(seal);
        if let Some(known) = known.filter(|_| !self.in_doubt.load(Ordering::Relaxed)) {
            return Ok(known);
        }
        let positions = self.database.quarantined_from(seal.collector_id, seal.first_seq);
        let positions = self.in_time(positions).await?.into_iter().collect();
        self.set_aside.lock().unwrap_or_else(PoisonError::into_inner).insert(seal.collector_id, positions);
        Ok(self.quarantined(seal).unwrap_or_default())
    }

    fn quarantined(&self, seal: &Seal) -> Option<BTreeSet<u64>> {
        let set_aside = self.set_aside.lock().unwrap_or_else(PoisonError::into_inner);
        Some(set_aside.get(&seal.collector_id)?.range(seal.first_seq..=seal.last_seq).copied().collect())
    }

    fn remember(&self, seal: &Seal, refused: &BTreeSet<u64>) {
        let mut set_aside = self.set_aside.lock().unwrap_or_else(PoisonError::into_inner);
        set_aside.entry(seal.collector_id).or_default().extend(refused);
    }

    pub(super) async fn positions_there(&self, seal: &Seal) -> Result<HashSet<u64>, CommitError> {
        let (first, last) = (seal.first_seq, seal.last_seq);
        let positions = self.database.positions_between(seal.collector_id, seal.received_day, first, last);
        Ok(self.in_time(positions).await?.into_iter().collect())
    }

    /// The journal lost records after the batch was sealed. An earlier run may have sent them, so what the batch row
    /// vouches for is what the database holds now.
    async fn what_is_there(&self, seal: &Seal, refused: &BTreeSet<u64>) -> Result<(u64, u64), CommitError> {
        let (first, last) = (seal.first_seq, seal.last_seq);
        let records = self.database.records_between(seal.collector_id, seal.received_day, first, last);
        let records = self.in_time(records).await?;
        let records = records.iter().filter(|row| !refused.contains(&row.seq));
        let add = |(rows, hash), record: &[u8]| (rows + 1, record::fold_hash(hash, record::hash(record)));
        Ok(records.fold((0, 0), |sum, row| add(sum, &row.record)))
    }

    pub(super) async fn in_time<T>(
        &self,
        statement: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, CommitError> {
        let after = self.insert_timeout;
        let url = || self.database.url();
        Ok(timeout(after, statement).await.map_err(|_| CommitError::Timeout { url: url(), after })??)
    }
}

/// How many rows, and the hash over them.
pub(super) fn added_up(rows: &[&ObservationRow]) -> (u64, u64) {
    let hash = rows.iter().fold(0, |hash, row| record::fold_hash(hash, record::hash(&row.record)));
    (rows.len() as u64, hash)
}

/// Two bugs of [`sabotage`]: a batch that failed is taken for committed.
fn believed_anyway(error: &CommitError) -> bool {
    sabotage::is_active(Bug::CursorBeforeConfirm)
        || sabotage::is_active(Bug::DropOnMemoryLimit)
            && format!("{error:?}").contains("MEMORY_LIMIT_EXCEEDED")
}

/// Another bug of [`sabotage`]: at a second attempt rows get other numbers.
fn renumbered(rows: &[&ObservationRow]) -> Option<Vec<ObservationRow>> {
    let first =
        rows.first().map(|row| [&row.collector_id[..], &row.seq.to_le_bytes()].concat()).unwrap_or_default();
    if !sabotage::is_active(Bug::RetryAsNewRows) || !sabotage::seen_before(&first) {
        return None;
    }
    let mut rows: Vec<ObservationRow> = rows.iter().copied().cloned().collect();
    rows.iter_mut().for_each(|row| row.seq += 1 << 40);
    Some(rows)
}
