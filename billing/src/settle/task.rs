//! The settler as a task: wakes when a batch is committed, settles, answers commands, never gives up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::price::PriceBook;
use sabotage::Bug;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::retire::{Retired, retire};
use crate::rollup;

use super::{ChainHead, GatherError, PassSummary, SettleError, Settler, UnpostedSum};

/// How often it looks whether anything is older than its retention. One partition goes at a time, between passes.
const RETIRE_INTERVAL: Duration = Duration::from_secs(3600);

/// How long it waits after an error before it starts from the cursor again.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// What can be asked of a running settler.
#[derive(Debug)]
pub enum Command {
    /// Settle everything committed so far, waiting for nothing.
    Drain {
        /// What was done, or why it could not be.
        reply: oneshot::Sender<Result<PassSummary, SettleError>>,
    },
    /// Run something between passes, when nothing else posts: closing a month, issuing invoices.
    Exclusive(Box<dyn Exclusive>),
}

/// Work that needs the ledger to itself.
pub trait Exclusive: Send + std::fmt::Debug {
    /// Does the work. The settler has drained before; a month closed here is closed for it from then on.
    fn run<'s>(
        self: Box<Self>,
        settler: &'s mut Settler,
    ) -> std::pin::Pin<Box<dyn std::future::Future<Output = ()> + Send + 's>>;
}

/// A handle on a running settler.
#[derive(Debug, Clone)]
pub struct SettleHandle {
    commands: mpsc::Sender<Command>,
}

/// The settler is not running (any more).
#[derive(Debug, thiserror::Error)]
#[error("the settler is not running here; it starts once clickhouse answers, and stops with the server")]
pub struct NotRunning;

impl SettleHandle {
    /// Settles everything committed so far.
    pub async fn drain(&self) -> Result<Result<PassSummary, SettleError>, NotRunning> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Drain { reply }).await.map_err(|_| NotRunning)?;
        answer.await.map_err(|_| NotRunning)
    }

    /// Hands over work that needs the ledger to itself.
    pub async fn exclusive(&self, work: Box<dyn Exclusive>) -> Result<(), NotRunning> {
        self.commands.send(Command::Exclusive(work)).await.map_err(|_| NotRunning)
    }
}

/// Up to where each collector's evidence is settled for good: what lies before may leave its journal.
pub type SettledPositions = HashMap<[u8; 16], u64>;

/// What the settler says of itself, for `/metrics` and `/readyz`.
#[derive(Debug, Clone, Default)]
pub struct SettleStatus {
    /// Traces that wait for quiet.
    pub pending: u64,
    /// Since the start.
    pub entries_posted: u64,
    /// Since the start.
    pub observations_gathered: u64,
    /// Net calls posted since the start, by state.
    pub calls_by_state: std::collections::BTreeMap<&'static str, i64>,
    /// Passes that failed since the start.
    pub failures: u64,
    /// Why the last pass failed or left evidence behind, if it did.
    pub last_error: Option<String>,
    /// The prices that settlement goes by; `None` until it has begun.
    pub book: Option<Arc<PriceBook>>,
    /// Days that were summed for the rollup since the start.
    pub days_rolled_up: u64,
    /// Partitions that went by retention since the start.
    pub partitions_retired: u64,
    /// What is older than its retention and still needed, and by what.
    pub retention_held: Option<String>,
    /// Where the chain of what it vouches for is; `None` until it has posted.
    pub chain: Option<ChainHead>,
    /// What waits, in money; `None` until settlement has begun, and where it is not estimated.
    pub unposted: Option<Arc<Vec<UnpostedSum>>>,
}

/// A settler, its commands and what wakes it.
#[derive(Debug)]
pub struct SettleTask {
    settler: Settler,
    commands: mpsc::Receiver<Command>,
    committed: watch::Receiver<u64>,
    status: watch::Sender<SettleStatus>,
    settled: watch::Sender<SettledPositions>,
    interval: Duration,
}

impl SettleTask {
    /// A task around a settler. `committed` changes whenever a batch is committed; nothing wakes it for longer than
    /// `interval`, because waiting traces become quiet without new evidence.
    pub fn new(
        settler: Settler,
        committed: watch::Receiver<u64>,
        status: watch::Sender<SettleStatus>,
        settled: watch::Sender<SettledPositions>,
        interval: Duration,
    ) -> (Self, SettleHandle) {
        let (tx, commands) = mpsc::channel(16);
        (Self { settler, commands, committed, status, settled, interval }, SettleHandle { commands: tx })
    }

    /// Settles until every handle is dropped.
    pub async fn run(mut self) {
        let mut more = false;
        // What was left when it stopped comes first; days can wait.
        let (mut look_at, mut roll_up_at) =
            (Instant::now(), Instant::now() + self.settler.config().roll_up_every);
        loop {
            if !more {
                tokio::select! {
                    biased;
                    command = self.commands.recv() => match command {
                        Some(command) => {
                            self.obey(command).await;
                            continue;
                        }
                        None => return,
                    },
                    changed = self.committed.changed() => {
                        if changed.is_err() {
                            // The shipper has ended; only commands and time are left.
                            tokio::time::sleep(self.interval).await;
                        }
                    }
                    () = tokio::time::sleep(self.interval) => {}
                }
            } else if let Ok(command) = self.commands.try_recv() {
                // Evidence that comes as fast as it is settled must not keep who asks waiting.
                self.obey(command).await;
            }
            match self.settler.pass(false).await {
                Ok(pass) => {
                    more = pass.more;
                    self.report(&pass);
                    if !more && Instant::now() >= look_at {
                        look_at = self.retire().await;
                    }
                    if !more && Instant::now() >= roll_up_at {
                        roll_up_at = self.roll_up().await;
                    }
                }
                Err(error) => {
                    more = false;
                    self.fail(&error).await;
                }
            }
        }
    }

    /// Retires what is due; returns when to look again.
    async fn retire(&mut self) -> Instant {
        let (mut again, mut retired, mut held) = (Instant::now() + RETIRE_INTERVAL, 0, None);
        match retire(&mut self.settler).await {
            Ok(Retired::Nothing) => {}
            Ok(Retired::Partition(_)) => (again, retired) = (Instant::now(), 1),
            Ok(Retired::Held { what, why }) => held = Some(format!("{what} stays: {why}")),
            Err(error) => {
                // Nothing is lost by it; what was put down is gone on with the next time.
                tracing::warn!(error = %chain(&error), "nothing was retired");
                held.clone_from(&self.status.borrow().retention_held);
            }
        }
        if held.is_some() && held != self.status.borrow().retention_held {
            tracing::info!(
                what = held.as_deref().unwrap_or_default(),
                "older than its retention, and still needed"
            );
        }
        self.status.send_modify(|status| {
            status.partitions_retired += retired;
            status.retention_held = held;
        });
        again
    }

    /// Sums days that something was posted to; returns when to look again.
    async fn roll_up(&mut self) -> Instant {
        let pause = self.settler.config().roll_up_every;
        match rollup::step(self.settler.database(), self.settler.now()).await {
            Ok(step) => {
                self.status.send_modify(|status| status.days_rolled_up += step.days);
                if step.more { Instant::now() } else { Instant::now() + pause }
            }
            Err(error) => {
                // No figure is wrong by it: what is not rolled up is read entry by entry.
                tracing::warn!(error = %chain(&error), "no days were rolled up");
                Instant::now() + pause
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Drain { reply } => {
                let drained = self.settler.drain().await;
                match &drained {
                    Ok(pass) => self.report(pass),
                    Err(error) => self.fail(error).await,
                }
                // Who asked may have gone; what was done stands.
                let _ = reply.send(drained);
            }
            Command::Exclusive(work) => {
                work.run(&mut self.settler).await;
                if let Err(error) = self.settler.rest().await {
                    self.fail(&error).await;
                }
                self.report(&PassSummary { pending: self.settler.store.pending(), ..PassSummary::default() });
            }
        }
    }

    fn report(&mut self, pass: &PassSummary) {
        let estimated = self.settler.config().estimate_waiting;
        let unposted = self.settler.unposted.take_changed().filter(|_| estimated).map(Arc::new);
        let settled: SettledPositions =
            self.settler.settled().iter().map(|(id, seq)| (id.bytes(), *seq)).collect();
        self.settled.send_if_modified(|known| {
            let moved = *known != settled;
            *known = settled;
            moved
        });
        let hole = pass.holes.first().map(|hole| chain(&GatherError::Hole(*hole)));
        if let Some(hole) =
            hole.as_ref().filter(|hole| self.status.borrow().last_error.as_ref() != Some(hole))
        {
            tracing::error!(%hole, "settlement goes on without what is missing and what follows it");
        }
        self.status.send_modify(|status| {
            status.pending = pass.pending;
            status.entries_posted += pass.entries;
            status.observations_gathered += pass.gathered;
            for (state, calls) in &pass.by_state {
                *status.calls_by_state.entry(state).or_default() += calls;
            }
            status.last_error = hole;
            status.chain = self.settler.chain_head();
            status.book = Some(Arc::clone(self.settler.prices.book()));
            if unposted.is_some() {
                status.unposted = unposted;
            }
        });
    }

    /// Says what failed and starts from the cursor again, as often as it takes.
    async fn fail(&mut self, error: &SettleError) {
        let text = chain(error);
        tracing::warn!(error = %text, "settlement failed; it starts again from the cursor");
        self.status.send_modify(|status| {
            status.failures += 1;
            status.last_error = Some(text);
        });
        if sabotage::is_active(Bug::MemoryTrusted) {
            return;
        }
        loop {
            tokio::time::sleep(AFTER_ERROR).await;
            match self.settler.restart().await {
                Ok(()) => return,
                Err(error) => {
                    let text = chain(&error);
                    self.status.send_modify(|status| status.last_error = Some(text));
                }
            }
            if self.commands.is_closed() {
                return;
            }
        }
    }
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
