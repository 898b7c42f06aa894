//! Invoices in another currency than the ledger's.
//!
//! The ledger has one currency, and an invoice is a sum over it; what is converted are the lines, last of all: each is
//! rounded once, straight from its entries' sum to the smallest coin of the invoice's currency. Subtotals and the total are
//! sums of the lines. A tax is worked out anew from the converted lines, so that it is its percentage of what the customer
//! reads. A correction is converted as the invoice was that it corrects, so that what is given back is what was asked for.
//!
//! A month has the rate of the file it was closed with. Without a rate nothing is converted, and so nothing is issued.

use std::collections::BTreeSet;

use domain::invoice::TaxRate;
use domain::money::{Cost, Currency, ExchangeRate, RateTable};
use domain::time::BillingPeriod;

use schemas::AdjustmentSum;

use super::draft::{Draft, DraftError};
use super::finish::{TAX, in_coins};
use super::line::{Known, Line};
use crate::plans::PlanShelf;

/// A tenant is to be invoiced in a currency for which there is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no rate of {ledger} in {wanted} holds in {month}, and {tenant:?} is invoiced in {wanted}; state one with `ledgerline rates import`"
)]
pub struct RateMissing {
    /// The payer.
    pub tenant: String,
    /// The month.
    pub month: BillingPeriod,
    /// The ledger's currency.
    pub ledger: String,
    /// What its plan wants.
    pub wanted: Currency,
}

/// The currency of a tenant's invoice for a month, where it is another than the ledger's. What is nobody's is converted for
/// nobody.
pub(super) fn wanted(
    plans: &PlanShelf,
    tenant: &str,
    month: BillingPeriod,
    ledger: &str,
) -> Option<Currency> {
    let plan = plans.plan_of(tenant, month).filter(|_| !tenant.is_empty())?;
    plan.invoice_currency.filter(|wanted| wanted.code() != ledger)
}

/// The rate that a tenant's invoice for a month is converted by; `None` where it is in the ledger's currency.
fn rate<'r>(
    (plans, rates): (&PlanShelf, &'r RateTable),
    tenant: &str,
    month: BillingPeriod,
    ledger: &str,
) -> Result<Option<&'r ExchangeRate>, RateMissing> {
    let Some(wanted) = wanted(plans, tenant, month, ledger) else { return Ok(None) };
    let base = Currency::parse(ledger).ok();
    let found = base.and_then(|base| rates.rate(base, wanted, month));
    let missing = || RateMissing { tenant: tenant.into(), month, ledger: ledger.into(), wanted };
    found.map(Some).ok_or_else(missing)
}

/// That whoever is invoiced for a month has a rate, where one is needed.
pub(crate) fn check<'t>(
    terms: (&PlanShelf, &RateTable),
    tenants: impl IntoIterator<Item = &'t str>,
    month: BillingPeriod,
    ledger: &str,
) -> Result<(), RateMissing> {
    // In order of name, so that the refusal is the same every time.
    let tenants: BTreeSet<&str> = tenants.into_iter().collect();
    tenants.into_iter().try_for_each(|tenant| rate(terms, tenant, month, ledger).map(drop))
}

/// Converts a draft whose lines are final, where its tenant is invoiced in another currency.
pub(super) fn convert(
    draft: &mut Draft,
    (plans, rates): (&PlanShelf, &RateTable),
    known: &Known,
) -> Result<(), DraftError> {
    let Some(rate) = rate((plans, rates), &draft.tenant, draft.period, &draft.currency)? else {
        return Ok(());
    };
    let percentages = TaxRate::of(&plans.in_force.taxes, &draft.tenant, draft.period);
    with_every_tax(draft, &percentages);
    let tenant = draft.tenant.clone();
    let unbelievable = || DraftError::Unbelievable { tenant: tenant.clone(), currency: rate.quote };
    let (taxes, others): (Vec<&mut Line>, Vec<&mut Line>) =
        draft.lines.iter_mut().partition(|line| line.kind == TAX);
    let mut net = Cost::ZERO;
    for line in others {
        let rate = corrected_by(known, &tenant, line, rate.quote).unwrap_or(rate);
        line.amount = in_quote(rate, line.exact).ok_or_else(unbelievable)?;
        line.unit_price = rate.price(line.ledger_price).ok_or_else(unbelievable)?;
        line.conversion = Some(rate.clone());
        net += line.amount;
    }
    for line in taxes {
        match percentages.iter().find(|tax| tax.title() == line.description) {
            Some(tax) => {
                line.amount = in_coins(tax.on(net).ok_or_else(unbelievable)?, rate.quote);
                line.description = format!("{} of {} {}", tax.title(), net.shown(), rate.quote);
            }
            // Of no tax in the file: `verify` names it. Not left as it is, in another currency.
            None => {
                line.amount = in_quote(rate, line.exact).ok_or_else(unbelievable)?;
                line.conversion = Some(rate.clone());
            }
        }
        line.unit_price = decimal(line.amount);
    }
    draft.lines.retain(|line| line.kind != TAX || !line.amount.is_zero() || !line.exact.is_zero());
    draft.amount = draft.lines.iter().map(|line| line.amount).sum();
    draft.currency = rate.quote.code().into();
    draft.conversion = Some(rate.clone());
    Ok(())
}

/// Adds a line for each tax that the ledger has no entry of, because its lines add up to nothing there: corrections at the
/// rates of other months may still add up to something in the invoice's currency.
fn with_every_tax(draft: &mut Draft, percentages: &[&TaxRate]) {
    for tax in percentages {
        let title = tax.title();
        if !draft.lines.iter().any(|line| line.kind == TAX && line.description == title) {
            let (tenant, currency) = (draft.tenant.clone(), draft.currency.clone());
            let sum = AdjustmentSum { tenant, currency, kind: TAX.into(), name: title, charge: Cost::ZERO };
            draft.lines.push(Line::of_adjustment(sum, draft.period));
        }
    }
    draft.lines.sort_by_cached_key(Line::order);
}

/// Says of every line of a draft why it is not in the currency it should be in.
pub(super) fn leave(draft: &mut Draft, missing: &RateMissing) {
    let RateMissing { month, ledger, wanted, .. } = missing;
    let why = format!("not in {wanted}: no rate of {ledger} in {wanted} holds in {month} yet");
    for line in &mut draft.lines {
        let said = std::mem::take(&mut line.description);
        line.description = if said.is_empty() { why.clone() } else { format!("{said}; {why}") };
    }
}

/// The rate of the invoice that a line corrects, where that was in the same currency.
fn corrected_by<'k>(
    known: &'k Known,
    tenant: &str,
    line: &Line,
    quote: Currency,
) -> Option<&'k ExchangeRate> {
    if line.corrects.is_empty() {
        return None;
    }
    let issued = known.issued.get(&(tenant.to_string(), line.service_month))?;
    issued.iter().filter_map(|invoice| invoice.conversion.as_ref()).find(|rate| rate.quote == quote)
}

fn in_quote(rate: &ExchangeRate, exact: Cost) -> Option<Cost> {
    rate.convert(exact)?.cost()
}

fn decimal(amount: Cost) -> rust_decimal::Decimal {
    rust_decimal::Decimal::try_from_i128_with_scale(amount.picos(), 12).unwrap_or_default().normalize()
}

#[cfg(test)]
mod tests;
