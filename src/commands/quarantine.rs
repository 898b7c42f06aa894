//! `quarantine`: the rows that ClickHouse refused for what is in them, and sending them anew.
//!
//! A row that is sent anew goes the way of all evidence: through this collector's journal, under a new position. It keeps its
//! time of receipt, and settlement knows a span however often it came, so stopping anywhere and starting again adds at most a
//! copy. What is refused again is in quarantine again, under its new position.

use anyhow::Context as _;
use billing::explain::{hex_span, hex_trace};
use billing::settle::Settler;
use chrono::DateTime;
use clap::Subcommand;
use collector::append::Frames;
use domain::observation::Evidence;
use journal::CollectorId;
use schemas::rows::QuarantineRow;
use schemas::{Database, DatabaseError, record};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::job::{self, Job};
use super::{Context, Outcome};
use crate::billing_arm::{BillingHandles, now_nanos};
use crate::connect::{Missing, with_database};
use crate::output::{Cell, Rows};

/// How many rows are read and appended at once.
const ROWS_AT_ONCE: usize = 1_000;

/// What to do with refused rows.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the rows that ClickHouse refuses for what is in them, with the reason
    List,
    /// Send them anew, once the cause is removed; what is refused again stays in quarantine
    Redrive,
}

/// Does it.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    match command {
        Command::List => list(context).await,
        Command::Redrive => {
            let answer = job::run(&Job::Redrive, context).await?;
            let mut rows = Rows::new(["sent", "refused_again"]);
            let figure = |key: &str| answer[key].as_i64().unwrap_or_default();
            rows.push([Cell::Count(figure("sent")), Cell::Count(figure("refused_again"))]);
            rows.print(context.format)?;
            Ok(if figure("refused_again") == 0 { Outcome::Done } else { Outcome::Failed })
        }
    }
}

async fn list(context: &Context) -> anyhow::Result<Outcome> {
    let held = with_database(&context.loaded, "quarantine list", Missing::Refuse, async |database| {
        Ok(held(database).await?)
    })
    .await?;
    let mut rows = Rows::new([
        "collector",
        "position",
        "batch_first",
        "batch_last",
        "kind",
        "trace_id",
        "span_id",
        "refused_at",
        "code",
        "reason",
    ]);
    let position = |seq: u64| Cell::Count(i64::try_from(seq).unwrap_or(i64::MAX));
    for row in held {
        let refused_at = DateTime::from_timestamp_micros(row.refused_at).map(|at| at.to_rfc3339());
        rows.push([
            CollectorId::from_bytes(row.collector_id).to_string().into(),
            position(row.seq),
            position(row.first_seq),
            position(row.last_seq),
            row.kind.into(),
            hex_trace(row.trace_id).into(),
            hex_span(row.span_id).into(),
            Cell::text(refused_at),
            row.code.into(),
            row.reason.into(),
        ]);
    }
    rows.print(context.format)?;
    Ok(Outcome::Done)
}

/// Every row that is held.
async fn held(database: &Database) -> Result<Vec<QuarantineRow>, DatabaseError> {
    let (mut held, mut behind) = (Vec::new(), ([0; 16], 0));
    loop {
        let rows = database.held_in_quarantine(behind, ROWS_AT_ONCE as u64).await?;
        let Some(last) = rows.last() else { return Ok(held) };
        behind = (last.collector_id, last.seq);
        held.extend(rows);
    }
}

/// Sends every row that is held anew, and settles it, with the ledger to itself.
pub async fn redrive(
    settler: &mut Settler,
    handles: &BillingHandles,
    deadline: Instant,
) -> anyhow::Result<Value> {
    let database = settler.database().clone();
    let append =
        handles.append.upgrade().context("the server is stopping; run the command again afterwards")?;
    let before = handles.ship.status().quarantined_rows;
    // Read before anything is sent: what is refused again would be read again, for ever.
    let held = held(&database).await?;
    for some in held.chunks(ROWS_AT_ONCE) {
        let mut frames = Frames::new();
        for row in some {
            frames.push_evidence(&journaled(row)?);
        }
        append.durable(frames).await.context("the journal did not take the rows")?;
        // From here on they are evidence like any other; a crash before this is noted comes to a copy of them.
        let now = now_nanos() / 1_000;
        let noted: Vec<QuarantineRow> =
            some.iter().map(|row| QuarantineRow { redriven_at: now, ..row.clone() }).collect();
        database.insert_quarantine(&noted).await?;
    }
    handles.ship.flush(deadline).await?;
    settler.drain().await?;
    let refused_again = handles.ship.status().quarantined_rows - before;
    Ok(json!({ "sent": held.len(), "refused_again": refused_again }))
}

/// The record as it was in the journal, its attributes with it.
fn journaled(row: &QuarantineRow) -> anyhow::Result<Vec<u8>> {
    let unreadable = || format!("the quarantined row at position {} cannot be read", row.seq);
    let mut evidence = record::decode(&row.record).with_context(unreadable)?;
    if let Evidence::Observation(observation) = &mut evidence {
        record::rejoin(observation, row.attributes.clone()).with_context(unreadable)?;
    }
    Ok(record::encode(&evidence))
}
