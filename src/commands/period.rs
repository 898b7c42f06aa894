//! `period`: close a billing month, and see how it stands.

use chrono::{DateTime, Utc};
use clap::Subcommand;
use domain::ledger::{ChainId, Head};
use domain::time::BillingPeriod;
use schemas::Database;
use schemas::reports::{UsageQuery, UsageRow, Window};
use schemas::rows::{PeriodRow, month_of};
use serde_json::json;

use super::job::{self, Job};
use super::{Context, Outcome};
use crate::connect::{Missing, with_database};
use crate::output::{self, Cell, Format, Rows, hex};
use crate::retention;

/// Billing months.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Close a month that is over: settle what is left, check everything, freeze it with a manifest
    Close {
        /// The billing month
        #[arg(long, value_name = "YYYY-MM", value_parser = BillingPeriod::parse)]
        month: BillingPeriod,
        /// Do not wait until billing.grace has passed
        #[arg(long)]
        without_grace: bool,
        /// Close though the balance of all spans does not hold
        #[arg(long)]
        unbalanced: bool,
    },
    /// Show whether a month is open or closed, and with what
    Status {
        /// The billing month
        #[arg(long, value_name = "YYYY-MM", value_parser = BillingPeriod::parse)]
        month: BillingPeriod,
    },
}

/// Runs a command.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    let month = match command {
        Command::Close { month, without_grace, unbalanced } => {
            job::run(&Job::Close { month: month.to_string(), without_grace, unbalanced }, context).await?;
            month
        }
        Command::Status { month } => month,
    };
    status(month, context).await
}

/// How a month stands.
struct Standing {
    /// What it was closed with.
    closed: Option<PeriodRow>,
    sums: UsageRow,
    invoices: usize,
    /// Its entries went by retention.
    gone: bool,
}

async fn status(month: BillingPeriod, context: &Context) -> anyhow::Result<Outcome> {
    let standing = with_database(&context.loaded, "period", Missing::Refuse, async |database: &Database| {
        let query = UsageQuery { window: Window::Month(month), by: Vec::new(), tenant: None };
        let mut sums = UsageRow::default();
        database.usage(&query).await?.iter().for_each(|row| sums.add(row));
        let mut closed = database.closed_months().await?;
        closed.retain(|row| month_of(row.period) == month);
        let (closed, gone) = (closed.pop(), retention::is_gone(database, month).await?);
        if let Some(row) = closed.as_ref().filter(|_| gone) {
            // What is left of it is what it was closed with.
            sums = UsageRow { calls: row.calls, cost: row.cost, charge: row.charge, ..UsageRow::default() };
        }
        Ok(Standing { closed, sums, invoices: database.invoices_of(month).await?.len(), gone })
    })
    .await?;
    let grace = chrono::Duration::from_std(context.loaded.config.billing.grace)?;
    let state = match &standing.closed {
        Some(_) if standing.gone => "closed, its entries have gone by retention",
        Some(_) => "closed",
        None if Utc::now() < month.end() => "open",
        None if Utc::now() < month.end() + grace => "over, takes late usage",
        None => "over, can be closed",
    };
    let columns = [
        "month",
        "state",
        "calls",
        "cost",
        "charge",
        "unpriced_calls",
        "unmetered_calls",
        "invoices",
        "closed_at",
        "entries",
        "merkle_root",
        "chain_heads",
        "price_book",
        "plans",
        "rates",
        "config",
        "program",
    ];
    let (sums, closed) = (&standing.sums, standing.closed.as_ref());
    let hash = |text: fn(&PeriodRow) -> &String| {
        Cell::text(closed.map(text).filter(|text| !text.is_empty()).cloned())
    };
    let cells: [Cell; 17] = [
        month.to_string().into(),
        state.into(),
        Cell::Count(sums.calls),
        Cell::Money(sums.cost),
        Cell::Money(sums.charge),
        if standing.gone { Cell::Nothing } else { Cell::Count(sums.unpriced_calls) },
        if standing.gone { Cell::Nothing } else { Cell::Count(sums.unmetered_calls) },
        Cell::Count(i64::try_from(standing.invoices)?),
        Cell::time(closed.and_then(|row| DateTime::from_timestamp_micros(row.closed_at))),
        closed.map_or(Cell::Nothing, |row| Cell::Count(i64::try_from(row.entries).unwrap_or(i64::MAX))),
        Cell::text(closed.filter(|row| row.merkle_root != [0; 32]).map(|row| hex(&row.merkle_root))),
        Cell::text(closed.filter(|row| !row.chain_heads.is_empty()).map(heads)),
        hash(|row| &row.price_book),
        hash(|row| &row.plans),
        hash(|row| &row.rates),
        hash(|row| &row.config),
        hash(|row| &row.program),
    ];
    if context.format == Format::Table {
        // One month is read downwards.
        let mut rows = Rows::new(["what", "is"]);
        for (column, cell) in columns.into_iter().zip(&cells).filter(|(_, cell)| **cell != Cell::Nothing) {
            rows.push([column.into(), cell.to_string().into()]);
        }
        rows.print(context.format)?;
        return Ok(Outcome::Done);
    }
    if context.format == Format::Json {
        let object: serde_json::Map<String, serde_json::Value> =
            columns.into_iter().map(str::to_string).zip(cells.iter().map(|cell| json!(cell))).collect();
        output::print(&output::json(&object))?;
        return Ok(Outcome::Done);
    }
    let mut rows = Rows::new(columns);
    rows.push(cells);
    rows.print(context.format)?;
    Ok(Outcome::Done)
}

/// Where the chains of vouchers were: each with its voucher and head.
fn heads(closed: &PeriodRow) -> String {
    let head =
        |(chain, number, head): &(ChainId, u64, Head)| format!("{}:{number}:{}", hex(chain), hex(head));
    closed.chain_heads.iter().map(head).collect::<Vec<_>>().join(" ")
}
