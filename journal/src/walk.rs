//! Walks one segment to its end and sums up what is there.
//!
//! Promises: a segment whose end is stated is walked exactly to it; otherwise the end is behind the last whole frame.

use std::ops::Range;

use sabotage::Bug;

use crate::error::FileError;
use crate::record::RECORD_BYTES_MIN;
use crate::recovered::Lost;
use crate::scan::{Bad, Found, Scan, Unreadable};
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentEnd, SegmentHeader, file_name};
use crate::storage::Storage;

#[derive(Debug, Clone)]
pub(crate) struct Walk {
    /// What was read; nothing where the stated end was trusted.
    pub counts: Counts,
    pub end: SegmentEnd,
    /// Bad ranges before the end.
    pub bad: Vec<Bad>,
    /// What follows the last whole frame where no end is stated.
    pub tail: Option<Range<u64>>,
    /// Whether the disk did not give all of that.
    pub tail_unreadable: bool,
    /// The highest number that a record in the segment may have had, its tail included.
    pub highest_seq: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub frames: u64,
    pub records: u64,
}

impl Walk {
    /// Takes a stated end for granted: readers check every frame again.
    pub fn trusting(end: SegmentEnd) -> Self {
        Self {
            counts: Counts::default(),
            end,
            bad: Vec::new(),
            tail: None,
            tail_unreadable: false,
            highest_seq: end.seq,
        }
    }
}

pub(crate) fn walk(
    storage: &dyn Storage,
    header: &SegmentHeader,
    file_bytes: u64,
    stated: Option<SegmentEnd>,
) -> Result<Walk, FileError> {
    let name = file_name(header.ordinal);
    let file = storage.open(&name).map_err(|e| FileError::new("opening", &name, e))?;
    let mut scan = Scan::new(file, header.salt, header.first_seq, Unreadable::Isolate);
    let mut counts = Counts::default();
    let mut bad = Vec::new();
    let mut since_last_frame = Vec::new();
    let mut highest_seq = header.first_seq - 1;
    let mut end =
        SegmentEnd { offset: SEGMENT_HEADER_BYTES, seq: highest_seq, confirmed: SEGMENT_HEADER_BYTES };
    let mut end_before = end;
    loop {
        let limit = stated.map_or(file_bytes, |end| end.offset);
        let found = scan.next(limit, stated.map(|end| end.seq));
        match found.map_err(|e| FileError::new("reading", &name, e))? {
            Found::End => break,
            Found::Bad(range) => {
                highest_seq = match range.lost {
                    Lost::Nothing => highest_seq,
                    Lost::Seqs { to, .. } => to,
                    // Garbage of this size cannot have been more records than this.
                    Lost::Unknown => scan.next_seq() - 1 + (range.to - range.from).div_ceil(RECORD_BYTES_MIN),
                };
                since_last_frame.push(range);
            }
            Found::Frame { offset, header } => {
                bad.append(&mut since_last_frame);
                counts.frames += 1;
                counts.records += u64::from(header.count);
                highest_seq = header.last_seq();
                // All before this frame's group was synced before the group was written.
                let group_start = offset.saturating_sub(u64::from(header.group_offset));
                end_before = end;
                end = SegmentEnd {
                    offset: offset + header.frame_bytes(),
                    seq: header.last_seq(),
                    confirmed: end.confirmed.max(group_start),
                };
            }
        }
    }
    Ok(match stated {
        Some(end) => {
            bad.append(&mut since_last_frame);
            Walk { counts, end, bad, tail: None, tail_unreadable: false, highest_seq: end.seq }
        }
        None => {
            let end = if sabotage::is_active(Bug::TornTailTooLong) { end_before } else { end };
            let tail = (file_bytes > end.offset).then_some(end.offset..file_bytes);
            let tail_unreadable = tail.is_some() && scan.is_unreadable_behind(end.offset);
            Walk { counts, end, bad, tail, tail_unreadable, highest_seq }
        }
    })
}
