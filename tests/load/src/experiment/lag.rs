//! How far settlement is behind at a steady rate: the age of the oldest acknowledged span that is not in the ledger.
//!
//! Batches are shipped and settled in the order in which they were journaled, and that is the order of acknowledgement but
//! for requests in flight together. So with `n` calls posted, the oldest that is missing came with request `n / batch`.

use std::pin::pin;
use std::time::Duration;

use super::arrival::Arrival;
use crate::cell::{Cell, Protocol};
use crate::generate::Generator;
use crate::report::{Progress, Section, number};
use crate::send::{Acknowledged, Pace, Sent};
use crate::statistics::{Spread, milliseconds, over};
use crate::subject::{Ledgerline, Place, Subject};

const CELL: Cell = Cell { protocol: Protocol::Grpc, batch: 100 };
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What to run.
#[derive(Debug)]
pub struct Plan {
    /// Spans a second.
    pub rates: Vec<u64>,
    pub duration: Duration,
    pub seed: u64,
    /// Time of the first span, in nanoseconds since the epoch.
    pub starts_at: u64,
}

/// One rate.
#[derive(Debug)]
struct Run {
    rate: u64,
    spans: u64,
    lag_seconds: Spread,
    p50_ms: f64,
    p99_ms: f64,
    /// CPU seconds per second of sending.
    collector_cores: f64,
    engine_cores: f64,
    collector_rss_mib: f64,
    engine_rss_mib: f64,
}

/// Runs it.
pub async fn run(place: &Place, plan: &Plan, progress: &Progress) -> anyhow::Result<Vec<Section>> {
    let mut section = Section::new(
        &format!("Lag of settlement at a steady rate ({CELL})"),
        &[
            "spans/s",
            "spans",
            "lag s, median",
            "lag s, highest",
            "p50 ms",
            "p99 ms",
            "collector cores",
            "engine cores",
            "collector RSS MiB",
            "engine RSS MiB",
        ],
    );
    for rate in &plan.rates {
        progress.say(&format!("lag: {rate} spans/s"));
        let run = measure(place, plan, *rate).await?;
        section.row(&[
            number(run.rate as f64),
            number(run.spans as f64),
            number(run.lag_seconds.median),
            number(run.lag_seconds.highest),
            number(run.p50_ms),
            number(run.p99_ms),
            number(run.collector_cores),
            number(run.engine_cores),
            number(run.collector_rss_mib),
            number(run.engine_rss_mib),
        ]);
    }
    Ok(vec![section])
}

async fn measure(place: &Place, plan: &Plan, rate: u64) -> anyhow::Result<Run> {
    let engine = Ledgerline::engine_host(place)?;
    let subject = Subject::Ledgerline(Ledgerline::on(place, &engine)?);
    let arrival = Arrival::new(subject, engine);
    let (collector, engine) = (arrival.subject.process(), &arrival.engine.process);
    let generator = Generator::new(plan.seed, CELL.batch, plan.starts_at);
    let distance = Duration::from_secs_f64(generator.batch() as f64 / rate as f64);
    let requests = (plan.duration.as_secs_f64() / distance.as_secs_f64()).ceil() as u64;
    let spans = requests * generator.batch();
    let (mut clients, warmed_up) = arrival.warm_up(CELL.protocol, &generator).await?;

    let before = (collector.spent()?, engine.spent()?);
    let acknowledged = Acknowledged::default();
    let sending = clients.send(&generator, Pace::Every(distance, requests), &acknowledged);
    let look = async || {
        let settled = (arrival.spans().await? - warmed_up) / generator.batch();
        anyhow::Ok(acknowledged.oldest_beyond(settled))
    };
    let (sent, lags) = look_while(sending, look).await?;
    let spent = (collector.spent()?, engine.spent()?);
    arrival.wait_for(warmed_up + spans).await?;
    arrival.check(&generator, sent.requests.end).await?;
    let seconds = sent.elapsed.as_secs_f64();
    Ok(Run {
        rate,
        spans,
        lag_seconds: over(&lags, |lag| lag.as_secs_f64()),
        p50_ms: milliseconds(&sent.latency_us, 0.5),
        p99_ms: milliseconds(&sent.latency_us, 0.99),
        collector_cores: spent.0.since(&before.0).whole() / seconds,
        engine_cores: spent.1.since(&before.1).whole() / seconds,
        collector_rss_mib: collector.peak_rss_mib()?,
        engine_rss_mib: engine.peak_rss_mib()?,
    })
}

/// Looks again and again until sending is done.
pub(super) async fn look_while(
    sending: impl Future<Output = anyhow::Result<Sent>>,
    look: impl AsyncFn() -> anyhow::Result<Duration>,
) -> anyhow::Result<(Sent, Vec<Duration>)> {
    let mut sending = pin!(sending);
    let mut lags = Vec::new();
    loop {
        let looking = async {
            tokio::time::sleep(LOOK_INTERVAL).await;
            look().await
        };
        tokio::select! {
            sent = &mut sending => return Ok((sent?, lags)),
            lag = looking => lags.push(lag?),
        }
    }
}
