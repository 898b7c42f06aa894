//! Walks a segment's frames, and past what is no frame.
//!
//! Promises: every byte range up to the end is yielded as a frame whose checksums hold, or as bad; a frame is only
//! accepted where its number can follow. After bytes that are no frame the walk goes on at the next ones that are.
//! Leaves to others: what a bad range means (torn, void or damaged).

use std::io;

use crate::frame::{FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader};
use crate::record::holds_exactly;
use crate::recovered::Lost;
use crate::segment::SEGMENT_HEADER_BYTES;
use crate::storage::{StorageFile, read_full};

const READ_AHEAD_BYTES: usize = 256 << 10;
/// The unit in which an unreadable disk is read around.
const PAGE_BYTES: usize = 4096;
const EIO: i32 = 5;

/// What to do where the disk answers `EIO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Pass the error on: it may go away.
    Fail,
    /// Read zeros in its place, page by page, so that only the frames there are bad.
    Isolate,
}

/// What the walk finds next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A frame; `Scan::payload` has its records.
    Frame {
        offset: u64,
        header: FrameHeader,
    },
    Bad(Bad),
    End,
}

/// Bytes that are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bad {
    pub from: u64,
    pub to: u64,
    /// `Unknown` only at the end of a segment whose last number is not known: else what is behind tells.
    pub lost: Lost,
}

pub(crate) struct Scan {
    file: Box<dyn StorageFile>,
    salt: u64,
    pos: u64,
    next_seq: u64,
    window: Window,
    payload_bytes: usize,
    pub unreadable: Unreadable,
}

impl Scan {
    /// A walk from the first frame of a segment.
    pub fn new(file: Box<dyn StorageFile>, salt: u64, first_seq: u64, unreadable: Unreadable) -> Self {
        let window = Window { start: 0, bytes: Vec::new(), unreadable_to: 0 };
        Self {
            file,
            salt,
            pos: SEGMENT_HEADER_BYTES,
            next_seq: first_seq,
            window,
            payload_bytes: 0,
            unreadable,
        }
    }

    /// The number that follows what was found so far.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Whether the disk did not give some page behind an offset, so that what is there is not known.
    pub fn is_unreadable_behind(&self, offset: u64) -> bool {
        self.window.unreadable_to > offset
    }

    /// The records of the frame just found.
    pub fn payload(&self) -> &[u8] {
        let end = (self.pos - self.window.start) as usize;
        &self.window.bytes[end - self.payload_bytes..end]
    }

    /// The next frame or bad range before `end`; nothing behind it is looked at. With the segment's last number known,
    /// what is lost always is.
    pub fn next(&mut self, end: u64, last_seq: Option<u64>) -> io::Result<Found> {
        if self.pos >= end {
            return Ok(match self.lose_up_to(last_seq) {
                Lost::Seqs { from, to } => {
                    Found::Bad(Bad { from: end, to: end, lost: Lost::Seqs { from, to } })
                }
                Lost::Nothing | Lost::Unknown => Found::End,
            });
        }
        let from = self.pos;
        let Some(header) = self.header_at(from, end)? else {
            return self.pass_garbage(end, last_seq);
        };
        if header.first_seq > self.next_seq {
            let lost = self.lose_up_to(Some(header.first_seq - 1));
            return Ok(Found::Bad(Bad { from, to: from, lost }));
        }
        let frame_end = from + header.frame_bytes();
        let whole = frame_end <= end && self.payload_holds(from, &header, end)?;
        self.pos = frame_end.min(end);
        if whole {
            self.next_seq = header.last_seq() + 1;
            self.payload_bytes = header.payload_bytes as usize;
            return Ok(Found::Frame { offset: from, header });
        }
        let lost = self.lose_up_to(Some(header.last_seq()));
        Ok(Found::Bad(Bad { from, to: self.pos, lost }))
    }

    fn pass_garbage(&mut self, end: u64, last_seq: Option<u64>) -> io::Result<Found> {
        let from = self.pos;
        let (to, lost) = match self.next_header(from + 1, end)? {
            None => (end, self.lose_up_to(last_seq)),
            Some((at, header)) => (at, self.lose_up_to(Some(header.first_seq - 1))),
        };
        self.pos = to;
        Ok(Found::Bad(Bad { from, to, lost }))
    }

    /// Passes over the numbers up to `last_seq`.
    fn lose_up_to(&mut self, last_seq: Option<u64>) -> Lost {
        let from = self.next_seq;
        match last_seq {
            None => Lost::Unknown,
            Some(to) if to < from => Lost::Nothing,
            Some(to) => {
                self.next_seq = to + 1;
                Lost::Seqs { from, to }
            }
        }
    }

    /// A header at this offset whose number can follow.
    fn header_at(&mut self, at: u64, end: u64) -> io::Result<Option<FrameHeader>> {
        if at + FRAME_HEADER_BYTES as u64 > end {
            return Ok(None);
        }
        let (salt, next_seq) = (self.salt, self.next_seq);
        let bytes = self.load(at, FRAME_HEADER_BYTES, end)?;
        let header = bytes.first_chunk().and_then(|bytes| FrameHeader::decode(bytes, salt));
        Ok(header.filter(|header| header.first_seq >= next_seq))
    }

    fn payload_holds(&mut self, at: u64, header: &FrameHeader, end: u64) -> io::Result<bool> {
        let payload = self.load(at + FRAME_HEADER_BYTES as u64, header.payload_bytes as usize, end)?;
        Ok(crc32c::crc32c(payload) == header.payload_crc && holds_exactly(payload, header.count))
    }

    /// The first header at or behind an offset.
    fn next_header(&mut self, mut at: u64, end: u64) -> io::Result<Option<(u64, FrameHeader)>> {
        while at + FRAME_HEADER_BYTES as u64 <= end {
            let chunk = (end - at).min(READ_AHEAD_BYTES as u64) as usize;
            let bytes = self.load(at, chunk, end)?;
            let Some(found) = bytes.windows(FRAME_MAGIC.len()).position(|bytes| bytes == FRAME_MAGIC) else {
                // The magic may straddle two chunks.
                at += (chunk + 1 - FRAME_MAGIC.len()) as u64;
                continue;
            };
            at += found as u64;
            if let Some(header) = self.header_at(at, end)? {
                return Ok(Some((at, header)));
            }
            at += 1;
        }
        Ok(None)
    }

    fn load(&mut self, at: u64, need: usize, end: u64) -> io::Result<&[u8]> {
        self.window.load(self.file.as_ref(), at, need, end, self.unreadable)
    }
}

/// A stretch of the file in memory.
struct Window {
    start: u64,
    bytes: Vec<u8>,
    /// Where the last page ends that the disk did not give.
    unreadable_to: u64,
}

impl Window {
    /// `need` bytes at `at`, read with what follows them up to `end`; zeros where the file ends before.
    fn load(
        &mut self,
        file: &dyn StorageFile,
        at: u64,
        need: usize,
        end: u64,
        unreadable: Unreadable,
    ) -> io::Result<&[u8]> {
        let held = self.start..self.start + self.bytes.len() as u64;
        if at < held.start || at + need as u64 > held.end {
            // Never beyond `end`: what is there now may be written differently later.
            let ahead = (end - at).min(READ_AHEAD_BYTES as u64) as usize;
            self.bytes.clear();
            self.bytes.resize(need.max(ahead), 0);
            self.start = at;
            let filled = match unreadable {
                Unreadable::Fail => read_full(file, &mut self.bytes, at).map(|_| 0),
                Unreadable::Isolate => read_isolating(file, &mut self.bytes, at),
            };
            match filled {
                Ok(unreadable_to) => self.unreadable_to = self.unreadable_to.max(unreadable_to),
                Err(error) => {
                    self.bytes.clear();
                    return Err(error);
                }
            }
        }
        let from = (at - self.start) as usize;
        Ok(&self.bytes[from..from + need])
    }
}

/// Reads with zeros in place of pages that the disk does not give, and says where the last of those ends; 0: it gave all.
pub(crate) fn read_isolating(file: &dyn StorageFile, bytes: &mut [u8], at: u64) -> io::Result<u64> {
    match read_full(file, bytes, at) {
        Err(error) if error.raw_os_error() == Some(EIO) => {
            let mut unreadable_to = 0;
            for (i, page) in bytes.chunks_mut(PAGE_BYTES).enumerate() {
                let page_at = at + (i * PAGE_BYTES) as u64;
                if read_full(file, page, page_at).is_err() {
                    page.fill(0);
                    unreadable_to = page_at + page.len() as u64;
                }
            }
            Ok(unreadable_to)
        }
        Err(error) => Err(error),
        Ok(_) => Ok(0),
    }
}
