//! A month's invoices as they would be issued now.

use std::collections::{BTreeMap, HashMap};

use domain::money::Cost;
use domain::price::{RateCard, UnitClass};
use domain::time::BillingPeriod;
use rust_decimal::Decimal;
use schemas::{AdjustmentSum, Database, DatabaseError, TenantSum, UnitSum, UnmeteredSum};

use crate::plans::{PlanShelf, PlanShelfError};
use crate::prices::{PriceRow, PriceRowError};
use crate::settle::split_price_id;

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `usage`, or what a month's total led to: `discount`, `adjustment`, `commitment`, `minimum`, `credit`.
    pub kind: String,
    /// The product feature; empty where none was stated.
    pub feature: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The exact unit class, or `calls` where no usage was stated.
    pub unit: String,
    /// In units; negative where corrections outweigh usage.
    pub quantity: i64,
    /// What one costs.
    pub unit_price: Decimal,
    /// What the line comes to.
    pub amount: Cost,
    /// Net calls that used the unit.
    pub calls: i64,
    /// For people: why `quantity × unit_price` is not `amount`, or why nothing is charged.
    pub description: String,
}

/// One tenant's invoice for a month, not issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The payer; empty for what no tenant could be found for.
    pub tenant: String,
    /// The month.
    pub period: BillingPeriod,
    /// ISO 4217.
    pub currency: String,
    /// Sorted by feature, provider, model, unit, price.
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub amount: Cost,
    /// Net calls.
    pub calls: i64,
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
    /// The drafts of a month, by tenant.
    pub async fn of(database: &Database, period: BillingPeriod) -> Result<Vec<Self>, DraftError> {
        let tenants = database.tenant_sums(period).await?;
        let units = database.unit_sums(period).await?;
        let unmetered = database.unmetered_sums(period).await?;
        let adjustments = database.adjustment_sums(period).await?;
        let mut cards = HashMap::new();
        for row in database.prices().await? {
            cards.insert(row.price_id.clone(), PriceRow::from_table(row).card()?);
        }
        let rates = Rates { cards, plans: PlanShelf::of(database).await? };
        assemble(period, Sums { tenants, units, unmetered, adjustments }, &rates)
    }
}

/// What entries were rated and charged by.
#[derive(Debug, Default)]
struct Rates {
    cards: HashMap<String, RateCard>,
    plans: PlanShelf,
}

/// A month, summed.
#[derive(Debug, Default)]
struct Sums {
    tenants: Vec<TenantSum>,
    units: Vec<UnitSum>,
    unmetered: Vec<UnmeteredSum>,
    adjustments: Vec<AdjustmentSum>,
}

fn assemble(period: BillingPeriod, sums: Sums, rates: &Rates) -> Result<Vec<Draft>, DraftError> {
    let Sums { tenants, units, unmetered, adjustments } = sums;
    let mut lines: BTreeMap<(String, String), Vec<Line>> = BTreeMap::new();
    for sum in units {
        let key = (sum.tenant.clone(), sum.currency.clone());
        let unit_price = unit_price(&sum, period, rates)?;
        lines.entry(key).or_default().push(usage_line(sum, unit_price));
    }
    for sum in unmetered {
        let key = (sum.tenant.clone(), sum.currency.clone());
        lines.entry(key).or_default().push(unmetered_line(sum));
    }
    for sum in adjustments {
        let key = (sum.tenant.clone(), sum.currency.clone());
        lines.entry(key).or_default().push(adjustment_line(sum));
    }
    let mut drafts = Vec::with_capacity(tenants.len());
    for sum in tenants {
        let mut lines = lines.remove(&(sum.tenant.clone(), sum.currency.clone())).unwrap_or_default();
        lines.sort_by(|a, b| {
            let key = |line: &Line| {
                (
                    // Usage first, then what its total led to.
                    line.kind != "usage",
                    line.kind.clone(),
                    line.feature.clone(),
                    line.provider.clone(),
                    line.model.clone(),
                    line.unit.clone(),
                    line.unit_price,
                )
            };
            (key(a), &a.description).cmp(&(key(b), &b.description))
        });
        let amount: Cost = lines.iter().map(|line| line.amount).sum();
        if amount != sum.charge {
            return Err(DraftError::DoesNotBalance {
                tenant: sum.tenant,
                lines: amount,
                entries: sum.charge,
            });
        }
        if sum.calls == 0 && lines.is_empty() {
            continue;
        }
        drafts.push(Draft {
            tenant: sum.tenant,
            period,
            currency: sum.currency,
            lines,
            amount,
            calls: sum.calls,
        });
    }
    Ok(drafts)
}

/// What one unit of a line is charged.
fn unit_price(sum: &UnitSum, period: BillingPeriod, rates: &Rates) -> Result<Decimal, DraftError> {
    if sum.price_id.is_empty() {
        return Ok(Decimal::ZERO);
    }
    let (card, tier) = split_price_id(&sum.price_id);
    let missing = || DraftError::PriceMissing { tenant: sum.tenant.clone(), price_id: sum.price_id.clone() };
    let card = rates.cards.get(card).ok_or_else(missing)?;
    let unit = UnitClass::named(&sum.unit).ok_or_else(missing)?;
    let rate = card.rates.covering(unit).ok_or_else(missing)?;
    // A tier holds above its bound: the price of a prompt one token longer.
    let cost_price = rate.unit_price(tier.map_or(0, |above| above.saturating_add(1))).0;
    let Some(plan) = rates.plans.plan(&sum.plan_id) else { return Ok(cost_price) };
    let own = plan.unit_prices(&sum.provider, &sum.model, unit, period);
    let marked_up = (cost_price * plan.factor()).normalize();
    Ok(own.into_iter().find(|price| explains(sum, *price)).unwrap_or(marked_up))
}

/// Whether quantity times price is the amount, to the last digit.
fn explains(sum: &UnitSum, unit_price: Decimal) -> bool {
    let product = Decimal::from(sum.quantity).checked_mul(unit_price);
    product.is_some_and(|product| Cost::parse(&product.normalize().to_string()).ok() == Some(sum.charge))
}

fn usage_line(sum: UnitSum, unit_price: Decimal) -> Line {
    let exact = explains(&sum, unit_price);
    let description = match (sum.state.as_str(), exact) {
        ("unpriced", _) => "not charged yet: no price is known; posted when one arrives".to_string(),
        ("partial", true) => "answers that were cut off: only what was stated is charged".to_string(),
        (_, false) => "each call's amount is rounded to 12 decimals before it is added up".to_string(),
        _ => String::new(),
    };
    Line {
        kind: "usage".into(),
        feature: sum.feature,
        provider: sum.provider,
        model: sum.model,
        unit: sum.unit,
        quantity: sum.quantity,
        unit_price,
        amount: sum.charge,
        calls: sum.calls,
        description,
    }
}

fn unmetered_line(sum: UnmeteredSum) -> Line {
    Line {
        kind: "usage".into(),
        feature: sum.feature,
        provider: sum.provider,
        model: sum.model,
        unit: "calls".into(),
        quantity: sum.calls,
        unit_price: Decimal::ZERO,
        amount: Cost::ZERO,
        calls: sum.calls,
        description: "not charged: no span of these calls states their usage".into(),
    }
}

fn adjustment_line(sum: AdjustmentSum) -> Line {
    Line {
        kind: sum.kind,
        feature: String::new(),
        provider: String::new(),
        model: String::new(),
        unit: String::new(),
        quantity: 1,
        unit_price: Decimal::try_from_i128_with_scale(sum.charge.picos(), 12).unwrap_or_default().normalize(),
        amount: sum.charge,
        calls: 0,
        description: sum.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let period = BillingPeriod::parse("2026-10").unwrap();
        let make = |charge| {
            let sums = Sums {
                tenants: vec![tenant(charge)],
                units: vec![sum("input_tokens", 5, "0.5")],
                ..Sums::default()
            };
            assemble(period, sums, &Rates::default())
        };
        assert_eq!(make("0.5").unwrap()[0].amount, Cost::parse("0.5").unwrap());
        assert!(matches!(make("0.6"), Err(DraftError::DoesNotBalance { .. })));
    }

    #[test]
    fn unmetered_calls_are_a_line_of_their_own() {
        let period = BillingPeriod::parse("2026-10").unwrap();
        let unmetered = UnmeteredSum {
            tenant: "acme".into(),
            feature: String::new(),
            provider: "openai".into(),
            model: "gpt-4o".into(),
            currency: "USD".into(),
            calls: 3,
        };
        let sums = Sums { tenants: vec![tenant("0")], unmetered: vec![unmetered], ..Sums::default() };
        let drafts = assemble(period, sums, &Rates::default()).unwrap();
        assert_eq!((drafts[0].lines[0].unit.as_str(), drafts[0].lines[0].quantity), ("calls", 3));
    }
}
