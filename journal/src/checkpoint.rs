//! Cursors: how far records are shipped and released, durable in two generations.
//!
//! A checkpoint is text: a line of JSON, then its crc32c. It is written in turn to two files, so that one that cannot
//! be read leaves the one before it. Falling back is harmless: what is shipped again is the same rows again.
//! Promises: a cursor never moves back, never passes a durable record, and `released` never passes `shipped`.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::collector_id::CollectorId;
use crate::error::{CheckpointError, FileError};
use crate::storage::Storage;

pub(crate) const CHECKPOINT_FILES: [&str; 2] = ["checkpoint.0", "checkpoint.1"];

/// How far the records of one collector id got. Zero: nothing yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Everything up to this number is shipped.
    pub shipped: u64,
    /// Everything up to this number is settled: its segments may go.
    pub released: u64,
}

/// The cursors of every collector id of a journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    cursors: BTreeMap<CollectorId, Cursor>,
}

impl Checkpoint {
    /// The cursor of an id; zero where none is set.
    pub fn get(&self, collector_id: CollectorId) -> Cursor {
        self.cursors.get(&collector_id).copied().unwrap_or_default()
    }

    /// Sets the cursor of an id.
    pub fn set(&mut self, collector_id: CollectorId, cursor: Cursor) {
        self.cursors.insert(collector_id, cursor);
    }

    /// Every id with its cursor.
    pub fn iter(&self) -> impl Iterator<Item = (CollectorId, Cursor)> + '_ {
        self.cursors.iter().map(|(id, cursor)| (*id, *cursor))
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(CollectorId) -> bool) {
        self.cursors.retain(|id, _| keep(*id));
    }

    /// This checkpoint with another's cursors in place of its own, where that is a step forward.
    pub(crate) fn advanced_by(&self, given: &Self) -> Result<Self, CheckpointError> {
        let mut next = self.clone();
        for (collector_id, to) in given.iter() {
            let from = self.get(collector_id);
            for (cursor, stored, given) in
                [("shipped", from.shipped, to.shipped), ("released", from.released, to.released)]
            {
                if given < stored {
                    return Err(CheckpointError::Backwards { collector_id, cursor, stored, given });
                }
            }
            if to.released > to.shipped {
                let Cursor { shipped, released } = to;
                return Err(CheckpointError::ReleasedUnshipped { collector_id, shipped, released });
            }
            next.set(collector_id, to);
        }
        Ok(next)
    }
}

/// The stored checkpoint, and which of the two files the next one replaces.
#[derive(Debug)]
pub(crate) struct CheckpointStore {
    pub current: Checkpoint,
    /// Files that were there and could not be read as a checkpoint.
    pub damaged: Vec<String>,
    generation: u64,
    next_file: usize,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    generation: u64,
    collectors: BTreeMap<String, Cursor>,
}

impl CheckpointStore {
    /// The newest readable generation; an empty checkpoint where there is none.
    pub fn load(storage: &dyn Storage) -> Self {
        let mut store =
            Self { current: Checkpoint::default(), damaged: Vec::new(), generation: 0, next_file: 0 };
        for (i, name) in CHECKPOINT_FILES.iter().enumerate() {
            match atomic_file::read(storage, name).map(|bytes| bytes.map(|b| decode(&b))) {
                Ok(None) => {}
                Ok(Some(Some((generation, checkpoint)))) => {
                    if generation > store.generation {
                        // The file that is not the newest readable one is replaced next, damaged or merely older.
                        store = Self { current: checkpoint, generation, next_file: 1 - i, ..store };
                    }
                }
                Ok(Some(None)) | Err(_) => store.damaged.push((*name).to_owned()),
            }
        }
        store
    }

    /// Sees to it that both files exist, so that no full disk can keep the cursors from moving. As good as it goes: what
    /// is missing now is created with the next checkpoint.
    pub fn reserve(&mut self, storage: &dyn Storage) {
        for _ in CHECKPOINT_FILES {
            let next = CHECKPOINT_FILES[self.next_file];
            let missing = storage.open(next).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
            let stored = if missing { self.store(storage, self.current.clone()) } else { Ok(()) };
            if let Err(error) = stored {
                tracing::warn!(%error, cause = %error.source, "no room reserved for the next checkpoint");
                return;
            }
        }
    }

    /// Makes a checkpoint durable in place of the older generation; on failure the current one stands.
    pub fn store(&mut self, storage: &dyn Storage, next: Checkpoint) -> Result<(), FileError> {
        let generation = self.generation + 1;
        let (name, bytes) = (CHECKPOINT_FILES[self.next_file], encode(generation, &next));
        match atomic_file::replace(storage, name, &bytes) {
            // Without a new cursor nothing can be released, and the disk would stay full for ever. Torn by a crash, the
            // file falls back to the other generation.
            Err(error) if error.is_out_of_space() => atomic_file::overwrite(storage, name, &bytes)?,
            replaced => replaced?,
        }
        self.generation = generation;
        self.next_file = 1 - self.next_file;
        self.current = next;
        Ok(())
    }
}

fn encode(generation: u64, checkpoint: &Checkpoint) -> Vec<u8> {
    let collectors = checkpoint.iter().map(|(id, cursor)| (id.to_string(), cursor)).collect();
    let line = serde_json::to_string(&Stored { generation, collectors }).expect("maps of numbers are JSON");
    let crc = crc32c::crc32c(line.as_bytes());
    format!("{line}\n{crc:08x}\n").into_bytes()
}

fn decode(bytes: &[u8]) -> Option<(u64, Checkpoint)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (line, crc) = text.strip_suffix('\n')?.split_once('\n')?;
    if format!("{:08x}", crc32c::crc32c(line.as_bytes())) != crc {
        return None;
    }
    let stored: Stored = serde_json::from_str(line).ok()?;
    let mut checkpoint = Checkpoint::default();
    for (id, cursor) in stored.collectors {
        checkpoint.set(CollectorId::parse(&id)?, cursor);
    }
    Some((stored.generation, checkpoint))
}
