//! The way into the journal for evidence: records in, proof of durability out, and word of it to who ships them.
//!
//! The journal is the channel of the billing arm. [`channel`] makes its two ends: [`Append`], which the fork writes
//! with, and [`Appended`], by which shipping hears that there is more, and that there will be no more once every
//! `Append` is gone.
//!
//! Promises: `Ok` means that every record given is on disk; whatever else happens (refused, the disk failed, the writer
//! ended without a word) is an error. It fails closed.
//! Leaves to others: what the records say (`schemas::record`), and what a client is told (`fork`).

mod blocking;
mod clock;

use std::sync::{Arc, Weak};

use journal::{AppendError, Appender, Durable, Journal, Kind, Records};
use tokio::sync::{oneshot, watch};

pub(crate) use blocking::blocking;
pub use clock::Clock;

/// A record that holds evidence, as `schemas::record` encodes it. The number is on disk: it is never given away.
pub const EVIDENCE: Kind = Kind::new(1);

/// A record that holds the bounds of a batch, as [`crate::seal::Seal`] encodes them. The number is on disk as well.
pub const SEAL: Kind = Kind::new(2);

/// How many bytes of records go into one frame of the journal; a single larger record has a frame of its own. Far
/// below the journal's default bound of a frame (32 MiB), and above what nearly every request holds.
const FRAME_BYTES: usize = 1 << 20;

/// The two ends of the billing arm's channel through a journal.
pub fn channel(journal: &Journal) -> (Append, Appended) {
    let (durable, heard) = watch::channel(journal.stat().durable_seq);
    let durable = Arc::new(durable);
    let told: Weak<_> = Arc::downgrade(&durable);
    journal.on_durable(move |seq| {
        // Nobody left to write means nobody waits to hear of it here.
        if let Some(durable) = told.upgrade() {
            durable.send_replace(seq);
        }
    });
    (Append { appender: journal.appender(), _open: durable }, Appended { durable: heard })
}

/// The writing end. The channel is open while any clone lives.
#[derive(Clone)]
pub struct Append {
    appender: Appender,
    _open: Arc<watch::Sender<u64>>,
}

impl Append {
    /// The same end for who must not keep the channel open.
    pub fn downgrade(&self) -> WeakAppend {
        WeakAppend { appender: self.appender.clone(), open: Arc::downgrade(&self._open) }
    }

    /// Makes one request's records durable, and returns when all of them are.
    ///
    /// Records that fit one frame become durable together. More are spread over several frames, and a refusal of one
    /// of them refuses all: those already on disk stay there, the client sends the same spans again, and settlement
    /// counts each span once.
    ///
    /// # Errors
    /// The first thing that went wrong. The records may be sent again.
    pub async fn durable(&self, frames: Frames) -> Result<(), AppendError> {
        let mut waiting = Vec::with_capacity(frames.full.len() + 1);
        for records in frames.into_records() {
            waiting.push(submit(&self.appender, records)?);
        }
        for durable in waiting {
            durable.await?;
        }
        Ok(())
    }
}

/// A way back to the writing end that does not keep the channel open.
#[derive(Clone)]
pub struct WeakAppend {
    appender: Appender,
    open: Weak<watch::Sender<u64>>,
}

impl WeakAppend {
    /// The writing end, while anybody else has it.
    pub fn upgrade(&self) -> Option<Append> {
        Some(Append { appender: self.appender.clone(), _open: self.open.upgrade()? })
    }
}

/// Queues records, and gives the future of their proof.
pub(crate) fn submit(
    appender: &Appender,
    records: Records,
) -> Result<impl Future<Output = Result<Durable, AppendError>> + use<>, AppendError> {
    let (outcome, told) = oneshot::channel();
    appender.submit(records, move |result| {
        // Whoever asked may be gone; the records are durable nevertheless.
        let _ = outcome.send(result);
    })?;
    Ok(async move { told.await.unwrap_or(Err(AppendError::Closed)) })
}

/// The reading end: how far the journal is durable, and whether more can come.
#[derive(Clone)]
pub struct Appended {
    durable: watch::Receiver<u64>,
}

impl Appended {
    /// Waits until more may be durable than when this was last asked; `false` once the channel is closed.
    pub async fn more(&mut self) -> bool {
        self.durable.changed().await.is_ok()
    }

    /// Waits until every [`Append`] is gone.
    pub async fn closed(mut self) {
        while self.more().await {}
    }
}

/// One request's evidence on its way to the journal, in frames.
#[derive(Debug, Default)]
pub struct Frames {
    full: Vec<Records>,
    last: Records,
}

impl Frames {
    /// No evidence yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// No evidence yet, with room for this many bytes of it.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { full: Vec::new(), last: Records::with_capacity(bytes.min(FRAME_BYTES)) }
    }

    /// Adds encoded evidence behind the rest.
    pub fn push_evidence(&mut self, record: &[u8]) {
        if !self.last.is_empty() && self.last.payload_bytes() + record.len() > FRAME_BYTES {
            self.full.push(std::mem::take(&mut self.last));
        }
        self.last.push(EVIDENCE, record);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.full.iter().map(Records::len).sum::<usize>() + self.last.len()
    }

    fn into_records(self) -> impl Iterator<Item = Records> {
        self.full.into_iter().chain((!self.last.is_empty()).then_some(self.last))
    }
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
