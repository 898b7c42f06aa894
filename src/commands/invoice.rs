//! `invoice`: preview, issue, export, list.

use std::path::PathBuf;

use anyhow::bail;
use billing::invoice::{self, ExportFile, Format, Invoice, Line};
use billing::plans::PlanShelf;
use clap::{Subcommand, ValueEnum};
use domain::time::BillingPeriod;
use schemas::Database;
use serde_json::{Value, json};

use super::job::{self, Job};
use super::{Context, Outcome};
use crate::billing_arm::now_nanos;
use crate::connect::{Missing, with_database};
use crate::output::{self, Cell, Rows};
use crate::progress;

/// Monthly invoices.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a month's invoices as they stand now
    Preview(Month),
    /// Close a month that is over and freeze its invoices
    Issue(Month),
    /// Write a month's invoices to files: issued ones, else as they stand now
    Export(Export),
    /// List the invoices that were issued
    List,
}

/// A month, and perhaps one tenant.
#[derive(Debug, clap::Args)]
pub struct Month {
    /// The billing month
    #[arg(long, value_name = "YYYY-MM", value_parser = BillingPeriod::parse)]
    month: BillingPeriod,
    /// Only this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

/// What to write where.
#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    month: Month,
    /// The directory; made if it is missing
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// The format of the files
    #[arg(long = "as", value_enum, default_value_t = As::Csv)]
    file_format: As,
}

/// File formats.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum As {
    /// One CSV a tenant, and a summary
    Csv,
    /// One JSON document a tenant, and a summary
    Json,
    /// One CSV of all lines in the columns of FOCUS 1.2
    Focus,
    /// One page a tenant, to be sent and printed
    Html,
}

impl As {
    fn format(self) -> Format {
        match self {
            Self::Csv => Format::Csv,
            Self::Json => Format::Json,
            Self::Focus => Format::Focus,
            Self::Html => Format::Html,
        }
    }
}

impl Command {
    /// The export of a month's CSV files.
    pub fn export(month: &str, out: &std::path::Path) -> anyhow::Result<Self> {
        let month = Month { month: BillingPeriod::parse(month)?, tenant: None };
        Ok(Self::Export(Export { month, out: out.to_path_buf(), file_format: As::Csv }))
    }
}

/// Runs a command.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    match command {
        Command::Preview(month) => preview(&month, context).await,
        Command::Issue(month) => issue_month(&month, context).await,
        Command::Export(export) => export_month(&export, context).await,
        Command::List => list(context).await,
    }
}

/// A month's invoices as issued, else as they stand; of one tenant, where one is asked for.
async fn invoices(month: &Month, database: &Database) -> anyhow::Result<Vec<Invoice>> {
    let mut found = invoice::invoices(database, month.month, now_nanos() / 1000).await?;
    found.retain(|invoice| month.tenant.as_ref().is_none_or(|tenant| *tenant == invoice.draft.tenant));
    Ok(found)
}

/// A month's invoices with their lines, issued or as they stand, for pages.
pub async fn document(database: &Database, month: BillingPeriod) -> anyhow::Result<String> {
    let found = invoice::invoices(database, month, now_nanos() / 1000).await?;
    let invoices: Vec<Value> = found
        .iter()
        .map(|Invoice { issued, draft }| {
            let line = |line: &Line| {
                json!({
                    "kind": line.kind, "feature": line.feature, "provider": line.provider, "model": line.model,
                    "unit": line.unit, "quantity": line.quantity, "unit_price": line.unit_price.normalize().to_string(),
                    "amount": line.amount.to_string(), "calls": line.calls, "description": line.said(),
                })
            };
            json!({
                "number": issued.as_ref().map(|issue| &issue.number), "tenant": draft.tenant,
                "period": draft.period.to_string(), "currency": draft.currency, "amount": draft.amount.to_string(),
                "calls": draft.calls, "lines": draft.lines.iter().map(line).collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(output::json(&json!({ "invoices": invoices })))
}

/// The CSV file of one tenant's invoice, as the export writes it; `None` where there is none.
pub async fn csv_of(
    database: &Database,
    month: BillingPeriod,
    tenant: &str,
) -> anyhow::Result<Option<ExportFile>> {
    let mut found = invoice::invoices(database, month, now_nanos() / 1000).await?;
    found.retain(|invoice| invoice.draft.tenant == tenant);
    if found.is_empty() {
        return Ok(None);
    }
    let version = found.first().and_then(|invoice| invoice.issued.as_ref()).map(|issue| &issue.terms);
    let terms = PlanShelf::at(database, version.map(String::as_str)).await?.in_force;
    let files = invoice::files(Format::Csv, month, &found, &terms);
    Ok(files.into_iter().find(|file| file.name.starts_with("invoice-")))
}

async fn preview(month: &Month, context: &Context) -> anyhow::Result<Outcome> {
    let mut rows = Rows::new([
        "invoice_number",
        "tenant",
        "feature",
        "provider",
        "model",
        "unit",
        "quantity",
        "unit_price",
        "amount",
        "currency",
        "calls",
        "description",
    ]);
    let found = with_database(&context.loaded, "invoice", Missing::Refuse, async |database| {
        invoices(month, database).await
    })
    .await?;
    for Invoice { issued, draft } in found {
        let number = issued.map(|issue| issue.number).unwrap_or_default();
        for line in &draft.lines {
            rows.push([
                text(&number),
                text(&draft.tenant),
                text(&line.feature),
                text(&line.provider),
                text(&line.model),
                text(&line.unit),
                text(&line.quantity.to_string()),
                text(&line.unit_price.normalize().to_string()),
                text(&line.amount.to_string()),
                text(&draft.currency),
                text(&line.calls.to_string()),
                text(&line.said()),
            ]);
        }
    }
    rows.print(context.format)?;
    Ok(Outcome::Done)
}

async fn issue_month(month: &Month, context: &Context) -> anyhow::Result<Outcome> {
    if month.tenant.is_some() {
        bail!("a month is issued for all tenants at once, because it is closed by it; leave --tenant out");
    }
    let answer = job::run(&Job::Issue { month: month.month.to_string() }, context).await?;
    let numbers: Vec<String> = serde_json::from_value(answer["invoices"].clone())?;
    let mut rows = Rows::new(["invoice_number"]);
    numbers.iter().for_each(|number| rows.push([text(number)]));
    rows.print(context.format)?;
    Ok(Outcome::Done)
}

async fn export_month(export: &Export, context: &Context) -> anyhow::Result<Outcome> {
    let month = export.month.month;
    let files = with_database(&context.loaded, "invoice", Missing::Refuse, async |database| {
        let look = async || Some(database.progress().step());
        let invoices = progress::shown(invoices(&export.month, database), look).await?;
        let version = invoices.first().and_then(|invoice| invoice.issued.as_ref()).map(|issue| &issue.terms);
        let terms = PlanShelf::at(database, version.map(String::as_str)).await?.in_force;
        Ok(invoice::files(export.file_format.format(), month, &invoices, &terms))
    })
    .await?;
    let bar = progress::Counted::over(files.len(), "files written");
    let paths = invoice::write(&export.out, &files, || bar.advance())?;
    drop(bar);
    for path in paths {
        output::print(&format!("{}\n", path.display()))?;
    }
    Ok(Outcome::Done)
}

async fn list(context: &Context) -> anyhow::Result<Outcome> {
    let invoices = with_database(&context.loaded, "invoice", Missing::Refuse, async |database| {
        Ok(database.invoices().await?)
    })
    .await?;
    let mut rows = Rows::new(["invoice_number", "kind", "tenant", "month", "calls", "amount", "currency"]);
    for row in invoices {
        rows.push([
            text(&row.invoice_number),
            text(&row.kind),
            text(&row.tenant),
            text(&schemas::rows::month_of(row.period_start).to_string()),
            text(&row.calls.to_string()),
            text(&row.amount.to_string()),
            text(&row.currency),
        ]);
    }
    rows.print(context.format)?;
    Ok(Outcome::Done)
}

fn text(text: &str) -> Cell {
    Cell::text(Some(text.to_string()))
}
