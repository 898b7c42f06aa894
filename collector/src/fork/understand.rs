//! A request's body into evidence, encoded for the journal. Pure but for what `ai_traces` remembers.

use std::borrow::Cow;

use bytes::Bytes;
use domain::observation::{KeyStamp, Link, Observation};
use domain::time::ReceivedAt;
use schemas::record;

use super::stats::Tally;
use crate::append::Frames;
use crate::decode::{AiTraces, Decoder, Sink};
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
    // A record is about as long as its span: what it adds, and what it leaves out.
    let expected_bytes = body.len() + body.len() / 4;
    let mut records =
        Recording { expected_bytes, frames: Frames::new(), tally: Tally::default(), record: Vec::new() };
    let spans = decoder
        .read(&body, key, received_at, ai_traces, &mut records)
        .map_err(|error| Refusal::Malformed(error.to_string()))?;
    let Recording { frames, mut tally, .. } = records;
    tally.spans = spans.sent;
    tally.rejected = spans.rejected;
    Ok(Understood { body, frames, tally })
}

/// Writes evidence down as it is found.
struct Recording {
    /// How long all records together may well become, if there are any.
    expected_bytes: usize,
    frames: Frames,
    tally: Tally,
    /// Memory for one record after the other.
    record: Vec<u8>,
}

impl Recording {
    fn push(&mut self) {
        if self.frames.is_empty() {
            self.frames = Frames::with_capacity(self.expected_bytes);
        }
        self.frames.push_evidence(&self.record);
        self.record.clear();
    }
}

impl Sink for Recording {
    fn observation(&mut self, observation: &Observation<Cow<'_, str>>) {
        self.tally.observe(observation.kind);
        record::encode_observation(observation, &mut self.record);
        self.push();
    }

    fn link(&mut self, link: &Link) {
        self.tally.links += 1;
        record::encode_link(link, &mut self.record);
        self.push();
    }
}
