//! Settlement: from committed evidence to ledger entries.
//!
//! ```text
//! gather ─▶ store (closed sets of traces) ─▶ resolve ─▶ target (rate) ─▶ assign (difference) ─▶ post
//! ```
//!
//! A [`Settler`] owns all its state and does one [`Settler::pass`] at a time: read what collectors committed since the
//! last pass, resolve the traces it touches, post what differs from what stands, move the cursor. What may still change
//! (a trace that is not quiet yet) waits; the cursor stays before it, so a restart finds it again, and since a posting
//! is a difference to what stands, doing it again posts nothing.
//!
//! Promises: what is posted is a function of the evidence and the ledger, never of the order of arrival; memory follows
//! the evidence of the last minutes and an index of the dedupe window, not the ledger. An error while posting forgets
//! everything in memory and starts from the cursor, because only the database knows what it took.

mod row;
mod window;
mod store;
mod clock;
mod peers;
mod gather;
mod load;
mod target;
mod assign;
mod cards;
mod book;
mod reprice;
mod late_duplicates;
mod overrule;
mod retired;
mod reread;
mod task;
mod vouch;
mod post;
mod unposted;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::identity::CollectorId;
use domain::ledger::{Entry, Periods};
use domain::observation::{Evidence, Kind};
use domain::price::{PriceBook, PriceIndex};
use domain::resolve::{self, Rules};
use domain::time::BillingPeriod;
use sabotage::Bug;
use schemas::rows::CollectorRow;
use schemas::{Database, DatabaseError};

use crate::plans::{PlanShelf, PlanShelfError};
use crate::prices::ShelfError;
use crate::retire::{Frozen, Retention};
use clock::window_start;
pub use gather::{GatherError, Hole};
use peers::Peers;
pub use reprice::{Repriced, Repricing, Scope, reprice};
pub use reread::{Candidates, ChangeKey, Changed, Reader, Rehearsal, Selection, Which};
use store::Store;
pub use store::TraceKey;
pub(crate) use target::estimated_cost;
pub use target::{Target, split_price_id, tiered_price_id};
pub use task::{Command, Exclusive, NotRunning, SettleHandle, SettleStatus, SettleTask, SettledPositions};
use unposted::Unposted;
pub use unposted::UnpostedSum;
pub use vouch::ChainHead;
use vouch::Vouching;
pub(crate) use vouch::hex;

/// How settlement is configured.
#[derive(Debug, Clone)]
pub struct SettleConfig {
    /// A trace that may still change is settled once nothing of it came for this long.
    pub quiet: Duration,
    /// And at the latest this long after its first unsettled evidence, however busy it is.
    pub patience: Duration,
    /// How far back, by time of receipt, evidence is matched with evidence.
    pub dedupe_window: Duration,
    /// How long a settled trace is kept in memory after its last evidence.
    pub keep_hot: Duration,
    /// How many settled traces are kept in memory at most.
    pub hot_traces_max: usize,
    /// How many rows of evidence a pass reads at most.
    pub rows_a_pass: u64,
    /// Limits on the age of usage.
    pub rules: Rules,
    /// ISO 4217 code of costs and charges.
    pub currency: String,
    /// How long after its end a month takes late usage before it may be closed.
    pub grace: Duration,
    /// A hash of the configuration that billing depends on, for manifests.
    pub config_hash: String,
    /// Whether what waits is estimated, which rates it once more.
    pub estimate_waiting: bool,
    /// How long evidence and entries are kept.
    pub retention: Retention,
    /// How often whole days are summed anew.
    pub roll_up_every: Duration,
}

impl Default for SettleConfig {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(60),
            patience: Duration::from_secs(600),
            dedupe_window: Duration::from_secs(26 * 3600),
            keep_hot: Duration::from_secs(300),
            hot_traces_max: 50_000,
            rows_a_pass: 25_000,
            rules: Rules::default(),
            currency: "USD".into(),
            grace: Duration::from_secs(72 * 3600),
            config_hash: String::new(),
            estimate_waiting: false,
            retention: Retention::default(),
            roll_up_every: Duration::from_secs(600),
        }
    }
}

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassSummary {
    /// Rows of evidence read.
    pub gathered: u64,
    /// Traces resolved.
    pub resolved: u64,
    /// Entries posted.
    pub entries: u64,
    /// Decisions written.
    pub decisions: u64,
    /// Traces that wait for more evidence.
    pub pending: u64,
    /// Whether evidence is left that this pass had no room for.
    pub more: bool,
    /// Evidence that is missing, by collector; what follows it waits.
    pub holes: Vec<Hole>,
    /// Entries posted by state of the call, for metrics.
    pub by_state: BTreeMap<&'static str, i64>,
}

/// What went wrong in a pass. Nothing is lost: the next pass starts from the cursor.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The database failed.
    #[error("settlement stopped")]
    Database(#[from] DatabaseError),
    /// Committed evidence is not what was committed.
    #[error("settlement stopped")]
    Gather(#[from] GatherError),
    /// The prices to rate with cannot be had.
    #[error("settlement stopped")]
    Prices(#[from] ShelfError),
    /// The plans to charge by cannot be had.
    #[error("settlement stopped")]
    Plans(#[from] PlanShelfError),
    /// The ledger holds another currency than this settler posts.
    #[error(
        "the ledger is in {ledger}, billing.currency is {configured}; a ledger has one currency: set it back, or keep another ledger in another database"
    )]
    Currency {
        /// That of its entries.
        ledger: String,
        /// That of the configuration.
        configured: String,
    },
}

/// The settler. One per ledger; see the module for its promises.
#[derive(Debug)]
pub struct Settler {
    database: Database,
    config: SettleConfig,
    prices: PriceIndex,
    id: [u8; 16],
    store: Store,
    /// What waits, in money.
    unposted: Unposted,
    /// Up to where evidence is in `store`.
    gathered: HashMap<CollectorId, u64>,
    /// The cursors as last written.
    saved: HashMap<CollectorId, u64>,
    periods: Periods,
    shelf: book::KeptPrices,
    plans: PlanShelf,
    /// When the newest plan file came, as last seen (microseconds since the epoch).
    plans_changed: i64,
    /// How many overrides of calls there were when it last looked.
    overrides_seen: u64,
    /// What is not judged again, because evidence or entries of it went by retention.
    frozen: Frozen,
    /// When something was last retired, as last seen (microseconds since the epoch).
    last_retirement: i64,
    /// Whether the ledger's currency is known to be the configured one.
    is_currency_held: bool,
    peers: Peers,
    /// Whether another settler may be posting: then nothing in memory is believed to stand.
    shared: bool,
    /// Whether what is in memory may differ from what the database took.
    stale: bool,
    vouching: Vouching,
    /// When the last pass began, by the clock.
    latest_pass: i64,
    clock: fn() -> i64,
}

impl Settler {
    /// A settler that starts from the cursors in the database. `id` is this settler's own, `clock` gives nanoseconds
    /// since the epoch.
    pub async fn open(
        database: Database,
        config: SettleConfig,
        id: [u8; 16],
        clock: fn() -> i64,
    ) -> Result<Self, SettleError> {
        let (book, shelf) = book::open(&database, &config.currency, clock() / 1000).await?;
        let mut settler = Self {
            database,
            prices: PriceIndex::new(book),
            id,
            store: Store::new(&config, 0, i64::MAX),
            unposted: Unposted::default(),
            config,
            gathered: HashMap::new(),
            saved: HashMap::new(),
            periods: Periods::default(),
            shelf,
            plans: PlanShelf::default(),
            plans_changed: 0,
            overrides_seen: 0,
            frozen: Frozen::default(),
            last_retirement: 0,
            is_currency_held: false,
            peers: Peers::default(),
            shared: false,
            stale: false,
            vouching: Vouching::default(),
            latest_pass: i64::MIN,
            clock,
        };
        settler.restart().await?;
        Ok(settler)
    }

    /// Forgets what is in memory and reads the cursors, the closed months and the index from the database.
    pub async fn restart(&mut self) -> Result<(), SettleError> {
        self.stale = true;
        let cursors = self.database.cursors().await?;
        self.follow_chains(cursors.iter().map(|cursor| cursor.at).max().unwrap_or(0)).await?;
        let now = (self.clock)();
        // What is in the log may be dated ahead by as much as is believed, of the latest time that any clock showed.
        let latest = now.max(self.stamped().saturating_mul(1000));
        let gone_until = latest.saturating_add(self.config.rules.future_limit_nanos);
        let newest = self.database.newest_receipt().await?.unwrap_or(now);
        let since = window_start(now, newest, &self.config);
        self.store = Store::new(&self.config, since, gone_until);
        self.unposted.clear();
        self.gathered.clear();
        self.saved.clear();
        self.shelf.look_now();
        for cursor in &cursors {
            if let Some(id) = CollectorId::from_bytes(cursor.collector_id) {
                self.gathered.insert(id, cursor.seq);
                self.saved.insert(id, cursor.seq);
            }
        }
        self.periods = Periods::closed(self.database.closed_periods().await?);
        self.shelf.keep(self.database.prices().await?);
        self.overrides_seen = self.database.override_calls_count().await?;
        self.follow_retirements().await?;
        let (store, saved) = (&mut self.store, &self.saved);
        self.database
            .index_since(since, |row| {
                let settled =
                    CollectorId::from_bytes(row.collector_id).and_then(|id| saved.get(&id).copied());
                if row.seq <= settled.unwrap_or(0) {
                    store.remember(&row);
                }
            })
            .await?;
        // Evidence after the cursor is gathered anew, but some of it may have been posted before the last stop: at the
        // earliest as long before the cursor moved as a trace may be waited for.
        let moved = cursors.iter().map(|cursor| cursor.at).min().unwrap_or(0);
        let margin = nanos(self.config.patience) / 1000 + 600_000_000;
        for row in self.database.traces_posted_since(moved.saturating_sub(margin).max(0)).await? {
            self.store.remember_trace(&row.realm, row.trace_id);
        }
        self.stale = false;
        Ok(())
    }

    /// Has the next pass start from the cursor: work between passes failed, and only the database knows what it took.
    pub fn forget(&mut self) {
        self.stale = true;
    }

    /// Up to where each collector is settled for good, as last written.
    pub fn settled(&self) -> &HashMap<CollectorId, u64> {
        &self.saved
    }

    /// The months that are closed.
    pub fn periods(&self) -> &Periods {
        &self.periods
    }

    /// The plans it charges by.
    pub fn plans(&self) -> &PlanShelf {
        &self.plans
    }

    /// Posts entries that are of no trace, between passes.
    pub(crate) async fn post_entries(&mut self, entries: Vec<Entry>) -> Result<(), SettleError> {
        let batch = post::Batch { entries, ..post::Batch::default() };
        self.post(batch, &mut PassSummary::default()).await?;
        self.rest().await
    }

    /// How it is configured.
    pub fn config(&self) -> &SettleConfig {
        &self.config
    }

    /// The time by its clock, nanoseconds since the epoch.
    pub fn now(&self) -> i64 {
        (self.clock)()
    }

    /// Its own name.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Whether a collector is one of a settler that may be posting. `now` is in nanoseconds since the epoch.
    pub(crate) fn may_post(&self, collector: &CollectorRow, now: i64) -> bool {
        self.peers.may_post(collector, now / 1000, Instant::now())
    }

    /// The database it settles.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The rate cards it rates with.
    pub fn book(&self) -> &Arc<PriceBook> {
        self.prices.book()
    }

    /// One pass. With `force`, nothing waits for quiet. On an error, call [`Settler::restart`] before the next.
    pub async fn pass(&mut self, force: bool) -> Result<PassSummary, SettleError> {
        let mut summary = PassSummary::default();
        self.watch_clock();
        if self.stale {
            self.restart().await?;
        }
        self.follow(force, &mut summary).await?;
        self.gather(&mut summary).await?;
        let now = (self.clock)();
        let posting = self.judge(now, force, &mut summary)?;
        let settled = self.post(posting, &mut summary).await?;
        if self.shared && summary.entries > 0 {
            self.look_again(settled).await?;
        }
        self.store.evict(now, &self.config);
        summary.pending = self.store.pending();
        if summary.entries == 0 {
            self.rest().await?;
        }
        Ok(summary)
    }

    /// What is to be written of the traces whose time has come.
    fn judge(
        &mut self,
        now: i64,
        force: bool,
        summary: &mut PassSummary,
    ) -> Result<post::Batch, SettleError> {
        let mut posting = post::Batch::default();
        for component in self.store.due(now, force).map_err(GatherError::Changed)? {
            let evidence = component.iter().flat_map(|trace| self.store.evidence(trace));
            let resolution = if sabotage::is_active(Bug::WrapperIsCall) {
                let misread: Vec<Evidence> = evidence.cloned().map(as_call).collect();
                resolve::resolve(&misread, &self.config.rules)
            } else {
                resolve::resolve(evidence, &self.config.rules)
            };
            let ripe = force || !resolution.may_change || self.store.is_quiet(&component, now, &self.config);
            if !ripe {
                if self.config.estimate_waiting {
                    let mut if_settled_now = post::Batch::default();
                    self.assign(component.clone(), &resolution, &mut if_settled_now);
                    self.unposted.wait(&component, &if_settled_now.entries);
                }
                self.store.wait(&component, &self.config);
                continue;
            }
            self.unposted.settle(&component);
            summary.resolved += component.len() as u64;
            self.assign(component, &resolution, &mut posting);
        }
        Ok(posting)
    }

    /// Passes until nothing committed so far is left unsettled. Evidence that waits behind a hole is an error, once all else
    /// is settled.
    pub async fn drain(&mut self) -> Result<PassSummary, SettleError> {
        let mut total = PassSummary::default();
        loop {
            let pass = self.pass(true).await?;
            total.gathered += pass.gathered;
            total.resolved += pass.resolved;
            total.entries += pass.entries;
            total.decisions += pass.decisions;
            total.pending = pass.pending;
            for (state, calls) in pass.by_state {
                *total.by_state.entry(state).or_default() += calls;
            }
            // Where another settler posts too, what was posted is looked at until nothing differs.
            if !pass.more && (pass.entries == 0 || !self.shared) {
                self.rest().await?;
                return match pass.holes.first() {
                    Some(hole) => Err(GatherError::Hole(*hole).into()),
                    None => Ok(total),
                };
            }
        }
    }

    /// Marks a month as closed for this settler; the row is the caller's to write.
    pub fn close(&mut self, month: BillingPeriod) {
        self.periods.close(month);
    }
}

/// A bug of [`sabotage`]: what may repeat its children's usage is a call.
fn as_call(mut evidence: Evidence) -> Evidence {
    if let Evidence::Observation(observation) = &mut evidence
        && observation.kind == Kind::PossibleWrapper
    {
        observation.kind = Kind::Call;
    }
    evidence
}

pub(crate) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
