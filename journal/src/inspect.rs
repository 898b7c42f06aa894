//! Looks at a journal from outside, without its lock and without changing anything.
//!
//! Promises: every frame of every segment is read and checked. Of a journal being written meanwhile, the newest
//! segment may show a torn tail that is merely not finished.

use std::path::Path;

use crate::checkpoint::{Checkpoint, CheckpointStore};
use crate::collector_id::CollectorId;
use crate::config::VerifyOnOpen;
use crate::error::OpenError;
use crate::gap::Gap;
use crate::identity;
use crate::recovered::{DamagedRange, TornTail};
use crate::segment::file_name;
use crate::storage::{DirStorage, Storage};
use crate::survey::survey;

/// What a journal's directory holds.
#[derive(Debug)]
pub struct Inspection {
    /// The recorded id; `None` when there is no readable record.
    pub collector_id: Option<CollectorId>,
    /// The newest readable checkpoint.
    pub checkpoint: Checkpoint,
    /// Checkpoint files that could not be read.
    pub damaged_checkpoints: Vec<String>,
    /// Every segment with a readable header, oldest first.
    pub segments: Vec<SegmentSummary>,
    /// Everything that is no longer what was written.
    pub damaged: Vec<DamagedRange>,
    /// An unfinished last append.
    pub torn_tail: Option<TornTail>,
}

/// What a segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Its file.
    pub file: String,
    /// Whose records.
    pub collector_id: CollectorId,
    /// Its first number.
    pub first_seq: u64,
    /// Its last number; one less than the first when it is empty.
    pub last_seq: u64,
    /// Whole frames in it.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// The file's size.
    pub file_bytes: u64,
    /// Numbers between the segment before and this one that hold no record.
    pub gaps_before: Vec<Gap>,
}

/// Inspects the journal in a directory.
///
/// # Errors
/// The directory cannot be read, or a newer program wrote in it.
pub fn inspect(dir: &Path) -> Result<Inspection, OpenError> {
    inspect_on(&DirStorage::new(dir))
}

/// Inspects a journal on any storage.
///
/// # Errors
/// See [`inspect`].
pub fn inspect_on(storage: &dyn Storage) -> Result<Inspection, OpenError> {
    let checkpoints = CheckpointStore::load(storage);
    let survey = survey(storage, &checkpoints, VerifyOnOpen::All)?;
    let segments = survey.segments.iter().zip(&survey.walks).map(|(segment, walk)| SegmentSummary {
        file: file_name(segment.header.ordinal),
        collector_id: segment.header.collector_id,
        first_seq: segment.header.first_seq,
        last_seq: segment.end.seq,
        frames: walk.counts.frames,
        records: walk.counts.records,
        file_bytes: segment.file_bytes,
        gaps_before: segment.gaps_before.clone(),
    });
    Ok(Inspection {
        collector_id: identity::load(storage).map(|(collector_id, _)| collector_id),
        segments: segments.collect(),
        checkpoint: checkpoints.current,
        damaged_checkpoints: checkpoints.damaged,
        damaged: survey.damaged,
        torn_tail: survey.torn_tail,
    })
}
