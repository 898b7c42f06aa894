//! Finds the batches that an earlier run fixed and did not finish shipping.
//!
//! A seal stands somewhere behind the records it covers, up to the end of the journal, so everything unshipped is read
//! once when shipping starts; the start of the collector does not wait for that. Blocks its thread.

use std::collections::{BTreeMap, HashMap};

use journal::{CollectorId, Journal, ReadError, ReadItem};

use super::bounds::Seal;
use crate::append::SEAL;

/// Seals of batches that are not known to be shipped, by collector and first position.
#[derive(Debug, Default)]
pub(crate) struct Recalled(HashMap<[u8; 16], BTreeMap<u64, Seal>>);

impl Recalled {
    /// Reads every unshipped record of a journal.
    ///
    /// # Errors
    /// A segment cannot be read. With `skip_unreadable` that is passed over: a seal that is lost is made anew.
    pub fn from_journal(journal: &Journal, skip_unreadable: bool) -> Result<Self, ReadError> {
        let checkpoint = journal.checkpoint();
        let mut recalled = Self::default();
        for range in journal.collectors() {
            // Ids are shipped in order of use, so a seal of one is never behind the cursor of a later one.
            let from = checkpoint.get(range.collector_id).shipped + 1;
            let mut reader = journal.read_from(range.collector_id, from);
            if skip_unreadable {
                reader.skip_unreadable();
            }
            while reader.next_seq() <= range.last_seq {
                let record = match reader.next_item()? {
                    Some(ReadItem::Record(record)) if record.kind == SEAL => record,
                    Some(_) => continue,
                    None => break,
                };
                match Seal::decode(record.bytes) {
                    Ok(seal) => {
                        recalled.add(seal, checkpoint.get(CollectorId::from_bytes(seal.collector_id)).shipped)
                    }
                    // The batch is cut anew; should its bounds differ, its rows are the same rows all the same.
                    Err(error) => {
                        tracing::error!(%error, seq = record.seq, "journal holds a seal that is not readable")
                    }
                }
            }
        }
        Ok(recalled)
    }

    fn add(&mut self, seal: Seal, shipped: u64) {
        if seal.last_seq > shipped {
            self.0.entry(seal.collector_id).or_default().insert(seal.first_seq, seal);
        }
    }

    /// The first seal of a collector at or behind a position; those before it are done with.
    pub fn next_from(&mut self, collector_id: [u8; 16], first_seq: u64) -> Option<Seal> {
        let seals = self.0.get_mut(&collector_id)?;
        *seals = seals.split_off(&first_seq);
        seals.first_key_value().map(|(_, seal)| *seal)
    }
}
