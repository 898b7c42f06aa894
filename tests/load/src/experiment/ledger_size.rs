//! Whether settling costs more in a larger ledger: the same new calls, settled into ledgers of different sizes.
//!
//! The past of each ledger is spread over thirty days, so the window of duplicates has its share of it, and is merged as it
//! would be after days. The collector that is measured starts when the past is there, as after a restart. The balance that it
//! draws of the whole ledger, again and again in at most a hundredth of the time, is looked at apart.

use std::time::{Duration, Instant};

use super::arrival::Arrival;
use super::lag::look_while;
use crate::cell::{Cell, Protocol};
use crate::generate::Generator;
use crate::history::History;
use crate::report::{Progress, Section, number};
use crate::send::{Acknowledged, Pace};
use crate::statistics::{Spread, over};
use crate::subject::{CpuSeconds, Ledgerline, Place, STEPS, Subject};

const CELL: Cell = Cell { protocol: Protocol::Grpc, batch: 100 };
/// Calls that a past is made of.
const PATTERN_CALLS: u64 = 10_000;
const DAYS: u64 = 30;
/// Calls a second while lag is looked at, and for how long.
const LAG_RATE: u64 = 2_000;
const LAG_SECONDS: u64 = 10;
/// How long the first balance may take.
const BALANCE_PATIENCE: Duration = Duration::from_secs(300);

/// What to run.
#[derive(Debug)]
pub struct Plan {
    /// Entries before; rounded to whole repetitions of what a past is made of.
    pub sizes: Vec<u64>,
    /// New calls of each.
    pub spans: u64,
    pub seed: u64,
    /// Time of the first span, in nanoseconds since the epoch.
    pub starts_at: u64,
}

/// One size.
#[derive(Debug)]
struct Run {
    entries: u64,
    starting: Duration,
    /// From the first request until the last call was in the ledger.
    settling: Duration,
    spans: u64,
    /// Per million new calls.
    collector: CpuSeconds,
    engine: f64,
    rows_read: f64,
    /// CPU seconds of the engine for one balance of the whole ledger.
    balance: f64,
    lag_seconds: Spread,
    collector_rss_mib: f64,
    engine_rss_mib: f64,
}

/// Runs it.
pub async fn run(place: &Place, plan: &Plan, progress: &Progress) -> anyhow::Result<Vec<Section>> {
    let mut section = Section::new(
        &format!("Settling into ledgers of different sizes ({CELL})"),
        &[
            "entries before",
            "s until ready to settle",
            "new calls",
            "calls/s sustained",
            "settle CPU s/M",
            "collector CPU s/M",
            "engine CPU s/M",
            "rows read a call",
            "engine CPU s, a balance",
            "lag s, median",
            "lag s, highest",
            "collector RSS MiB",
            "engine RSS MiB",
        ],
    );
    let settle = STEPS.iter().position(|step| *step == "settle").unwrap_or(0);
    for size in &plan.sizes {
        progress.say(&format!("ledger size: {size} entries"));
        let run = measure(place, plan, *size).await?;
        section.row(&[
            number(run.entries as f64),
            number(run.starting.as_secs_f64()),
            number(run.spans as f64),
            number(run.spans as f64 / run.settling.as_secs_f64()),
            number(run.collector.steps[settle]),
            number(run.collector.whole()),
            number(run.engine),
            number(run.rows_read),
            number(run.balance),
            number(run.lag_seconds.median),
            number(run.lag_seconds.highest),
            number(run.collector_rss_mib),
            number(run.engine_rss_mib),
        ]);
    }
    Ok(vec![section])
}

async fn measure(place: &Place, plan: &Plan, size: u64) -> anyhow::Result<Run> {
    let engine = past(place, plan, size).await?;
    let history = History::of(&engine)?;
    history.forget_collectors().await?;
    let entries = history.entries().await?;

    let begun = Instant::now();
    let subject = Subject::Ledgerline(Ledgerline::on(place, &engine)?);
    let arrival = Arrival::new(subject, engine);
    let generator = Generator::new(plan.seed.wrapping_add(1), CELL.batch, plan.starts_at);
    let (mut clients, warmed_up) = arrival.warm_up(CELL.protocol, &generator).await?;
    let starting = begun.elapsed();

    let (collector, engine) = (arrival.subject.process(), &arrival.engine.process);
    let before = engine.spent()?;
    wait_for_balance(&arrival).await?;
    let balance = engine.spent()?.since(&before).whole();
    let requests = plan.spans.div_ceil(generator.batch());
    let spans = requests * generator.batch();
    let before = (collector.spent()?, engine.spent()?, history.rows_read().await?);
    let begun = Instant::now();
    clients.send(&generator, Pace::Requests(requests), &Acknowledged::default()).await?;
    arrival.wait_for(warmed_up + spans).await?;
    let settling = begun.elapsed();
    let spent = (collector.spent()?, engine.spent()?, history.rows_read().await?);

    let distance = Duration::from_secs_f64(generator.batch() as f64 / LAG_RATE as f64);
    let pace = Pace::Every(distance, LAG_RATE * LAG_SECONDS / generator.batch());
    let acknowledged = Acknowledged::default();
    let there = warmed_up + spans;
    let look = async || {
        let settled = (arrival.spans().await? - there) / generator.batch();
        anyhow::Ok(acknowledged.oldest_beyond(settled))
    };
    let (_, lags) = look_while(clients.send(&generator, pace, &acknowledged), look).await?;
    let sent = there + LAG_RATE * LAG_SECONDS;
    arrival.wait_for(sent).await?;
    let found = history.entries().await?;
    anyhow::ensure!(found == entries + sent, "{entries} entries and {sent} calls make {found} entries");
    Ok(Run {
        entries,
        starting,
        settling,
        spans,
        collector: spent.0.since(&before.0).per_million(spans),
        engine: spent.1.since(&before.1).per_million(spans).whole(),
        rows_read: (spent.2 - before.2) as f64 / spans as f64,
        balance,
        lag_seconds: over(&lags, |lag| lag.as_secs_f64()),
        collector_rss_mib: collector.peak_rss_mib()?,
        engine_rss_mib: engine.peak_rss_mib()?,
    })
}

async fn wait_for_balance(arrival: &Arrival) -> anyhow::Result<()> {
    let Subject::Ledgerline(server) = &arrival.subject else { return Ok(()) };
    let begun = Instant::now();
    while !server.has_drawn_balance().await? {
        anyhow::ensure!(
            begun.elapsed() < BALANCE_PATIENCE,
            "no balance in {BALANCE_PATIENCE:?}; {}",
            server.process.last_words()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// An engine whose ledger has so many entries, and whose log the evidence for them.
async fn past(place: &Place, plan: &Plan, size: u64) -> anyhow::Result<Ledgerline> {
    let engine = Ledgerline::engine_host(place)?;
    let arrival = Arrival::new(Subject::Ledgerline(Ledgerline::on(place, &engine)?), engine);
    let generator = Generator::new(plan.seed, CELL.batch, plan.starts_at);
    let (mut clients, warmed_up) = arrival.warm_up(CELL.protocol, &generator).await?;
    let rest = (PATTERN_CALLS - warmed_up) / generator.batch();
    clients.send(&generator, Pace::Requests(rest), &Acknowledged::default()).await?;
    arrival.wait_for(PATTERN_CALLS).await?;
    let history = History::of(&arrival.engine)?;
    history.repeat(size.div_ceil(PATTERN_CALLS) - 1, DAYS).await?;
    history.merge().await?;
    Ok(arrival.engine)
}
