//! Issuing: a month's drafts get numbers and are frozen, and the month is closed.

use std::collections::HashMap;

use domain::money::{Currency, ExchangeRate};
use domain::time::BillingPeriod;
use rust_decimal::Decimal;
use schemas::rows::{InvoiceLineRow, InvoiceRow, date_number, day_of, month_number, month_of};
use schemas::{Database, DatabaseError};

use super::draft::{Draft, DraftError};
use super::line::Line;
use crate::period::{self, CloseError, CloseOptions};
use crate::plans::{PlanShelf, PlanShelfError};
use crate::settle::Settler;

/// An invoice: issued, or as it would be issued now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// Whether and how it was issued.
    pub issued: Option<Issue>,
    /// What it says.
    pub draft: Draft,
}

/// What makes a draft an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Unique and without gaps within its month: `YYYY-MM-0001`.
    pub number: String,
    /// When, in microseconds since the epoch.
    pub at: i64,
    /// The plan file in force then, which says to whom and by whom it is addressed; empty for none.
    pub terms: String,
}

impl Invoice {
    /// Its number, empty for a draft.
    pub fn number(&self) -> &str {
        self.issued.as_ref().map_or("", |issue| &issue.number)
    }
}

/// Why a month cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The month cannot be closed.
    #[error(transparent)]
    Close(#[from] CloseError),
    /// No drafts can be made.
    #[error("the month cannot be drawn up")]
    Draft(#[from] DraftError),
    /// The database failed.
    #[error("the invoices cannot be frozen")]
    Database(#[from] DatabaseError),
    /// The plan files cannot be read.
    #[error("the names that stand on the invoices cannot be read")]
    Plans(#[from] PlanShelfError),
}

/// Closes a month and freezes its invoices. `now` is in nanoseconds since the epoch. A month that was issued already is
/// answered with what was issued then; one that was closed and stopped half way is finished.
///
/// A number is the place of a tenant among the month's, which is closed: whoever issues the month, and however often it
/// stopped half way, gives the same numbers to the same lines. Lines are written before the invoices that number them,
/// so that an invoice that stands is whole.
pub async fn issue(
    settler: &mut Settler,
    period: BillingPeriod,
    options: &CloseOptions,
    now: i64,
) -> Result<Vec<Invoice>, IssueError> {
    period::close(settler, period, options, now).await?;
    let database = settler.database().clone();
    let standing = issued(&database, period).await?;
    if !standing.is_empty() {
        return Ok(standing);
    }
    let at = now / 1000;
    let drafts = Draft::of(&database, period, at).await?;
    let invoices = number(drafts, at, &PlanShelf::of(&database).await?.version);
    let rows: Vec<InvoiceRow> = invoices.iter().filter_map(invoice_row).collect();
    let lines: Vec<InvoiceLineRow> = invoices.iter().flat_map(line_rows).collect();
    database.insert_invoices(&rows, &lines).await?;
    // What stands, should another have issued the month beside this.
    Ok(issued(&database, period).await?)
}

/// What was issued for a month, by tenant; empty if nothing was.
pub async fn issued(database: &Database, period: BillingPeriod) -> Result<Vec<Invoice>, DatabaseError> {
    let mut lines: HashMap<String, Vec<Line>> = HashMap::new();
    for row in database.invoice_lines_of(period).await? {
        lines.entry(row.invoice_number.clone()).or_default().push(line_of(row));
    }
    let invoice = |row: InvoiceRow| Invoice {
        draft: Draft {
            conversion: rate_of(&row),
            tenant: row.tenant,
            period,
            currency: row.currency,
            lines: lines.remove(&row.invoice_number).unwrap_or_default(),
            amount: row.amount,
            calls: row.calls,
        },
        issued: Some(Issue { number: row.invoice_number, at: row.issued_at, terms: row.terms }),
    };
    Ok(database.invoices_of(period).await?.into_iter().map(invoice).collect())
}

/// A month's invoices: as issued; else, of a closed month, as they will be; else as they would be were it closed at `now`
/// (microseconds since the epoch), with what its totals lead to, rounding and taxes.
pub async fn invoices(
    database: &Database,
    period: BillingPeriod,
    now: i64,
) -> Result<Vec<Invoice>, DraftError> {
    let issued = issued(database, period).await?;
    if !issued.is_empty() {
        return Ok(issued);
    }
    let drafts = match database.closed_periods().await?.contains(&period) {
        true => Draft::of(database, period, now).await?,
        false => Draft::foreseen(database, period, now).await?,
    };
    Ok(drafts.into_iter().map(|draft| Invoice { issued: None, draft }).collect())
}

/// Numbers the drafts in order of tenant. What no tenant could be found for is nobody's invoice and gets none.
fn number(drafts: Vec<Draft>, at: i64, terms: &str) -> Vec<Invoice> {
    let somebodys = drafts.into_iter().filter(|draft| !draft.tenant.is_empty());
    let numbered = somebodys.zip(1..).map(|(draft, place): (Draft, u32)| {
        let number = format!("{}-{place:04}", draft.period);
        Invoice { issued: Some(Issue { number, at, terms: terms.to_string() }), draft }
    });
    numbered.collect()
}

fn invoice_row(invoice: &Invoice) -> Option<InvoiceRow> {
    let (issue, draft) = (invoice.issued.as_ref()?, &invoice.draft);
    Some(InvoiceRow {
        invoice_number: issue.number.clone(),
        tenant: draft.tenant.clone(),
        period_start: month_number(draft.period),
        period_end: month_number(draft.period.next()),
        currency: draft.currency.clone(),
        amount: draft.amount,
        calls: draft.calls,
        issued_at: issue.at,
        kind: draft.kind().name().into(),
        terms: issue.terms.clone(),
        ledger_currency: draft.ledger_currency().into(),
        ledger_amount: draft.ledger_amount(),
        rate: draft.conversion.as_ref().map(stored_rate),
        rate_date: draft.conversion.as_ref().map(|rate| date_number(rate.date)),
        rate_source: draft.conversion.as_ref().map(|rate| rate.source.clone()).unwrap_or_default(),
    })
}

/// `unit_price` is stored in units of 10⁻¹⁸: prices of one token have at most twelve decimals in all price data seen, and
/// six more leave room.
const PRICE_SCALE: u32 = 18;

fn line_rows(invoice: &Invoice) -> Vec<InvoiceLineRow> {
    let draft = &invoice.draft;
    let row = |(at, line): (usize, &Line)| InvoiceLineRow {
        invoice_number: invoice.number().to_string(),
        tenant: draft.tenant.clone(),
        period_start: month_number(draft.period),
        period_end: month_number(draft.period.next()),
        line: u32::try_from(at + 1).unwrap_or(u32::MAX),
        kind: line.kind.clone(),
        feature: line.feature.clone(),
        provider: line.provider.clone(),
        model: line.model.clone(),
        unit: line.unit.clone(),
        quantity: line.quantity,
        unit_price: stored_price(line.unit_price),
        amount: line.amount,
        currency: draft.currency.clone(),
        calls: line.calls,
        description: line.description.clone(),
        service_month: month_number(line.service_month),
        corrects: line.corrects.clone(),
        exact: line.exact,
        ledger_currency: draft.ledger_currency().into(),
        ledger_price: stored_price(line.ledger_price),
        rate: line.conversion.as_ref().map(stored_rate),
        rate_date: line.conversion.as_ref().map(|rate| date_number(rate.date)),
        rate_source: line.conversion.as_ref().map(|rate| rate.source.clone()).unwrap_or_default(),
    };
    draft.lines.iter().enumerate().map(row).collect()
}

fn stored_price(mut price: Decimal) -> i128 {
    price.rescale(PRICE_SCALE);
    price.mantissa()
}

fn price_of(stored: i128) -> Decimal {
    Decimal::try_from_i128_with_scale(stored, PRICE_SCALE).unwrap_or_default().normalize()
}

/// `rate` is stored in units of 10⁻¹², all that a file may state.
const RATE_SCALE: u32 = 12;

fn stored_rate(rate: &ExchangeRate) -> i128 {
    let mut rate = rate.rate;
    rate.rescale(RATE_SCALE);
    rate.mantissa()
}

/// What an issued invoice was converted by, where it was.
pub(super) fn rate_of(row: &InvoiceRow) -> Option<ExchangeRate> {
    stored(row.rate, row.rate_date, (&row.ledger_currency, &row.currency), &row.rate_source)
}

fn stored(
    rate: Option<i128>,
    date: Option<u16>,
    (base, quote): (&str, &str),
    source: &str,
) -> Option<ExchangeRate> {
    Some(ExchangeRate {
        base: Currency::parse(base).ok()?,
        quote: Currency::parse(quote).ok()?,
        rate: Decimal::try_from_i128_with_scale(rate?, RATE_SCALE).ok()?.normalize(),
        date: day_of(date?),
        source: source.to_string(),
    })
}

fn line_of(row: InvoiceLineRow) -> Line {
    let currencies = (row.ledger_currency.as_str(), row.currency.as_str());
    Line {
        conversion: stored(row.rate, row.rate_date, currencies, &row.rate_source),
        kind: row.kind,
        feature: row.feature,
        provider: row.provider,
        model: row.model,
        service_month: month_of(row.service_month),
        corrects: row.corrects,
        unit: row.unit,
        quantity: row.quantity,
        unit_price: price_of(row.unit_price),
        ledger_price: price_of(row.ledger_price),
        exact: row.exact,
        amount: row.amount,
        calls: row.calls,
        description: row.description,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn numbers_have_no_gaps_and_what_is_nobodys_gets_none() {
        let drafts = ["", "acme", "globex"].map(|tenant| {
            let line = sample::usage("gpt-4o", "input", 1, "1");
            sample::of(tenant, vec![line]).draft
        });
        let numbered = number(drafts.into(), 1, "");
        let numbers: Vec<(&str, &str)> =
            numbered.iter().map(|invoice| (invoice.number(), invoice.draft.tenant.as_str())).collect();
        assert_eq!(numbers, [("2026-10-0001", "acme"), ("2026-10-0002", "globex")]);
    }
}
