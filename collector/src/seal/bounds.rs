//! What a cut fixes for good: the bounds of a batch and what its rows must add up to.
//!
//! In the journal it is a record of 59 bytes, integers little-endian:
//! ```text
//!  0 version u8, 1          33 rows u64
//!  1 collector id [16]      41 content hash u64
//! 17 first seq u64          49 received day u16
//! 25 last seq u64           51 xxh3-64 of bytes 0..51
//! ```
//! It names its collector because records of an earlier id are sealed by a journal that goes on under a later one.
//! The hash is no protection from the disk (the journal's frames are checksummed) but from other kinds of bytes.

const VERSION: u8 = 1;
const HASHED_BYTES: usize = 51;
const SEAL_BYTES: usize = HASHED_BYTES + 8;

/// The fixed bounds of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Whose positions these are.
    pub collector_id: [u8; 16],
    /// The first position.
    pub first_seq: u64,
    /// The last position, at least the first.
    pub last_seq: u64,
    /// How many positions hold evidence.
    pub rows: u64,
    /// The hashes of the evidence records folded in order of position, from 0.
    pub content_hash: u64,
    /// The UTC day on which all of it was received, days since the epoch; 0 without evidence.
    pub received_day: u16,
}

/// Bytes that are no seal this version can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A later version wrote it.
    #[error("seal has format {found}, this program reads {VERSION}; run the newer program")]
    Newer {
        /// The format.
        found: u8,
    },
    /// Not a seal.
    #[error("seal of {bytes} bytes is not readable")]
    Malformed {
        /// The record's length.
        bytes: usize,
    },
}

impl Seal {
    /// The record.
    pub fn encode(&self) -> [u8; SEAL_BYTES] {
        let mut record = [0; SEAL_BYTES];
        record[0] = VERSION;
        record[1..17].copy_from_slice(&self.collector_id);
        record[17..25].copy_from_slice(&self.first_seq.to_le_bytes());
        record[25..33].copy_from_slice(&self.last_seq.to_le_bytes());
        record[33..41].copy_from_slice(&self.rows.to_le_bytes());
        record[41..49].copy_from_slice(&self.content_hash.to_le_bytes());
        record[49..51].copy_from_slice(&self.received_day.to_le_bytes());
        let hash = xxhash_rust::xxh3::xxh3_64(&record[..HASHED_BYTES]);
        record[HASHED_BYTES..].copy_from_slice(&hash.to_le_bytes());
        record
    }

    /// Reads what [`Seal::encode`] wrote.
    ///
    /// # Errors
    /// The bytes are something else, or of a later version.
    pub fn decode(record: &[u8]) -> Result<Self, SealError> {
        let malformed = SealError::Malformed { bytes: record.len() };
        match record.first() {
            Some(&VERSION) => {}
            Some(&found) if found > VERSION => return Err(SealError::Newer { found }),
            _ => return Err(malformed),
        }
        let record: &[u8; SEAL_BYTES] = record.try_into().map_err(|_| malformed)?;
        let number = |at: usize| {
            u64::from_le_bytes(record[at..at + 8].try_into().expect("a range of eight bytes is eight bytes"))
        };
        if number(HASHED_BYTES) != xxhash_rust::xxh3::xxh3_64(&record[..HASHED_BYTES]) {
            return Err(malformed);
        }
        let mut collector_id = [0; 16];
        collector_id.copy_from_slice(&record[1..17]);
        let seal = Self {
            collector_id,
            first_seq: number(17),
            last_seq: number(25),
            rows: number(33),
            content_hash: number(41),
            received_day: u16::from_le_bytes([record[49], record[50]]),
        };
        if seal.first_seq > seal.last_seq { Err(malformed) } else { Ok(seal) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        Seal {
            collector_id: *b"sixteen bytes id",
            first_seq: 5,
            last_seq: 9,
            rows: 4,
            content_hash: u64::MAX - 1,
            received_day: 20_777,
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        assert_eq!(Seal::decode(&seal().encode()), Ok(seal()));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let record = seal().encode();
        for bit in 0..record.len() * 8 {
            let mut flipped = record;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Seal::decode(&flipped).is_err(), "bit {bit}");
        }
        assert!(matches!(Seal::decode(&record[..58]), Err(SealError::Malformed { .. })));
        assert!(matches!(Seal::decode(&[]), Err(SealError::Malformed { .. })));
    }
}
