//! Plans: what a tenant is charged, given what its calls cost.
//!
//! Two moments. An entry's charge is order-free: each line of a call costs the plan's own price of the unit, else the
//! provider's cost with the plan's markup, rounded once a line to twelve decimals, half to even, like the cost itself. What
//! depends on the month's total (units included or tiered by their number, tiers by money, discount, included usage, commitment, minimum, credits) is worked out when the month
//! is closed, and posted as entries of its own, so that an invoice is a sum over the ledger.
//!
//! A plan is named by its content. Whom it is for and from when is [`Assignments`]'; plans change with a month.

mod quantity;

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::identity::IdHasher;
use crate::ledger::Facts;
use crate::money::{Cost, Currency};
use crate::price::{Context, PriceBook, RateCard, UnitClass, UnitPart};
use crate::time::BillingPeriod;

pub use quantity::{CallUse, Counted, MonthUse, QuantityRule, QuantityTier, Terms, UnitUse};

/// What a tenant is charged.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What people call it.
    pub name: String,
    /// Added to the provider's cost, in percent; zero passes it through.
    pub markup_percent: Decimal,
    /// Own prices of units; where they have none, cost and markup.
    pub prices: Option<PriceBook>,
    /// What is worked out when a month is closed.
    pub monthly: Monthly,
    /// Whether each line of an invoice is rounded to the currency's smallest coin.
    pub whole_coins: bool,
    /// The currency of the invoices, where it is stated; else the ledger's. Every amount of a plan is in the ledger's.
    pub invoice_currency: Option<Currency>,
}

/// What depends on a month's total.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Monthly {
    /// What is made of how many units were used, before anything is made of their money.
    pub quantities: Vec<QuantityRule>,
    /// Discounts by how much was used.
    pub tiers: Vec<DiscountTier>,
    /// Whether the highest tier reached holds for everything (volume) or each for its own part (graduated).
    pub volume: bool,
    /// Taken off what is left, in percent.
    pub discount_percent: Decimal,
    /// Usage that costs nothing.
    pub included: Cost,
    /// Paid in any case; usage up to it costs nothing more.
    pub commitment: Cost,
    /// Added to usage beyond the commitment, in percent.
    pub overage_percent: Decimal,
    /// The least a month comes to.
    pub minimum: Cost,
}

/// A discount on usage above an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscountTier {
    /// The amount that must be exceeded.
    pub above: Cost,
    /// In percent.
    pub percent: Decimal,
}

/// Which plan is whose, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignments {
    list: Vec<Assignment>,
}

/// One tenant's plan over some months.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The payer; `None` for every tenant without an assignment of its own.
    pub tenant: Option<String>,
    /// The plan's name.
    pub plan: String,
    /// The first month.
    pub from: Option<BillingPeriod>,
    /// The first month no longer.
    pub to: Option<BillingPeriod>,
}

/// An environment whose usage is counted and costs the tenant nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// Whose; `None` for every tenant.
    pub tenant: Option<String>,
    /// The deployment environment, as calls state it.
    pub environment: String,
    /// The first month.
    pub from: Option<BillingPeriod>,
    /// The first month no longer.
    pub to: Option<BillingPeriod>,
}

/// Money that a tenant may use up, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditGrant {
    /// Whose.
    pub tenant: String,
    /// What people call it; unique for the tenant.
    pub name: String,
    /// How much.
    pub amount: Cost,
    /// The first month it may be used in.
    pub from: Option<BillingPeriod>,
    /// The first month it no longer may.
    pub expires: Option<BillingPeriod>,
}

/// One thing that a month's total leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// `discount`, `adjustment`, `commitment`, `minimum`, `credit`: the kind of invoice line.
    pub kind: &'static str,
    /// What people call it.
    pub name: String,
    /// What it adds to the charge.
    pub amount: Cost,
}

/// What a rated call is charged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Charged {
    /// Exact unit class to charge; never holds a zero.
    pub units: BTreeMap<String, Cost>,
    /// The sum.
    pub charge: Cost,
}

impl Exemption {
    /// Whether it holds for a call of these facts.
    pub fn holds_for(&self, facts: &Facts) -> bool {
        let month = BillingPeriod::containing(facts.occurred_at);
        self.environment == facts.environment
            && self.tenant.as_ref().is_none_or(|tenant| *tenant == facts.tenant)
            && self.from.is_none_or(|from| from <= month)
            && self.to.is_none_or(|to| month < to)
    }
}

impl Plan {
    /// The plan of usage that is not invoiced: whatever it costs, nothing is charged. No file can state it, since a
    /// markup in a file is not negative, so its id names nothing else.
    pub fn not_invoiced() -> Self {
        Self {
            name: "not invoiced".into(),
            markup_percent: -Decimal::ONE_HUNDRED,
            prices: None,
            monthly: Monthly::default(),
            whole_coins: false,
            invoice_currency: None,
        }
    }

    /// Whether it charges what the provider does.
    pub fn is_pass_through(&self) -> bool {
        self.markup_percent.is_zero() && self.prices.is_none()
    }

    /// Its name on ledger entries: a hash of what decides the charge of an entry. Empty for pass-through.
    pub fn id(&self) -> String {
        if self.is_pass_through() {
            return String::new();
        }
        let mut hasher = IdHasher::new("plan");
        hasher.part(self.markup_percent.normalize().to_string().as_bytes());
        hasher
            .part(self.prices.as_ref().map(|book| book.version().to_string()).unwrap_or_default().as_bytes());
        hasher.finish().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What a call of these facts is charged, given what it costs: unit, quantity, cost. `None` beyond all belief.
    pub fn charge(&self, facts: &Facts, lines: &[(UnitPart, u64, Cost)]) -> Option<Charged> {
        let card = self.card(facts);
        let mut charged = Charged::default();
        for (unit, quantity, cost) in lines {
            let charge = self.line(card, unit.class, *quantity, *cost)?;
            charged.charge = charged.charge.checked_add(charge)?;
            if !charge.is_zero() {
                charged.units.insert(unit.to_string(), charge);
            }
        }
        Some(charged)
    }

    /// What so many units are charged that cost so much.
    fn line(&self, card: Option<&RateCard>, unit: UnitClass, quantity: u64, cost: Cost) -> Option<Cost> {
        match card.and_then(|card| card.rates.covering(unit)) {
            Some(rate) => Cost::of(quantity, rate.base()),
            None => cost.scaled(self.factor()),
        }
    }

    /// The plan's own prices for a call of these facts.
    pub fn card(&self, facts: &Facts) -> Option<&RateCard> {
        let context = Context {
            service_tier: Some(facts.service_tier.as_str()).filter(|tier| !tier.is_empty()),
            region: Some(facts.region.as_str()).filter(|region| !region.is_empty()),
            batch: false,
        };
        self.own_card(&facts.provider, [&facts.model, &facts.request_model], facts.occurred_at, &context)
    }

    fn own_card(
        &self,
        provider: &str,
        models: [&str; 2],
        at: crate::time::EventTime,
        context: &Context<'_>,
    ) -> Option<&RateCard> {
        let book = self.prices.as_ref()?;
        let named = models.into_iter().filter(|model| !model.is_empty());
        named.filter_map(|model| book.find(provider, model, at, context).ok()).map(|found| found.card).next()
    }

    /// Its own prices of a unit of a model's usage at the beginning and the end of a month; none where it has none.
    pub fn unit_prices(
        &self,
        provider: &str,
        model: &str,
        unit: UnitClass,
        month: BillingPeriod,
    ) -> Vec<Decimal> {
        let nanos = |time: chrono::DateTime<chrono::Utc>| time.timestamp_nanos_opt().unwrap_or(i64::MAX);
        let times = [nanos(month.start()), nanos(month.end()).saturating_sub(1)];
        let price = |at: i64| {
            let at = crate::time::EventTime::from_nanos(at);
            let card = self.own_card(provider, [model, ""], at, &Context::default())?;
            card.rates.covering(unit).map(crate::price::Rate::base)
        };
        times.into_iter().filter_map(price).collect()
    }

    /// What a cost is multiplied by.
    pub fn factor(&self) -> Decimal {
        Decimal::ONE + self.markup_percent / Decimal::ONE_HUNDRED
    }
}

impl Monthly {
    /// Whether it leaves every month as it is.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// What a month whose usage is charged `usage` comes to besides: rules by quantity, tiers, discount, included usage,
    /// commitment, minimum, in this order, each on what the ones before left. None is zero.
    pub fn adjustments(&self, usage: Cost, used: &MonthUse) -> Vec<Adjustment> {
        let mut made = quantity::adjustments(&self.quantities, used);
        let mut left = usage + made.iter().map(|made| made.amount).sum();
        let mut add = |left: &mut Cost, kind, name: &str, amount: Cost| {
            if !amount.is_zero() {
                *left += amount;
                made.push(Adjustment { kind, name: name.to_string(), amount });
            }
        };
        let tiers = if self.volume { self.volume_discount(left) } else { self.graduated_discount(left) };
        add(&mut left, "discount", "discount by volume", -tiers);
        let discount = percent(left.max(Cost::ZERO), self.discount_percent);
        add(&mut left, "discount", "discount", -discount);
        let included = left.clamp(Cost::ZERO, self.included.max(Cost::ZERO));
        add(&mut left, "adjustment", "included usage", -included);
        if self.commitment > Cost::ZERO {
            let beyond = left - self.commitment;
            if beyond < Cost::ZERO {
                add(&mut left, "commitment", "commitment not used up", -beyond);
            } else {
                let overage = percent(beyond, self.overage_percent);
                add(&mut left, "commitment", "usage beyond the commitment", overage);
            }
        }
        if self.minimum > Cost::ZERO && left < self.minimum {
            let missing = self.minimum - left;
            add(&mut left, "minimum", "minimum charge", missing);
        }
        made
    }

    fn volume_discount(&self, usage: Cost) -> Cost {
        let reached = self.tiers.iter().filter(|tier| usage > tier.above).max_by_key(|tier| tier.above);
        reached.map_or(Cost::ZERO, |tier| percent(usage, tier.percent))
    }

    fn graduated_discount(&self, usage: Cost) -> Cost {
        let mut tiers: Vec<&DiscountTier> = self.tiers.iter().collect();
        tiers.sort_by_key(|tier| tier.above);
        let ends = tiers.iter().skip(1).map(|tier| Some(tier.above)).chain([None]);
        let part = |(tier, end): (&&DiscountTier, Option<Cost>)| {
            let upto = end.map_or(usage, |end| end.min(usage));
            percent((upto - tier.above).max(Cost::ZERO), tier.percent)
        };
        tiers.iter().zip(ends).map(part).sum()
    }
}

/// What of its credits a tenant uses in a month that comes to `due`. `used` says how much of a credit other months used.
/// The one that expires first is used first.
pub fn use_credits<'g>(
    grants: impl IntoIterator<Item = &'g CreditGrant>,
    month: BillingPeriod,
    due: Cost,
    used: impl Fn(&CreditGrant) -> Cost,
) -> Vec<Adjustment> {
    let holds = |grant: &&CreditGrant| {
        grant.from.is_none_or(|from| from <= month) && grant.expires.is_none_or(|expires| month < expires)
    };
    let mut grants: Vec<&CreditGrant> = grants.into_iter().filter(holds).collect();
    grants.sort_by_key(|grant| (grant.expires.is_none(), grant.expires, &grant.name));
    let mut left = due.max(Cost::ZERO);
    let mut made = Vec::new();
    for grant in grants {
        let amount = (grant.amount - used(grant)).clamp(Cost::ZERO, left);
        if !amount.is_zero() {
            left -= amount;
            made.push(Adjustment { kind: "credit", name: grant.name.clone(), amount: -amount });
        }
    }
    made
}

impl Assignments {
    /// Assignments as they stand; whoever reads them has seen to it that none of a tenant overlap.
    pub fn new(list: Vec<Assignment>) -> Self {
        Self { list }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Assignment> {
        self.list.iter()
    }

    /// The name of a tenant's plan in a month: its own, else the one for every tenant.
    pub fn plan_of(&self, tenant: &str, month: BillingPeriod) -> Option<&str> {
        let of = |wanted: Option<&str>| {
            self.list.iter().find(|known| known.tenant.as_deref() == wanted && known.holds_in(month))
        };
        of(Some(tenant)).or_else(|| of(None)).map(|found| found.plan.as_str())
    }
}

impl Assignment {
    /// Whether it holds in a month.
    pub fn holds_in(&self, month: BillingPeriod) -> bool {
        self.from.is_none_or(|from| from <= month) && self.to.is_none_or(|to| month < to)
    }
}

/// So many percent of a cost, rounded half to even at the twelfth decimal.
fn percent(cost: Cost, percent: Decimal) -> Cost {
    let exact = cost.scaled(percent / Decimal::ONE_HUNDRED);
    // Percents are at most ten thousand, costs far below their bound: see `Cost`.
    exact.unwrap_or(Cost::ZERO)
}

#[cfg(test)]
mod tests;
