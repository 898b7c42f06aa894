//! A month's invoices as they would be issued now.

use std::collections::{BTreeMap, BTreeSet};

use domain::money::{Cost, Currency, ExchangeRate};
use domain::time::BillingPeriod;
use schemas::rows::month_of;
use schemas::{AdjustmentSum, Database, DatabaseError, TenantSum, UnitSum, UnmeteredSum};

use super::convert::{self, RateMissing};
use super::finish;
use super::issue::rate_of;
use super::line::{Issued, Known, Line};
use crate::plans::{PlanShelf, PlanShelfError};
use crate::prices::{PriceRow, PriceRowError};
use crate::rates::{RateShelf, RateShelfError};

/// One tenant's invoice for a month, not issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The payer; empty for what no tenant could be found for.
    pub tenant: String,
    /// The month.
    pub period: BillingPeriod,
    /// ISO 4217: of the lines and of `amount`.
    pub currency: String,
    /// What the lines were converted by, where they are not in the ledger's currency.
    pub conversion: Option<ExchangeRate>,
    /// Usage first, then what its total led to; sorted.
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub amount: Cost,
    /// Net calls.
    pub calls: i64,
}

/// What is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Money to be paid, or nothing.
    Invoice,
    /// Money given back.
    CreditNote,
}

/// Why no invoice can be made.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The database failed.
    #[error("the month cannot be summed")]
    Database(#[from] DatabaseError),
    /// The plans that entries name cannot be read.
    #[error("the plans that entries were charged by cannot be read")]
    Plans(#[from] PlanShelfError),
    /// The rates that a month was closed with cannot be read.
    #[error("the exchange rates of the month cannot be read")]
    Rates(#[from] RateShelfError),
    /// There is no rate.
    #[error(transparent)]
    RateMissing(#[from] RateMissing),
    /// An amount that no coins can count.
    #[error(
        "an amount of {tenant:?} is beyond all belief in {currency}; look at the rate, and run `ledgerline verify`"
    )]
    Unbelievable {
        /// The payer.
        tenant: String,
        /// What it was converted to.
        currency: Currency,
    },
    /// A price that entries name is damaged.
    #[error("a price that entries were rated with cannot be read")]
    Price(#[from] PriceRowError),
    /// Its entries are gone.
    #[error(
        "the entries of {0} have gone by retention (retention.ledger); what was issued for it remains: `ledgerline invoice export --month {0}`"
    )]
    Retired(BillingPeriod),
    /// A price that entries name is missing.
    #[error(
        "entries of {tenant:?} name price {price_id}, which the table prices does not hold; run `ledgerline verify`"
    )]
    PriceMissing {
        /// The payer.
        tenant: String,
        /// The price.
        price_id: String,
    },
    /// Lines and ledger disagree.
    #[error("the lines of {tenant:?} add up to {lines}, its entries to {entries}; run `ledgerline verify`")]
    DoesNotBalance {
        /// The payer.
        tenant: String,
        /// The sum of the lines.
        lines: Cost,
        /// The sum of the entries.
        entries: Cost,
    },
}

impl Draft {
    /// The drafts of a month, by tenant, from what was posted. Lines that correct earlier invoices name those that were issued until `as_of`
    /// (microseconds since the epoch).
    pub async fn of(database: &Database, period: BillingPeriod, as_of: i64) -> Result<Vec<Self>, DraftError> {
        if database.retired().await?.months.contains(&period) {
            return Err(DraftError::Retired(period));
        }
        let closed = database.closed_months().await?.into_iter().find(|row| month_of(row.period) == period);
        let closed_by = match closed {
            Some(row) => Some(ClosedBy {
                plans: PlanShelf::at(database, Some(&row.plans)).await?,
                rates: RateShelf::at(database, &row.rates).await?,
            }),
            None => None,
        };
        let (sums, known) = gather(database, period, as_of).await?;
        assemble(period, sums, &known, closed_by.as_ref())
    }

    /// The drafts of a month that is being closed, before rounding and taxes, and whatever of those an earlier attempt
    /// left in the ledger.
    pub(crate) async fn unfinished(
        database: &Database,
        period: BillingPeriod,
    ) -> Result<Vec<Self>, DraftError> {
        let (mut sums, known) = gather(database, period, 0).await?;
        let (finish, adjustments) = sums.adjustments.into_iter().partition(|sum| is_finish(&sum.kind));
        sums.adjustments = adjustments;
        let finish: Vec<AdjustmentSum> = finish;
        for sum in &mut sums.tenants {
            let of_tenant =
                |made: &&AdjustmentSum| made.tenant == sum.tenant && made.currency == sum.currency;
            sum.charge -= finish.iter().filter(of_tenant).map(|made| made.charge).sum();
        }
        assemble(period, sums, &known, None)
    }

    /// The currency of its entries.
    pub fn ledger_currency(&self) -> &str {
        self.conversion.as_ref().map_or(&self.currency, |rate| rate.base.code())
    }

    /// What its entries add up to, in the currency of the ledger.
    pub fn ledger_amount(&self) -> Cost {
        match self.conversion {
            Some(_) => self.lines.iter().map(|line| line.exact).sum(),
            // Rounding, where there was any, is an entry.
            None => self.amount,
        }
    }

    /// What it is once it is issued: what comes to less than nothing is a credit note.
    pub fn kind(&self) -> Kind {
        if self.amount < Cost::ZERO { Kind::CreditNote } else { Kind::Invoice }
    }

    /// The invoices that its lines correct, each once.
    pub fn corrects(&self) -> BTreeSet<&str> {
        self.lines.iter().map(|line| line.corrects.as_str()).filter(|number| !number.is_empty()).collect()
    }

    /// The sums of its lines by kind, in the order of the lines.
    pub fn subtotals(&self) -> Vec<(&str, Cost)> {
        let mut subtotals: Vec<(&str, Cost)> = Vec::new();
        for line in &self.lines {
            match subtotals.last_mut().filter(|(kind, _)| *kind == line.kind) {
                Some((_, sum)) => *sum += line.amount,
                None => subtotals.push((&line.kind, line.amount)),
            }
        }
        subtotals
    }
}

impl Kind {
    /// Its name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::CreditNote => "credit_note",
        }
    }
}

/// What a month was closed with, by which its lines are rounded and converted for ever.
#[derive(Debug, Default)]
pub(super) struct ClosedBy {
    pub(super) plans: PlanShelf,
    pub(super) rates: RateShelf,
}

/// A month, summed.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) tenants: Vec<TenantSum>,
    units: Vec<UnitSum>,
    unmetered: Vec<UnmeteredSum>,
    pub(super) adjustments: Vec<AdjustmentSum>,
}

impl Sums {
    /// The earlier months whose usage is corrected.
    fn corrected_months(&self) -> BTreeSet<BillingPeriod> {
        let units = self.units.iter().map(|sum| (sum.corrects, sum.service_month));
        let unmetered = self.unmetered.iter().map(|sum| (sum.corrects, sum.service_month));
        let corrected = units.chain(unmetered).filter(|(corrects, _)| *corrects);
        corrected.map(|(_, month)| month_of(month)).collect()
    }
}

/// Whether an entry of this kind is what [`finish`] led to.
fn is_finish(kind: &str) -> bool {
    [finish::ROUNDING, finish::TAX].contains(&kind)
}

/// What a month's drafts are made of.
pub(super) async fn gather(
    database: &Database,
    period: BillingPeriod,
    as_of: i64,
) -> Result<(Sums, Known), DraftError> {
    let mut known = Known { plans: PlanShelf::of(database).await?, ..Known::default() };
    let sums = Sums {
        tenants: database.tenant_sums(period).await?,
        units: database.unit_sums(period, &known.plans.not_invoiced).await?,
        unmetered: database.unmetered_sums(period).await?,
        adjustments: database.adjustment_sums(period).await?,
    };
    for row in database.prices().await? {
        known.cards.insert(row.price_id.clone(), PriceRow::from_table(row).card()?);
    }
    for month in sums.corrected_months() {
        for row in database.invoices_of(month).await?.into_iter().filter(|row| row.issued_at <= as_of) {
            let issued = Issued { number: row.invoice_number.clone(), conversion: rate_of(&row) };
            known.issued.entry((row.tenant, month)).or_default().push(issued);
        }
    }
    Ok((sums, known))
}

/// `closed_by` is of a month that is closed; lines of one that is not are neither rounded nor converted.
pub(super) fn assemble(
    period: BillingPeriod,
    sums: Sums,
    known: &Known,
    closed_by: Option<&ClosedBy>,
) -> Result<Vec<Draft>, DraftError> {
    let Sums { tenants, units, unmetered, adjustments } = sums;
    let mut lines: BTreeMap<(String, String), Vec<Line>> = BTreeMap::new();
    for sum in units {
        let key = (sum.tenant.clone(), sum.currency.clone());
        lines.entry(key).or_default().push(Line::of_units(sum, period, known)?);
    }
    for sum in unmetered {
        let key = (sum.tenant.clone(), sum.currency.clone());
        lines.entry(key).or_default().push(Line::of_unmetered(sum, period, known));
    }
    // What rounding came to is in the lines.
    for sum in adjustments.into_iter().filter(|sum| sum.kind != finish::ROUNDING) {
        let key = (sum.tenant.clone(), sum.currency.clone());
        lines.entry(key).or_default().push(Line::of_adjustment(sum, period));
    }
    let mut drafts = Vec::with_capacity(tenants.len());
    for sum in tenants {
        let mut lines = lines.remove(&(sum.tenant.clone(), sum.currency.clone())).unwrap_or_default();
        if sum.calls == 0 && sum.charge.is_zero() && lines.is_empty() {
            continue;
        }
        lines.sort_by_cached_key(Line::order);
        let (tenant, currency, calls) = (sum.tenant, sum.currency, sum.calls);
        let amount = Cost::ZERO;
        let mut draft = Draft { tenant, period, currency, conversion: None, lines, amount, calls };
        if let Some(coins) = closed_by.and_then(|by| finish::whole_coins(&by.plans, &draft)) {
            finish::round(&mut draft.lines, coins);
        }
        draft.amount = draft.lines.iter().map(|line| line.amount).sum();
        if draft.amount != sum.charge {
            let (tenant, lines) = (draft.tenant, draft.amount);
            return Err(DraftError::DoesNotBalance { tenant, lines, entries: sum.charge });
        }
        if let Some(by) = closed_by {
            convert::convert(&mut draft, (&by.plans, &by.rates.rates), known)?;
        }
        drafts.push(draft);
    }
    Ok(drafts)
}

#[cfg(test)]
mod laws;

#[cfg(test)]
mod tests;
