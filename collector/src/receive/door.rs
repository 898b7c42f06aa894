//! The one way in, whatever the edge: key, place, body, intake; and the books of it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ::http::{HeaderMap, header};
use bytes::Bytes;
use http_body::Body;
use tokio::time::timeout;

use super::assemble::{MESSAGE_PREFIX_BYTES, read_body, read_message};
use super::authenticate::{AuthPolicy, authenticate};
use super::body::Chunks;
use super::budget::Budget;
use super::complaints::Complaints;
use super::config::{Limits, TimeLimits};
use super::head::Export;
use super::intake::{Accepted, Intake};
use super::refusal::Refusal;
use super::stats::{Protocol, ReceiveStats, Signal};
use crate::keys::KeyStore;

/// Where a request came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entrance {
    pub(super) protocol: Protocol,
    pub(super) auth: AuthPolicy,
    pub(super) peer: SocketAddr,
}

/// What all requests share.
pub(super) struct Door<I> {
    intake: I,
    keys: KeyStore,
    budget: Budget,
    stats: Arc<ReceiveStats>,
    complaints: Complaints,
    limits: Limits,
    times: TimeLimits,
    /// By signal: whether the log already says that it is dropped here.
    drop_announced: [AtomicBool; Signal::ALL.len()],
}

impl<I: Intake> Door<I> {
    pub(super) fn new(
        intake: I,
        keys: KeyStore,
        limits: Limits,
        times: TimeLimits,
        budget: Budget,
        stats: Arc<ReceiveStats>,
    ) -> Self {
        let drop_announced = Default::default();
        Self { intake, keys, budget, stats, complaints: Complaints::new(), limits, times, drop_announced }
    }

    pub(super) fn stats(&self) -> &ReceiveStats {
        &self.stats
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn times(&self) -> &TimeLimits {
        &self.times
    }

    /// Takes a request, or refuses it, and counts which. `export` is what the edge made of the head; where that is a
    /// refusal already, `signal` says as much as is known.
    pub(super) async fn enter<B>(
        &self,
        entrance: Entrance,
        signal: Signal,
        export: Result<Export, Refusal>,
        headers: &HeaderMap,
        mut body: B,
    ) -> Result<Accepted, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let account = self.stats.begin(entrance.protocol, signal);
        let outcome = match export {
            Ok(export) => self.take(entrance, export, headers, &mut body).await,
            Err(refusal) => Err(refusal),
        };
        match &outcome {
            Ok(accepted) => account.accepted(accepted.rejected_spans),
            Err(refusal) => {
                self.complaints.refused(refusal, entrance.protocol, entrance.peer);
                self.linger(refusal, headers, &mut body).await;
                account.refused(refusal.kind());
            }
        }
        outcome
    }

    async fn take<B>(
        &self,
        entrance: Entrance,
        export: Export,
        headers: &HeaderMap,
        body: &mut B,
    ) -> Result<Accepted, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let key = authenticate(headers, entrance.auth, &self.keys)?;
        let _place = self.budget.place().await?;
        let framing_bytes = match entrance.protocol {
            Protocol::Grpc => MESSAGE_PREFIX_BYTES,
            Protocol::Http => 0,
        };
        let bytes_max = self.limits.body_bytes_max.saturating_add(framing_bytes);
        let mut chunks = Chunks::of(body, bytes_max, &self.times, &self.stats);
        if export.signal != Signal::Traces && !self.intake.passes(export.signal) {
            chunks.discard().await?;
            self.announce_drop(export.signal);
            return Ok(Accepted::default());
        }
        let held = match entrance.protocol {
            Protocol::Grpc => read_message(&mut chunks, export.coding, &self.budget, &self.limits).await?,
            Protocol::Http => read_body(&mut chunks, export.coding, &self.budget, &self.limits).await?,
        };
        self.stats.add_decompressed_bytes(held.bytes.len());
        // The lease lives as long as the intake works on the bytes.
        let _lease = held.lease;
        if export.signal != Signal::Traces {
            self.intake.pass(export.signal, held.bytes, export.encoding)?;
            return Ok(Accepted::default());
        }
        self.intake.accept(held.bytes, export.encoding, key).await
    }

    /// Reads on for a moment after a refusal. An HTTP/1 client that is still sending when its connection closes sees
    /// a reset connection instead of the answer, and most exporters then send the same body again.
    async fn linger<B>(&self, refusal: &Refusal, headers: &HeaderMap, body: &mut B)
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let pointless = body.is_end_stream()
            // It asked before it sent; reading would tell it to go on.
            || headers.contains_key(header::EXPECT)
            || matches!(refusal, Refusal::Slow { .. } | Refusal::Incomplete(_));
        if !pointless {
            // Nothing is kept, so only time limits it.
            let mut chunks = Chunks::of(body, usize::MAX, &self.times, &self.stats);
            // However it ends, the answer is the refusal.
            let _ = timeout(self.times.linger, chunks.discard()).await;
        }
    }

    /// Says once that a signal is not kept. The client is not told: SDKs log every partial success, even one that
    /// rejects nothing, and an application that exports all three signals would fill its log with them.
    fn announce_drop(&self, signal: Signal) {
        if !self.drop_announced[signal as usize].swap(true, Relaxed) {
            tracing::info!(
                signal = signal.label(),
                "exports of this signal are answered with success and dropped; no backend is configured that wants it (said once)",
            );
        }
    }
}
