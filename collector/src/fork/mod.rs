//! Where the T forks: one decoded request goes to the journal, and a copy of its bytes to the trace arm.
//!
//! ```text
//! body ─▶ protobuf ─▶ decode ─▶ evidence ─▶ Append ═fsync═▶ Ok(Accepted)     billing arm, waited for
//!                                                    └─offer─▶ TraceTap      trace arm, never waited for
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `understand.rs` | a body into evidence, encoded for the journal |
//! | `refuse.rs` | what a client is told when the journal does not take it |
//! | `tap.rs` | the border to the trace arm |
//! | `stats.rs` | the books: every span of an acknowledged request, by what became of it |
//!
//! Promises: `Ok` means that every observation and link of the request is on disk (I1); whatever else happens is a
//! refusal, so the client sends again. The trace arm hears of a request only after that, and nothing it does reaches
//! the answer (I7). No prompt or completion is written down.
//! Leaves to others: what a span means (`decode`), limits and answers on the wire (`receive`).

mod understand;
mod refuse;
mod tap;
mod stats;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use domain::observation::KeyStamp;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;
use sabotage::{Bug, Point};

pub use stats::{ForkStats, Snapshot};
pub use tap::{NoTrace, TraceTap};

use crate::append::{Append, Clock, blocking};
use crate::decode::{AiTraces, Decoder};
use crate::forward::Forwards;
use crate::receive::{Accepted, Encoding, Intake, Refusal, Signal};
use refuse::{partial_success, refusal};
use understand::{Understood, understand};

/// A body up to this size is decoded where its connection is served: some half a millisecond of work. A larger one
/// would keep other connections waiting, so it goes to a thread of its own.
const INLINE_BYTES_MAX: usize = 128 << 10;

/// The intake of the collector. Clones share everything; while one lives, more evidence may come.
#[derive(Clone)]
pub struct Fork<T: TraceTap> {
    parts: Arc<Parts<T>>,
}

struct Parts<T> {
    decoder: Decoder,
    ai_traces: AiTraces,
    append: Append,
    trace: T,
    clock: Clock,
    forwards: Forwards,
    stats: Arc<ForkStats>,
}

impl<T: TraceTap> Fork<T> {
    /// Puts the stem's end together.
    pub fn new(decoder: Decoder, ai_traces: AiTraces, append: Append, trace: T, clock: Clock) -> Self {
        Self::passing_to(Forwards::default(), decoder, ai_traces, append, trace, clock)
    }

    /// The same, with backends that metrics and logs are passed on to.
    pub fn passing_to(
        forwards: Forwards,
        decoder: Decoder,
        ai_traces: AiTraces,
        append: Append,
        trace: T,
        clock: Clock,
    ) -> Self {
        let stats = Arc::default();
        Self { parts: Arc::new(Parts { decoder, ai_traces, append, trace, clock, forwards, stats }) }
    }

    /// The counters, for the metrics page.
    pub fn stats(&self) -> Arc<ForkStats> {
        Arc::clone(&self.parts.stats)
    }
}

impl<T: TraceTap> Parts<T> {
    fn understand(&self, body: Bytes, encoding: Encoding, key: &KeyStamp) -> Result<Understood, Refusal> {
        understand(&self.decoder, &self.ai_traces, body, encoding, key, self.clock.received_at())
    }

    async fn take(
        self: &Arc<Self>,
        body: Bytes,
        encoding: Encoding,
        key: &KeyStamp,
    ) -> Result<Accepted, Refusal> {
        let understood = if body.len() <= INLINE_BYTES_MAX {
            self.understand(body, encoding, key)?
        } else {
            let (parts, key) = (Arc::clone(self), key.clone());
            blocking(move || parts.understand(body, encoding, &key)).await?
        };
        let Understood { body, frames, tally } = understood;
        let trusted = sabotage::is_active(Bug::TrustedDedupeCache) && sabotage::seen_before(&body);
        if !frames.is_empty() && !trusted {
            let durable = self.append.durable(frames).await;
            if let Err(error) = durable
                && !sabotage::is_active(Bug::FailOpenAck)
            {
                return Err(refusal(&error));
            }
        }
        sabotage::reached(Point::AnswerBefore);
        self.stats.acknowledge(&tally);
        self.trace.offer(&body, key);
        Ok(partial_success(&tally.rejected))
    }
}

impl<T: TraceTap> Intake for Fork<T> {
    async fn accept(&self, body: Bytes, encoding: Encoding, key: KeyStamp) -> Result<Accepted, Refusal> {
        self.parts.stats.request();
        let taken = self.parts.take(body, encoding, &key).await;
        if taken.is_err() {
            self.parts.stats.refuse();
        }
        taken
    }

    fn passes(&self, signal: Signal) -> bool {
        self.parts.forwards.wants(signal)
    }

    fn pass(&self, signal: Signal, body: Bytes, encoding: Encoding) -> Result<(), Refusal> {
        let request = match encoding {
            Encoding::Protobuf => body,
            Encoding::Json => from_json(signal, &body)?,
        };
        self.parts.forwards.offer(signal, &request);
        Ok(())
    }
}

/// An export request of metrics or logs in JSON as the protobuf bytes it stands for: backends are sent one form.
fn from_json(signal: Signal, body: &[u8]) -> Result<Bytes, Refusal> {
    let malformed = |error: serde_json::Error| {
        Refusal::Malformed(format!("malformed OTLP/JSON at line {} column {}", error.line(), error.column()))
    };
    let bytes = match signal {
        Signal::Metrics => {
            serde_json::from_slice::<ExportMetricsServiceRequest>(body).map_err(malformed)?.encode_to_vec()
        }
        _ => serde_json::from_slice::<ExportLogsServiceRequest>(body).map_err(malformed)?.encode_to_vec(),
    };
    Ok(bytes.into())
}
