//! A segment: one file of frames behind a header region that says where the one before it ends.
//!
//! The region is 8 KiB: two copies of the header, 4 KiB apart (the larger sector size), so that one bad sector costs
//! nothing. A copy is, little-endian:
//! ```text
//!   0 magic [8]              44 salt u64                  84 its end offset u64
//!   8 format version u32     52 created, unix ms, u64     92 its last seq u64
//!  12 collector id [16]      60 predecessor: ordinal u64 100 its confirmed offset u64
//!  28 ordinal u64               (0: there is none)       108 zero u32
//!  36 first seq u64          68 its collector id [16]    112 crc32c of bytes 0..112; zeros up to 4096
//! ```
//! The header is synced, and its name in the directory, before any frame is written behind it.

use crate::collector_id::CollectorId;

pub(crate) const FORMAT_VERSION: u32 = 1;
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 2 * COPY_BYTES as u64;

const COPY_BYTES: usize = 4096;
const MAGIC: [u8; 8] = *b"LLjrnl\r\n";
const CHECKED_BYTES: usize = 112;
const FIELDS_BYTES: usize = CHECKED_BYTES + 4;

// All fields of a copy lie in one 512-byte sector, so a torn creation leaves a copy whole or without effect.
const _: () = assert!(FIELDS_BYTES <= 512);

/// Where the readable part of a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    /// Offset behind the last frame.
    pub offset: u64,
    /// Number of the last record; one less than the segment's first number when there is none.
    pub seq: u64,
    /// Everything before this offset is known to have been synced: a bad range there is damage. Between here and
    /// `offset` a crash may have torn a group that was never acknowledged.
    pub confirmed: u64,
}

/// What a segment states about the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Predecessor {
    pub ordinal: u64,
    pub collector_id: CollectorId,
    pub end: SegmentEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Position of the file among all of the directory; its name.
    pub ordinal: u64,
    pub collector_id: CollectorId,
    pub first_seq: u64,
    pub salt: u64,
    pub created_unix_ms: u64,
    pub predecessor: Option<Predecessor>,
}

/// What a header region turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderRead {
    /// A header, and whether something is wrong with the region around it (a copy lost, padding changed).
    Good(SegmentHeader, RegionState),
    /// Creation did not finish: nothing was ever written behind it.
    Unborn,
    /// Bytes that are no header.
    Unreadable,
    /// A header of a later format.
    Newer(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegionState {
    Intact,
    Damaged,
}

/// The file name of a segment.
pub(crate) fn file_name(ordinal: u64) -> String {
    format!("{ordinal:020}.seg")
}

/// The ordinal in a segment's file name; `None` for other files.
pub(crate) fn ordinal_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

impl SegmentHeader {
    /// The whole header region.
    pub fn encode(&self) -> Vec<u8> {
        let mut copy = [0; COPY_BYTES];
        copy[0..8].copy_from_slice(&MAGIC);
        copy[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        copy[12..28].copy_from_slice(&self.collector_id.to_bytes());
        put_u64(&mut copy, 28, self.ordinal);
        put_u64(&mut copy, 36, self.first_seq);
        put_u64(&mut copy, 44, self.salt);
        put_u64(&mut copy, 52, self.created_unix_ms);
        if let Some(before) = &self.predecessor {
            put_u64(&mut copy, 60, before.ordinal);
            copy[68..84].copy_from_slice(&before.collector_id.to_bytes());
            put_u64(&mut copy, 84, before.end.offset);
            put_u64(&mut copy, 92, before.end.seq);
            put_u64(&mut copy, 100, before.end.confirmed);
        }
        let crc = crc32c::crc32c(&copy[..CHECKED_BYTES]);
        copy[CHECKED_BYTES..FIELDS_BYTES].copy_from_slice(&crc.to_le_bytes());
        [copy, copy].concat()
    }

    /// Reads the region of the file with this ordinal. `region` is shorter than the region if the file is.
    pub fn decode(region: &[u8], ordinal: u64) -> HeaderRead {
        if region.iter().all(|&b| b == 0) {
            return HeaderRead::Unborn;
        }
        let copies = [copy_at(region, 0), copy_at(region, COPY_BYTES)];
        for copy in copies.into_iter().flatten() {
            match decode_copy(copy) {
                Some(Err(version)) => return HeaderRead::Newer(version),
                // A file under another's name (copied by hand) would be read with the wrong neighbours.
                Some(Ok(header)) if header.ordinal == ordinal => {
                    let intact = header.encode() == region;
                    let state = if intact { RegionState::Intact } else { RegionState::Damaged };
                    return HeaderRead::Good(header, state);
                }
                _ => {}
            }
        }
        if (region.len() as u64) < SEGMENT_HEADER_BYTES { HeaderRead::Unborn } else { HeaderRead::Unreadable }
    }
}

fn copy_at(region: &[u8], at: usize) -> Option<&[u8]> {
    region.get(at..at + FIELDS_BYTES)
}

/// `None`: no header; `Err`: one of another version.
fn decode_copy(copy: &[u8]) -> Option<Result<SegmentHeader, u32>> {
    let crc = u32::from_le_bytes(array_at(copy, CHECKED_BYTES));
    if copy[0..8] != MAGIC || crc != crc32c::crc32c(&copy[..CHECKED_BYTES]) {
        return None;
    }
    let version = u32::from_le_bytes(array_at(copy, 8));
    if version != FORMAT_VERSION {
        return Some(Err(version));
    }
    let predecessor = match u64_at(copy, 60) {
        0 => None,
        ordinal => Some(Predecessor {
            ordinal,
            collector_id: CollectorId::from_bytes(array_at(copy, 68)),
            end: SegmentEnd { offset: u64_at(copy, 84), seq: u64_at(copy, 92), confirmed: u64_at(copy, 100) },
        }),
    };
    Some(Ok(SegmentHeader {
        collector_id: CollectorId::from_bytes(array_at(copy, 12)),
        ordinal: u64_at(copy, 28),
        first_seq: u64_at(copy, 36),
        salt: u64_at(copy, 44),
        created_unix_ms: u64_at(copy, 52),
        predecessor,
    }))
}

fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SegmentHeader {
        SegmentHeader {
            ordinal: 42,
            collector_id: CollectorId::from_bytes([7; 16]),
            first_seq: 1_000,
            salt: 0x0123_4567_89ab_cdef,
            created_unix_ms: 1_800_000_000_000,
            predecessor: Some(Predecessor {
                ordinal: 41,
                collector_id: CollectorId::from_bytes([6; 16]),
                end: SegmentEnd { offset: 9_000, seq: 990, confirmed: 8_900 },
            }),
        }
    }

    #[test]
    fn names_sort_as_ordinals_and_read_back() {
        assert_eq!(file_name(42), "00000000000000000042.seg");
        assert_eq!(ordinal_of("00000000000000000042.seg"), Some(42));
        for other in ["42.seg", "0000000000000000004x.seg", "lock", "00000000000000000042.seg.tmp"] {
            assert_eq!(ordinal_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_header_reads_as_written_with_and_without_predecessor() {
        for header in [sample(), SegmentHeader { predecessor: None, ..sample() }] {
            let region = header.encode();
            assert_eq!(region.len() as u64, SEGMENT_HEADER_BYTES);
            assert_eq!(SegmentHeader::decode(&region, 42), HeaderRead::Good(header, RegionState::Intact));
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_in_the_region_is_named_and_costs_nothing() {
        let region = sample().encode();
        for at in 0..region.len() {
            let mut flipped = region.clone();
            flipped[at] ^= 0x10;
            let read = SegmentHeader::decode(&flipped, 42);
            assert_eq!(read, HeaderRead::Good(sample(), RegionState::Damaged), "byte {at}");
        }
    }

    #[test]
    fn a_region_cut_short_was_never_written_behind() {
        let region = sample().encode();
        for len in 0..FIELDS_BYTES {
            assert_eq!(SegmentHeader::decode(&region[..len], 42), HeaderRead::Unborn, "{len} bytes");
        }
        assert_eq!(SegmentHeader::decode(&[0; 8192], 42), HeaderRead::Unborn);
    }

    #[test]
    fn other_files_and_other_formats_are_told_apart() {
        let region = sample().encode();
        assert_eq!(SegmentHeader::decode(&region, 43), HeaderRead::Unreadable, "a file under another's name");
        let mut newer = region.clone();
        newer[8] = 2;
        let crc = crc32c::crc32c(&newer[..CHECKED_BYTES]).to_le_bytes();
        newer[CHECKED_BYTES..FIELDS_BYTES].copy_from_slice(&crc);
        assert_eq!(SegmentHeader::decode(&newer, 42), HeaderRead::Newer(2));
    }
}
