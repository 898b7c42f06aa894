//! A body put together in memory that was leased for it first, decompressed while it arrives.
//!
//! Compressed bytes are never collected: each piece goes through the decompressor and is gone. A plain body that
//! arrives in one piece, as small ones do, is passed on without being copied.

use std::fmt::Display;

use bytes::{Buf, Bytes};
use http_body::Body;

use super::body::{Chunks, too_large};
use super::budget::{Budget, Lease};
use super::config::Limits;
use super::inflate::{Coding, Inflate, InflateError};
use super::refusal::Refusal;

/// How much compressed input is worked on before other tasks get their turn: about a millisecond of ordinary data.
const STEP_BYTES: usize = 32 * 1024;

/// The least room to decompress into.
const ROOM_BYTES_MIN: usize = 4 * 1024;

/// The most room to start with: announcing a long body costs a client nothing, so it earns no more than this. Beyond
/// it a request holds at most twice what it really sent.
const FIRST_ROOM_BYTES_MAX: usize = 1024 * 1024;

/// How much spans usually shrink; decides only how often the room grows.
const USUAL_RATIO: usize = 8;

/// What stands before a gRPC message: one byte of flags and four of length.
pub(super) const MESSAGE_PREFIX_BYTES: usize = 5;

/// A complete, uncompressed body and the memory leased for it.
pub(super) struct Held {
    pub(super) bytes: Bytes,
    pub(super) lease: Lease,
}

/// Reads an HTTP body.
pub(super) async fn read_body<B>(
    chunks: &mut Chunks<'_, B>,
    coding: Coding,
    budget: &Budget,
    limits: &Limits,
) -> Result<Held, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let announced = match chunks.announced() {
        Some(length) if length > limits.body_bytes_max as u64 => {
            return Err(too_large(limits.body_bytes_max));
        }
        Some(length) => usize::try_from(length).ok(),
        None => None,
    };
    let mut assembly = Assembly::begin(coding, announced, budget, limits).await?;
    while let Some(chunk) = chunks.next().await? {
        assembly.push(chunk).await?;
    }
    assembly.finish()
}

/// Reads the one message of a unary gRPC request: a flag, a length, and the bytes. `coding` is what the head says
/// compressed messages are in.
pub(super) async fn read_message<B>(
    chunks: &mut Chunks<'_, B>,
    coding: Coding,
    budget: &Budget,
    limits: &Limits,
) -> Result<Held, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let mut prefix = [0; MESSAGE_PREFIX_BYTES];
    let mut filled = 0;
    let mut chunk = Bytes::new();
    while filled < prefix.len() {
        chunk = chunks
            .next()
            .await?
            .ok_or_else(|| Refusal::Incomplete("the request holds no gRPC message".into()))?;
        let taken = chunk.len().min(prefix.len() - filled);
        chunk.copy_to_slice(&mut prefix[filled..filled + taken]);
        filled += taken;
    }
    let [flag, length @ ..] = prefix;
    let length = u32::from_be_bytes(length) as usize;
    let coding = match flag {
        0 => Coding::Identity,
        1 if coding != Coding::Identity => coding,
        1 => {
            return Err(Refusal::Malformed(
                "the message is flagged as compressed, but grpc-encoding is not set".into(),
            ));
        }
        _ => {
            return Err(Refusal::Malformed(format!(
                "{flag} is no flag of a gRPC message; allowed are 0 and 1"
            )));
        }
    };
    if length > limits.body_bytes_max {
        return Err(too_large(limits.body_bytes_max));
    }
    let mut assembly = Assembly::begin(coding, Some(length), budget, limits).await?;
    let mut missing = length;
    loop {
        if chunk.len() > missing {
            return Err(Refusal::Malformed("data follows the message; an export is one message".into()));
        }
        missing -= chunk.len();
        assembly.push(chunk).await?;
        match chunks.next().await? {
            Some(next) => chunk = next,
            None if missing == 0 => return assembly.finish(),
            None => {
                return Err(Refusal::Incomplete(format!(
                    "the message ended {missing} bytes before its length; send it again"
                )));
            }
        }
    }
}

struct Assembly {
    lease: Lease,
    bytes_max: usize,
    /// What is leased before anything arrived.
    first_room: usize,
    /// `None` for a plain body.
    inflate: Option<Inflate>,
    /// A plain body's only piece so far.
    whole: Bytes,
    output: Vec<u8>,
}

impl Assembly {
    async fn begin(
        coding: Coding,
        announced: Option<usize>,
        budget: &Budget,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let bytes_max = limits.decompressed_bytes_max;
        let inflate = Inflate::new(coding).map_err(malformed)?;
        if inflate.is_none() && announced.is_some_and(|length| length > bytes_max) {
            return Err(decompresses_too_large(bytes_max));
        }
        let ratio = if inflate.is_some() { USUAL_RATIO } else { 1 };
        let guess = announced.unwrap_or(0).saturating_mul(ratio);
        let room_max = bytes_max.saturating_add(1);
        // Never more than the largest body needs: the budget is only promised to hold one of those.
        let first_room = guess.min(FIRST_ROOM_BYTES_MAX).min(room_max);
        let mut lease = budget.lease();
        lease.cover(first_room).await?;
        Ok(Self { lease, bytes_max, first_room, inflate, whole: Bytes::new(), output: Vec::new() })
    }

    async fn push(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        if self.inflate.is_some() { self.push_compressed(&chunk).await } else { self.push_plain(chunk).await }
    }

    async fn push_plain(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        let length = self.whole.len() + self.output.len() + chunk.len();
        if length > self.bytes_max {
            return Err(decompresses_too_large(self.bytes_max));
        }
        if self.whole.is_empty() && self.output.is_empty() {
            self.lease.cover(length).await?;
            self.whole = chunk;
            return Ok(());
        }
        while self.output.capacity() < length {
            self.make_room().await?;
        }
        if !self.whole.is_empty() {
            self.output.extend_from_slice(&self.whole);
            self.whole = Bytes::new();
        }
        self.output.extend_from_slice(&chunk);
        Ok(())
    }

    async fn push_compressed(&mut self, mut input: &[u8]) -> Result<(), Refusal> {
        // Once more after the last input where the room is full: the decompressor may hold something back.
        while !input.is_empty() || self.is_full() {
            if self.is_full() {
                self.make_room().await?;
            }
            let step = &input[..input.len().min(STEP_BYTES)];
            let taken = self.inflate_step(step)?;
            input = &input[taken..];
            if !input.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.output.len() == self.output.capacity()
    }

    fn inflate_step(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let inflate = self.inflate.as_mut().expect("only compressed bodies are inflated");
        let before = self.output.len();
        let taken = inflate.step(input, &mut self.output).map_err(malformed)?;
        if taken == 0 && !input.is_empty() && self.output.len() == before {
            return Err(Refusal::Malformed("the compressed data makes no progress".into()));
        }
        if self.output.len() > self.bytes_max {
            return Err(decompresses_too_large(self.bytes_max));
        }
        Ok(taken)
    }

    /// Doubles the room, up to one byte more than is allowed: that byte tells a body of the largest size from a
    /// larger one.
    async fn make_room(&mut self) -> Result<(), Refusal> {
        let wanted = self.output.capacity().saturating_mul(2).max(self.first_room).max(ROOM_BYTES_MIN);
        let room = wanted.min(self.bytes_max.saturating_add(1));
        self.lease.cover(room).await?;
        self.output.reserve_exact(room.saturating_sub(self.output.len()));
        Ok(())
    }

    fn finish(self) -> Result<Held, Refusal> {
        if let Some(inflate) = self.inflate {
            inflate.finish().map_err(malformed)?;
        }
        let bytes = if self.whole.is_empty() { self.output.into() } else { self.whole };
        Ok(Held { bytes, lease: self.lease })
    }
}

fn malformed(error: InflateError) -> Refusal {
    Refusal::Malformed(error.to_string())
}

fn decompresses_too_large(bytes_max: usize) -> Refusal {
    Refusal::TooLarge(format!(
        "the body is larger than {bytes_max} bytes when decompressed; export smaller batches, \
         or raise otlp.decompressed_max"
    ))
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
