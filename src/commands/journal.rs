//! `journal`: what a data directory's journal holds, what of it is damaged, and shipping again what ClickHouse lost.
//!
//! `stat` and `fsck` only read, also beside a running server (whose newest segment may then end in a frame that is just
//! being written). `replay` opens the journal itself, so no server may run on the data directory.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use clap::Subcommand;
use collector::append::Clock;
use collector::ship::{Wanted, replay};
use journal::{CollectorId, Inspection, Lost, inspect};

use super::{Context, Outcome};
use crate::connect::{Missing, with_database};
use crate::data_dir::DataDir;
use crate::output::{Cell, Rows};
use crate::topology::open_journal;

/// What to do with the journal.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what it holds, and how far that is shipped and released
    Stat,
    /// Read and check every frame; list what is damaged. Exit code 1 where something is
    Fsck,
    /// Ship again what ClickHouse lost, as far as the journal still holds it. No server may run on the data directory
    Replay(ReplayArgs),
}

/// Which positions to replay: everything that was shipped and is still held, where nothing else is said.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// Only positions of this collector id
    #[arg(long, value_name = "ID", value_parser = parse_collector)]
    collector: Option<CollectorId>,
    /// From this position
    #[arg(long, value_name = "POSITION", default_value_t = 1)]
    from: u64,
    /// Up to this position [default: the last that was shipped]
    #[arg(long, value_name = "POSITION")]
    to: Option<u64>,
    /// Compare, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Does it.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    match command {
        Command::Stat => {
            stat(&inspected(context)?).print(context.format)?;
            Ok(Outcome::Done)
        }
        Command::Fsck => {
            let found = inspected(context)?;
            fsck(&found).print(context.format)?;
            let sound = found.damaged.is_empty() && found.damaged_checkpoints.is_empty();
            Ok(if sound { Outcome::Done } else { Outcome::Failed })
        }
        Command::Replay(args) => run_replay(args, context).await,
    }
}

fn parse_collector(text: &str) -> Result<CollectorId, String> {
    CollectorId::parse(text).ok_or_else(|| "a collector id is 32 hexadecimal digits".to_owned())
}

fn directory(context: &Context) -> anyhow::Result<PathBuf> {
    let dir = DataDir::new(&context.loaded.config.data_dir).journal();
    if !dir.is_dir() {
        bail!("there is no journal in {}; name another --data-dir", dir.display());
    }
    Ok(dir)
}

fn inspected(context: &Context) -> anyhow::Result<Inspection> {
    Ok(inspect(&directory(context)?)?)
}

fn position(seq: u64) -> Cell {
    Cell::Count(i64::try_from(seq).unwrap_or(i64::MAX))
}

/// One row a segment.
fn stat(found: &Inspection) -> Rows {
    let mut rows = Rows::new([
        "segment",
        "collector",
        "current",
        "first",
        "last",
        "records",
        "frames",
        "bytes",
        "gap_positions",
        "shipped",
        "released",
    ]);
    for segment in &found.segments {
        let cursor = found.checkpoint.get(segment.collector_id);
        let gaps = segment.gaps_before.iter().map(|gap| gap.to - gap.from + 1).sum();
        rows.push([
            segment.file.as_str().into(),
            segment.collector_id.to_string().into(),
            Cell::Flag(found.collector_id == Some(segment.collector_id)),
            position(segment.first_seq),
            position(segment.last_seq),
            position(segment.records),
            position(segment.frames),
            position(segment.file_bytes),
            position(gaps),
            position(cursor.shipped),
            position(cursor.released),
        ]);
    }
    rows
}

/// One row a finding. A torn tail is listed and is no damage: nothing acknowledged was in it.
fn fsck(found: &Inspection) -> Rows {
    let mut rows = Rows::new([
        "file",
        "finding",
        "collector",
        "from_byte",
        "to_byte",
        "first_lost",
        "last_lost",
        "what",
    ]);
    for damaged in &found.damaged {
        let (first, last) = match damaged.lost {
            Lost::Seqs { from, to } => (position(from), position(to)),
            Lost::Nothing | Lost::Unknown => (Cell::Nothing, Cell::Nothing),
        };
        let finding = match damaged.lost {
            Lost::Nothing => "damaged",
            Lost::Seqs { .. } => "lost",
            Lost::Unknown => "unknown",
        };
        rows.push([
            damaged.file.as_str().into(),
            finding.into(),
            Cell::text(damaged.collector_id.map(|id| id.to_string())),
            position(damaged.offsets.start),
            position(damaged.offsets.end),
            first,
            last,
            damaged.to_string().into(),
        ]);
    }
    for file in &found.damaged_checkpoints {
        let what = format!("journal checkpoint {file} is not readable; the other generation stands in");
        let nothing = || Cell::Nothing;
        rows.push([
            file.as_str().into(),
            "damaged".into(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            what.into(),
        ]);
    }
    if let Some(tail) = &found.torn_tail {
        let what = "an append that never completed, or is just being written; nothing acknowledged is in it";
        rows.push([
            tail.file.as_str().into(),
            "torn tail".into(),
            Cell::text(found.collector_id.map(|id| id.to_string())),
            position(tail.offset),
            position(tail.offset + tail.bytes),
            Cell::Nothing,
            Cell::Nothing,
            what.into(),
        ]);
    }
    rows
}

async fn run_replay(args: ReplayArgs, context: &Context) -> anyhow::Result<Outcome> {
    directory(context)?;
    let config = &context.loaded.config;
    let wanted = Wanted {
        collector_id: args.collector.map(CollectorId::to_bytes),
        from_seq: args.from,
        to_seq: args.to.unwrap_or(u64::MAX),
        dry_run: args.dry_run,
    };
    let replayed = with_database(&context.loaded, "journal replay", Missing::Create, async |database| {
        database.migrate().await?;
        let journal = open_journal(config, &DataDir::new(&config.data_dir)).await?;
        let replayed = replay(&Arc::clone(&journal), database, wanted, &Clock::system()).await;
        journal.close();
        Ok(replayed?)
    })
    .await?;
    let mut rows = Rows::new([
        "collector",
        "batches",
        "rows",
        "rows_sent",
        "batches_sent",
        "rows_differing",
        "batches_retired",
        "batches_incomplete",
    ]);
    let mut whole = true;
    for done in replayed {
        whole &= done.rows_differing == 0 && done.batches_incomplete == 0;
        rows.push([
            CollectorId::from_bytes(done.collector_id).to_string().into(),
            position(done.batches),
            position(done.rows),
            position(done.rows_sent),
            position(done.batches_sent),
            position(done.rows_differing),
            position(done.batches_retired),
            position(done.batches_incomplete),
        ]);
    }
    rows.print(context.format)?;
    Ok(if whole { Outcome::Done } else { Outcome::Failed })
}
