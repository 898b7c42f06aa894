//! Budgets in a running server: the ledger is followed, who asks is answered from memory, and alerts go out.
//!
//! ```text
//! ledger ─▶ watch (billing::budget) ─┬─▶ Known ─▶ answer   GET /v1/budget…
//!                                    └─▶ outbox (a file) ─▶ webhook, signed
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `watch.rs` | the task: follows, raises, delivers, one after the other |
//! | `change.rs` | which budgets the configuration's file has now |
//! | `outbox.rs` | which alerts were raised and delivered, in a file of the data directory |
//! | `webhook.rs` | one attempt to deliver an alert, signed |
//! | `answer.rs` | the addresses that a gateway asks |
//!
//! Promises: no request reads the ledger; an answer says of when it is; an alert is on disk before it is sent, and sent
//! until it was taken or is of no use any more. Only the server that settles alerts. The laws are in `domain::budget`.

mod watch;
mod change;
mod outbox;
mod webhook;
mod answer;

use anyhow::Context as _;
use billing::budget::Follower;
use billing::settle::SettleStatus;
use collector::keys::KeyStore;
use schemas::Database;
use tokio::sync::watch as channel;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use answer::BudgetDesk;
pub use watch::Known;
pub use webhook::SigningKey;

use crate::config::{Config, Loaded};
use crate::data_dir::DataDir;
use crate::stage::Stage;
use change::Change;
use watch::Watch;
use webhook::Webhook;

/// The running watch; none where no budget is configured.
pub struct Budgets {
    known: channel::Receiver<Known>,
    watching: Option<(JoinHandle<()>, Stage)>,
    stop: CancellationToken,
}

impl Budgets {
    /// Starts watching the budgets of the configuration.
    ///
    /// # Errors
    /// When the file of alerts, or the system's certificates, cannot be read.
    pub fn start(
        config: &Config,
        loaded: Option<Loaded>,
        database: &Database,
        settle_status: channel::Receiver<SettleStatus>,
    ) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        if config.budget.is_empty() {
            let (_, known) = channel::channel(Known::default());
            return Ok(Self { known, watching: None, stop });
        }
        let currency = config.billing.currency.code();
        let follower = Follower::new(config.budget.clone(), currency);
        let webhook = webhook(config)?;
        let data_dir = DataDir::new(&config.data_dir);
        let tells = config.settle.enabled;
        let (watch, known) = Watch::new(
            (follower, currency),
            Change::of(loaded),
            database.reconnected(),
            settle_status,
            tells,
            data_dir.path(),
            webhook,
        )?;
        let threads = Stage::in_background("budgets", 1)?;
        let watching = threads.spawn(watch.run(stop.clone()));
        Ok(Self { known, watching: Some((watching, threads)), stop })
    }

    /// What is known.
    pub fn known(&self) -> channel::Receiver<Known> {
        self.known.clone()
    }

    /// What answers need.
    pub fn desk(&self, config: &Config, keys: KeyStore) -> BudgetDesk {
        BudgetDesk {
            known: self.known(),
            currency: config.billing.currency.code().to_string(),
            keys,
            needs_key: true,
        }
    }

    /// Stops watching.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.stop.cancel();
        let Some((watching, _threads)) = self.watching else { return Ok(()) };
        watching.await.context("watching budgets ended badly")
    }
}

fn webhook(config: &Config) -> anyhow::Result<Option<Webhook>> {
    let Some(url) = &config.alerts.webhook else { return Ok(None) };
    let key = SigningKey::read(config.alerts.secret.reveal())
        .context("alerts.secret is too short to sign alerts with")?;
    Webhook::new(url.as_str(), key).context("alerts cannot be sent to alerts.webhook").map(Some)
}
