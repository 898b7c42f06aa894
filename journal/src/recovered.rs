//! What opening a journal found: the facts an operator must hear once.

use std::fmt;
use std::ops::Range;

use crate::catalog::CollectorRange;
use crate::checkpoint::Checkpoint;
use crate::collector_id::CollectorId;
use crate::error::FileError;
use crate::identity::IdentityChange;

/// What was there when the journal opened.
#[derive(Debug)]
pub struct Recovered {
    /// The id under which new records are numbered.
    pub collector_id: CollectorId,
    /// Whether it is the recorded one, and if not, why.
    pub identity: IdentityChange,
    /// The newest readable checkpoint.
    pub checkpoint: Checkpoint,
    /// Checkpoint files that could not be read; the other generation (or none) stands in.
    pub damaged_checkpoints: Vec<String>,
    /// What can be read, per id, in the order in which the ids were used; the current one is last.
    pub collectors: Vec<CollectorRange>,
    /// Segments found.
    pub segments: usize,
    /// A last append that never completed, cut off. Nothing acknowledged was in it.
    pub torn_tail: Option<TornTail>,
    /// Acknowledged bytes that are no longer what was written. Readers yield each as a gap.
    pub damaged: Vec<DamagedRange>,
    /// Why the newest segment could not be synced: what its last process left unsynced may yet disappear. Nothing
    /// acknowledged is among it.
    pub unsynced_tail: Option<FileError>,
    /// Why no segment could be begun: the disk is full. Reading works, appends are refused until there is room.
    pub not_writable: Option<FileError>,
}

/// The cut end of the newest segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment's file.
    pub file: String,
    /// Where its last whole frame ends.
    pub offset: u64,
    /// How many bytes follow it.
    pub bytes: u64,
    /// How many numbers are passed over, since records in those bytes may have had them.
    pub void_seqs: u64,
}

/// A place where the disk no longer holds what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRange {
    /// The segment's file.
    pub file: String,
    /// Whose records; `None` when the file's header is gone.
    pub collector_id: Option<CollectorId>,
    /// Which bytes of the file; empty where a file or frame is absent altogether.
    pub offsets: Range<u64>,
    /// What kind of bytes.
    pub part: DamagedPart,
    /// Which records are lost by it.
    pub lost: Lost,
}

/// The part of the journal that is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamagedPart {
    /// One or more frames.
    Frames,
    /// Something in a segment's header region; its other copy serves.
    HeaderCopy,
    /// A segment's whole header: none of its frames can be read. The file is kept for salvage and never unlinked.
    Header,
    /// A segment file is not there.
    File,
}

/// Which records a damage costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// None.
    Nothing,
    /// Those with these numbers, both included.
    Seqs {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// An unknown number of them.
    Unknown,
}

impl fmt::Display for DamagedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.offsets;
        let part = match self.part {
            DamagedPart::Frames => "frames",
            DamagedPart::HeaderCopy => "header copy",
            DamagedPart::Header => "header",
            DamagedPart::File => "whole file",
        };
        write!(f, "journal segment {} is damaged ({part}, bytes {start}..{end}): ", self.file)?;
        match self.lost {
            Lost::Nothing => f.write_str("no record is lost"),
            Lost::Seqs { from, to } => write!(f, "records {from} to {to} are lost"),
            Lost::Unknown => f.write_str("an unknown number of records is lost"),
        }
    }
}
