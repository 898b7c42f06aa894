//! The trait between receiving and understanding: bytes in, an answer out.

use std::future::Future;

use bytes::Bytes;
use domain::observation::KeyStamp;

use super::refusal::Refusal;
use super::stats::Signal;

/// How an export request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Protocol Buffers.
    Protobuf,
    /// OTLP's JSON mapping of them.
    Json,
}

/// What became of a request that was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Spans that are unusable and were left out; the others are durable.
    pub rejected_spans: i64,
    /// Why, for the client's log. SDKs log a non-empty message even when nothing was rejected.
    pub message: String,
}

/// The rest of the collector, as receiving sees it.
pub trait Intake: Clone + Send + Sync + 'static {
    /// Takes one uncompressed `ExportTraceServiceRequest`. `Ok` is sent to the client as the acknowledgement, so it
    /// means that everything billable in the request is durable.
    ///
    /// The future is dropped when the client goes away or the drain of a shutdown runs out of time. The client then
    /// has no answer and sends again, so what was already handed on may go on or be given up: both are correct.
    fn accept(
        &self,
        body: Bytes,
        encoding: Encoding,
        key: KeyStamp,
    ) -> impl Future<Output = Result<Accepted, Refusal>> + Send;

    /// Whether exports of a signal other than traces are passed on. Where not, they are answered with success and dropped.
    fn passes(&self, _signal: Signal) -> bool {
        false
    }

    /// Passes on an export request of a signal that [`Self::passes`]. It promises nothing: it may be dropped later.
    ///
    /// # Errors
    /// When the body is not what it says it is.
    fn pass(&self, _signal: Signal, _body: Bytes, _encoding: Encoding) -> Result<(), Refusal> {
        Ok(())
    }
}
