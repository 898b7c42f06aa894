//! The load benchmark: the real program as processes on loopback, driven by made AI spans, and what that comes to as tables.
//!
//! Spans a second acknowledged and settled, latency, CPU by step, lag and memory; beside Rotel where its binary is given. A run
//! whose ledger is not exactly what was sent fails. Nothing is asserted about time: figures are read by people.

mod options;
mod cell;
mod generate;
mod send;
mod subject;
mod ledger;
mod history;
mod panels;
mod experiment;
mod statistics;
mod report;
mod conditions;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use clap::Parser as _;

use experiment::{acknowledge, dashboards, end_to_end, isolation, lag, ledger_size, month};
use options::{Measure, Options};
use report::Progress;

/// One thread: the load generator is to leave the cores to what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let place = options.place()?;
    // An hour ago: neither late nor ahead, and room for a million calls a second.
    let starts_at =
        (Utc::now() - chrono::TimeDelta::hours(1)).timestamp_nanos_opt().context("a time of this century")?;
    let starts_at = u64::try_from(starts_at)?;
    let seed = options.seed;

    let progress = Progress::start()?;
    let mut text = "# Measured\n\n".to_string() + &conditions::describe(options, &place).await?;
    let mut sections = Vec::new();
    if options.measure.contains(&Measure::Acknowledge) {
        let duration = Duration::from_secs(options.seconds);
        let (cells, rounds) = (options.acknowledge_cells(), options.rounds);
        let plan = acknowledge::Plan { cells, rounds, duration, seed, starts_at };
        sections.extend(acknowledge::run(&place, &plan, &progress).await?);
    }
    if options.measure.contains(&Measure::EndToEnd) {
        let (cells, spans) = (options.end_to_end_cells(), options.spans);
        let plan = end_to_end::Plan { cells, spans, seed, starts_at };
        sections.extend(end_to_end::run(&place, &plan, &progress).await?);
    }
    if options.measure.contains(&Measure::Lag) {
        let (rates, duration) = (options.rates.clone(), Duration::from_secs(options.lag_seconds));
        let plan = lag::Plan { rates, duration, seed, starts_at };
        sections.extend(lag::run(&place, &plan, &progress).await?);
    }
    if options.measure.contains(&Measure::LedgerSize) {
        let (sizes, spans) = (options.entries.clone(), options.spans);
        let plan = ledger_size::Plan { sizes, spans, seed, starts_at };
        sections.extend(ledger_size::run(&place, &plan, &progress).await?);
    }
    if options.measure.contains(&Measure::Month) {
        let plan = month::Plan { sizes: options.entries.clone(), seed };
        sections.extend(month::run(&place, &plan, &progress).await?);
    }
    if options.measure.contains(&Measure::Isolation) {
        let (rounds, spans, duration) = (options.rounds, options.spans, Duration::from_secs(options.seconds));
        let plan = isolation::Plan { rounds, spans, duration, seed, starts_at };
        sections.extend(isolation::run(&place, &plan, &progress).await?);
    }
    if options.measure.contains(&Measure::Dashboards) {
        let plan = dashboards::Plan {
            dir: options.dashboards.clone(),
            sizes: options.entries.clone(),
            traces: options.traces,
            times: options.times,
            seed,
            starts_at,
        };
        sections.extend(dashboards::run(&place, &plan, &progress).await?);
    }
    progress.end();

    for section in sections {
        text += &format!("\n{section}");
    }
    print!("{text}");
    if let Some(path) = &options.out {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
