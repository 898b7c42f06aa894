//! A month's invoices as they would be issued now.

use std::collections::{BTreeMap, HashMap};

use domain::money::Cost;
use domain::price::RateCard;
use domain::time::BillingPeriod;
use rust_decimal::Decimal;
use schemas::{Database, DatabaseError, TenantSum, UnitSum, UnmeteredSum};

use crate::prices::{PriceRow, PriceRowError};
use crate::settle::split_price_id;

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `usage`; other kinds come from adjustments.
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
        let mut cards = HashMap::new();
        for row in database.prices().await? {
            cards.insert(row.price_id.clone(), PriceRow::from_table(row).card()?);
        }
        assemble(period, tenants, units, unmetered, &cards)
    }
}

fn assemble(
    period: BillingPeriod,
    tenants: Vec<TenantSum>,
    units: Vec<UnitSum>,
    unmetered: Vec<UnmeteredSum>,
    cards: &HashMap<String, RateCard>,
) -> Result<Vec<Draft>, DraftError> {
    let mut lines: BTreeMap<(String, String), Vec<Line>> = BTreeMap::new();
    for sum in units {
        let key = (sum.tenant.clone(), sum.currency.clone());
        let unit_price = unit_price(&sum, cards)?;
        lines.entry(key).or_default().push(usage_line(sum, unit_price));
    }
    for sum in unmetered {
        let key = (sum.tenant.clone(), sum.currency.clone());
        lines.entry(key).or_default().push(unmetered_line(sum));
    }
    let mut drafts = Vec::with_capacity(tenants.len());
    for sum in tenants {
        let mut lines = lines.remove(&(sum.tenant.clone(), sum.currency.clone())).unwrap_or_default();
        lines.sort_by(|a, b| {
            let key = |line: &Line| {
                (
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

fn unit_price(sum: &UnitSum, cards: &HashMap<String, RateCard>) -> Result<Decimal, DraftError> {
    if sum.price_id.is_empty() {
        return Ok(Decimal::ZERO);
    }
    let (card, tier) = split_price_id(&sum.price_id);
    let missing = || DraftError::PriceMissing { tenant: sum.tenant.clone(), price_id: sum.price_id.clone() };
    let card = cards.get(card).ok_or_else(missing)?;
    let unit = domain::price::UnitClass::named(&sum.unit).ok_or_else(missing)?;
    let rate = card.rates.covering(unit).ok_or_else(missing)?;
    // A tier holds above its bound: the price of a prompt one token longer.
    Ok(rate.unit_price(tier.map_or(0, |above| above.saturating_add(1))).0)
}

fn usage_line(sum: UnitSum, unit_price: Decimal) -> Line {
    let product = Decimal::from(sum.quantity).checked_mul(unit_price);
    let exact =
        product.is_some_and(|product| Cost::parse(&product.normalize().to_string()).ok() == Some(sum.cost));
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
        amount: sum.cost,
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
            unit: unit.into(),
            quantity,
            cost: Cost::parse(cost).unwrap(),
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
            assemble(
                period,
                vec![tenant(charge)],
                vec![sum("input_tokens", 5, "0.5")],
                vec![],
                &HashMap::new(),
            )
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
        let drafts = assemble(period, vec![tenant("0")], vec![], vec![unmetered], &HashMap::new()).unwrap();
        assert_eq!((drafts[0].lines[0].unit.as_str(), drafts[0].lines[0].quantity), ("calls", 3));
    }
}
