//! A journal's shipping, put together: one task that owns the others.

use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use schemas::Database;
use tokio::sync::{mpsc, watch};

use super::commit::Committer;
use super::config::Config;
use super::cursor::{Cursors, Settled};
use super::handle::ShipHandle;
use super::heartbeat::{Heartbeat, Host};
use super::release::Release;
use super::send::{Sender, unshipped_earlier};
use super::status::{SenderReport, ShipStatus};
use crate::append::{Appended, Clock};
use crate::seal::{Sealer, SealerReport, Trouble};

/// How long the last heartbeat may take.
const LAST_WORD_TIMEOUT: Duration = Duration::from_secs(1);

/// Ships a journal.
pub struct Shipper {
    config: Config,
    appended: Appended,
    sealer: Sealer,
    sender: Sender,
    heartbeat: Heartbeat,
    heartbeat_trouble: watch::Sender<Option<Trouble>>,
    release: Release,
}

/// The last account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Where everything stood at the end.
    pub status: ShipStatus,
    /// Whether everything acknowledged is in the database. If not, the rest is in the journal and ships at the next
    /// start.
    pub drained: bool,
}

impl Shipper {
    /// Puts a shipper together; nothing happens before [`Shipper::run`].
    ///
    /// `appended` is the reading end of the journal's [`channel`](crate::append::channel). `settled` says up to where
    /// each collector's evidence is settled: what is settled and old enough leaves the journal.
    pub fn new(
        journal: Arc<Journal>,
        appended: Appended,
        database: Database,
        settled: watch::Receiver<Settled>,
        host: Host,
        clock: Clock,
        config: Config,
    ) -> (Self, ShipHandle) {
        let collector_id = journal.collector_id();
        let shipped_seq = journal.checkpoint().get(collector_id).shipped;
        let earlier_unshipped = unshipped_earlier(&journal);
        let (flush, flush_wanted) = watch::channel(0);
        let (sealer_report, sealer_told) = watch::channel(SealerReport::default());
        let (sender_report, sender_told) =
            watch::channel(SenderReport { shipped_seq, earlier_unshipped, ..SenderReport::default() });
        let (heartbeat_trouble, heartbeat_told) = watch::channel(None);
        let (commits, commits_told) = watch::channel(0);
        // One place, taken before a batch is gathered: a batch is being sent, another gathered, and no third exists.
        let (sealed, batches) = mpsc::channel(1);

        let handle = ShipHandle {
            journal: Arc::downgrade(&journal),
            collector_id: collector_id.to_bytes(),
            flush: Arc::new(flush),
            sealer: sealer_told,
            sender: sender_told,
            heartbeat: heartbeat_told,
            commits: commits_told,
        };
        let heartbeat = Heartbeat {
            database: database.clone(),
            host,
            clock: clock.clone(),
            handle: handle.clone(),
            insert_timeout: config.insert_timeout.min(config.heartbeat_interval),
        };
        let cursors = Cursors::new(Arc::clone(&journal));
        let shipper = Self {
            sealer: Sealer {
                journal: Arc::clone(&journal),
                appended: appended.clone(),
                limits: config.limits,
                interval: config.interval,
                retry: config.retry,
                clock: clock.clone(),
                flush: flush_wanted,
                batches: sealed,
                report: sealer_report,
            },
            sender: Sender {
                journal,
                batches,
                committer: Committer::new(database, config.insert_timeout, clock.clone()),
                cursors: cursors.clone(),
                heartbeat: heartbeat.clone(),
                retry: config.retry,
                clock: clock.clone(),
                report: sender_report,
                commits,
            },
            release: Release { cursors, settled, keep: config.keep, clock },
            heartbeat,
            heartbeat_trouble,
            appended,
            config,
        };
        (shipper, handle)
    }

    /// Ships until every [`Append`](crate::append::Append) is gone and everything is committed, or `drain_timeout`
    /// after they are gone. What is not committed then stays in the journal.
    pub async fn run(self) -> Summary {
        let Self { config, appended, sealer, sender, heartbeat, heartbeat_trouble, release } = self;
        let shipping = async {
            tokio::join!(sealer.run(), sender.run());
        };
        let overdue = async {
            appended.closed().await;
            tokio::time::sleep(config.drain_timeout).await;
        };
        let beating = heartbeat.run(config.heartbeat_interval, config.retry, heartbeat_trouble);
        tokio::select! {
            () = shipping => {}
            () = overdue => {}
            () = beating => {}
            () = release.run() => {}
        }
        // Whoever closes a period need not wait for a collector that has nothing left.
        let _ = tokio::time::timeout(LAST_WORD_TIMEOUT, heartbeat.beat()).await;
        let status = heartbeat.handle.status();
        Summary { drained: status.unshipped == 0, status }
    }
}
