//! How fast requests are acknowledged when nothing can be shipped: what an answer costs, `fdatasync` included.
//!
//! Ledgerline's ClickHouse is down; Rotel throws everything away. Each cell has a fresh process; contenders and cells
//! alternate within a round, so that a slow minute of the machine hits all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cell::Cell;
use crate::generate::Generator;
use crate::report::{Progress, Section, number};
use crate::send::{Acknowledged, Clients, Pace};
use crate::statistics::{milliseconds, over};
use crate::subject::{CpuSeconds, Ledgerline, Place, Rotel, STEPS, Spent, Subject, Who};

const WARM_UP: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Debug)]
pub struct Plan {
    pub cells: Vec<Cell>,
    pub rounds: u32,
    pub duration: Duration,
    pub seed: u64,
    /// Time of the first span, in nanoseconds since the epoch.
    pub starts_at: u64,
}

/// One round of one cell.
#[derive(Debug)]
struct Run {
    spans_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Per million spans.
    cpu: CpuSeconds,
    peak_rss_mib: f64,
    /// The load generator's own, per million spans.
    loader: f64,
}

/// Runs it.
pub async fn run(place: &Place, plan: &Plan, progress: &Progress) -> anyhow::Result<Vec<Section>> {
    let contenders: &[Who] =
        if place.rotel.is_some() { &[Who::Ledgerline, Who::Rotel] } else { &[Who::Ledgerline] };
    let mut runs: BTreeMap<(Cell, Who), Vec<Run>> = BTreeMap::new();
    for round in 1..=plan.rounds {
        for cell in &plan.cells {
            for who in contenders {
                progress.say(&format!("acknowledge, round {round}: {cell}, {}", who.name()));
                runs.entry((*cell, *who)).or_default().push(measure(place, plan, *cell, *who).await?);
            }
        }
    }
    let mut sections = vec![rates(&runs), steps(&runs)];
    if place.rotel.is_some() {
        sections.insert(1, ratios(&runs));
    }
    Ok(sections)
}

async fn measure(place: &Place, plan: &Plan, cell: Cell, who: Who) -> anyhow::Result<Run> {
    let subject = match who {
        Who::Ledgerline => Subject::Ledgerline(Ledgerline::with_shipping_paused(place)?),
        Who::Rotel => Subject::Rotel(Rotel::to_nowhere(place).await?),
    };
    let generator = Generator::new(plan.seed, cell.batch, plan.starts_at);
    let mut clients = Clients::connect(cell.protocol, subject.address(cell.protocol)).await?;
    clients.send(&generator, Pace::For(WARM_UP), &Acknowledged::default()).await?;

    let (before, loader_before) = (subject.process().spent()?, Spent::of_myself()?);
    let sent = clients.send(&generator, Pace::For(plan.duration), &Acknowledged::default()).await?;
    let cpu = subject.process().spent()?.since(&before);
    let loader = Spent::of_myself()?.since(&loader_before);

    let spans = (sent.requests.end - sent.requests.start) * generator.batch();
    Ok(Run {
        spans_per_second: spans as f64 / sent.elapsed.as_secs_f64(),
        p50_ms: milliseconds(&sent.latency_us, 0.5),
        p99_ms: milliseconds(&sent.latency_us, 0.99),
        cpu: cpu.per_million(spans),
        peak_rss_mib: subject.process().peak_rss_mib()?,
        loader: loader.per_million(spans).whole(),
    })
}

fn rates(runs: &BTreeMap<(Cell, Who), Vec<Run>>) -> Section {
    let mut section = Section::new(
        "Durable acknowledgements, shipping paused",
        &[
            "requests",
            "collector",
            "spans/s acknowledged",
            "(lowest to highest)",
            "p50 ms",
            "p99 ms",
            "CPU s/M spans",
            "peak RSS MiB",
            "loader CPU s/M",
        ],
    );
    for ((cell, who), runs) in runs {
        let rate = over(runs, |run| run.spans_per_second);
        section.row(&[
            cell.to_string(),
            who.name().to_string(),
            number(rate.median),
            format!("{} to {}", number(rate.lowest), number(rate.highest)),
            number(over(runs, |run| run.p50_ms).median),
            number(over(runs, |run| run.p99_ms).median),
            number(over(runs, |run| run.cpu.whole()).median),
            number(over(runs, |run| run.peak_rss_mib).highest),
            number(over(runs, |run| run.loader).median),
        ]);
    }
    section
}

fn ratios(runs: &BTreeMap<(Cell, Who), Vec<Run>>) -> Section {
    let mut section = Section::new(
        "Ledgerline, durable, over Rotel, from memory",
        &["requests", "spans/s", "p50", "p99", "CPU per span", "peak RSS"],
    );
    for ((cell, who), ours) in runs {
        let (Who::Ledgerline, Some(theirs)) = (who, runs.get(&(*cell, Who::Rotel))) else { continue };
        let ratio = |figure: fn(&Run) -> f64| {
            format!("{:.2}×", over(ours, figure).median / over(theirs, figure).median)
        };
        section.row(&[
            cell.to_string(),
            ratio(|run| run.spans_per_second),
            ratio(|run| run.p50_ms),
            ratio(|run| run.p99_ms),
            ratio(|run| run.cpu.whole()),
            ratio(|run| run.peak_rss_mib),
        ]);
    }
    section
}

fn steps(runs: &BTreeMap<(Cell, Who), Vec<Run>>) -> Section {
    let header: Vec<&str> = ["requests"].into_iter().chain(STEPS).chain(["other", "whole"]).collect();
    let mut section = Section::new("CPU s per million acknowledged spans by step, shipping paused", &header);
    for ((cell, who), runs) in runs {
        if *who == Who::Ledgerline {
            let steps = (0..STEPS.len()).map(|step| number(over(runs, |run| run.cpu.steps[step]).median));
            let rest = [
                number(over(runs, |run| run.cpu.other).median),
                number(over(runs, |run| run.cpu.whole()).median),
            ];
            let row: Vec<String> = [cell.to_string()].into_iter().chain(steps).chain(rest).collect();
            section.row(&row);
        }
    }
    section
}
