//! OTLP sent on to other backends: Jaeger, Tempo, a collector, several at once.
//!
//! ```text
//! kept spans ───────┐                      ┌─▶ queue ─▶ worker ─▶ backend (gRPC or HTTP)
//! metrics and logs ─┴─▶ Forwards::offer ───┴─▶ queue ─▶ worker ─▶ backend
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `target.rs` | a backend: where, how, with which headers, and how much may wait for it |
//! | `queue.rs` | the bounded queue of one backend; what does not fit is dropped and counted |
//! | `worker.rs` | sends one request after the other, and again where the backend says so |
//! | `send.rs` | one attempt: OTLP over gRPC or HTTP |
//!
//! Promises: `offer` returns at once, whatever a backend does; each backend has a queue of its own, bounded in bytes, so
//! that one that stalls costs the others nothing. Nothing is kept over a restart, nothing is billed from here.

mod target;
mod queue;
mod send;
mod worker;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

pub use queue::Counts;
pub use target::{Compression, Target, TargetFault, Wire};

use crate::receive::Signal;
use queue::Queue;
use worker::Worker;

/// How long workers go on sending after the last handle is gone.
const DRAIN: Duration = Duration::from_secs(3);

/// Every backend's queue. Clones share them; the workers end when the last one is dropped and what waits is sent, or a
/// few seconds after that.
#[derive(Debug, Clone, Default)]
pub struct Forwards {
    queues: Arc<Vec<Queue>>,
}

/// The workers of all backends.
#[derive(Debug, Default)]
pub struct Workers {
    running: JoinSet<()>,
}

impl Forwards {
    /// Starts a worker a backend on the current runtime.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn start(targets: Vec<Target>) -> Result<(Self, Workers), std::io::Error> {
        let mut running = JoinSet::new();
        let mut queues = Vec::with_capacity(targets.len());
        for target in targets {
            let (queue, waiting, closed) = queue::bounded(&target);
            running.spawn(Worker::new(target, queue.counters())?.run(waiting, closed, DRAIN));
            queues.push(queue);
        }
        Ok((Self { queues: Arc::new(queues) }, Workers { running }))
    }

    /// Whether some backend wants a signal.
    pub fn wants(&self, signal: Signal) -> bool {
        self.queues.iter().any(|queue| queue.wants(signal))
    }

    /// Offers an export request in protobuf to every backend that wants its signal. Returns at once.
    pub fn offer(&self, signal: Signal, request: &Bytes) {
        self.queues.iter().filter(|queue| queue.wants(signal)).for_each(|queue| queue.offer(signal, request));
    }

    /// What became of requests, by the name of the backend.
    pub fn counts(&self) -> Vec<(String, Counts)> {
        self.queues.iter().map(|queue| (queue.name().to_string(), queue.counts())).collect()
    }
}

impl Workers {
    /// Waits until all have ended.
    pub async fn finish(mut self) {
        while let Some(ended) = self.running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a forward ended badly; billing is not affected");
            }
        }
    }
}
