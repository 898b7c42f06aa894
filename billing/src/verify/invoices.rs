//! The invoices of closed months, drawn up again: from the entries, by the plans and the exchange rates that each month was
//! closed with.

use std::collections::BTreeSet;

use domain::money::ExchangeRate;
use domain::time::BillingPeriod;
use schemas::{Database, DatabaseError};

use super::Finding;
use crate::invoice::{self, Draft, DraftError, Invoice};

/// The invoices of a closed month add up to its entries, are converted as it was closed, and are numbered without gaps.
pub(super) async fn check(
    database: &Database,
    month: BillingPeriod,
    findings: &mut Vec<Finding>,
) -> Result<(), DatabaseError> {
    let issued = invoice::issued(database, month).await?;
    // Drawn up as it was then: a line names the invoices that had been issued before.
    let as_of = issued.iter().filter_map(|invoice| invoice.issued.as_ref()).map(|issue| issue.at).min();
    let drafts = match Draft::of(database, month, as_of.unwrap_or(i64::MAX)).await {
        Ok(drafts) => drafts,
        Err(DraftError::Database(error)) => return Err(error),
        Err(error) => {
            let what = format!("{month}: {}", crate::prices::chain(&error));
            findings.push(Finding { invariant: "I6 one number", what });
            return Ok(());
        }
    };
    if issued.is_empty() {
        return Ok(());
    }
    let mut found = |what: String| findings.push(Finding { invariant: "I5 closed", what });
    for invoice in issued.iter().filter(|invoice| !drafts.contains(&invoice.draft)) {
        found(differs(invoice, &drafts));
    }
    for draft in drafts.iter().filter(|draft| !draft.tenant.is_empty()) {
        if !issued.iter().any(|invoice| invoice.draft.tenant == draft.tenant) {
            found(format!("{month} was issued without an invoice for {:?}", draft.tenant));
        }
    }
    let numbers: BTreeSet<&str> = issued.iter().map(Invoice::number).collect();
    for place in 1..=issued.len() {
        let number = format!("{month}-{place:04}");
        if !numbers.contains(number.as_str()) {
            found(format!("the invoices of {month} are numbered with a gap: {number} is missing"));
        }
    }
    // What is stored of the ledger's currency beside the lines.
    for row in database.invoices_of(month).await? {
        let Some(invoice) = issued.iter().find(|invoice| invoice.number() == row.invoice_number) else {
            continue;
        };
        let (amount, currency) = (invoice.draft.ledger_amount(), invoice.draft.ledger_currency());
        if (row.ledger_amount, row.ledger_currency.as_str()) != (amount, currency) {
            found(format!(
                "invoice {} says that its entries add up to {} {}, its lines say {amount} {currency}",
                row.invoice_number, row.ledger_amount, row.ledger_currency
            ));
        }
    }
    Ok(())
}

/// How an issued invoice differs from what it should be.
fn differs(invoice: &Invoice, drafts: &[Draft]) -> String {
    let (number, draft) = (invoice.number(), &invoice.draft);
    let drawn = drafts.iter().find(|drawn| drawn.tenant == draft.tenant);
    let terms =
        |rate: &Option<ExchangeRate>| rate.as_ref().map_or("no rate".to_string(), ExchangeRate::terms);
    match drawn.map(|drawn| &drawn.conversion).filter(|should| **should != draft.conversion) {
        Some(should) => format!(
            "invoice {number} was converted by {}; {} was closed with {}",
            terms(&draft.conversion),
            draft.period,
            terms(should)
        ),
        None => format!("invoice {number} is not what the entries of {} add up to", draft.period),
    }
}
