//! `prices`: import price files, and look at what is in force: a row a rate.
//!
//! Without a ledger there is still the bundled book, and `list` and `show` answer from it.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use billing::prices::{
    self, Change, FILE_MAX, Finding, Import, Origin, PriceRow, Quote, Shelf, ShelfError, Source,
};
use chrono::{DateTime, Utc};
use clap::{ArgGroup, Subcommand};
use domain::price::{Context as CallContext, PriceBook};
use domain::time::EventTime;
use schemas::Database;

use super::usage::instant;
use super::{Context, Outcome};
use crate::billing_arm::now_nanos;
use crate::connect::{ConnectError, Missing, with_database};
use crate::output::{self, Cell, Format, Rows};

/// What to do with prices.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Import a price file, whole or not at all; a running server rates with it within seconds
    #[command(group = ArgGroup::new("what").required(true).args(["file", "bundled"]))]
    Import {
        /// genai-prices or LiteLLM JSON, or prices of your own as .toml or .csv
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The prices that come with this version of the program
        #[arg(long)]
        bundled: bool,
        /// From when prices hold that state no date of their own (LiteLLM's) [default: always]
        #[arg(long, value_name = "TIME", value_parser = instant)]
        since: Option<DateTime<Utc>>,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// List every rate of the price book
    List {
        /// Only this provider's, by the book's name
        #[arg(long, value_name = "PROVIDER")]
        provider: Option<String>,
        /// The book as it was known at this time [default: now]
        #[arg(long, value_name = "TIME", value_parser = instant)]
        known_at: Option<DateTime<Utc>>,
    },
    /// Show what a model costs, and by which rule it was found
    Show {
        /// The model, as a span names it
        model: String,
        /// Only at this provider, by its well-known name or the book's [default: every provider that has it]
        #[arg(long, value_name = "PROVIDER")]
        provider: Option<String>,
        /// For a call at this time [default: now]
        #[arg(long, value_name = "TIME", value_parser = instant)]
        at: Option<DateTime<Utc>>,
        /// By the book as it was known at this time [default: now]
        #[arg(long, value_name = "TIME", value_parser = instant)]
        known_at: Option<DateTime<Utc>>,
        /// For a call of this service tier
        #[arg(long, value_name = "TIER")]
        service_tier: Option<String>,
        /// For a call served from this region
        #[arg(long, value_name = "REGION")]
        region: Option<String>,
        /// For a call in a batch
        #[arg(long)]
        batch: bool,
    },
    /// List what looks wrong: overlaps, gaps, jumps, odd prices; exit code 1 where anything does
    Check {
        /// Also list where this price file states other prices, and what only it knows
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
        /// Also look at the prices that come with the program
        #[arg(long)]
        all: bool,
    },
    /// List every price file that was imported, and when
    Sources,
}

/// Does it.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    let rows = match command {
        Command::Import { file, since, dry_run, .. } => {
            return import(file.as_deref(), since, dry_run, context).await;
        }
        Command::Check { against, all } => return check(against.as_deref(), all, context).await,
        Command::Sources => sources(context).await?,
        Command::List { provider, known_at } => {
            list(&shelf(known_at, context).await?.book, provider.as_deref())?
        }
        Command::Show { model, provider, at, known_at, service_tier, region, batch } => {
            let call =
                CallContext { service_tier: service_tier.as_deref(), region: region.as_deref(), batch };
            let book = shelf(known_at, context).await?.book;
            show(&book, &model, provider.as_deref(), at.unwrap_or_else(Utc::now), &call)?
        }
    };
    rows.print(context.format)?;
    Ok(Outcome::Done)
}

/// What is, or was, in force. Where there is no ledger, or nothing was put on its shelf yet, the bundled prices.
async fn shelf(known_at: Option<DateTime<Utc>>, context: &Context) -> anyhow::Result<Shelf> {
    let currency = context.loaded.config.billing.currency.code();
    let found = with_database(&context.loaded, "prices", Missing::Refuse, async |database| {
        Ok(match known_at {
            Some(at) => Shelf::known_at(database, at.timestamp_micros(), currency).await?,
            None => Shelf::in_force(database, currency).await?,
        })
    })
    .await;
    match found {
        Ok(shelf) if known_at.is_some() && shelf.sources.is_empty() => {
            bail!("no price file was known then; `ledgerline prices sources` lists when each was imported")
        }
        Ok(shelf) if shelf.sources.is_empty() => Ok(Shelf::bundled()),
        Err(error) if matches!(error.downcast_ref(), Some(ConnectError::NoLedger { .. })) => {
            Ok(Shelf::bundled())
        }
        found => found,
    }
}

async fn import(
    file: Option<&Path>,
    since: Option<DateTime<Utc>>,
    dry_run: bool,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let source = match file {
        Some(path) => Source { since: since.map(event_time).transpose()?, ..read(path)? },
        None if since.is_some() => {
            bail!("the bundled prices say themselves from when they hold; leave --since out")
        }
        None => Source::bundled(),
    };
    let currency = context.loaded.config.billing.currency.code();
    // Faults before the ledger: a file that cannot be used needs none to say so.
    let refused = |error| ShelfError::File { name: source.name.clone(), source: error };
    let lists = source.read_new(currency).map_err(refused)?;
    let missing = if dry_run { Missing::Refuse } else { Missing::Create };
    let done = with_database(&context.loaded, "prices import", missing, async |database: &Database| {
        let now = now_nanos() / 1000;
        Ok(prices::import(database, source.clone(), currency, now, dry_run).await?)
    })
    .await?;
    let mut rows = Rows::new(["change", "provider", "model", "unit", "before", "after", "holds"]);
    for change in prices::changes(&done.before.book, &done.after.book) {
        rows.push(change_cells(&change));
    }
    for left_out in &lists.left_out {
        let nothing = || Cell::Nothing;
        rows.push([
            "left out".into(),
            nothing(),
            left_out.at.as_str().into(),
            nothing(),
            nothing(),
            nothing(),
            left_out.problem.as_str().into(),
        ]);
    }
    if dry_run || context.format != Format::Table {
        rows.print(context.format)?;
    }
    if context.format == Format::Table {
        output::print(&summary(&source, &done, lists.left_out.len(), dry_run))?;
    }
    Ok(Outcome::Done)
}

fn change_cells(change: &Change) -> [Cell; 7] {
    let kind = match (&change.before, &change.after) {
        (None, _) => "new",
        (_, None) => "gone",
        _ => "changed",
    };
    [
        kind.into(),
        change.provider.as_str().into(),
        change.model.as_str().into(),
        change.unit.name().into(),
        Cell::text(change.before.clone()),
        Cell::text(change.after.clone()),
        change.holds.as_str().into(),
    ]
}

fn summary(source: &Source, done: &Import, left_out: usize, dry_run: bool) -> String {
    let changes = prices::changes(&done.before.book, &done.after.book);
    let count = |of: fn(&Change) -> bool| changes.iter().filter(|change| of(change)).count();
    let (new, gone) = (count(|change| change.before.is_none()), count(|change| change.after.is_none()));
    let (name, origin) = (&source.name, source.origin);
    let verb = match (done.known, dry_run) {
        (true, _) => format!("{name:?} is in force already"),
        (false, true) => format!("{name:?} would be in force as the {origin} prices"),
        (false, false) => format!("{name:?} is in force as the {origin} prices"),
    };
    format!(
        "{verb}: {new} rates new, {gone} gone, {} changed, {left_out} models left out; price book {}\n",
        changes.len() - new - gone,
        done.after.book.version()
    )
}

async fn check(against: Option<&Path>, all: bool, context: &Context) -> anyhow::Result<Outcome> {
    let currency = context.loaded.config.billing.currency.code();
    let book = shelf(None, context).await?.book;
    let mut found: Vec<Finding> = prices::check(&book);
    found.retain(|finding| all || finding.layer != Origin::Bundled.name());
    if let Some(path) = against {
        let lists =
            read(path)?.read(currency).with_context(|| format!("{} cannot be used", path.display()))?;
        let second = PriceBook::new(lists.providers)?;
        found.extend(prices::compare(&book, &second, event_time(Utc::now())?));
    }
    let mut rows = Rows::new(["kind", "layer", "provider", "model", "what"]);
    for finding in &found {
        rows.push([
            finding.kind.into(),
            finding.layer.as_str().into(),
            finding.provider.as_str().into(),
            finding.model.as_str().into(),
            finding.what.as_str().into(),
        ]);
    }
    rows.print(context.format)?;
    Ok(if found.is_empty() { Outcome::Done } else { Outcome::Failed })
}

async fn sources(context: &Context) -> anyhow::Result<Rows> {
    let imports = with_database(&context.loaded, "prices", Missing::Refuse, async |database: &Database| {
        Ok(database.price_imports().await?)
    })
    .await?;
    let mut rows = Rows::new(["known_from", "origin", "format", "name", "bytes", "source_id", "program"]);
    for row in imports {
        rows.push([
            Cell::time(DateTime::from_timestamp_micros(row.known_from)),
            row.origin.into(),
            row.format.into(),
            row.name.into(),
            Cell::Count(i64::try_from(row.bytes).unwrap_or(i64::MAX)),
            row.source_id.into(),
            row.program.into(),
        ]);
    }
    Ok(rows)
}

/// A file that is imported, read as far as one byte beyond what any may have.
pub(super) fn read_bounded(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(FILE_MAX as u64 + 1).read_to_end(&mut content));
    read.with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(content)
}

fn read(path: &Path) -> anyhow::Result<Source> {
    let content = read_bounded(path)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Source::of_file(&name, content).with_context(|| format!("{} cannot be used", path.display()))
}

fn event_time(at: DateTime<Utc>) -> anyhow::Result<EventTime> {
    let nanos =
        at.timestamp_nanos_opt().with_context(|| format!("{at} is outside the years 1678 to 2262"))?;
    Ok(EventTime::from_nanos(nanos))
}

const COLUMNS: [&str; 10] = [
    "provider",
    "model",
    "unit",
    "unit_price",
    "context",
    "daily",
    "valid_from",
    "valid_to",
    "layer",
    "price_id",
];

fn list(book: &PriceBook, provider: Option<&str>) -> anyhow::Result<Rows> {
    if let Some(wanted) = provider.filter(|wanted| book.providers().all(|provider| provider.id != *wanted)) {
        let names: Vec<&str> = book.providers().map(|provider| provider.id.as_str()).collect();
        bail!("the price book has no provider {wanted:?}; it has {}", names.join(", "));
    }
    let mut rows = Rows::new(COLUMNS);
    for card in
        PriceRow::of_book(book).iter().filter(|card| provider.is_none_or(|wanted| card.provider == wanted))
    {
        push(&mut rows, card, &[]);
    }
    Ok(rows)
}

fn show(
    book: &PriceBook,
    model: &str,
    provider: Option<&str>,
    at: DateTime<Utc>,
    call: &CallContext<'_>,
) -> anyhow::Result<Rows> {
    let at = event_time(at)?;
    let quotes = prices::quotes(book, provider, model, at, call);
    if quotes.is_empty() {
        // Asking again gives the reason.
        book.find(provider.unwrap_or_default(), model, at, call)?;
        bail!(
            "no provider of the price book has a model {model:?}; `ledgerline prices list` shows what it has"
        );
    }
    let cards = PriceRow::of_book(book);
    let mut rows = Rows::new(COLUMNS.into_iter().chain(["rule"]));
    for quote in &quotes {
        let id = quote.found.card.price_id.to_string();
        if let Some(card) = cards.iter().find(|card| card.price_id == id && card.layer == quote.found.layer) {
            push(&mut rows, card, &[rule(quote).into()]);
        }
    }
    Ok(rows)
}

fn rule(quote: &Quote<'_>) -> String {
    let estimate =
        if quote.found.context_ignored { "; standard rates stand in for the tier asked for" } else { "" };
    format!("{}{estimate}", quote.rule)
}

/// A row a rate. A card without rates is free of charge, and still a row.
fn push(rows: &mut Rows, card: &PriceRow, rest: &[Cell]) {
    let context: Vec<String> = card.context.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let daily: Vec<String> =
        card.daily.iter().map(|(from, to)| format!("{}-{}", time_of_day(*from), time_of_day(*to))).collect();
    let mut push = |unit: Cell, rate: Cell| {
        let cells = [
            card.provider.as_str().into(),
            card.model.as_str().into(),
            unit,
            rate,
            context.join(" ").into(),
            daily.join(" ").into(),
            Cell::time(card.valid_from),
            Cell::time(card.valid_to),
            card.layer.as_str().into(),
            card.price_id.as_str().into(),
        ];
        rows.push(cells.into_iter().chain(rest.iter().cloned()));
    };
    for (unit, rate) in &card.rates {
        push(unit.into(), rate.into());
    }
    for unit in &card.unsupported {
        push(unit.into(), Cell::Nothing);
    }
    if card.rates.is_empty() && card.unsupported.is_empty() {
        push(Cell::Nothing, Cell::Nothing);
    }
}

fn time_of_day(nanos: u64) -> String {
    let minutes = nanos / 60_000_000_000;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}
