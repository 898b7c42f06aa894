//! A frame: the records of one append, behind a header of 32 bytes.
//!
//! ```text
//!  0 magic u32          16 count u32            all little-endian
//!  4 payload bytes u32  20 crc32c of payload
//!  8 first seq u64      24 group offset u32: how far behind the start of its group this frame begins
//!                       28 crc32c of the segment's salt and bytes 0..28
//! ```
//! Every byte is checksummed once: the payload by the submitting thread, the header (with the payload's sum in it) by
//! the writer, which alone knows the number. The salt is random per segment and never leaves the disk, so bytes of
//! another segment, or bytes a client put into a record, do not pass as a frame.
//! The group offset says what was synced when this frame was written: everything before its group.

use crate::record::{RECORD_BYTES_MIN, Records};

pub(crate) const FRAME_HEADER_BYTES: usize = 32;
pub(crate) const FRAME_MAGIC: [u8; 4] = [0xF7, b'L', b'f', 0x9D];

const CHECKED_BYTES: usize = FRAME_HEADER_BYTES - 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub payload_bytes: u32,
    pub first_seq: u64,
    pub count: u32,
    pub payload_crc: u32,
    pub group_offset: u32,
}

impl FrameHeader {
    pub fn last_seq(&self) -> u64 {
        self.first_seq + u64::from(self.count) - 1
    }

    /// Header and payload together.
    pub fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }

    pub fn encode(&self, salt: u64) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&FRAME_MAGIC);
        bytes[4..8].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.count.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.group_offset.to_le_bytes());
        let crc = salted_crc(salt, &bytes[..CHECKED_BYTES]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header, if these bytes are one of a segment with this salt.
    pub fn decode(bytes: &[u8; FRAME_HEADER_BYTES], salt: u64) -> Option<Self> {
        if bytes[0..4] != FRAME_MAGIC {
            return None;
        }
        if u32_at(bytes, 28) != salted_crc(salt, &bytes[..CHECKED_BYTES]) {
            return None;
        }
        let header = Self {
            payload_bytes: u32_at(bytes, 4),
            first_seq: u64::from(u32_at(bytes, 8)) | u64::from(u32_at(bytes, 12)) << 32,
            count: u32_at(bytes, 16),
            payload_crc: u32_at(bytes, 20),
            group_offset: u32_at(bytes, 24),
        };
        let plausible = header.first_seq >= 1
            && header.count >= 1
            && u64::from(header.payload_bytes) >= u64::from(header.count) * RECORD_BYTES_MIN
            && header.first_seq.checked_add(u64::from(header.count)).is_some();
        plausible.then_some(header)
    }
}

/// What a set of records occupies as a frame.
pub(crate) fn frame_bytes(records: &Records) -> usize {
    FRAME_HEADER_BYTES + records.payload_bytes()
}

fn salted_crc(salt: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), bytes)
}

fn u32_at(bytes: &[u8; FRAME_HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> FrameHeader {
        FrameHeader { payload_bytes: 10, first_seq: 1 << 40, count: 3, payload_crc: 77, group_offset: 5 }
    }

    #[test]
    fn a_header_reads_as_written_and_only_with_its_salt() {
        let bytes = sample().encode(9);
        assert_eq!(FrameHeader::decode(&bytes, 9), Some(sample()));
        assert_eq!(FrameHeader::decode(&bytes, 8), None);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let bytes = sample().encode(9);
        for bit in 0..FRAME_HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&flipped, 9), None, "bit {bit}");
        }
    }

    #[test]
    fn a_header_that_no_writer_writes_is_refused() {
        for wrong in [
            FrameHeader { first_seq: 0, ..sample() },
            FrameHeader { count: 0, ..sample() },
            FrameHeader { count: 6, ..sample() },
            FrameHeader { first_seq: u64::MAX, ..sample() },
        ] {
            assert_eq!(FrameHeader::decode(&wrong.encode(9), 9), None, "{wrong:?}");
        }
    }
}
