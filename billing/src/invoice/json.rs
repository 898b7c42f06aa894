//! Invoices as JSON: one document a tenant. Money and prices are decimal strings, never JSON numbers; the lines are those
//! of the CSV, and their amounts add up exactly to the document's.

use domain::money::{Cost, ExchangeRate};
use domain::time::BillingPeriod;
use serde::Serialize;

use super::issue::Invoice;
use super::line::Line;

/// One invoice.
#[derive(Debug, Serialize)]
struct Document<'a> {
    /// `invoice` or `credit_note`.
    document: &'static str,
    /// `None` for a draft.
    number: Option<&'a str>,
    issued_at: Option<String>,
    tenant: &'a str,
    period: Period,
    currency: &'a str,
    /// `None`: the amounts are in the ledger's currency.
    conversion: Option<Conversion<'a>>,
    ledger_currency: &'a str,
    /// What its entries add up to.
    ledger_amount: String,
    /// The invoices that lines of this one correct.
    corrects: Vec<&'a str>,
    lines: Vec<LineOf<'a>>,
    subtotals: Vec<Subtotal<'a>>,
    calls: i64,
    amount: String,
}

#[derive(Debug, Serialize)]
struct Period {
    start: String,
    end: String,
}

/// One of `from` is `rate` of `to`.
#[derive(Debug, Serialize)]
struct Conversion<'a> {
    from: &'static str,
    to: &'static str,
    rate: String,
    date: String,
    source: &'a str,
}

#[derive(Debug, Serialize)]
struct LineOf<'a> {
    line: usize,
    kind: &'a str,
    feature: &'a str,
    provider: &'a str,
    model: &'a str,
    service_month: String,
    corrects: Option<&'a str>,
    unit: &'a str,
    quantity: i64,
    unit_price: String,
    /// The unit price in the ledger's currency.
    ledger_unit_price: String,
    /// The sum of the ledger's entries, in its currency.
    exact_amount: String,
    amount: String,
    calls: i64,
    description: &'a str,
    /// What `amount` was converted by; of a correction, what the corrected invoice was converted by.
    conversion: Option<Conversion<'a>>,
}

#[derive(Debug, Serialize)]
struct Subtotal<'a> {
    kind: &'a str,
    amount: String,
}

#[derive(Debug, Serialize)]
struct Summary<'a> {
    period: Period,
    invoices: Vec<Summed<'a>>,
}

#[derive(Debug, Serialize)]
struct Summed<'a> {
    document: &'static str,
    number: Option<&'a str>,
    tenant: &'a str,
    calls: i64,
    amount: String,
    currency: &'a str,
    ledger_amount: String,
    ledger_currency: &'a str,
}

/// One invoice.
pub(super) fn invoice(invoice: &Invoice) -> Vec<u8> {
    let draft = &invoice.draft;
    let subtotals = draft.subtotals();
    let at = invoice.issued.as_ref().and_then(|issue| chrono::DateTime::from_timestamp_micros(issue.at));
    written(&Document {
        document: draft.kind().name(),
        number: number(invoice),
        issued_at: at.map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
        tenant: &draft.tenant,
        period: Period::of(draft.period),
        currency: &draft.currency,
        conversion: draft.conversion.as_ref().map(Conversion::of),
        ledger_currency: draft.ledger_currency(),
        ledger_amount: draft.ledger_amount().to_string(),
        corrects: draft.corrects().into_iter().collect(),
        lines: draft.lines.iter().zip(1..).map(line).collect(),
        subtotals: subtotals
            .into_iter()
            .map(|(kind, amount)| Subtotal { kind, amount: amount.to_string() })
            .collect(),
        calls: draft.calls,
        amount: draft.amount.to_string(),
    })
}

/// What each invoice comes to.
pub(super) fn summary(period: BillingPeriod, invoices: &[Invoice]) -> Vec<u8> {
    let summed = invoices.iter().map(|invoice| Summed {
        document: invoice.draft.kind().name(),
        number: number(invoice),
        tenant: &invoice.draft.tenant,
        calls: invoice.draft.calls,
        amount: invoice.draft.amount.to_string(),
        currency: &invoice.draft.currency,
        ledger_amount: invoice.draft.ledger_amount().to_string(),
        ledger_currency: invoice.draft.ledger_currency(),
    });
    written(&Summary { period: Period::of(period), invoices: summed.collect() })
}

fn line((line, at): (&Line, usize)) -> LineOf<'_> {
    let money = |amount: Cost| amount.to_string();
    LineOf {
        line: at,
        kind: &line.kind,
        feature: &line.feature,
        provider: &line.provider,
        model: &line.model,
        service_month: line.service_month.to_string(),
        corrects: Some(line.corrects.as_str()).filter(|number| !number.is_empty()),
        unit: &line.unit,
        quantity: line.quantity,
        unit_price: line.unit_price.normalize().to_string(),
        ledger_unit_price: line.ledger_price.normalize().to_string(),
        exact_amount: money(line.exact),
        amount: money(line.amount),
        calls: line.calls,
        description: &line.description,
        conversion: line.conversion.as_ref().map(Conversion::of),
    }
}

fn number(invoice: &Invoice) -> Option<&str> {
    Some(invoice.number()).filter(|number| !number.is_empty())
}

impl<'a> Conversion<'a> {
    fn of(rate: &'a ExchangeRate) -> Self {
        Self {
            from: rate.base.code(),
            to: rate.quote.code(),
            rate: rate.rate.normalize().to_string(),
            date: rate.date.to_string(),
            source: &rate.source,
        }
    }
}

impl Period {
    fn of(period: BillingPeriod) -> Self {
        Self { start: period.first_day().to_string(), end: period.next().first_day().to_string() }
    }
}

fn written(document: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(document).expect("texts and numbers, written to memory");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::sample;
    use super::*;

    #[test]
    fn the_documents_stay_as_they_are() {
        let invoice = sample::invoice();
        sample::check_golden("invoice.json", &super::invoice(&invoice));
        sample::check_golden("summary.json", &summary(sample::month("2026-10"), &[invoice]));
    }

    #[test]
    fn money_is_text_and_lines_and_subtotals_add_up_to_the_amount() {
        let value: Value = serde_json::from_slice(&invoice(&sample::invoice())).unwrap();
        let sum = |of: &str| -> Cost {
            let amounts = value[of].as_array().unwrap().iter();
            amounts.map(|one| Cost::parse(one["amount"].as_str().unwrap()).unwrap()).sum()
        };
        let amount = Cost::parse(value["amount"].as_str().unwrap()).unwrap();
        assert_eq!((sum("lines"), sum("subtotals")), (amount, amount));
        assert!(value["lines"].as_array().unwrap().iter().all(|line| line["unit_price"].is_string()));
    }

    #[test]
    fn a_hostile_name_stays_the_text_it_is() {
        let value: Value =
            serde_json::from_slice(&invoice(&sample::of(sample::HOSTILE, Vec::new()))).unwrap();
        assert_eq!(value["tenant"], sample::HOSTILE);
    }
}
