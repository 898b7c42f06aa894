//! Tells the database who is alive, and how much is not in it yet.
//!
//! A period is closed only while no collector has unshipped records, so each id of the journal must have its say:
//! earlier ids at the start and when their last batch is committed, the current one for as long as it runs.

use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use schemas::rows::CollectorRow;
use schemas::{Database, DatabaseError};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::handle::ShipHandle;
use super::status::ShipStatus;
use crate::append::Clock;
use crate::seal::{Attempts, RetryPolicy, Trouble};

/// Where a collector runs, for those who look at the table of collectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The machine's name.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// Whether this process settles the ledger as well.
    pub settles: bool,
}

/// Writes heartbeats.
#[derive(Clone)]
pub(super) struct Heartbeat {
    pub database: Database,
    pub host: Host,
    pub clock: Clock,
    pub handle: ShipHandle,
    /// Heartbeats are small: one that takes this long has failed.
    pub insert_timeout: Duration,
}

/// Why a heartbeat was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeartbeatError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("clickhouse at {url} did not take a heartbeat within {after:?}")]
    Timeout { url: String, after: Duration },
}

impl Heartbeat {
    /// Says how far every id of the journal is.
    pub async fn announce(&self, journal: &Arc<Journal>) -> Result<(), HeartbeatError> {
        let checkpoint = journal.checkpoint();
        for range in journal.collectors() {
            if range.collector_id != journal.collector_id() {
                let shipped_seq = checkpoint.get(range.collector_id).shipped;
                self.say(range.collector_id.to_bytes(), range.last_seq, shipped_seq).await?;
            }
        }
        self.beat().await
    }

    /// Says that an earlier id has nothing left to ship.
    pub async fn complete(&self, collector_id: [u8; 16], last_seq: u64) -> Result<(), HeartbeatError> {
        self.say(collector_id, last_seq, last_seq).await
    }

    /// Says that the current id lives.
    pub async fn beat(&self) -> Result<(), HeartbeatError> {
        let ShipStatus { collector_id, appended_seq, shipped_seq, unshipped, .. } = self.handle.status();
        // Our own records at the end of the journal are nothing to wait for.
        let appended_seq = if unshipped == 0 { shipped_seq } else { appended_seq };
        self.say(collector_id, appended_seq, shipped_seq).await
    }

    async fn say(
        &self,
        collector_id: [u8; 16],
        appended_seq: u64,
        shipped_seq: u64,
    ) -> Result<(), HeartbeatError> {
        let row = CollectorRow {
            collector_id,
            host: self.host.name.clone(),
            version: self.host.version.clone(),
            appended_seq,
            shipped_seq,
            settles: self.host.settles,
            heartbeat_at: self.clock.unix_micros(),
        };
        let after = self.insert_timeout;
        let said = timeout(after, self.database.insert_heartbeat(&row)).await;
        let url = || self.database.target().url.clone();
        Ok(said.map_err(|_| HeartbeatError::Timeout { url: url(), after })??)
    }

    /// Beats until it is dropped.
    pub async fn run(&self, interval: Duration, retry: RetryPolicy, trouble: watch::Sender<Option<Trouble>>) {
        let mut attempts = Attempts::new("writing a heartbeat", retry, self.clock.clone());
        // The first word is the announcement.
        let mut turn = tokio::time::interval_at(Instant::now() + interval, interval);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            match self.beat().await {
                Ok(()) => attempts.succeeded(),
                // The next turn is the next attempt.
                Err(error) => drop(attempts.failed(&error)),
            }
            trouble.send_replace(attempts.trouble().cloned());
        }
    }
}
