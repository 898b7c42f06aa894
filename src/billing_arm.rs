//! The billing arm, put together: journal ─▶ ship ─▶ settle.
//!
//! It starts at once whatever ClickHouse does: shipping and settling wait for it, appending does not. It ends as its
//! input ends: when every [`Append`] is gone the shipper drains and stops, then the settler is let go.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use billing::retire::Retention;
use billing::settle::{SettleConfig, SettleHandle, SettleStatus, SettleTask, SettledPositions, Settler};
use collector::append::{Append, Clock, WeakAppend, channel};
use collector::decode::Decoder;
use collector::ship::{Host, ShipHandle, Shipper};
use domain::identity::IdHasher;
use domain::resolve::Rules;
use journal::Journal;
use schemas::Database;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::stage::Stage;
use crate::topology::decode_config;

/// How long to wait before ClickHouse is tried again.
const DATABASE_RETRY: Duration = Duration::from_secs(1);

/// The running arm.
pub struct BillingArm {
    /// The journal, for its figures.
    pub journal: Arc<Journal>,
    /// The shipper.
    pub ship: ShipHandle,
    /// What settlement says of itself.
    pub settle_status: watch::Receiver<SettleStatus>,
    settler: watch::Receiver<Option<SettleHandle>>,
    shipping: JoinHandle<collector::ship::Summary>,
    settling: JoinHandle<()>,
    stopping: CancellationToken,
    decoder: Arc<Decoder>,
    append: WeakAppend,
    _threads: [Stage; 2],
}

/// What of the arm commands and pages need; clones are cheap.
#[derive(Clone)]
pub struct BillingHandles {
    /// The shipper.
    pub ship: ShipHandle,
    /// The settler, once ClickHouse has answered.
    pub settler: watch::Receiver<Option<SettleHandle>>,
    /// What settlement says of itself.
    pub settle_status: watch::Receiver<SettleStatus>,
    /// Reads kept spans anew.
    pub decoder: Arc<Decoder>,
    /// The way into the journal, while the server takes anything.
    pub append: WeakAppend,
}

impl std::fmt::Debug for BillingHandles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BillingHandles").finish_non_exhaustive()
    }
}

impl BillingArm {
    /// Starts the arm on an open journal. Evidence goes in by the returned [`Append`].
    ///
    /// # Errors
    /// When the process may have no more threads.
    pub fn start(
        config: &Config,
        journal: Arc<Journal>,
        database: &Database,
        settles: bool,
    ) -> anyhow::Result<(Self, Append)> {
        let (ship_stage, settle_stage) = (Stage::start("ship", 1)?, Stage::start("settle", 1)?);
        let (append, appended) = channel(&journal);
        let (settled, settled_told) = watch::channel(SettledPositions::new());
        let (status, settle_status) = watch::channel(SettleStatus::default());
        let (found, settler) = watch::channel(None);
        let host = Host { name: host_name(), version: env!("CARGO_PKG_VERSION").to_string(), settles };
        let (shipper, ship) = Shipper::new(
            Arc::clone(&journal),
            appended,
            database.reconnected(),
            settled_told,
            host,
            Clock::system(),
            ship_config(config),
        );
        let stopping = CancellationToken::new();
        let opening = open_settler(database.reconnected(), settle_config(config));
        let (committed, stop, interval) = (ship.commits(), stopping.clone(), config.settle.interval);
        let settling = settle_stage.spawn(async move {
            let settler = tokio::select! {
                settler = opening => settler,
                () = stop.cancelled() => return,
            };
            if !settles {
                // Another server settles; what it settled may leave our journal too.
                tokio::select! {
                    () = follow_cursors(settler.database().clone(), settled, interval) => {}
                    () = stop.cancelled() => {}
                }
                return;
            }
            let (task, handle) = SettleTask::new(settler, committed, status, settled, interval);
            found.send_replace(Some(handle));
            // Taking the handle back lets the task end; those who only watch keep nothing alive.
            let lent = async move {
                stop.cancelled().await;
                found.send_replace(None);
            };
            tokio::join!(task.run(), lent);
        });
        let shipping = ship_stage.spawn(shipper.run());
        let arm = Self {
            journal,
            ship,
            settle_status,
            settler,
            shipping,
            settling,
            stopping,
            decoder: Arc::new(Decoder::new(&decode_config(config))),
            append: append.downgrade(),
            _threads: [ship_stage, settle_stage],
        };
        Ok((arm, append))
    }

    /// Handles for commands and pages.
    pub fn handles(&self) -> BillingHandles {
        BillingHandles {
            ship: self.ship.clone(),
            settler: self.settler.clone(),
            settle_status: self.settle_status.clone(),
            decoder: Arc::clone(&self.decoder),
            append: self.append.clone(),
        }
    }

    /// Waits until the shipper has drained, which it does once every [`Append`] is gone, then lets the settler go.
    pub async fn finish(self) -> anyhow::Result<collector::ship::Summary> {
        let Self { shipping, settling, stopping, settler, journal, _threads, .. } = self;
        let summary = shipping.await.context("shipping ended badly")?;
        stopping.cancel();
        drop(settler);
        settling.await.context("settling ended badly")?;
        journal.close();
        Ok(summary)
    }
}

/// Reads how far another settler is, for as long as nobody stops it.
async fn follow_cursors(database: Database, settled: watch::Sender<SettledPositions>, interval: Duration) {
    loop {
        match database.cursors().await {
            Ok(rows) => {
                settled.send_replace(rows.into_iter().map(|row| (row.collector_id, row.seq)).collect());
            }
            Err(error) => {
                tracing::debug!(error = %format!("{:#}", anyhow::Error::from(error)), "settle cursors are not readable now")
            }
        }
        tokio::time::sleep(interval).await;
    }
}

/// Migrates and opens the settler, as often as it takes.
async fn open_settler(database: Database, config: SettleConfig) -> Settler {
    let mut said = String::new();
    loop {
        let opened = async {
            database.migrate().await?;
            let id = uuid::Uuid::new_v4().into_bytes();
            Settler::open(database.clone(), config.clone(), id, now_nanos).await
        };
        match opened.await {
            Ok(settler) => return settler,
            Err(error) => {
                let text = format!("{:#}", anyhow::Error::from(error));
                if said != text {
                    tracing::warn!(error = %text, "ClickHouse does not answer as it should; settling waits for it, acknowledging does not");
                    said = text;
                }
            }
        }
        tokio::time::sleep(DATABASE_RETRY).await;
    }
}

fn ship_config(config: &Config) -> collector::ship::Config {
    let defaults = collector::ship::Config::default();
    collector::ship::Config {
        limits: collector::seal::Limits { rows_max: config.ship.rows_max.get().into(), ..defaults.limits },
        interval: config.ship.interval,
        keep: config.journal.keep,
        drain_timeout: config.shutdown_timeout.mul_f32(0.6),
        ..defaults
    }
}

/// The limits on the age of usage.
pub fn rules(config: &Config) -> Rules {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    Rules {
        late_limit_nanos: nanos(config.billing.late_limit),
        future_limit_nanos: nanos(config.billing.future_limit),
    }
}

fn settle_config(config: &Config) -> SettleConfig {
    SettleConfig {
        quiet: config.settle.quiet,
        dedupe_window: config.settle.dedupe_window,
        rules: rules(config),
        currency: config.billing.currency.code().to_string(),
        grace: config.billing.grace,
        config_hash: billing_hash(config),
        estimate_waiting: !config.budget.is_empty(),
        retention: Retention {
            observations: config.retention.observations.get(),
            ledger: config.retention.ledger.get(),
        },
        roll_up_every: config.settle.roll_up_every,
        ..SettleConfig::default()
    }
}

/// A hash of every setting that an amount or its month can depend on, for the manifests of closed months.
fn billing_hash(config: &Config) -> String {
    let (settle, billing, names) = (&config.settle, &config.billing, &config.attributes);
    let mut hasher = IdHasher::new("billing configuration");
    for time in [settle.dedupe_window, billing.late_limit, billing.future_limit, billing.grace] {
        hasher.part(&time.as_nanos().to_le_bytes());
    }
    hasher.part(billing.currency.code().as_bytes());
    for names in [&names.tenant, &names.feature, &names.user, &names.session] {
        hasher.part(&(names.len() as u64).to_le_bytes());
        for name in names {
            hasher.part(name.as_bytes());
        }
    }
    hasher.finish().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Nanoseconds since the epoch, by the system's clock.
pub fn now_nanos() -> i64 {
    Clock::system().received_at().nanos()
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
