//! What a month costs that is over: to close it, to issue and export its invoices, and to verify it; in time and in memory.
//!
//! One server hosts the engine and settles, as on a single machine, and does the closing; the rest is done by commands beside it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{Datelike as _, Days, NaiveDate, Utc};

use crate::cell::{Cell, Protocol};
use crate::generate::Generator;
use crate::history::History;
use crate::report::{Progress, Section, number};
use crate::send::{Acknowledged, Clients, Pace};
use crate::subject::{Ledgerline, Place, Process};

const CELL: Cell = Cell { protocol: Protocol::Grpc, batch: 100 };
/// Calls that a month is made of.
const PATTERN_CALLS: u64 = 10_000;
const TENANTS: u64 = 1_000;
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What to run.
#[derive(Debug)]
pub struct Plan {
    /// Entries of the month; rounded to whole repetitions of what it is made of.
    pub sizes: Vec<u64>,
    pub seed: u64,
}

/// Runs it.
pub async fn run(place: &Place, plan: &Plan, progress: &Progress) -> anyhow::Result<Vec<Section>> {
    let mut section = Section::new(
        &format!("A month that is over, {TENANTS} tenants"),
        &["entries", "step", "s", "entries/s", "server CPU s", "server RSS MiB", "command RSS MiB"],
    );
    for size in &plan.sizes {
        progress.say(&format!("month: writing {size} entries"));
        let today = Utc::now().date_naive();
        let first = today.with_day(1).context("a first of the month")?;
        let month = first.pred_opt().and_then(|day| day.with_day(1)).context("a month before")?;
        let (server, entries) = write(place, plan, *size, month).await?;
        let out = tempfile::tempdir_in(&place.dir)?;
        let name = month.format("%Y-%m").to_string();
        let out = out.path().to_string_lossy();
        for (step, line) in [
            ("close", format!("period close --without-grace --unbalanced --month {name}")),
            ("issue", format!("invoice issue --month {name}")),
            ("export", format!("invoice export --month {name} --out {out}")),
            ("verify", format!("verify --month {name}")),
        ] {
            progress.say(&format!("month: {step} of {entries} entries"));
            section.row(&run_step(place, &server, step, &line, entries).await?);
        }
    }
    Ok(vec![section])
}

/// A server whose ledger has a month of about so many entries, and how many.
async fn write(place: &Place, plan: &Plan, size: u64, month: NaiveDate) -> anyhow::Result<(Ledgerline, u64)> {
    let server = Ledgerline::whole(place)?;
    // As late in the month as its shortest is long: usage is taken for so many days.
    let late = month.checked_add_days(Days::new(27)).and_then(|day| day.and_hms_opt(12, 0, 0));
    let late =
        late.and_then(|time| time.and_utc().timestamp_nanos_opt()).context("a time of this century")?;
    let generator = Generator::new(plan.seed, CELL.batch, u64::try_from(late)?);
    let mut clients = Clients::connect(CELL.protocol, &server.otlp_grpc).await?;
    let requests = PATTERN_CALLS / generator.batch();
    clients.send(&generator, Pace::Requests(requests), &Acknowledged::default()).await?;
    let begun = Instant::now();
    while server.calls_posted().await? < PATTERN_CALLS {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "nothing was settled; {}", server.process.last_words());
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let history = History::of(&server)?;
    let first_day = month.format("%Y-%m-%d").to_string();
    history.repeat_in_month(size.div_ceil(PATTERN_CALLS) - 1, &first_day, TENANTS).await?;
    history.merge().await?;
    let entries = history.entries().await?;
    Ok((server, entries))
}

/// Runs a command on the server's data to its end; returns a row of the table.
async fn run_step(
    place: &Place,
    server: &Ledgerline,
    step: &str,
    line: &str,
    entries: u64,
) -> anyhow::Result<Vec<String>> {
    server.process.forget_peak()?;
    let (begun, before) = (Instant::now(), server.process.spent()?);
    let mut command = Command::new(&place.ledgerline);
    command.args(line.split_whitespace()).arg("--data-dir").arg(server.data_dir()).current_dir(&place.dir);
    let mut running = Process::start(&mut command, Stdio::null(), place.dir.join("ledgerline-load-step"))?;
    let mut command_rss_mib: f64 = 0.0;
    let status = loop {
        if let Some(status) = running.ended()? {
            break status;
        }
        // Gone between two looks, it has no peak any more.
        command_rss_mib = command_rss_mib.max(running.peak_rss_mib().unwrap_or(0.0));
        server.process.spent()?;
        tokio::time::sleep(LOOK_INTERVAL).await;
    };
    anyhow::ensure!(status.success(), "{line} failed: {}", running.last_words());
    let seconds = begun.elapsed().as_secs_f64();
    Ok(vec![
        number(entries as f64),
        step.to_string(),
        number(seconds),
        number(entries as f64 / seconds),
        number(server.process.spent()?.since(&before).whole()),
        number(server.process.peak_rss_mib()?),
        number(command_rss_mib),
    ])
}
