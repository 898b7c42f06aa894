//! Reads durable records in order, from any number, while the journal is being written.
//!
//! Promises: every number from the first on is yielded once, as a record whose checksum holds or within a gap, and
//! nothing is yielded that is not durable. Several readers go at their own pace, on any thread.

use std::sync::Arc;

use crate::catalog::{Catalog, Located, Segment};
use crate::collector_id::CollectorId;
use crate::error::{FileError, ReadError};
use crate::gap::{Gap, GapReason};
use crate::record::{Kind, split_first};
use crate::recovered::Lost;
use crate::scan::{Bad, Found, Scan, Unreadable};
use crate::segment::{SegmentEnd, file_name};
use crate::storage::Storage;

/// A position in the records of one collector id.
pub struct Reader {
    storage: Arc<dyn Storage>,
    catalog: Arc<Catalog>,
    collector_id: CollectorId,
    /// The number to be yielded next.
    next_seq: u64,
    segment: Option<OpenSegment>,
    frame: Option<OpenFrame>,
    unreadable: Unreadable,
}

/// A record as it was appended; its bytes live until the next call to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number.
    pub seq: u64,
    /// Its kind.
    pub kind: Kind,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What stands at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadItem<'a> {
    /// A record.
    Record(Record<'a>),
    /// Numbers that hold none.
    Gap(Gap),
}

struct OpenSegment {
    ordinal: u64,
    scan: Scan,
    end: SegmentEnd,
}

/// A frame in the scan's memory: where its next record begins, and the numbers of the rest.
struct OpenFrame {
    at: usize,
    next_seq: u64,
    last_seq: u64,
}

enum Step {
    /// A frame with records to yield was opened, or the place to look changed.
    Again,
    Gap(Gap),
    Nothing,
}

impl Reader {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        catalog: Arc<Catalog>,
        collector_id: CollectorId,
        from_seq: u64,
    ) -> Self {
        let next_seq = from_seq.max(1);
        let unreadable = Unreadable::Fail;
        Self { storage, catalog, collector_id, next_seq, segment: None, frame: None, unreadable }
    }

    /// Whose records these are.
    pub fn collector_id(&self) -> CollectorId {
        self.collector_id
    }

    /// The number that comes next.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// From now on, what the disk does not give is yielded as a damaged gap instead of an error. To be asked for when
    /// an error stays: then waiting would block everything behind the bad place for good.
    pub fn skip_unreadable(&mut self) {
        self.unreadable = Unreadable::Isolate;
        if let Some(segment) = &mut self.segment {
            segment.scan.unreadable = Unreadable::Isolate;
        }
    }

    /// What comes next; `None` when nothing more is durable yet.
    ///
    /// # Errors
    /// A segment could not be read. The position is kept.
    pub fn next_item(&mut self) -> Result<Option<ReadItem<'_>>, ReadError> {
        while self.frame.is_none() {
            match self.step()? {
                Step::Again => {}
                Step::Nothing => return Ok(None),
                Step::Gap(gap) => {
                    self.next_seq = gap.to + 1;
                    return Ok(Some(ReadItem::Gap(gap)));
                }
            }
        }
        Ok(self.take_record().map(ReadItem::Record))
    }

    /// Yields the open frame's next record that is not before the position.
    fn take_record(&mut self) -> Option<Record<'_>> {
        let payload = self.segment.as_ref()?.scan.payload();
        let frame = self.frame.as_mut()?;
        loop {
            let (kind, bytes, len) =
                split_first(&payload[frame.at..]).expect("the scan checked every record");
            let seq = frame.next_seq;
            frame.at += len;
            frame.next_seq += 1;
            if seq < self.next_seq {
                continue;
            }
            if seq == frame.last_seq {
                self.frame = None;
            }
            self.next_seq = seq + 1;
            return Some(Record { seq, kind, bytes });
        }
    }

    fn step(&mut self) -> Result<Step, ReadError> {
        let Some(segment) = &mut self.segment else {
            return match self.catalog.locate(self.collector_id, self.next_seq) {
                Located::Nothing => Ok(Step::Nothing),
                Located::Gap(gap) => Ok(Step::Gap(gap)),
                Located::Segment(segment) => self.open(&segment).map(|()| Step::Again),
            };
        };
        let found = segment.scan.next(segment.end.offset, Some(segment.end.seq));
        let found = found.map_err(|e| FileError::new("reading", &file_name(segment.ordinal), e))?;
        match found {
            Found::Frame { header, .. } => {
                if header.last_seq() >= self.next_seq {
                    let (next_seq, last_seq) = (header.first_seq, header.last_seq());
                    self.frame = Some(OpenFrame { at: 0, next_seq, last_seq });
                }
                Ok(Step::Again)
            }
            Found::Bad(bad) => Ok(gap_of(&bad, &segment.end, self.next_seq).map_or(Step::Again, Step::Gap)),
            Found::End => Ok(self.at_end()),
        }
    }

    /// At the end as it was known: it may have grown, or be final.
    fn at_end(&mut self) -> Step {
        let Some(segment) = &mut self.segment else { return Step::Again };
        match self.catalog.end_of(segment.ordinal) {
            Some((end, _)) if end != segment.end => {
                segment.end = end;
                Step::Again
            }
            Some((_, true)) => Step::Nothing,
            Some((_, false)) | None => {
                self.segment = None;
                Step::Again
            }
        }
    }

    fn open(&mut self, segment: &Segment) -> Result<(), ReadError> {
        let header = &segment.header;
        let name = file_name(header.ordinal);
        let file = match self.storage.open(&name) {
            // Released between the look into the catalog and here: the next look finds the gap.
            Err(_) if self.catalog.end_of(header.ordinal).is_none() => return Ok(()),
            opened => opened.map_err(|e| FileError::new("opening", &name, e))?,
        };
        let scan = Scan::new(file, header.salt, header.first_seq, self.unreadable);
        self.segment = Some(OpenSegment { ordinal: header.ordinal, scan, end: segment.end });
        Ok(())
    }
}

/// What a bad range means to who reads from `next_seq`: nothing, if all of it lies before.
fn gap_of(bad: &Bad, end: &SegmentEnd, next_seq: u64) -> Option<Gap> {
    let Lost::Seqs { from, to } = bad.lost else { return None };
    let reason = if bad.from < end.confirmed { GapReason::Damaged } else { GapReason::Void };
    let from = from.max(next_seq);
    (from <= to).then_some(Gap { from, to, reason })
}
