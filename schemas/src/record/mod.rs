//! Evidence as bytes: what the journal holds, and what `observation_log.record` keeps beside the readable columns.
//!
//! The encoding is Protocol Buffers with field numbers that are never reused, so that a journal or a log written by an
//! earlier version is read by every later one. It is written once, when a span is decoded, and travels unchanged
//! through journal, batch and table; settlement checks the hash of exactly these bytes. An observation's attributes stand
//! behind it: the table has a column for them, so there the record ends before them, and vouches for them by length and hash.
//!
//! | file | idea |
//! |---|---|
//! | `wire.rs` | the fields and their numbers; how they are read |
//! | `encode.rs` | how they are written, straight from the texts of a request |
//! | `protobuf.rs` | the few forms that protobuf has for a field |

mod encode;
mod protobuf;
mod wire;

use domain::attributes::{Attributes, AttributesMark};
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
    /// Attributes that were kept apart from a record are not its own.
    #[error("attributes are not those that the evidence record was written with")]
    OtherAttributes,
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

/// Decodes what [`encode`] of this or any earlier version wrote, with its attributes or without.
pub fn decode(bytes: &[u8]) -> Result<Evidence, DecodeError> {
    let WireEvidence { what, attributes } = WireEvidence::decode(bytes)?;
    match what {
        Some(What::Observation(wire)) => {
            Ok(Evidence::Observation(Box::new(wire::to_observation(*wire, attributes)?)))
        }
        Some(What::Link(wire)) => Ok(Evidence::Link(wire::to_link(wire)?)),
        None => Err(DecodeError::Missing { field: "kind of evidence" }),
    }
}

/// What the log keeps of a record in `record`, attributes having a column of their own: the record up to them. It still
/// says how long they are and what they hash to. Records of versions that wrote them within are kept whole.
pub fn without_attributes(bytes: &[u8]) -> &[u8] {
    encode::without_attributes(bytes)
}

/// Puts attributes that were kept elsewhere back into their observation.
///
/// # Errors
/// [`DecodeError::OtherAttributes`] where they are not those it was made with.
pub fn rejoin(observation: &mut Observation, attributes: String) -> Result<(), DecodeError> {
    if let Attributes::Elsewhere(expected) = observation.attributes {
        if mark(&attributes) != expected {
            return Err(DecodeError::OtherAttributes);
        }
        observation.attributes = Attributes::Here(attributes);
    }
    Ok(())
}

fn mark(attributes: &str) -> AttributesMark {
    let bytes = u32::try_from(attributes.len()).unwrap_or(u32::MAX);
    AttributesMark { bytes, hash: hash(attributes.as_bytes()) }
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
