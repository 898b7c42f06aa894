//! How long the dashboards' queries take on ledgers of different sizes, as Grafana asks them when a dashboard is opened.
//!
//! The entries are of the last thirty days and of a thousand tenants, merged as they would be after days; the sampled traces of
//! the last thirteen. Each query is asked some times in turn, so that a slow moment of the machine hits all of them alike. Beside
//! how long an answer takes stands what the engine spends on it, which other work on the machine hardly changes.

use std::path::PathBuf;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::arrival::Arrival;
use crate::cell::{Cell, Protocol};
use crate::generate::Generator;
use crate::history::History;
use crate::panels::{self, Reader};
use crate::report::{Progress, Section, number};
use crate::send::{Acknowledged, Pace};
use crate::statistics::milliseconds;
use crate::subject::{Ledgerline, Place, Subject, TraceArm};

const CELL: Cell = Cell { protocol: Protocol::Grpc, batch: 100 };
/// Calls that a past is made of; of each a trace is kept.
const PATTERN_CALLS: u64 = 10_000;
const TENANTS: u64 = 1_000;
const DAYS: u64 = 30;
/// Less than what sampled spans are kept for.
const DAYS_OF_TRACES: u64 = 13;
/// What a query is to take at most, in 95 of 100.
const LIMIT_MS: f64 = 200.0;
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What to run.
#[derive(Debug)]
pub struct Plan {
    pub dir: PathBuf,
    /// Entries of the ledger; rounded to whole repetitions of what it is made of.
    pub sizes: Vec<u64>,
    /// Sampled traces, rounded the same way.
    pub traces: u64,
    pub times: u32,
    pub seed: u64,
    /// Time of the first span, in nanoseconds since the epoch.
    pub starts_at: u64,
}

/// Runs it.
pub async fn run(place: &Place, plan: &Plan, progress: &Progress) -> anyhow::Result<Vec<Section>> {
    let mut sections = Vec::new();
    for size in &plan.sizes {
        progress.say(&format!("dashboards: writing {size} entries"));
        let (engine, entries, traces) = past(place, plan, *size).await?;
        progress.say(&format!("dashboards: asking {entries} entries"));
        sections.push(ask(plan, &engine, entries, traces).await?);
    }
    Ok(sections)
}

/// An engine with so many entries and traces, and how many they are.
async fn past(place: &Place, plan: &Plan, size: u64) -> anyhow::Result<(Ledgerline, u64, u64)> {
    let engine = Ledgerline::engine_host(place)?;
    let keeping_all = Ledgerline::on_with(place, &engine, TraceArm::Keeping)?;
    let arrival = Arrival::new(Subject::Ledgerline(keeping_all), engine);
    let generator = Generator::new(plan.seed, CELL.batch, plan.starts_at);
    let (mut clients, warmed_up) = arrival.warm_up(CELL.protocol, &generator).await?;
    let rest = (PATTERN_CALLS - warmed_up) / generator.batch();
    clients.send(&generator, Pace::Requests(rest), &Acknowledged::default()).await?;
    arrival.wait_for(PATTERN_CALLS).await?;
    let history = History::of(&arrival.engine)?;
    while history.traces().await? < PATTERN_CALLS {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    history.repeat_entries(size.div_ceil(PATTERN_CALLS) - 1, DAYS, TENANTS).await?;
    history.repeat_traces(plan.traces.div_ceil(PATTERN_CALLS) - 1, DAYS_OF_TRACES).await?;
    history.merge().await?;
    let Arrival { subject, engine, .. } = arrival;
    drop(subject);
    let settling = Ledgerline::rolling_up(place, &engine)?;
    while !history.is_rolled_up().await? {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    drop(settling);
    history.merge().await?;
    let (entries, traces) = (history.entries().await?, history.traces().await?);
    Ok((engine, entries, traces))
}

async fn ask(plan: &Plan, engine: &Ledgerline, entries: u64, traces: u64) -> anyhow::Result<Section> {
    let reader = Reader::at(&engine.clickhouse);
    let panels = panels::all(&plan.dir, &reader).await?;
    let mut taken: Vec<Histogram<u64>> = Vec::new();
    for _ in &panels {
        taken.push(Histogram::new(3)?);
    }
    let mut all = Histogram::<u64>::new(3)?;
    let mut spent = vec![0.0; panels.len()];
    // The first round is not counted: caches are as warm as they are for whoever looks now and then.
    for time in 0..=plan.times {
        for ((panel, taken), spent) in panels.iter().zip(&mut taken).zip(&mut spent) {
            let before = engine.process.spent()?;
            let (elapsed, _) = reader.ask(&panel.sql).await?;
            if time > 0 {
                *spent += engine.process.spent()?.since(&before).whole();
                let micros = u64::try_from(elapsed.as_micros())?;
                taken.record(micros)?;
                all.record(micros)?;
            }
        }
    }
    let title = format!(
        "Dashboards, {} entries of {TENANTS} tenants over {DAYS} days, {} traces, each query {} times",
        number(entries as f64),
        number(traces as f64),
        plan.times
    );
    let mut section = Section::new(
        &title,
        &["dashboard", "query", "time shown", "p50 ms", "p95 ms", "within 200 ms", "engine CPU ms"],
    );
    let mut within = 0;
    let cpu_ms = |seconds: f64| number(seconds * 1_000.0 / f64::from(plan.times));
    for ((panel, taken), spent) in panels.iter().zip(&taken).zip(&spent) {
        let p95 = milliseconds(taken, 0.95);
        within += u32::from(p95 < LIMIT_MS);
        section.row(&[
            panel.dashboard.clone(),
            panel.title.clone(),
            panel.range.clone(),
            number(milliseconds(taken, 0.5)),
            number(p95),
            if p95 < LIMIT_MS { "yes" } else { "no" }.to_string(),
            cpu_ms(*spent),
        ]);
    }
    section.row(&[
        "all".to_string(),
        format!("{} queries", panels.len()),
        String::new(),
        number(milliseconds(&all, 0.5)),
        number(milliseconds(&all, 0.95)),
        format!("{within} of {}", panels.len()),
        cpu_ms(spent.iter().sum::<f64>() / panels.len() as f64),
    ]);
    Ok(section)
}
