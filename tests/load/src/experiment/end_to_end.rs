//! How fast spans come to stand in ClickHouse, and what that costs the collector and the engine, each in a process of its
//! own: Ledgerline's in the ledger, billed, checked to the last token; Rotel's as rows of `otel_traces`.

use std::time::Duration;

use super::arrival::Arrival;
use crate::cell::Cell;
use crate::generate::Generator;
use crate::report::{Progress, Section, number};
use crate::send::{Acknowledged, Pace};
use crate::subject::{CpuSeconds, Ledgerline, Place, Rotel, STEPS, Spent, Subject, Who};

/// The design's aims, as `docs/performance.md` has them, in the columns of the table of steps.
const BUDGET: [&str; STEPS.len() + 4] = ["budget", "1.5", "0.5", "0.5", "3", "-", "-", "9", "14.5"];

/// What to run.
#[derive(Debug)]
pub struct Plan {
    pub cells: Vec<Cell>,
    /// Spans of a cell.
    pub spans: u64,
    pub seed: u64,
    /// Time of the first span, in nanoseconds since the epoch.
    pub starts_at: u64,
}

/// One cell of one contender.
#[derive(Debug)]
struct Run {
    cell: Cell,
    who: Who,
    spans: u64,
    acknowledging: Duration,
    /// Acknowledged and not yet there, when the last answer came.
    backlog: u64,
    /// From the last answer until everything was there.
    behind: Duration,
    /// Per million spans.
    collector: CpuSeconds,
    engine: f64,
    loader: f64,
    collector_rss_mib: f64,
    engine_rss_mib: f64,
}

/// Runs it.
pub async fn run(place: &Place, plan: &Plan, progress: &Progress) -> anyhow::Result<Vec<Section>> {
    let contenders: &[Who] =
        if place.rotel.is_some() { &[Who::Ledgerline, Who::Rotel] } else { &[Who::Ledgerline] };
    let mut runs = Vec::new();
    for cell in &plan.cells {
        for who in contenders {
            progress.say(&format!("end to end: {cell}, {}", who.name()));
            runs.push(measure(place, plan, *cell, *who).await?);
        }
    }
    Ok(vec![rates(&runs), steps(&runs)])
}

async fn measure(place: &Place, plan: &Plan, cell: Cell, who: Who) -> anyhow::Result<Run> {
    let engine = Ledgerline::engine_host(place)?;
    let subject = match who {
        Who::Ledgerline => Subject::Ledgerline(Ledgerline::on(place, &engine)?),
        Who::Rotel => Subject::Rotel(Rotel::to_clickhouse(place, &engine).await?),
    };
    let arrival = Arrival::new(subject, engine);
    let (collector, engine) = (arrival.subject.process(), &arrival.engine.process);
    let generator = Generator::new(plan.seed, cell.batch, plan.starts_at);
    let requests = plan.spans.div_ceil(generator.batch());
    let spans = requests * generator.batch();
    let (mut clients, warmed_up) = arrival.warm_up(cell.protocol, &generator).await?;

    let before = (collector.spent()?, engine.spent()?, Spent::of_myself()?);
    let sent = clients.send(&generator, Pace::Requests(requests), &Acknowledged::default()).await?;
    let backlog = (warmed_up + spans).saturating_sub(arrival.spans().await?);
    let behind = arrival.wait_for(warmed_up + spans).await?;
    let spent = (collector.spent()?, engine.spent()?, Spent::of_myself()?);
    arrival.check(&generator, sent.requests.end).await?;
    Ok(Run {
        cell,
        who,
        spans,
        acknowledging: sent.elapsed,
        backlog,
        behind,
        collector: spent.0.since(&before.0).per_million(spans),
        engine: spent.1.since(&before.1).per_million(spans).whole(),
        loader: spent.2.since(&before.2).per_million(spans).whole(),
        collector_rss_mib: collector.peak_rss_mib()?,
        engine_rss_mib: engine.peak_rss_mib()?,
    })
}

fn rates(runs: &[Run]) -> Section {
    let mut section = Section::new(
        "End to end into ClickHouse",
        &[
            "requests",
            "collector",
            "spans",
            "spans/s acknowledged",
            "backlog at the end of sending",
            "s until all there",
            "spans/s sustained",
            "collector CPU s/M",
            "engine CPU s/M",
            "together",
            "collector RSS MiB",
            "engine RSS MiB",
            "loader CPU s/M",
        ],
    );
    for run in runs {
        let per_second = |duration: Duration| number(run.spans as f64 / duration.as_secs_f64());
        section.row(&[
            run.cell.to_string(),
            run.who.name().to_string(),
            number(run.spans as f64),
            per_second(run.acknowledging),
            number(run.backlog as f64),
            number(run.behind.as_secs_f64()),
            per_second(run.acknowledging + run.behind),
            number(run.collector.whole()),
            number(run.engine),
            number(run.collector.whole() + run.engine),
            number(run.collector_rss_mib),
            number(run.engine_rss_mib),
            number(run.loader),
        ]);
    }
    section
}

fn steps(runs: &[Run]) -> Section {
    let header: Vec<&str> =
        ["requests"].into_iter().chain(STEPS).chain(["other", "engine", "whole"]).collect();
    let mut section = Section::new("CPU s per million spans by step, end to end", &header);
    section.row(&BUDGET.map(str::to_string));
    for run in runs.iter().filter(|run| run.who == Who::Ledgerline) {
        let steps = run.collector.steps.map(number);
        let rest = [run.collector.other, run.engine, run.collector.whole() + run.engine].map(number);
        let row: Vec<String> = [run.cell.to_string()].into_iter().chain(steps).chain(rest).collect();
        section.row(&row);
    }
    section
}
