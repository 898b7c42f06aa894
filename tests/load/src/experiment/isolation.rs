//! What the trace arm costs billing: the same calls with the arm off, at work, and in every kind of trouble.
//!
//! Every run has fresh processes and sends the same spans, so every ledger must be the same to its entries' ids; a run of which it
//! is not fails. States alternate within a round, so that a slow minute of the machine hits all of them; a rate is compared with that
//! of the arm off in the same round.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;

use super::arrival::Arrival;
use crate::cell::{Cell, Protocol};
use crate::generate::Generator;
use crate::history::History;
use crate::ledger::Ledger;
use crate::report::{Progress, Section, number};
use crate::send::{Acknowledged, Clients, Pace, Sent};
use crate::statistics::{milliseconds, over};
use crate::subject::{Ledgerline, Place, Subject, TraceArm};

const CELL: Cell = Cell { protocol: Protocol::Grpc, batch: 100 };
const WARM_UP: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Debug)]
pub struct Plan {
    pub rounds: u32,
    /// Of each run into the ledger.
    pub spans: u64,
    /// Of each run with shipping paused.
    pub duration: Duration,
    pub seed: u64,
    /// Time of the first span, in nanoseconds since the epoch.
    pub starts_at: u64,
}

/// One run.
#[derive(Debug)]
struct Run {
    spans_per_second: f64,
    /// Of the same round with the arm off.
    of_off: f64,
    p50_ms: f64,
    p99_ms: f64,
    behind: f64,
    kept: u64,
    stored: u64,
    dropped: u64,
    rss_mib: f64,
}

type Runs = BTreeMap<TraceArm, Vec<Run>>;

/// Runs it.
pub async fn run(place: &Place, plan: &Plan, progress: &Progress) -> anyhow::Result<Vec<Section>> {
    let (mut paused, mut whole) = (Runs::new(), Runs::new());
    let mut ledger: Option<String> = None;
    for round in 1..=plan.rounds {
        let mut off = f64::NAN;
        for arm in [TraceArm::Off, TraceArm::Sampling] {
            progress.say(&format!("isolation, round {round}, shipping paused: {}", arm.name()));
            let run = acknowledge(place, plan, arm).await?;
            if arm == TraceArm::Off {
                off = run.spans_per_second;
            }
            let of_off = run.spans_per_second / off;
            paused.entry(arm).or_default().push(Run { of_off, ..run });
        }
        for arm in TraceArm::COMPARED {
            progress.say(&format!("isolation, round {round}: {}", arm.name()));
            let (run, found) = settle(place, plan, arm).await.with_context(|| arm.name())?;
            let known = ledger.get_or_insert_with(|| found.clone());
            anyhow::ensure!(
                *known == found,
                "{}: the ledger is {found}, with the arm off it was {known}",
                arm.name()
            );
            if arm == TraceArm::Off {
                off = run.spans_per_second;
            }
            let of_off = run.spans_per_second / off;
            whole.entry(arm).or_default().push(Run { of_off, ..run });
        }
    }
    let of = |title: &str| format!("{title} ({CELL}, {} rounds)", plan.rounds);
    Ok(vec![
        table(&of("The trace arm beside acknowledgements, shipping paused"), &paused, false),
        table(&of("The trace arm beside billing, into the ledger"), &whole, true),
    ])
}

/// How fast is acknowledged while nothing can be stored anywhere: the arm samples, judges, and drops.
async fn acknowledge(place: &Place, plan: &Plan, arm: TraceArm) -> anyhow::Result<Run> {
    let server = Ledgerline::with_shipping_paused_and(place, arm)?;
    let generator = Generator::new(plan.seed, CELL.batch, plan.starts_at);
    let mut clients = Clients::connect(CELL.protocol, &server.otlp_grpc).await?;
    clients.send(&generator, Pace::For(WARM_UP), &Acknowledged::default()).await?;
    let sent = clients.send(&generator, Pace::For(plan.duration), &Acknowledged::default()).await?;
    figures(&sent, &generator, &server, Duration::ZERO).await
}

/// From the first request until all of it is in the ledger, and what the ledger is then.
async fn settle(place: &Place, plan: &Plan, arm: TraceArm) -> anyhow::Result<(Run, String)> {
    let engine = Ledgerline::engine_host(place)?;
    let subject = Subject::Ledgerline(Ledgerline::on_with(place, &engine, arm)?);
    let arrival = Arrival::new(subject, engine);
    let generator = Generator::new(plan.seed, CELL.batch, plan.starts_at);
    let (mut clients, warmed_up) = arrival.warm_up(CELL.protocol, &generator).await?;
    let history = History::of(&arrival.engine)?;
    match arm {
        TraceArm::Stalled => history.have_traces_hang().await?,
        TraceArm::Failing => history.have_traces_fail().await?,
        TraceArm::Off | TraceArm::Sampling | TraceArm::Keeping | TraceArm::Full => {}
    }
    let requests = plan.spans.div_ceil(generator.batch());
    let sent = clients.send(&generator, Pace::Requests(requests), &Acknowledged::default()).await?;
    let behind = arrival.wait_for(warmed_up + requests * generator.batch()).await?;
    arrival.check(&generator, sent.requests.end).await?;
    let Subject::Ledgerline(server) = &arrival.subject else { anyhow::bail!("it is ours") };
    let found = Ledger::at(&arrival.engine.clickhouse).fingerprint().await?;
    Ok((figures(&sent, &generator, server, behind).await?, found))
}

async fn figures(
    sent: &Sent,
    generator: &Generator,
    server: &Ledgerline,
    behind: Duration,
) -> anyhow::Result<Run> {
    let spans = (sent.requests.end - sent.requests.start) * generator.batch();
    Ok(Run {
        spans_per_second: spans as f64 / sent.elapsed.as_secs_f64(),
        of_off: f64::NAN,
        p50_ms: milliseconds(&sent.latency_us, 0.5),
        p99_ms: milliseconds(&sent.latency_us, 0.99),
        behind: behind.as_secs_f64(),
        kept: server.metric("ledgerline_trace_spans_kept_total").await?,
        stored: server.metric("ledgerline_trace_spans_inserted_total").await?,
        dropped: server.metric("ledgerline_trace_dropped_total").await?,
        rss_mib: server.process.peak_rss_mib()?,
    })
}

fn table(title: &str, runs: &Runs, into_ledger: bool) -> Section {
    let header = [
        "trace arm",
        "spans/s acknowledged",
        "(lowest to highest)",
        "of the arm off, in the same round",
        "(lowest to highest)",
        "p50 ms",
        "p99 ms",
        "spans kept",
        "stored",
        "dropped (spans and requests)",
        "peak RSS MiB",
        "s until all settled",
        "ledger",
    ];
    let columns = if into_ledger { header.len() } else { header.len() - 2 };
    let mut section = Section::new(title, &header[..columns]);
    for (arm, runs) in runs {
        let rate = over(runs, |run| run.spans_per_second);
        let ratio = over(runs, |run| run.of_off);
        let row = [
            arm.name().to_string(),
            number(rate.median),
            format!("{} to {}", number(rate.lowest), number(rate.highest)),
            format!("{:.2}×", ratio.median),
            format!("{:.2} to {:.2}", ratio.lowest, ratio.highest),
            number(over(runs, |run| run.p50_ms).median),
            number(over(runs, |run| run.p99_ms).median),
            number(over(runs, |run| run.kept as f64).median),
            number(over(runs, |run| run.stored as f64).median),
            number(over(runs, |run| run.dropped as f64).median),
            number(over(runs, |run| run.rss_mib).highest),
            number(over(runs, |run| run.behind).median),
            "the same".to_string(),
        ];
        section.row(&row[..columns]);
    }
    section
}
