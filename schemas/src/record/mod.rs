//! Evidence as bytes: what the journal holds, and what `observation_log.record` keeps beside the readable columns.
//!
//! The encoding is Protocol Buffers with field numbers that are never reused, so that a journal or a log written by an
//! earlier version is read by every later one. It is written once, when a span is decoded, and travels unchanged
//! through journal, batch and table; settlement checks the hash of exactly these bytes.
//!
//! | file | idea |
//! |---|---|
//! | `wire.rs` | the fields and their numbers; how they are read |
//! | `encode.rs` | how they are written, straight from the texts of a request |
//! | `protobuf.rs` | the few forms that protobuf has for a field |

mod encode;
mod protobuf;
mod wire;

use domain::observation::{Evidence, Link, Observation};
use prost::Message;
use wire::{What, WireEvidence};

/// Bytes that are no evidence this version can read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not the encoding at all.
    #[error("evidence record is not readable")]
    Malformed(#[from] prost::DecodeError),
    /// A field that must be there is missing or impossible.
    #[error("evidence record has no valid {field}")]
    Missing {
        /// The field.
        field: &'static str,
    },
}

/// Encodes evidence.
pub fn encode(evidence: &Evidence) -> Vec<u8> {
    let mut record = Vec::new();
    match evidence {
        Evidence::Observation(observation) => encode_observation(observation, &mut record),
        Evidence::Link(link) => encode_link(link, &mut record),
    }
    record
}

/// Encodes an observation behind what is in `out`, whoever owns its texts.
pub fn encode_observation<S: AsRef<str>>(observation: &Observation<S>, out: &mut Vec<u8>) {
    encode::observation(observation, out);
}

/// Encodes a link behind what is in `out`.
pub fn encode_link(link: &Link, out: &mut Vec<u8>) {
    encode::link(link, out);
}

/// Decodes what [`encode`] of this or any earlier version wrote.
pub fn decode(bytes: &[u8]) -> Result<Evidence, DecodeError> {
    match WireEvidence::decode(bytes)?.what {
        Some(What::Observation(wire)) => Ok(Evidence::Observation(Box::new(wire::to_observation(*wire)?))),
        Some(What::Link(wire)) => Ok(Evidence::Link(wire::to_link(wire)?)),
        None => Err(DecodeError::Missing { field: "kind of evidence" }),
    }
}

/// The hash that a batch's content hash is made of.
pub fn hash(record: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(record)
}

/// Adds a record to the content hash of a batch: order matters, as positions do.
pub fn fold_hash(batch: u64, record: u64) -> u64 {
    let mut both = [0; 16];
    both[..8].copy_from_slice(&batch.to_le_bytes());
    both[8..].copy_from_slice(&record.to_le_bytes());
    xxhash_rust::xxh3::xxh3_64(&both)
}
