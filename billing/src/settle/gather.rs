//! Reading committed evidence: contiguous batches after the cursor, checked against what was committed.

use std::collections::BTreeSet;
use std::time::Instant;

use domain::identity::CollectorId;
use sabotage::Bug;
use schemas::record;
use schemas::rows::{BatchRow, RecordRow};

use super::row::Row;
use super::{PassSummary, SettleError, Settler};

/// Committed evidence that is not what was committed.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// Rows are missing or changed.
    #[error(
        "evidence {first}..={last} of collector {collector} is not what was committed: {found} rows of {expected}{hash}; \
         see whether the table observation_log was changed or restored from a backup"
    )]
    Incomplete {
        /// The journal.
        collector: CollectorId,
        /// First position.
        first: u64,
        /// Last position.
        last: u64,
        /// Rows read.
        found: u64,
        /// Rows committed.
        expected: u64,
        /// What the hash says where the count agrees.
        hash: &'static str,
    },
    /// Later evidence is committed, and this is not.
    #[error(
        "evidence {} of collector {} was never committed, and what follows it waits: see whether a row of the table \
         batches was lost; `ledgerline journal replay` on the collector's data directory commits what its journal still holds",
        .0.positions(), .0.collector
    )]
    Hole(Hole),
    /// A record that this version cannot read.
    #[error(
        "evidence {seq} of collector {collector} is not readable; run a ledgerline at least as new as the collector"
    )]
    Unreadable {
        /// The journal.
        collector: CollectorId,
        /// The position.
        seq: u64,
        /// Why.
        #[source]
        source: record::DecodeError,
    },
    /// A record in memory that was readable before.
    #[error("evidence in memory is not what was read; see whether this machine's memory is sound")]
    Changed(#[source] record::DecodeError),
}

/// Positions of a collector that nobody vouches for, before some that somebody does. Batches are committed in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// The journal.
    pub collector: CollectorId,
    /// First position.
    pub first: u64,
    /// Last position.
    pub last: u64,
}

impl Hole {
    fn positions(&self) -> String {
        format!("{}..={}", self.first, self.last)
    }
}

impl Settler {
    /// Whether another settler may be posting.
    pub(crate) async fn is_shared(&mut self) -> Result<bool, SettleError> {
        let collectors = self.database.collectors().await?;
        Ok(self.peers.are_several(&collectors, (self.clock)() / 1000, Instant::now()))
    }

    /// Reads the next batches of every collector into the store.
    pub(super) async fn gather(&mut self, summary: &mut PassSummary) -> Result<(), SettleError> {
        let collectors = self.database.collectors().await?;
        self.shared = self.peers.are_several(&collectors, (self.clock)() / 1000, Instant::now());
        let ids: BTreeSet<CollectorId> =
            collectors.iter().filter_map(|row| CollectorId::from_bytes(row.collector_id)).collect();
        let mut room = self.config.rows_a_pass;
        for collector in ids {
            while room > 0 {
                let after = self.gathered.get(&collector).copied().unwrap_or(0);
                let batches = self.database.batches_after(collector.bytes(), after, 16).await?;
                let Some(run) = Run::first(&batches, after, room) else {
                    let beyond = batches.first().map(|batch| batch.first_seq - 1);
                    summary.holes.extend(beyond.map(|last| Hole { collector, first: after + 1, last }));
                    break;
                };
                let rows = self.read(collector, &run).await?;
                room = room.saturating_sub(run.rows.max(1));
                summary.gathered += rows.len() as u64;
                self.take(rows).await?;
                self.gathered.insert(collector, run.last_seq);
            }
        }
        summary.more = room == 0;
        Ok(())
    }

    async fn read(&self, collector: CollectorId, run: &Run<'_>) -> Result<Vec<Row>, SettleError> {
        let mut evidence = Vec::with_capacity(usize::try_from(run.rows).unwrap_or(0));
        let first_seq = run.batches[0].first_seq;
        let rows = if run.rows == 0 {
            Vec::new()
        } else {
            self.database.records_between(collector.bytes(), run.day, first_seq, run.last_seq).await?
        };
        let mut rows = rows.into_iter().peekable();
        for batch in run.batches {
            if self.frozen.has_gone(collector, batch) {
                // Settled, then retired; the cursor stands before it because cursors were lost.
                while rows.next_if(|row| row.seq <= batch.last_seq).is_some() {}
                continue;
            }
            let (mut found, mut hash) = (0, 0);
            while let Some(row) = rows.next_if(|row| row.seq <= batch.last_seq) {
                // In quarantine: it comes again under another position, if it comes.
                if batch.refused.contains(&row.seq) {
                    continue;
                }
                found += 1;
                hash = record::fold_hash(hash, record::hash(&row.record));
                evidence.push(decode(collector, row)?);
            }
            let as_committed = found == batch.rows && hash == batch.content_hash;
            if !as_committed && !sabotage::is_active(Bug::CountUnchecked) {
                return Err(GatherError::Incomplete {
                    collector,
                    first: batch.first_seq,
                    last: batch.last_seq,
                    found,
                    expected: batch.rows,
                    hash: if found == batch.rows { ", with other content" } else { "" },
                }
                .into());
            }
        }
        Ok(evidence)
    }
}

pub(super) fn decode(collector: CollectorId, row: RecordRow) -> Result<Row, GatherError> {
    let seq = row.seq;
    Row::new((collector, seq), row.record).map_err(|source| GatherError::Unreadable {
        collector,
        seq,
        source,
    })
}

/// Contiguous batches of one day that are read with one statement.
struct Run<'b> {
    batches: &'b [BatchRow],
    day: u16,
    rows: u64,
    last_seq: u64,
}

impl<'b> Run<'b> {
    /// The longest run from `after` that fits the room; a batch larger than the room still makes a run of its own.
    /// Positions before `after` that its first batch holds are read again, which changes nothing.
    fn first(batches: &'b [BatchRow], after: u64, room: u64) -> Option<Self> {
        let first = batches.first().filter(|batch| batch.first_seq <= after + 1)?;
        let mut run = Self {
            batches: &batches[..1],
            day: first.received_day,
            rows: first.rows,
            last_seq: first.last_seq,
        };
        for (at, batch) in batches.iter().enumerate().skip(1) {
            let fits = run.rows + batch.rows <= room;
            if batch.first_seq != run.last_seq + 1 || batch.received_day != run.day || !fits {
                break;
            }
            run = Self {
                batches: &batches[..=at],
                rows: run.rows + batch.rows,
                last_seq: batch.last_seq,
                ..run
            };
        }
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first_seq: u64, last_seq: u64) -> BatchRow {
        BatchRow {
            collector_id: [1; 16],
            first_seq,
            last_seq,
            received_day: 20_000,
            rows: last_seq - first_seq + 1,
            content_hash: 0,
            committed_at: 0,
            refused: Vec::new(),
        }
    }

    /// What is read from position `after` on: first, last and rows.
    fn check(batches: &[(u64, u64)], after: u64, room: u64) -> Option<(u64, u64, u64)> {
        let batches: Vec<BatchRow> = batches.iter().map(|&(first, last)| batch(first, last)).collect();
        let run = Run::first(&batches, after, room)?;
        Some((run.batches[0].first_seq, run.last_seq, run.rows))
    }

    #[test]
    fn contiguous_batches_are_read_together_as_far_as_there_is_room() {
        assert_eq!(check(&[(1, 10), (11, 20), (21, 30)], 0, 25), Some((1, 20, 20)));
        assert_eq!(check(&[(1, 10)], 0, 5), Some((1, 10, 10)), "a batch larger than the room is read alone");
        assert_eq!(check(&[(1, 10), (12, 20)], 0, 25), Some((1, 10, 10)), "a hole ends the run");
        assert_eq!(check(&[(12, 20)], 10, 25), None, "what follows a hole waits");
        assert_eq!(check(&[], 10, 25), None);
    }

    #[test]
    fn a_batch_that_was_cut_anew_over_the_cursor_is_read_whole() {
        assert_eq!(check(&[(8, 15), (16, 20)], 10, 25), Some((8, 20, 13)));
    }
}
