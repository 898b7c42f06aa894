//! The pieces of a request body as they arrive, under limits of time and size.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::config::TimeLimits;
use super::refusal::Refusal;
use super::stats::ReceiveStats;

/// A body being read.
pub(super) struct Chunks<'a, B> {
    body: &'a mut B,
    stats: &'a ReceiveStats,
    deadline: Instant,
    times: &'a TimeLimits,
    received: usize,
    bytes_max: usize,
}

impl<'a, B> Chunks<'a, B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    /// Reads `body` up to `bytes_max` bytes.
    pub(super) fn of(
        body: &'a mut B,
        bytes_max: usize,
        times: &'a TimeLimits,
        stats: &'a ReceiveStats,
    ) -> Self {
        Self { body, stats, deadline: Instant::now() + times.body, times, received: 0, bytes_max }
    }

    /// The length the client announced, if it did.
    pub(super) fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let until = self.deadline.min(Instant::now() + self.times.body_pause);
            let frame = match timeout_at(until, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => {
                    return Err(Refusal::Incomplete(format!("the body ended early: {error}; send it again")));
                }
                Err(_) => return Err(self.slow(until)),
            };
            // Trailers of a request mean nothing to OTLP.
            let Ok(chunk) = frame.into_data() else { continue };
            self.received += chunk.len();
            self.stats.add_body_bytes(chunk.len());
            if self.received > self.bytes_max {
                return Err(too_large(self.bytes_max));
            }
            return Ok(Some(chunk));
        }
    }

    /// Reads the rest and keeps nothing of it.
    pub(super) async fn discard(&mut self) -> Result<(), Refusal> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    fn slow(&self, until: Instant) -> Refusal {
        let reason = if until == self.deadline {
            format!("the body was not complete after {}", seconds(self.times.body))
        } else {
            format!("nothing of the body came for {}", seconds(self.times.body_pause))
        };
        Refusal::Slow { reason, retry_after: self.times.retry_after }
    }
}

/// The refusal of a body that is, or says it is, larger than `bytes_max`.
pub(super) fn too_large(bytes_max: usize) -> Refusal {
    Refusal::TooLarge(format!(
        "the body is larger than {bytes_max} bytes; export smaller batches, or raise otlp.body_max"
    ))
}

fn seconds(duration: Duration) -> String {
    format!("{}.{:03} s", duration.as_secs(), duration.subsec_millis())
}
