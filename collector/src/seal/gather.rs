//! Reads a range of the journal into rows.
//!
//! Promises: every position is accounted for, as a row, as one of our own records, or as a gap that is counted and
//! logged once. A record that this version cannot read stops gathering: it is acknowledged evidence, and a later version
//! may read it. Blocks its thread.

use std::sync::Arc;

use journal::{CollectorId, GapReason, Journal, ReadError, ReadItem, Reader};
use schemas::record;
use schemas::rows::ObservationRow;

use super::bounds::Seal;
use super::open_batch::{Limits, OpenBatch, Taken};
use crate::append::{EVIDENCE, SEAL};

/// Why a range could not be gathered. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The journal's disk.
    #[error("journal could not be read")]
    Read(#[from] ReadError),
    /// Evidence of another version, or a mistake of ours.
    #[error(
        "journal record {seq} holds evidence that is not readable; run a ledgerline at least as new as its writer"
    )]
    Evidence {
        /// The position.
        seq: u64,
        /// What is wrong with it.
        source: record::DecodeError,
    },
    /// A record of another version.
    #[error("journal record {seq} is of unknown kind {kind}; run a ledgerline at least as new as its writer")]
    Kind {
        /// The position.
        seq: u64,
        /// The number of the kind.
        kind: u8,
    },
}

/// A range that was read.
#[derive(Debug)]
pub(crate) enum Gathered {
    /// No evidence from the first position through this one.
    Blank { through: u64 },
    /// A batch.
    Batch {
        seal: Seal,
        rows: Vec<ObservationRow>,
        /// Whether it ended at a limit rather than where the journal ends for now.
        at_limit: bool,
    },
}

/// Positions that hold no record, by what that means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Nothing acknowledged was there.
    pub void: u64,
    /// Acknowledged evidence may have been there.
    pub lost: u64,
}

/// Gathers the positions of one collector id, in order.
pub(crate) struct Gatherer {
    journal: Arc<Journal>,
    collector_id: CollectorId,
    reader: Reader,
    skip_unreadable: bool,
    /// A row that was read and did not belong into its batch.
    held: Option<Box<ObservationRow>>,
    /// The first position of the next batch, for which reader and held row stand right.
    next_first: u64,
    /// Losses are counted up to here.
    counted: u64,
    losses: Losses,
}

impl Gatherer {
    pub fn new(journal: Arc<Journal>, collector_id: CollectorId, first_seq: u64) -> Self {
        let reader = journal.read_from(collector_id, first_seq);
        Self {
            journal,
            collector_id,
            reader,
            skip_unreadable: false,
            held: None,
            next_first: first_seq,
            counted: 0,
            losses: Losses::default(),
        }
    }

    /// From now on, what the disk does not give is a gap.
    pub fn skip_unreadable(&mut self) {
        self.skip_unreadable = true;
        self.reader.skip_unreadable();
    }

    /// What was lost since this was last asked.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// Gathers a batch that begins at a position. With `through` it ends there or at a limit before, evidence or not;
    /// without, at a limit or at the last evidence that is durable.
    ///
    /// # Errors
    /// The range cannot be read for now. Asking again begins again.
    pub fn gather(
        &mut self,
        first: u64,
        through: Option<u64>,
        limits: Limits,
    ) -> Result<Gathered, GatherError> {
        if first != self.next_first {
            self.begin_at(first);
        }
        let outcome = self.gather_on(first, through, limits);
        match &outcome {
            Ok(Gathered::Batch { seal, .. }) => self.next_first = seal.last_seq + 1,
            Ok(Gathered::Blank { .. }) => {}
            // Rows of the failed attempt are gone, so they are read again.
            Err(_) => self.begin_at(first),
        }
        outcome
    }

    fn begin_at(&mut self, first: u64) {
        self.reader = self.journal.read_from(self.collector_id, first);
        if self.skip_unreadable {
            self.reader.skip_unreadable();
        }
        self.held = None;
        self.next_first = first;
    }

    fn gather_on(
        &mut self,
        first: u64,
        through: Option<u64>,
        limits: Limits,
    ) -> Result<Gathered, GatherError> {
        let mut batch = OpenBatch::new(self.collector_id.to_bytes(), first, limits);
        let end = through.unwrap_or(u64::MAX);
        let at_limit = loop {
            let Some(row) = self.next_row(end)? else { break false };
            match batch.take(row) {
                Taken::Open => {}
                Taken::Full => break true,
                Taken::OtherDay(row) => {
                    self.held = Some(row);
                    break true;
                }
            }
        };
        let last = match (batch.last_row_seq(), through) {
            (Some(last), _) if at_limit => last,
            (_, Some(through)) => through,
            (Some(last), None) => last,
            (None, None) => return Ok(Gathered::Blank { through: self.reader.next_seq() - 1 }),
        };
        let (seal, rows) = batch.close(last);
        Ok(Gathered::Batch { seal, rows, at_limit })
    }

    /// The next evidence up to a position.
    fn next_row(&mut self, end: u64) -> Result<Option<ObservationRow>, GatherError> {
        if let Some(row) = self.held.take_if(|row| row.seq <= end) {
            return Ok(Some(*row));
        }
        while self.held.is_none() && self.reader.next_seq() <= end {
            let record = match self.reader.next_item()? {
                None => break,
                Some(ReadItem::Gap(gap)) => {
                    let from = gap.from.max(self.counted + 1);
                    self.count_gap(gap.reason, from, gap.to);
                    continue;
                }
                Some(ReadItem::Record(record)) => record,
            };
            let seq = record.seq;
            match record.kind {
                SEAL => {}
                EVIDENCE => {
                    let evidence = record::decode(record.bytes)
                        .map_err(|source| GatherError::Evidence { seq, source })?;
                    let collector = self.collector_id.to_bytes();
                    return Ok(Some(ObservationRow::new(collector, seq, evidence, record.bytes)));
                }
                other => return Err(GatherError::Kind { seq, kind: other.get() }),
            }
        }
        Ok(None)
    }

    fn count_gap(&mut self, reason: GapReason, from: u64, to: u64) {
        if from > to {
            return;
        }
        self.counted = to;
        let (positions, collector) = (to - from + 1, self.collector_id);
        if reason.is_loss() {
            self.losses.lost += positions;
            tracing::error!(
                %collector, from, to, reason = reason.code(),
                "acknowledged journal records are lost; usage among them will not be billed unless its clients still have it"
            );
        } else {
            self.losses.void += positions;
            tracing::info!(%collector, from, to, reason = reason.code(), "journal positions hold nothing");
        }
    }
}
