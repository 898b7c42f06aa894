//! Ships again what the database lost: every batch that this journal still holds is compared with what is there, and only
//! what is missing is sent.
//!
//! Promises: nothing can count twice by it. A row goes under the key it had (received day, collector, position), with the
//! bytes it had; a batch row is written only where none stands and only once the rows it vouches for were read back. A
//! row that is there with other content is named and left alone. What is not sent is sent by doing it again. Positions that
//! are in quarantine stay there, and what went by retention is gone.
//! The insert token is a new one each time: a database that lost rows may still know the token they came under, and
//! would drop them.
//! Leaves to others: that nobody ships this journal meanwhile (it is open here), and settling what came back.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use journal::{Journal, ReadError};
use schemas::rows::{BatchRow, ObservationRow, RetirementRow};
use schemas::{Database, DatabaseError, record};

use super::commit::added_up;
use crate::append::{Clock, blocking};
use crate::seal::{GatherError, HeldBatches, Limits, Seal};

/// Which positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Of one collector id; of every one the journal holds where `None`.
    pub collector_id: Option<[u8; 16]>,
    /// From this position. Batches are whole: one that reaches into the range is taken.
    pub from_seq: u64,
    /// Up to this position; at most up to what is shipped, since the rest ships by itself.
    pub to_seq: u64,
    /// Compare, and write nothing.
    pub dry_run: bool,
}

/// What came of a collector id's positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Whose.
    pub collector_id: [u8; 16],
    /// Batches compared.
    pub batches: u64,
    /// Their rows, as they were committed.
    pub rows: u64,
    /// Rows that were missing and sent, or would be.
    pub rows_sent: u64,
    /// Batch rows that were missing and written, or would be.
    pub batches_sent: u64,
    /// Rows that are there with other content. Nothing is done about them.
    pub rows_differing: u64,
    /// Batches that were settled and then went by retention. They are not sent.
    pub batches_retired: u64,
    /// Batches that are not whole afterwards: the journal no longer holds what is missing, or it differs.
    pub batches_incomplete: u64,
}

/// Why it stopped. What was done stands; doing it again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The journal's disk.
    #[error("journal could not be read")]
    Read(#[from] ReadError),
    /// Evidence that cannot be read.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Compares, and sends what is missing.
///
/// # Errors
/// [`ReplayError`].
pub async fn replay(
    journal: &Arc<Journal>,
    database: &Database,
    wanted: Wanted,
    clock: &Clock,
) -> Result<Vec<Replayed>, ReplayError> {
    let retired = database.retirements().await?;
    let mut replayed = Vec::new();
    for range in journal.collectors() {
        let id = range.collector_id;
        if wanted.collector_id.is_some_and(|wanted| wanted != id.to_bytes()) {
            continue;
        }
        let last = wanted.to_seq.min(journal.checkpoint().get(id).shipped);
        let first = wanted.from_seq.max(range.first_seq);
        let opened = Arc::clone(journal);
        let mut held = blocking(move || HeldBatches::open(opened, id, first, last)).await?;
        let mut replay = Replay {
            database,
            clock,
            dry_run: wanted.dry_run,
            done: Replayed { collector_id: id.to_bytes(), ..Replayed::default() },
        };
        loop {
            let (back, next) = blocking(move || {
                let next = held.next_batch(Limits::default());
                (held, next)
            })
            .await;
            held = back;
            let Some((sealed, rows)) = next? else { break };
            if has_gone(&retired, &sealed) {
                replay.done.batches_retired += 1;
                continue;
            }
            replay.batch(sealed, rows).await?;
        }
        replayed.push(replay.done);
    }
    Ok(replayed)
}

/// Whether a batch was settled by the time its day went by retention.
fn has_gone(retired: &[RetirementRow], sealed: &Seal) -> bool {
    retired
        .iter()
        .filter(|row| row.class == schemas::OBSERVATIONS && row.partition == sealed.received_day)
        .flat_map(|row| &row.settled)
        .any(|(collector, seq)| *collector == sealed.collector_id && sealed.last_seq <= *seq)
}

/// The replay of one collector id's positions.
struct Replay<'a> {
    database: &'a Database,
    clock: &'a Clock,
    dry_run: bool,
    done: Replayed,
}

impl Replay<'_> {
    async fn batch(&mut self, sealed: Seal, held: Vec<ObservationRow>) -> Result<(), ReplayError> {
        let standing = self.database.batches_after(sealed.collector_id, sealed.first_seq - 1, 64).await?;
        let same =
            standing.iter().find(|row| (row.first_seq, row.last_seq) == (sealed.first_seq, sealed.last_seq));
        let refused: BTreeSet<u64> = match same {
            Some(row) => row.refused.iter().copied().collect(),
            None => {
                let from = self.database.quarantined_from(sealed.collector_id, sealed.first_seq).await?;
                from.into_iter().filter(|seq| *seq <= sealed.last_seq).collect()
            }
        };
        let whole = added_up(&held.iter().collect::<Vec<_>>()) == (sealed.rows, sealed.content_hash);
        let held: Vec<ObservationRow> = held.into_iter().filter(|row| !refused.contains(&row.seq)).collect();
        let vouched = match same {
            Some(row) => (row.rows, row.content_hash),
            // What was sealed, less what is in quarantine; a batch of which records are lost cannot be told.
            None if whole => added_up(&held.iter().collect::<Vec<_>>()),
            None => (sealed.rows, sealed.content_hash),
        };
        self.done.batches += 1;
        self.done.rows += vouched.0;

        let mut there = self.there(&sealed, &refused).await?;
        if there.fold != vouched {
            let missing: Vec<ObservationRow> = held
                .into_iter()
                .filter(|row| match there.hashes.get(&row.seq) {
                    Some(hash) => {
                        self.done.rows_differing += u64::from(*hash != record::hash(&row.record));
                        false
                    }
                    None => true,
                })
                .collect();
            self.done.rows_sent += missing.len() as u64;
            if self.dry_run {
                self.done.batches_sent += u64::from(!covers(&standing, &sealed));
                return Ok(());
            }
            if !missing.is_empty() {
                self.database.insert_observations(&missing).await?;
                there = self.there(&sealed, &refused).await?;
            }
        }
        if there.fold != vouched {
            self.done.batches_incomplete += 1;
        } else if !covers(&standing, &sealed) {
            self.done.batches_sent += 1;
            if !self.dry_run {
                self.vouch(&sealed, vouched, &refused).await?;
            }
        }
        Ok(())
    }

    /// Writes the row that says that a batch is whole.
    async fn vouch(
        &self,
        sealed: &Seal,
        (rows, content_hash): (u64, u64),
        refused: &BTreeSet<u64>,
    ) -> Result<(), ReplayError> {
        let row = BatchRow {
            collector_id: sealed.collector_id,
            first_seq: sealed.first_seq,
            last_seq: sealed.last_seq,
            received_day: sealed.received_day,
            rows,
            content_hash,
            committed_at: self.clock.unix_micros(),
            refused: refused.iter().copied().collect(),
        };
        Ok(self.database.insert_batch(&row).await?)
    }

    async fn there(&self, sealed: &Seal, refused: &BTreeSet<u64>) -> Result<There, ReplayError> {
        let (day, first, last) = (sealed.received_day, sealed.first_seq, sealed.last_seq);
        let records = self.database.records_between(sealed.collector_id, day, first, last).await?;
        let vouched = records.iter().filter(|row| !refused.contains(&row.seq));
        let hashes: Vec<(u64, u64)> = vouched.map(|row| (row.seq, record::hash(&row.record))).collect();
        let fold = hashes.iter().fold(0, |fold, (_, hash)| record::fold_hash(fold, *hash));
        Ok(There { fold: (hashes.len() as u64, fold), hashes: hashes.into_iter().collect() })
    }
}

/// What the database holds of a batch: the hash of each row, and how many rows with what hash over all.
struct There {
    fold: (u64, u64),
    hashes: HashMap<u64, u64>,
}

/// Whether batch rows vouch for all of these positions. Cut anew after a seal was lost, their bounds may be others.
fn covers(standing: &[BatchRow], sealed: &Seal) -> bool {
    let reached = standing.iter().fold(sealed.first_seq, |next, row| {
        if row.first_seq <= next { next.max(row.last_seq + 1) } else { next }
    });
    reached > sealed.last_seq
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_vouched_for_by_any_batches_that_leave_no_gap() {
        let seal = Seal {
            collector_id: [1; 16],
            first_seq: 5,
            last_seq: 9,
            rows: 5,
            content_hash: 0,
            received_day: 20_000,
        };
        let covered = |bounds: &[(u64, u64)]| {
            let rows: Vec<BatchRow> = bounds
                .iter()
                .map(|&(first_seq, last_seq)| BatchRow {
                    collector_id: seal.collector_id,
                    first_seq,
                    last_seq,
                    received_day: seal.received_day,
                    rows: 0,
                    content_hash: 0,
                    committed_at: 0,
                    refused: Vec::new(),
                })
                .collect();
            covers(&rows, &seal)
        };
        assert!(covered(&[(5, 9)]) && covered(&[(3, 6), (7, 12)]) && covered(&[(5, 7), (6, 9)]));
        assert!(!covered(&[]) && !covered(&[(6, 9)]) && !covered(&[(5, 6), (8, 9)]) && !covered(&[(5, 8)]));
    }
}
