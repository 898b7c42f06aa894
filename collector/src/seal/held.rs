//! The batches of positions that were shipped already, as far as the journal still holds them.
//!
//! Promises: where a seal is held, the batch has its bounds; stretches without one (a full journal takes no seals) are cut
//! by the given limits. Blocks its thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::{CollectorId, Journal, ReadError, ReadItem};
use schemas::rows::ObservationRow;

use super::bounds::Seal;
use super::gather::{GatherError, Gathered, Gatherer};
use super::open_batch::Limits;
use crate::append::SEAL;

/// Batches of one collector id, one after the other.
pub(crate) struct HeldBatches {
    gatherer: Gatherer,
    seals: BTreeMap<u64, Seal>,
    next_first: u64,
    last: u64,
}

impl HeldBatches {
    /// Those that reach into `first..=last`.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn open(
        journal: Arc<Journal>,
        collector_id: CollectorId,
        first: u64,
        last: u64,
    ) -> Result<Self, ReadError> {
        let seals = seals(&journal, collector_id, first, last)?;
        let sealed_from = seals.first_key_value().map_or(first, |(from, _)| *from);
        let next_first = first.min(sealed_from);
        let gatherer = Gatherer::new(journal, collector_id, next_first);
        Ok(Self { gatherer, seals, next_first, last })
    }

    /// The next batch: as it was sealed, and the rows that are held of it.
    ///
    /// # Errors
    /// The range cannot be read.
    pub fn next_batch(&mut self, limits: Limits) -> Result<Option<(Seal, Vec<ObservationRow>)>, GatherError> {
        if self.next_first > self.last {
            return Ok(None);
        }
        let sealed = self.seals.first_key_value().map(|(_, seal)| *seal);
        let (through, limits) = match sealed {
            Some(seal) if seal.first_seq <= self.next_first => {
                self.seals.pop_first();
                self.next_first = seal.first_seq;
                (seal.last_seq, Limits::NONE)
            }
            Some(seal) => (seal.first_seq - 1, limits),
            None => (self.last, limits),
        };
        let sealed = sealed.filter(|seal| seal.first_seq == self.next_first);
        match self.gatherer.gather(self.next_first, Some(through), limits)? {
            Gathered::Batch { seal, rows, .. } => {
                let expected = sealed.unwrap_or(seal);
                self.next_first = expected.last_seq + 1;
                Ok(Some((expected, rows)))
            }
            Gathered::Blank { .. } => unreachable!("a range with a given end is a batch, evidence or not"),
        }
    }
}

/// Every seal of a collector that reaches into a range. Seals of an earlier id may stand among a later one's records.
fn seals(
    journal: &Journal,
    collector_id: CollectorId,
    first: u64,
    last: u64,
) -> Result<BTreeMap<u64, Seal>, ReadError> {
    let mut seals = BTreeMap::new();
    for range in journal.collectors() {
        let mut reader = journal.read_from(range.collector_id, range.first_seq);
        // A seal that is lost is no reason to leave what it covered: its positions are cut anew.
        reader.skip_unreadable();
        while reader.next_seq() <= range.last_seq {
            let record = match reader.next_item()? {
                Some(ReadItem::Record(record)) if record.kind == SEAL => record,
                Some(_) => continue,
                None => break,
            };
            let Ok(seal) = Seal::decode(record.bytes) else { continue };
            let here = seal.collector_id == collector_id.to_bytes();
            if here && seal.first_seq <= last && seal.last_seq >= first {
                seals.insert(seal.first_seq, seal);
            }
        }
    }
    Ok(seals)
}
