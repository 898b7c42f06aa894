//! A request's body into evidence, encoded for the journal. Pure but for what `ai_traces` remembers.

use bytes::Bytes;
use domain::observation::{Evidence, KeyStamp};
use domain::time::ReceivedAt;
use schemas::record;

use super::stats::Tally;
use crate::append::Frames;
use crate::decode::{AiTraces, Decoded, Decoder};
use crate::otlp::json;
use crate::receive::{Encoding, Refusal};

/// A request that was understood.
pub(super) struct Understood {
    /// Its bytes as protobuf, however it came.
    pub body: Bytes,
    /// Its evidence, in the form in which it is written.
    pub frames: Frames,
    /// What its spans are.
    pub tally: Tally,
}

/// Decodes a body. An error says where it does not hold together, and quotes nothing of it.
pub(super) fn understand(
    decoder: &Decoder,
    ai_traces: &AiTraces,
    body: Bytes,
    encoding: Encoding,
    key: &KeyStamp,
    received_at: ReceivedAt,
) -> Result<Understood, Refusal> {
    let body = match encoding {
        Encoding::Protobuf => body,
        Encoding::Json => {
            json::to_protobuf(&body).map_err(|error| Refusal::Malformed(error.to_string()))?.into()
        }
    };
    let mut decoded = Decoded::default();
    decoder
        .decode(&body, key, received_at, ai_traces, &mut decoded)
        .map_err(|error| Refusal::Malformed(error.to_string()))?;
    let mut tally = Tally::default();
    tally.spans = decoded.spans;
    tally.rejected = decoded.rejected;
    let mut frames = Frames::new();
    for evidence in &decoded.evidence {
        match evidence {
            Evidence::Observation(observation) => tally.observe(observation.kind),
            Evidence::Link(_) => tally.links += 1,
        }
        frames.push_evidence(&record::encode(evidence));
    }
    Ok(Understood { body, frames, tally })
}
