//! One line of an invoice, from sums over the ledger.

use std::collections::{BTreeMap, HashMap};

use domain::money::{Cost, ExchangeRate};
use domain::price::{RateCard, UnitPart};
use domain::time::BillingPeriod;
use rust_decimal::Decimal;
use schemas::rows::month_of;
use schemas::{AdjustmentSum, UnitSum, UnmeteredSum};

use super::draft::DraftError;
use crate::plans::PlanShelf;
use crate::settle::split_price_id;

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `usage`, or what a month's total led to: one of `KINDS`.
    pub kind: String,
    /// The product feature; empty where none was stated.
    pub feature: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The month the usage is of: the invoice's, or an earlier one for what came late and what is corrected.
    pub service_month: BillingPeriod,
    /// The invoice of that month, where the line corrects it; empty for none.
    pub corrects: String,
    /// The exact unit class, or `calls` where no usage was stated.
    pub unit: String,
    /// In units; negative where corrections outweigh usage.
    pub quantity: i64,
    /// What one costs, in the invoice's currency.
    pub unit_price: Decimal,
    /// What one costs, in the ledger's currency.
    pub ledger_price: Decimal,
    /// The sum of the entries, in the ledger's currency.
    pub exact: Cost,
    /// What the line comes to, in the invoice's currency.
    pub amount: Cost,
    /// What `amount` was converted by, where it was.
    pub conversion: Option<ExchangeRate>,
    /// Net calls that used the unit.
    pub calls: i64,
    /// For people: why `quantity × unit_price` is not `amount`, or why nothing is charged.
    pub description: String,
}

/// The kinds of line, in the order they stand on an invoice: usage, then what its total led to, in the order it is
/// worked out.
pub const KINDS: [&str; 7] = ["usage", "discount", "adjustment", "commitment", "minimum", "credit", "tax"];

/// What entries were rated and charged by, and the invoices that they may correct.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub cards: HashMap<String, RateCard>,
    pub plans: PlanShelf,
    /// The invoices issued to a tenant for a month.
    pub issued: BTreeMap<(String, BillingPeriod), Vec<Issued>>,
}

/// An invoice that a line may correct.
#[derive(Debug, Clone)]
pub(super) struct Issued {
    pub number: String,
    /// What it was converted by, where it was.
    pub conversion: Option<ExchangeRate>,
}

impl Line {
    /// Where it stands on the invoice. Usage of earlier months comes after that of its own. Two lines of which neither
    /// goes first say the same: the order of the sums they are made of shows nowhere.
    pub(super) fn order(&self) -> impl Ord + use<> {
        let kind = KINDS.iter().position(|kind| *kind == self.kind).unwrap_or(KINDS.len());
        (
            (kind, self.kind.clone(), std::cmp::Reverse(self.service_month), self.corrects.clone()),
            (self.feature.clone(), self.provider.clone(), self.model.clone(), self.unit.clone()),
            (self.unit_price, self.description.clone(), self.quantity, self.exact, self.calls),
        )
    }

    /// All there is to say of it, with what it was converted from.
    pub fn said(&self) -> String {
        match self.converted() {
            Some(converted) if self.description.is_empty() => converted,
            Some(converted) => format!("{}; {converted}", self.description),
            None => self.description.clone(),
        }
    }

    /// What it was converted from, and by which rate; nothing of a line that comes to nothing.
    fn converted(&self) -> Option<String> {
        let rate = self.conversion.as_ref().filter(|_| !self.exact.is_zero())?;
        Some(format!("{} {} at {}", self.exact.shown(), rate.base, rate.terms()))
    }

    /// A line of usage.
    pub(super) fn of_units(sum: UnitSum, period: BillingPeriod, known: &Known) -> Result<Self, DraftError> {
        let unit_price = unit_price(&sum, period, known)?;
        let exact = explains(&sum, unit_price);
        let (corrects, mut said) =
            earlier(known, &sum.tenant, period, month_of(sum.service_month), sum.corrects);
        if sum.plan_id == known.plans.not_invoiced && !sum.plan_id.is_empty() {
            said.push(format!("not invoiced: environment {}", sum.environment));
        }
        match (sum.state.as_str(), exact) {
            ("unpriced", _) => {
                said.push("not charged yet: no price is known; posted when one arrives".into())
            }
            ("partial", true) => {
                said.push("answers that were cut off: only what was stated is charged".into())
            }
            (_, false) => {
                said.push("each call's amount is rounded to 12 decimals before it is added up".into())
            }
            _ => {}
        }
        Ok(Self {
            kind: "usage".into(),
            feature: sum.feature,
            provider: sum.provider,
            model: sum.model,
            service_month: month_of(sum.service_month),
            corrects,
            unit: sum.unit,
            quantity: sum.quantity,
            unit_price,
            ledger_price: unit_price,
            exact: sum.charge,
            amount: sum.charge,
            conversion: None,
            calls: sum.calls,
            description: said.join("; "),
        })
    }

    /// A line of calls that state no usage.
    pub(super) fn of_unmetered(sum: UnmeteredSum, period: BillingPeriod, known: &Known) -> Self {
        let service_month = month_of(sum.service_month);
        let (corrects, mut said) = earlier(known, &sum.tenant, period, service_month, sum.corrects);
        said.push("not charged: no span of these calls states their usage".into());
        Self {
            kind: "usage".into(),
            feature: sum.feature,
            provider: sum.provider,
            model: sum.model,
            service_month,
            corrects,
            unit: "calls".into(),
            quantity: sum.calls,
            unit_price: Decimal::ZERO,
            ledger_price: Decimal::ZERO,
            exact: Cost::ZERO,
            amount: Cost::ZERO,
            conversion: None,
            calls: sum.calls,
            description: said.join("; "),
        }
    }

    /// A line of what a month's total led to.
    pub(super) fn of_adjustment(sum: AdjustmentSum, period: BillingPeriod) -> Self {
        let price = Decimal::try_from_i128_with_scale(sum.charge.picos(), 12).unwrap_or_default().normalize();
        Self {
            kind: sum.kind,
            feature: String::new(),
            provider: String::new(),
            model: String::new(),
            service_month: period,
            corrects: String::new(),
            unit: String::new(),
            quantity: 1,
            unit_price: price,
            ledger_price: price,
            exact: sum.charge,
            amount: sum.charge,
            conversion: None,
            calls: 0,
            description: sum.name,
        }
    }
}

/// The invoice that usage of an earlier month corrects, and what is said of it; nothing for usage of the month itself.
fn earlier(
    known: &Known,
    tenant: &str,
    period: BillingPeriod,
    service_month: BillingPeriod,
    corrects: bool,
) -> (String, Vec<String>) {
    if service_month == period {
        return (String::new(), Vec::new());
    }
    if !corrects {
        let said = format!("usage of {service_month}, reported after that month was closed");
        return (String::new(), vec![said]);
    }
    let issued = known.issued.get(&(tenant.to_string(), service_month));
    let numbers = issued
        .map(|issued| issued.iter().map(|invoice| invoice.number.as_str()).collect::<Vec<_>>().join(", "));
    let said = match &numbers {
        Some(numbers) => format!("corrects {numbers}: usage of {service_month}"),
        None => format!("correction of usage of {service_month}"),
    };
    (numbers.unwrap_or_default(), vec![said])
}

/// What one unit of a line is charged.
fn unit_price(sum: &UnitSum, period: BillingPeriod, known: &Known) -> Result<Decimal, DraftError> {
    if sum.price_id.is_empty() {
        return Ok(Decimal::ZERO);
    }
    let (card, tier) = split_price_id(&sum.price_id);
    let missing = || DraftError::PriceMissing { tenant: sum.tenant.clone(), price_id: sum.price_id.clone() };
    let card = known.cards.get(card).ok_or_else(missing)?;
    let unit = UnitPart::named(&sum.unit).ok_or_else(missing)?;
    let cost_price = card.unit_price(unit, tier).ok_or_else(missing)?;
    let Some(plan) = known.plans.plan(&sum.plan_id) else { return Ok(cost_price) };
    let months = [month_of(sum.service_month), period];
    let own =
        months.into_iter().flat_map(|month| plan.unit_prices(&sum.provider, &sum.model, unit.class, month));
    let marked_up = (cost_price * plan.factor()).normalize();
    let mut own = own;
    Ok(own.find(|price| explains(sum, *price)).unwrap_or(marked_up))
}

/// Whether quantity times price is the amount, to the last digit.
fn explains(sum: &UnitSum, unit_price: Decimal) -> bool {
    let product = Decimal::from(sum.quantity).checked_mul(unit_price);
    product.is_some_and(|product| Cost::parse(&product.normalize().to_string()).ok() == Some(sum.charge))
}
