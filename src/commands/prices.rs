//! `prices`: what the price book says, a row a rate.

use anyhow::bail;
use billing::prices::{self, PriceRow, Quote};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use domain::price::Context as CallContext;
use domain::time::EventTime;

use super::usage::instant;
use super::{Context, Outcome};
use crate::output::{Cell, Rows};

/// What to look for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List every rate of the price book
    List {
        /// Only this provider's, by the book's name
        #[arg(long, value_name = "PROVIDER")]
        provider: Option<String>,
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
}

/// Does it.
pub fn run(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    let rows = match command {
        Command::List { provider } => list(provider.as_deref())?,
        Command::Show { model, provider, at, service_tier, region, batch } => {
            let call =
                CallContext { service_tier: service_tier.as_deref(), region: region.as_deref(), batch };
            show(&model, provider.as_deref(), at.unwrap_or_else(Utc::now), &call)?
        }
    };
    rows.print(context.format)?;
    Ok(Outcome::Done)
}

const COLUMNS: [&str; 9] =
    ["provider", "model", "unit", "unit_price", "context", "daily", "valid_from", "valid_to", "price_id"];

fn list(provider: Option<&str>) -> anyhow::Result<Rows> {
    let book = prices::bundled();
    if let Some(wanted) =
        provider.filter(|wanted| book.providers().all(|provider| provider.id != *wanted))
    {
        let names: Vec<&str> = book.providers().map(|provider| provider.id.as_str()).collect();
        bail!("the price book has no provider {wanted:?}; it has {}", names.join(", "));
    }
    let mut rows = Rows::new(COLUMNS);
    for card in
        PriceRow::of_book(&book).iter().filter(|card| provider.is_none_or(|wanted| card.provider == wanted))
    {
        push(&mut rows, card, &[]);
    }
    Ok(rows)
}

fn show(
    model: &str,
    provider: Option<&str>,
    at: DateTime<Utc>,
    call: &CallContext<'_>,
) -> anyhow::Result<Rows> {
    let Some(nanos) = at.timestamp_nanos_opt() else { bail!("{at} is outside the years 1678 to 2262") };
    let (book, at) = (prices::bundled(), EventTime::from_nanos(nanos));
    let quotes = prices::quotes(&book, provider, model, at, call);
    if quotes.is_empty() {
        // Asking again gives the reason.
        book.find(provider.unwrap_or_default(), model, at, call)?;
        bail!(
            "no provider of the price book has a model {model:?}; `ledgerline prices list` shows what it has"
        );
    }
    let cards = PriceRow::of_book(&book);
    let mut rows = Rows::new(COLUMNS.into_iter().chain(["rule"]));
    for quote in &quotes {
        let id = quote.found.card.price_id.to_string();
        if let Some(card) = cards.iter().find(|card| card.price_id == id) {
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
