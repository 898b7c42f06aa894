//! A month's invoices as they would be issued now.

use std::collections::{BTreeMap, BTreeSet};

use domain::money::Cost;
use domain::time::BillingPeriod;
use schemas::rows::month_of;
use schemas::{AdjustmentSum, Database, DatabaseError, TenantSum, UnitSum, UnmeteredSum};

use super::finish;
use super::line::{Known, Line};
use crate::plans::{PlanShelf, PlanShelfError};
use crate::prices::{PriceRow, PriceRowError};

/// One tenant's invoice for a month, not issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The payer; empty for what no tenant could be found for.
    pub tenant: String,
    /// The month.
    pub period: BillingPeriod,
    /// ISO 4217.
    pub currency: String,
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
            Some(row) => Some(PlanShelf::at(database, Some(&row.plans)).await?),
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
            known.issued.entry((row.tenant, month)).or_default().push(row.invoice_number);
        }
    }
    Ok((sums, known))
}

/// `closed_by` are the plans of a closed month, by which its lines are rounded.
pub(super) fn assemble(
    period: BillingPeriod,
    sums: Sums,
    known: &Known,
    closed_by: Option<&PlanShelf>,
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
        let mut draft = Draft { tenant, period, currency, lines, amount: Cost::ZERO, calls };
        if let Some(coins) = closed_by.and_then(|plans| finish::whole_coins(plans, &draft)) {
            finish::round(&mut draft.lines, coins);
        }
        draft.amount = draft.lines.iter().map(|line| line.amount).sum();
        if draft.amount != sum.charge {
            let (tenant, lines) = (draft.tenant, draft.amount);
            return Err(DraftError::DoesNotBalance { tenant, lines, entries: sum.charge });
        }
        drafts.push(draft);
    }
    Ok(drafts)
}

#[cfg(test)]
mod laws;

#[cfg(test)]
mod tests {
    use schemas::rows::month_number;

    use super::*;

    fn period() -> BillingPeriod {
        BillingPeriod::parse("2026-10").unwrap()
    }

    fn sum(unit: &str, quantity: i64, cost: &str) -> UnitSum {
        UnitSum {
            tenant: "acme".into(),
            feature: "search".into(),
            provider: "openai".into(),
            model: "gpt-4o".into(),
            state: "unpriced".into(),
            currency: "USD".into(),
            price_id: String::new(),
            plan_id: String::new(),
            environment: String::new(),
            service_month: month_number(period()),
            corrects: false,
            unit: unit.into(),
            quantity,
            cost: Cost::parse(cost).unwrap(),
            charge: Cost::parse(cost).unwrap(),
            calls: 1,
        }
    }

    fn tenant(charge: &str) -> TenantSum {
        let charge = Cost::parse(charge).unwrap();
        TenantSum {
            tenant: "acme".into(),
            currency: "USD".into(),
            calls: 1,
            entries: 1,
            cost: charge,
            charge,
        }
    }

    #[test]
    fn lines_that_do_not_add_up_to_the_entries_make_no_invoice() {
        let make = |charge| {
            let sums = Sums {
                tenants: vec![tenant(charge)],
                units: vec![sum("input_tokens", 5, "0.5")],
                ..Sums::default()
            };
            assemble(period(), sums, &Known::default(), None)
        };
        assert_eq!(make("0.5").unwrap()[0].amount, Cost::parse("0.5").unwrap());
        assert!(matches!(make("0.6"), Err(DraftError::DoesNotBalance { .. })));
    }

    #[test]
    fn what_comes_to_nothing_is_an_invoice_and_what_is_given_back_a_credit_note() {
        for (amount, kind) in [("0.01", Kind::Invoice), ("0", Kind::Invoice), ("-0.01", Kind::CreditNote)] {
            let line = super::super::sample::led_to("credit", "c", amount);
            assert_eq!(super::super::sample::of("acme", vec![line]).draft.kind(), kind, "{amount}");
        }
    }

    #[test]
    fn a_line_of_long_prompts_states_the_price_of_long_prompts() {
        let price = |digits: &str| digits.parse::<rust_decimal::Decimal>().unwrap();
        let tier = domain::price::Tier { above: 200_000, unit_price: price("0.000006") };
        let rate = domain::price::Rate::tiered(price("0.000003"), vec![tier]);
        let rates = [(domain::price::UnitClass::Input, rate)];
        let card = domain::price::RateCard::new(
            "anthropic".into(),
            "m".into(),
            (None, None),
            Vec::new(),
            BTreeMap::new(),
            domain::price::Rates::new(rates.into(), Vec::new()),
            Vec::new(),
        );
        let mut known = Known::default();
        known.cards.insert("card".into(), card);
        for (tier, cost, expected) in [(None, "0.6", "0.000003"), (Some(200_000), "1.2", "0.000006")] {
            let price_id = crate::settle::tiered_price_id("card", tier);
            let line = UnitSum { price_id, state: "billed".into(), ..sum("input", 200_000, cost) };
            let line = Line::of_units(line, period(), &known).unwrap();
            assert_eq!((line.unit_price, line.description.as_str()), (price(expected), ""), "{tier:?}");
        }
    }

    #[test]
    fn unmetered_calls_are_a_line_of_their_own() {
        let unmetered = UnmeteredSum {
            tenant: "acme".into(),
            feature: String::new(),
            provider: "openai".into(),
            model: "gpt-4o".into(),
            currency: "USD".into(),
            service_month: month_number(period()),
            corrects: false,
            calls: 3,
        };
        let sums = Sums { tenants: vec![tenant("0")], unmetered: vec![unmetered], ..Sums::default() };
        let drafts = assemble(period(), sums, &Known::default(), None).unwrap();
        assert_eq!((drafts[0].lines[0].unit.as_str(), drafts[0].lines[0].quantity), ("calls", 3));
    }

    #[test]
    fn usage_of_earlier_months_is_lines_of_its_own_after_the_months() {
        let september = BillingPeriod::parse("2026-09").unwrap();
        let of = |month: BillingPeriod, corrects, cost| UnitSum {
            service_month: month_number(month),
            corrects,
            ..sum("input", 5, cost)
        };
        let sums = Sums {
            tenants: vec![tenant("-0.2")],
            units: vec![of(september, true, "-0.8"), of(september, false, "0.1"), of(period(), false, "0.5")],
            ..Sums::default()
        };
        let mut known = Known::default();
        known.issued.insert(("acme".into(), september), vec!["2026-09-0007".into()]);
        assert_eq!(sums.corrected_months(), BTreeSet::from([september]));
        let draft = assemble(period(), sums, &known, None).unwrap().remove(0);
        let amounts: Vec<String> = draft.lines.iter().map(|line| line.amount.to_string()).collect();
        assert_eq!(amounts, ["0.500000000000", "0.100000000000", "-0.800000000000"]);
        assert!(draft.lines[1].description.starts_with("usage of 2026-09, reported after"));
        assert!(draft.lines[2].description.starts_with("corrects 2026-09-0007: usage of 2026-09"));
        assert_eq!(draft.corrects(), BTreeSet::from(["2026-09-0007"]));
        assert_eq!(draft.kind(), Kind::CreditNote);
        assert_eq!(draft.subtotals(), [("usage", Cost::parse("-0.2").unwrap())]);
    }
}
