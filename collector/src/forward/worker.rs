//! The task of one backend: one request after the other, each until it is taken, refused for good, or too old.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::queue::{Counters, Waiting};
use super::send::{Failure, Sender};
use super::target::Target;

/// The pause after a first failed attempt; it doubles after each further one, up to the longest.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct Worker {
    name: String,
    sender: Sender,
    patience: Duration,
    counters: Arc<Counters>,
}

impl Worker {
    pub(super) fn new(target: Target, counters: Arc<Counters>) -> Result<Self, std::io::Error> {
        let (name, patience) = (target.name.clone(), target.patience);
        Ok(Self { name, sender: Sender::new(target)?, patience, counters })
    }

    /// Sends what waits, until no handle is left and nothing waits, or `drain` after the last handle went. What is not
    /// sent by then counts itself as abandoned.
    pub(super) async fn run(
        self,
        mut waiting: mpsc::Receiver<Waiting>,
        closed: CancellationToken,
        drain: Duration,
    ) {
        let work = async {
            while let Some(request) = waiting.recv().await {
                self.send(request).await;
            }
        };
        let overdue = async {
            closed.cancelled().await;
            sleep(drain).await;
        };
        tokio::select! {
            () = work => {}
            () = overdue => {}
        }
    }

    async fn send(&self, request: Waiting) {
        let begun = Instant::now();
        let mut pause = PAUSE;
        loop {
            let (reason, after) = match self.sender.send(request.signal, &request.request).await {
                Ok(()) => return request.settle(&self.counters.sent),
                Err(Failure::Refused(reason)) => {
                    tracing::warn!(
                        forward = self.name,
                        reason,
                        "a backend refused a request for good; it is dropped"
                    );
                    return request.settle(&self.counters.dropped_refused);
                }
                Err(Failure::Later { reason, after }) => (reason, after),
            };
            let rest = after.unwrap_or(pause).min(PAUSE_MAX);
            if begun.elapsed() + rest > self.patience {
                tracing::warn!(
                    forward = self.name,
                    reason,
                    "a backend did not take a request in time; it is dropped"
                );
                return request.settle(&self.counters.dropped_expired);
            }
            sleep(rest).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
