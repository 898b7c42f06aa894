//! The task that watches budgets: it follows the ledger, raises what is to be told, and delivers it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use billing::budget::{Follower, News, View};
use billing::settle::SettleStatus;
use chrono::{DateTime, SecondsFormat, Utc};
use domain::budget::{Budget, Decision, Threshold};
use schemas::Database;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::change::Change;
use super::outbox::{Alert, Outbox};
use super::webhook::Webhook;

/// The least pause between two looks at the ledger.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause, in times of what the last look took: a tenth of one thread of the database at most.
const PAUSE_TIMES: u32 = 9;
/// How long a look may take: a database that hangs must not hold up what is to be delivered.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// Attempts to deliver that are under way at once.
const ATTEMPTS_AT_ONCE: usize = 4;

/// What is known of budgets; replaced as a whole.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The budgets in force.
    pub budgets: Arc<Vec<Budget>>,
    /// What the ledger said when it last answered.
    pub view: Option<Arc<View>>,
    /// Why it did not answer since, if it did not.
    pub trouble: Option<String>,
    /// Figures, for metrics.
    pub stats: BudgetStats,
}

/// What was done, since the start.
#[derive(Debug, Clone, Default)]
pub struct BudgetStats {
    /// Alerts raised, by kind.
    pub raised: BTreeMap<&'static str, u64>,
    /// Alerts that wait to be delivered.
    pub waiting: u64,
    /// Alerts delivered.
    pub delivered: u64,
    /// Attempts that failed.
    pub attempts_failed: u64,
    /// Alerts that nobody took until they were of no use any more.
    pub expired: u64,
    /// By budget.
    pub over: Vec<AccountsOver>,
}

/// How many accounts of a budget are where.
#[derive(Debug, Clone)]
pub struct AccountsOver {
    /// The budget.
    pub budget: String,
    /// Accounts at or over the limit, by what the ledger says.
    pub over: u64,
    /// How much of the limit the account has used that used most, in percent.
    pub used_percent_max: u64,
}

/// The task.
pub struct Watch {
    follower: Follower,
    change: Change,
    /// Follows budgets that come into force once the ledger was read for them.
    coming: Option<Follower>,
    database: Database,
    settle_status: watch::Receiver<SettleStatus>,
    /// Whether this server settles: one server of a ledger does, and it alone tells.
    tells: bool,
    currency: String,
    outbox: Outbox,
    webhook: Option<Webhook>,
    known: watch::Sender<Known>,
}

impl Watch {
    /// A task that watches what `follower` follows.
    ///
    /// # Errors
    /// When the file of alerts cannot be read.
    pub fn new(
        (follower, currency): (Follower, &str),
        change: Change,
        database: Database,
        settle_status: watch::Receiver<SettleStatus>,
        tells: bool,
        data_dir: &Path,
        webhook: Option<Webhook>,
    ) -> anyhow::Result<(Self, watch::Receiver<Known>)> {
        let outbox = Outbox::open(data_dir).with_context(|| {
            format!(
                "cannot read the alerts of budgets in {}; mend or move away budget-alerts.json",
                data_dir.display()
            )
        })?;
        let budgets = Arc::clone(follower.budgets());
        let (known, receiver) = watch::channel(Known { budgets, ..Known::default() });
        let (currency, coming) = (currency.to_string(), None);
        let watch = Self {
            follower,
            change,
            coming,
            database,
            settle_status,
            tells,
            currency,
            outbox,
            webhook,
            known,
        };
        Ok((watch, receiver))
    }

    /// Watches until stopped. What was not delivered then is when it starts again.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut look_at = Instant::now();
        let mut attempts: JoinSet<(String, Result<(), String>)> = JoinSet::new();
        loop {
            while attempts.len() < ATTEMPTS_AT_ONCE
                && let Some(attempt) = self.attempt()
            {
                attempts.spawn(attempt);
            }
            let due = self.outbox.next_due().filter(|_| attempts.len() < ATTEMPTS_AT_ONCE);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = attempts.join_next(), if !attempts.is_empty() => {
                    if let Ok((id, result)) = ended {
                        self.attempted(&id, result).await;
                    }
                }
                () = sleep_until(due.unwrap_or(look_at)), if due.is_some() => {}
                () = sleep_until(look_at) => {
                    let begun = Instant::now();
                    tokio::select! {
                        () = self.look() => {}
                        () = stop.cancelled() => break,
                    }
                    look_at = Instant::now() + PAUSE.max(begun.elapsed() * PAUSE_TIMES);
                }
            }
        }
        self.save();
    }

    /// The next attempt that is due, under way.
    fn attempt(&mut self) -> Option<impl Future<Output = (String, Result<(), String>)> + Send + 'static> {
        let webhook = self.webhook.clone()?;
        let alert = self.outbox.take_due(Instant::now())?;
        Some(async move {
            let result = webhook.deliver(&alert.id, Utc::now().timestamp(), alert.body.to_string()).await;
            (alert.id, result)
        })
    }

    async fn attempted(&mut self, id: &str, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.outbox.delivered(id, Utc::now());
                self.known.send_modify(|known| known.stats.delivered += 1);
            }
            Err(error) => {
                let pause = self.outbox.failed(id, Instant::now());
                tracing::warn!(alert = id, %error, ?pause, "an alert of a budget was not taken; it is sent again");
                self.known.send_modify(|known| known.stats.attempts_failed += 1);
            }
        }
        self.count_waiting();
    }

    /// Follows the ledger once.
    async fn look(&mut self) {
        let now = Utc::now();
        if let Some(budgets) = tokio::task::block_in_place(|| self.change.look()) {
            tracing::info!(
                budgets = budgets.len(),
                "budgets have changed; they are in force once the ledger was read for them"
            );
            self.coming = Some(Follower::new(budgets, &self.currency));
        }
        let unposted = self.settle_status.borrow().unposted.clone();
        let follower = self.coming.as_mut().unwrap_or(&mut self.follower);
        let followed = match timeout(LOOK_MAX, follower.follow(&self.database, now, unposted)).await {
            Ok(Ok(view)) => Ok(view),
            Ok(Err(error)) => Err(format!("{:#}", anyhow::Error::from(error))),
            Err(_) => Err(format!("the ledger did not answer within {LOOK_MAX:?}")),
        };
        match followed {
            Ok(view) => {
                if let Some(follower) = self.coming.take() {
                    self.follower = follower;
                }
                let over = self.tell(&view, now);
                let budgets = Arc::clone(self.follower.budgets());
                self.known.send_modify(|known| {
                    known.budgets = budgets;
                    known.view = Some(Arc::new(view));
                    known.trouble = None;
                    known.stats.over = over;
                });
            }
            Err(trouble) => {
                let said = self.known.borrow().trouble.clone();
                if said.as_ref() != Some(&trouble) {
                    tracing::warn!(error = %trouble, "budgets are not followed now; answers say how old they are");
                }
                self.known.send_modify(|known| known.trouble = Some(trouble));
            }
        }
        self.count_waiting();
    }

    /// Raises what was not raised yet, and says how full each budget is.
    fn tell(&mut self, view: &View, now: DateTime<Utc>) -> Vec<AccountsOver> {
        let over = over(self.follower.budgets(), view, now);
        if !self.tells {
            return over;
        }
        let mut raised: BTreeMap<&'static str, u64> = BTreeMap::new();
        let (outbox, currency, has_webhook) = (&mut self.outbox, &self.currency, self.webhook.is_some());
        view.each_news(now, |news| {
            let id = news.threshold.id(news.budget, news.account, news.standing.window);
            if outbox.knows(&id) || outbox.is_full() {
                return;
            }
            tracing::warn!(
                budget = news.budget.name, tenant = news.account.tenant, feature = news.account.feature,
                user = news.account.user, spent = %news.standing.spent, limit = %news.budget.limit, alert = id,
                "budget: {}", news.threshold
            );
            *raised.entry(news.threshold.kind()).or_default() += 1;
            let body = body(&id, &news, currency, view.as_of(), now);
            // Without a webhook it is told by the log.
            let delivered_at = (!has_webhook).then_some(now);
            outbox.raise(Alert { id, window_to: news.standing.window.to(), body, raised_at: now, delivered_at });
        });
        let expired = self.outbox.forget_old(now);
        for alert in &expired {
            tracing::error!(alert = alert.id, body = %alert.body, "nobody took an alert of a budget; it is given up");
        }
        // What was raised is on disk before it is sent, which this task does after this. What was delivered since the last
        // look is written down with it: a file a look, not a file an alert.
        self.save();
        self.known.send_modify(|known| {
            raised
                .into_iter()
                .for_each(|(kind, count)| *known.stats.raised.entry(kind).or_default() += count);
            known.stats.expired += expired.len() as u64;
        });
        over
    }

    /// An alert that cannot be kept is sent all the same: at worst it is sent again after a restart.
    fn save(&mut self) {
        let saved: io::Result<()> = tokio::task::block_in_place(|| self.outbox.save());
        if let Err(error) = saved {
            tracing::error!(%error, path = %self.outbox.path().display(), "alerts of budgets cannot be kept");
        }
    }

    fn count_waiting(&self) {
        let waiting = self.outbox.waiting() as u64;
        self.known.send_if_modified(|known| {
            let changed = known.stats.waiting != waiting;
            known.stats.waiting = waiting;
            changed
        });
    }
}

fn over(budgets: &[Budget], view: &View, now: DateTime<Utc>) -> Vec<AccountsOver> {
    let none = |budget: &Budget| AccountsOver { budget: budget.name.clone(), over: 0, used_percent_max: 0 };
    let mut found: Vec<AccountsOver> = budgets.iter().map(none).collect();
    view.each_running(now, |at, budget, standing| {
        let Some(found) = found.get_mut(at) else { return };
        found.over += u64::from(budget.decide(standing.spent) == Decision::Deny);
        let percent = standing.spent.picos().max(0).saturating_mul(100) / budget.limit.picos();
        found.used_percent_max = found.used_percent_max.max(u64::try_from(percent).unwrap_or(u64::MAX));
    });
    found
}

/// What a receiver gets. Money is text, times are RFC 3339 in UTC.
fn body(id: &str, news: &News<'_>, currency: &str, as_of: DateTime<Utc>, now: DateTime<Utc>) -> Value {
    let (budget, account, standing) = (news.budget, news.account, &news.standing);
    let (percent, used_up_at) = match news.threshold {
        Threshold::Percent(percent) => (Some(percent), None),
        Threshold::Burn { used_up_at, .. } => (None, Some(instant(used_up_at))),
    };
    json!({
        "type": news.threshold.kind(),
        "timestamp": instant(now),
        "data": {
            "id": id,
            "budget": budget.name,
            "tenant": account.tenant,
            "feature": account.feature,
            "user": account.user,
            "per": budget.per.name(),
            "of": budget.of.name(),
            "currency": currency,
            "window": {"from": instant(standing.window.from()), "to": instant(standing.window.to())},
            "limit": budget.limit.to_string(),
            "spent": standing.spent.to_string(),
            "threshold_percent": percent,
            "used_up_at": used_up_at,
            "unpriced_calls": standing.unpriced_calls,
            "as_of": instant(as_of),
        },
    })
}

/// An instant as answers have it.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
