//! Issuing: a month's drafts get numbers and are frozen, and the month is closed.

use domain::time::BillingPeriod;
use rust_decimal::Decimal;
use schemas::rows::{InvoiceLineRow, InvoiceRow, month_number};
use schemas::{Database, DatabaseError};

use super::draft::{Draft, DraftError, Line};
use crate::period::{self, CloseError, CloseOptions};
use crate::settle::Settler;

/// An invoice that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Unique and without gaps within its month: `YYYY-MM-0001`.
    pub number: String,
    /// What it says.
    pub draft: Draft,
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
}

/// Closes a month and freezes its invoices. `now` is in nanoseconds since the epoch. A month that was issued already is
/// answered with what was issued then; one that was closed and stopped half way is finished.
pub async fn issue(
    settler: &mut Settler,
    period: BillingPeriod,
    options: &CloseOptions,
    now: i64,
) -> Result<Vec<Issued>, IssueError> {
    period::close(settler, period, options, now).await?;
    let database = settler.database().clone();
    let standing = issued(&database, period).await?;
    if !standing.is_empty() {
        return Ok(standing);
    }
    let drafts = Draft::of(&database, period).await?;
    let issued = number(drafts);
    let invoices: Vec<InvoiceRow> = issued.iter().map(|invoice| invoice_row(invoice, now / 1000)).collect();
    let lines: Vec<InvoiceLineRow> = issued.iter().flat_map(line_rows).collect();
    database.insert_invoices(&format!("issue {period}"), &invoices, &lines).await?;
    Ok(issued)
}

/// What was issued for a month, by tenant; empty if nothing was.
pub async fn issued(database: &Database, period: BillingPeriod) -> Result<Vec<Issued>, DatabaseError> {
    let mut issued: Vec<Issued> = Vec::new();
    for row in database.invoices_of(period).await? {
        issued.push(Issued {
            number: row.invoice_number,
            draft: Draft {
                tenant: row.tenant,
                period,
                currency: row.currency,
                lines: Vec::new(),
                amount: row.amount,
                calls: row.calls,
            },
        });
    }
    for row in database.invoice_lines_of(period).await? {
        if let Some(invoice) = issued.iter_mut().find(|invoice| invoice.number == row.invoice_number) {
            invoice.draft.lines.push(line_of(row));
        }
    }
    Ok(issued)
}

/// Numbers the drafts in order of tenant. What no tenant could be found for is nobody's invoice and gets none.
fn number(drafts: Vec<Draft>) -> Vec<Issued> {
    drafts
        .into_iter()
        .filter(|draft| !draft.tenant.is_empty())
        .enumerate()
        .map(|(at, draft)| Issued { number: format!("{}-{:04}", draft.period, at + 1), draft })
        .collect()
}

fn invoice_row(invoice: &Issued, issued_at: i64) -> InvoiceRow {
    let draft = &invoice.draft;
    InvoiceRow {
        invoice_number: invoice.number.clone(),
        tenant: draft.tenant.clone(),
        period_start: month_number(draft.period),
        period_end: month_number(draft.period.next()),
        currency: draft.currency.clone(),
        amount: draft.amount,
        calls: draft.calls,
        issued_at,
    }
}

/// `unit_price` is stored in units of 10⁻¹⁸: prices of one token have at most twelve decimals in all price data seen, and
/// six more leave room.
const PRICE_SCALE: u32 = 18;

fn line_rows(invoice: &Issued) -> Vec<InvoiceLineRow> {
    let draft = &invoice.draft;
    let row = |(at, line): (usize, &Line)| {
        let mut price = line.unit_price;
        price.rescale(PRICE_SCALE);
        InvoiceLineRow {
            invoice_number: invoice.number.clone(),
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
            unit_price: price.mantissa(),
            amount: line.amount,
            currency: draft.currency.clone(),
            calls: line.calls,
            description: line.description.clone(),
        }
    };
    draft.lines.iter().enumerate().map(row).collect()
}

fn line_of(row: InvoiceLineRow) -> Line {
    Line {
        kind: row.kind,
        feature: row.feature,
        provider: row.provider,
        model: row.model,
        unit: row.unit,
        quantity: row.quantity,
        unit_price: Decimal::try_from_i128_with_scale(row.unit_price, PRICE_SCALE)
            .unwrap_or_default()
            .normalize(),
        amount: row.amount,
        calls: row.calls,
        description: row.description,
    }
}
