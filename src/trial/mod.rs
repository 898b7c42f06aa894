//! A trial: calls are sent to collectors that are killed again and again, and then the ledger is compared with what the
//! clients were told. It is what `try-to-lose-a-call` runs on anyone's machine, and what the crash tests run in earnest.
//!
//! ```text
//! clients ──gRPC, HTTP──▶ collector 1 (hosts the engine) ◀──ship── collector 2 (settles), collector 3
//!    │                        ▲ kill -9, at random moments and at every fail point ▲
//!  books ───────────────────────────── compared with ─────────────────────────▶ ledger
//! ```
//!
//! Promises: every collector is a process of this very program on a new data directory, on loopback; only processes started
//! here are killed. The clients' books alone say what must be in the ledger: every call acknowledged, exactly once, with its
//! usage; a call not acknowledged, at most once.

mod balance;
mod books;
mod client;
mod closing;
mod dice;
mod fleet;
mod killer;
mod traffic;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use domain::time::{BillingPeriod, EventTime};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use balance::Balance;
pub use killer::{Plan, Tally};

use crate::admin_client::AdminClient;
use crate::billing_arm::now_nanos;
use books::Books;
use client::Client;
use dice::Dice;
use fleet::{Fleet, Process};
use killer::Deaths;
use traffic::Traffic;

/// Who sends.
const CLIENTS: u64 = 4;
/// How long what was acknowledged may take to be in the ledger, once nobody is killed any more.
const SETTLE_PATIENCE: Duration = Duration::from_secs(120);

/// A tenant with a commitment and one with a markup, so that closing the month has something to post.
const PLANS: &str = r#"
[[plan]]
name = "committed"
commitment = "1000000"
[[plan]]
name = "markup"
markup_percent = 20
[[assign]]
tenant = "acme"
plan = "committed"
[[assign]]
tenant = "*"
plan = "markup"
"#;

/// How a trial is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is done to the collectors.
    pub plan: Plan,
    /// How many collectors, at least one.
    pub collectors: usize,
    /// What chooses moments and ways.
    pub seed: u64,
    /// The engine's library, where configured.
    pub engine_library: Option<std::path::PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The ledger against the clients' books.
    pub balance: Balance,
    /// How collectors died.
    pub tally: Tally,
    /// Requests acknowledged, refused, unanswered, hung up, repeated.
    pub requests: [u64; 5],
    /// What `verify` said of the ledger, before the month was closed and after.
    pub verified: [bool; 2],
    /// What `verify` printed where it found something.
    pub findings: String,
    /// Acknowledged positions that a journal says it lost.
    pub positions_lost: u64,
}

impl Outcome {
    /// Whether nothing was lost and nothing counted twice.
    pub fn holds(&self) -> bool {
        self.balance.holds() && self.verified == [true; 2] && self.positions_lost == 0
    }
}

/// Runs a trial below a directory. `progress` is told kills and acknowledged requests now and then.
///
/// # Errors
/// When it cannot be run: a collector does not start, or ends by itself.
pub async fn run(
    options: &Options,
    home: &Path,
    progress: impl Fn(u64, u64) + Send + Sync + 'static,
) -> anyhow::Result<Outcome> {
    let month = BillingPeriod::containing(EventTime::from_nanos(now_nanos())).previous();
    let traffic = Traffic::new(options.seed, month);
    let fleet = Arc::new(Fleet::new(home, options.collectors, options.engine_library.clone())?);
    let books = Arc::new(Books::default());
    prepare(&fleet, home).await?;

    let tally = harass(options, traffic, &fleet, &books, progress).await?;
    let requests = &books.requests;
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut outcome = Outcome {
        tally,
        requests: [
            of(&requests.acknowledged),
            of(&requests.refused),
            of(&requests.unanswered),
            of(&requests.hung_up),
            of(&requests.repeated),
        ],
        ..Outcome::default()
    };

    let mut processes = settle(&fleet, &mut outcome).await?;
    let rows = balance::ledger(&fleet.clickhouse()).await?;
    outcome.balance = Balance::draw(&traffic, &books.acknowledged(), &rows)?;
    verify(&fleet, 0, &mut outcome)?;

    let settler = processes.pop().context("the settler is the last that was started")?;
    let (settler, died_at) = closing::close(&fleet, settler, month).await?;
    for point in died_at {
        *outcome.tally.at_points.entry(point).or_default() += 1;
    }
    verify(&fleet, 1, &mut outcome)?;
    settler.stop().await?;
    for process in processes {
        process.stop().await?;
    }
    Ok(outcome)
}

/// The engine's tables and the plans, before anything is killed.
async fn prepare(fleet: &Fleet, home: &Path) -> anyhow::Result<()> {
    let host = closing::serve(fleet, 0, None).await?;
    let plans = home.join("plans.toml");
    std::fs::write(&plans, PLANS).with_context(|| format!("cannot write {}", plans.display()))?;
    let imported = fleet.command(0)?.arg("plans").arg("import").arg(&plans).output()?;
    ensure!(
        imported.status.success(),
        "the plans were not imported: {}",
        String::from_utf8_lossy(&imported.stderr)
    );
    fleet.withdraw(0);
    host.stop().await
}

/// Clients send and collectors die, until it was enough.
async fn harass(
    options: &Options,
    traffic: Traffic,
    fleet: &Arc<Fleet>,
    books: &Arc<Books>,
    progress: impl Fn(u64, u64) + Send + Sync + 'static,
) -> anyhow::Result<Tally> {
    let deaths = Arc::new(Deaths::new(options.plan, options.seed));
    let mut clients = JoinSet::new();
    for at in 0..CLIENTS {
        let dice = Dice::new(options.seed, at);
        clients.spawn(Client::new(traffic, Arc::clone(books), Arc::clone(fleet), dice).run());
    }
    let mut keepers: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for at in 0..fleet.len() {
        let (deaths, fleet) = (Arc::clone(&deaths), Arc::clone(fleet));
        let dice = Dice::new(options.seed, 100 + at as u64);
        keepers.spawn(async move { deaths.keep(&fleet, at, dice).await });
    }
    let mut outcome = Ok(());
    let mut glance = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            kept = keepers.join_next() => match kept {
                None => break,
                Some(kept) => outcome = outcome.and(kept.context("a keeper failed").and_then(|kept| kept)),
            },
            _ = glance.tick() => {
                progress(deaths.tally().kills(), books.requests.acknowledged.load(Ordering::Relaxed));
            }
        }
        if outcome.is_err() {
            keepers.abort_all();
        }
    }
    fleet.stop();
    while clients.join_next().await.is_some() {}
    outcome.map(|()| deaths.tally())
}

/// Starts every collector, has everything shipped and settled, and leaves the host and, last, the settler running.
async fn settle(fleet: &Fleet, outcome: &mut Outcome) -> anyhow::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for at in 0..fleet.len() {
        processes.push(closing::serve(fleet, at, None).await?);
    }
    for at in 0..fleet.len() {
        outcome.positions_lost += shipped(fleet, at).await?;
    }
    // Stopping says a last word, so that the month may be closed without the others.
    for at in (0..fleet.len()).rev().filter(|&at| at != fleet.settler()) {
        fleet.withdraw(at);
        processes.remove(at).stop().await?;
    }
    if fleet.len() > 1 {
        processes.insert(0, closing::serve(fleet, 0, None).await?);
    }
    let server = fleet.server(fleet.settler()).context("the settler does not answer")?;
    // It may be before ClickHouse answered again.
    let begun = Instant::now();
    loop {
        match AdminClient::new(&server).post("/settle", None, SETTLE_PATIENCE).await {
            Ok(_) => return Ok(processes),
            Err(error) if begun.elapsed() > SETTLE_PATIENCE => {
                return Err(error.context("not everything is settled"));
            }
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Waits until a collector has shipped everything; returns how many positions it lost.
async fn shipped(fleet: &Fleet, at: usize) -> anyhow::Result<u64> {
    let server = fleet.server(at).context("a collector does not answer")?;
    let begun = Instant::now();
    loop {
        let page = page(&format!("{}/metrics", server.admin)).await?;
        let figure = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|value| value.parse::<u64>().ok()).with_context(|| format!("no metric {name}"))
        };
        if figure("ledgerline_journal_unshipped")? == 0 {
            return figure("ledgerline_positions_lost_total");
        }
        if begun.elapsed() > SETTLE_PATIENCE {
            bail!("collector {} has not shipped everything within {SETTLE_PATIENCE:?}", at + 1);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn page(url: &str) -> anyhow::Result<String> {
    let client: HttpClient<_, Empty<Bytes>> = HttpClient::builder(TokioExecutor::new()).build_http();
    let answer = client.request(Request::get(url).body(Empty::new())?).await?;
    Ok(String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()).into_owned())
}

fn verify(fleet: &Fleet, which: usize, outcome: &mut Outcome) -> anyhow::Result<()> {
    let verified = fleet.command(0)?.arg("verify").output()?;
    outcome.verified[which] = verified.status.success();
    if !verified.status.success() {
        outcome.findings += &String::from_utf8_lossy(&verified.stdout);
        outcome.findings += &String::from_utf8_lossy(&verified.stderr);
    }
    Ok(())
}
