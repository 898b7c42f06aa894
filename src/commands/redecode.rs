//! `redecode`: read kept spans anew, by what this version understands, and bill what follows.
//!
//! The one place where the decoder and settlement meet: settlement says which spans and what would follow, the decoder reads
//! them, and a new reading goes the way of all evidence, through this collector's journal. Stopped anywhere, it is begun again
//! by running it again: what is in the log already is not read a second time.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use billing::settle::{Candidates, Rehearsal, Selection, Settler, TraceKey, Which};
use chrono::{DateTime, Utc};
use collector::append::Frames;
use collector::decode::DECODER_VERSION;
use domain::observation::{Evidence, Kind, Observation};
use schemas::record;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::job::{self, Job};
use super::usage::instant;
use super::{Context, Outcome};
use crate::billing_arm::BillingHandles;
use crate::output::{self, Cell, Format, Rows};

/// What to read anew. Without a flag: what an older version read, what nobody understood, and what was set aside
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only spans received then or later: a day, or a time of RFC 3339
    #[arg(long, value_name = "T", value_parser = instant)]
    from: Option<DateTime<Utc>>,
    /// Only spans received before
    #[arg(long, value_name = "T", value_parser = instant)]
    to: Option<DateTime<Utc>>,
    /// Which spans; a kind or `all` includes those that this version read, by the attribute names configured now
    #[arg(long, value_enum, default_value_t = SpanChoice::Outdated, value_name = "KIND")]
    kind: SpanChoice,
    /// Do it; without this, only say what would change
    #[arg(long)]
    apply: bool,
}

/// Which spans to read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum SpanChoice {
    /// Read by an older version, not understood, or set aside
    Outdated,
    /// Those that look like AI usage and are not understood
    Unrecognised,
    /// Those that stand as quarantined: for what they state, or for an age that `billing.late_limit` allows now
    Quarantined,
    /// Calls
    Call,
    /// Spans that may repeat calls
    PossibleWrapper,
    /// Spans that state whom to bill
    Attribution,
    /// Every span
    All,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Received then or later, nanoseconds since the epoch.
    pub from: Option<i64>,
    /// Received before.
    pub to: Option<i64>,
    /// Which.
    pub kind: SpanChoice,
    /// Do it.
    pub apply: bool,
}

const COLUMNS: [&str; 11] = [
    "kind",
    "read_as",
    "tenant",
    "posted_in",
    "spans",
    "calls",
    "input_tokens",
    "output_tokens",
    "cost",
    "charge",
    "currency",
];

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<Outcome> {
    let nanos = |time: Option<DateTime<Utc>>| time.and_then(|time| time.timestamp_nanos_opt());
    let job =
        Job::Redecode { from: nanos(args.from), to: nanos(args.to), kind: args.kind, apply: args.apply };
    let answer = job::run(&job, context).await?;
    let mut rows = Rows::new(COLUMNS);
    for change in answer["changes"].as_array().into_iter().flatten() {
        rows.push(COLUMNS.map(|column| match &change[column] {
            Value::Number(number) => Cell::Count(number.as_i64().unwrap_or_default()),
            // Every grouping is of one ledger, whose currency is configured.
            Value::Null => context.loaded.config.billing.currency.code().into(),
            other => other.as_str().unwrap_or_default().into(),
        }));
    }
    rows.print(context.format)?;
    if context.format == Format::Table {
        let figure = |key: &str| answer[key].as_u64().unwrap_or_default();
        let text = match (figure("readings"), figure("entries")) {
            (0, 0) => "nothing differs\n".to_string(),
            (readings, entries) if args.apply => {
                format!("{readings} readings appended, {entries} entries posted\n")
            }
            (readings, entries) => {
                format!(
                    "{readings} readings would be appended and {entries} entries posted; --apply does it\n"
                )
            }
        };
        output::print(&text)?;
    }
    Ok(Outcome::Done)
}

/// Does it, with the ledger to itself.
pub async fn redecode(
    settler: &mut Settler,
    wanted: &Wanted,
    handles: &BillingHandles,
    deadline: Instant,
) -> anyhow::Result<Value> {
    settler.drain().await?;
    let decoder = Arc::clone(&handles.decoder);
    let read = move |kept: &Observation| decoder.reread(kept);
    let mut candidates = Candidates::of(settler, wanted.selection()).await?;
    let mut total = Rehearsal::default();
    let mut appended = 0;
    // Traces whose spans are read as before, and that nevertheless come to something else by the rules of now.
    let mut again: BTreeSet<TraceKey> = BTreeSet::new();
    loop {
        let mut traces = candidates.next(settler, &read).await?;
        if traces.is_empty() {
            break;
        }
        traces.retain(|trace| !total.seen.contains(trace));
        let mut rehearsal = settler.rehearse(traces, &candidates, &read).await?;
        let readings = std::mem::take(&mut rehearsal.readings);
        appended += readings.len();
        if wanted.apply && rehearsal.entries > 0 {
            let anew: BTreeSet<_> = readings.iter().map(|read| (read.trace, &read.key.realm)).collect();
            again.extend(
                rehearsal.seen.iter().filter(|key| !anew.contains(&(key.trace, &key.realm))).cloned(),
            );
        }
        if wanted.apply && !readings.is_empty() {
            append(handles, readings).await?;
        }
        total.add(rehearsal);
    }
    if wanted.apply {
        handles.ship.flush(deadline).await?;
        settler.drain().await?;
        settler.settle_again(again).await?;
    }
    Ok(answer(&total, appended))
}

/// Has readings durable in the journal of this collector, from where they are shipped and settled like all evidence.
async fn append(handles: &BillingHandles, readings: Vec<Observation>) -> anyhow::Result<()> {
    let append =
        handles.append.upgrade().context("the server is stopping; run the command again afterwards")?;
    let mut frames = Frames::new();
    for reading in readings {
        frames.push_evidence(&record::encode(&Evidence::Observation(Box::new(reading))));
    }
    append.durable(frames).await.context("the journal did not take the new readings")?;
    Ok(())
}

impl Wanted {
    fn selection(&self) -> Selection {
        let which = match self.kind {
            SpanChoice::Outdated => Which::Outdated,
            SpanChoice::Unrecognised => Which::Kind(Kind::Unrecognised),
            SpanChoice::Quarantined => Which::Quarantined,
            SpanChoice::Call => Which::Kind(Kind::Call),
            SpanChoice::PossibleWrapper => Which::Kind(Kind::PossibleWrapper),
            SpanChoice::Attribution => Which::Kind(Kind::Attribution),
            SpanChoice::All => Which::All,
        };
        Selection { which, since: self.from, until: self.to, version: DECODER_VERSION }
    }
}

/// What it came to, as it travels.
fn answer(total: &Rehearsal, readings: usize) -> Value {
    let changes = total.changes.iter().map(|((kind, read_as, tenant, month), changed)| {
        json!({
            "kind": kind,
            "read_as": read_as,
            "tenant": tenant,
            "posted_in": month.to_string(),
            "spans": changed.spans,
            "calls": changed.calls,
            "input_tokens": changed.input_tokens,
            "output_tokens": changed.output_tokens,
            "cost": changed.cost.to_string(),
            "charge": changed.charge.to_string(),
        })
    });
    json!({ "changes": changes.collect::<Vec<_>>(), "readings": readings, "entries": total.entries })
}
