//! The task that commits sealed batches, one after the other, for as long as each takes.

use std::sync::Arc;

use journal::{CollectorId, Journal};
use tokio::sync::{mpsc, watch};

use super::commit::{CommittedBatch, Committer};
use super::cursor::Cursors;
use super::heartbeat::Heartbeat;
use super::status::SenderReport;
use crate::append::{Clock, blocking};
use crate::seal::{Attempts, RetryPolicy, SealedBatch};

/// The task. It ends when no more batches come.
pub(super) struct Sender {
    pub journal: Arc<Journal>,
    pub batches: mpsc::Receiver<SealedBatch>,
    pub committer: Committer,
    pub cursors: Cursors,
    pub heartbeat: Heartbeat,
    pub retry: RetryPolicy,
    pub clock: Clock,
    pub report: watch::Sender<SenderReport>,
    pub commits: watch::Sender<u64>,
}

impl Sender {
    pub async fn run(mut self) {
        // Before the first batch: whoever reads the log finds the collector that wrote it.
        self.until_it_works("announcing this collector", || self.heartbeat.announce(&self.journal)).await;
        while let Some(batch) = self.batches.recv().await {
            self.ship(batch).await;
        }
    }

    async fn ship(&self, batch: SealedBatch) {
        let committed =
            self.until_it_works("inserting a batch into clickhouse", || self.committer.commit(&batch)).await;
        let completes = batch.completes_collector();
        // A batch is tens of megabytes, and what follows may wait for a disk.
        drop(batch);
        self.commits.send_modify(|commits| *commits += 1);
        let store = || {
            let cursors = self.cursors.clone();
            blocking(move || cursors.shipped(&committed))
        };
        self.until_it_works("storing the journal's shipped cursor", store).await;
        self.tell(&committed);
        if completes {
            let (id, last_seq) = (committed.collector_id(), committed.last_seq());
            self.until_it_works("writing a heartbeat", || self.heartbeat.complete(id, last_seq)).await;
        }
    }

    fn tell(&self, committed: &CommittedBatch) {
        let current = CollectorId::from_bytes(committed.collector_id()) == self.journal.collector_id();
        let now = self.clock.now();
        let earlier_unshipped = unshipped_earlier(&self.journal);
        self.report.send_modify(|report| {
            report.committed_batches += 1;
            report.committed_rows += committed.rows();
            report.quarantined_rows += committed.refused();
            report.last_success = Some(now);
            report.earlier_unshipped = earlier_unshipped;
            if current {
                report.shipped_seq = report.shipped_seq.max(committed.last_seq());
            }
        });
        tracing::debug!(through = committed.last_seq(), rows = committed.rows(), "batch committed");
    }

    async fn until_it_works<T, E, F>(&self, what: &'static str, mut attempt: impl FnMut() -> F) -> T
    where
        E: std::error::Error,
        F: Future<Output = Result<T, E>>,
    {
        let mut attempts = Attempts::new(what, self.retry, self.clock.clone());
        loop {
            let wait = match attempt().await {
                Ok(done) => {
                    attempts.succeeded();
                    self.report.send_if_modified(|report| report.trouble.take().is_some());
                    return done;
                }
                Err(error) => attempts.failed(&error),
            };
            self.report.send_modify(|report| report.trouble = attempts.trouble().cloned());
            tokio::time::sleep(wait).await;
        }
    }
}

/// How many positions of ids before the current one are not shipped.
pub(super) fn unshipped_earlier(journal: &Journal) -> u64 {
    let (checkpoint, current) = (journal.checkpoint(), journal.collector_id());
    let earlier = journal.collectors().into_iter().filter(|range| range.collector_id != current);
    earlier.map(|range| range.last_seq.saturating_sub(checkpoint.get(range.collector_id).shipped)).sum()
}
