//! Recomputing the ledger: every amount from its usage and its price, every sum from its rows.
//!
//! A check is named after the invariant it holds the ledger to. A finding says which row and what it should say; an
//! empty list of findings is the promise kept.

mod balance;
mod chain;
mod invoices;
mod overrides;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::identity::CallId;
use domain::ledger::{Entry, EntryType, Quantities, State};
use domain::money::Cost;
use domain::overrides::TENANT_SOURCE;
use domain::price::{RateCard, Reach, UnitPart};
use domain::rate;
use domain::time::BillingPeriod;
use schemas::rows::{PeriodRow, day_of, month_number, month_of};
use schemas::{Database, DatabaseError, Retired};

use crate::adjust;
use crate::period::Manifest;
use crate::plans::{PlanShelf, PlanShelfError};
use crate::prices::{PriceRow, PriceRowError};
use crate::settle::split_price_id;

pub use balance::{Balance, Positions};
pub use chain::Vouched;

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The invariant, for instance `I3 call`.
    pub invariant: &'static str,
    /// What does not hold, and where.
    pub what: String,
}

/// What was checked and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// Entries recomputed.
    pub entries: u64,
    /// Calls whose entries were added up.
    pub calls: u64,
    /// Months looked at.
    pub months: u64,
    /// What was received, and what it came to.
    pub balance: Balance,
    /// What went by retention, and so was not looked at.
    pub retired: Retired,
    /// What settlers vouched for before they posted it.
    pub vouched: Vouched,
    /// What does not hold; empty where all is well.
    pub findings: Vec<Finding>,
}

/// Why it could not be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database failed.
    #[error("the ledger cannot be read")]
    Database(#[from] DatabaseError),
    /// The plans that entries name cannot be read.
    #[error("the plans cannot be read")]
    Plans(#[from] PlanShelfError),
}

/// What entries were rated and charged by.
struct Known {
    cards: HashMap<String, RateCard>,
    plans: PlanShelf,
    /// The credits and charges that people ordered to be posted at once.
    ordered: BTreeSet<CallId>,
}

impl Known {
    async fn of(database: &Database, cards: HashMap<String, RateCard>) -> Result<Self, VerifyError> {
        let ordered = adjust::posted_at_once(&database.overrides().await?).into_keys().collect();
        Ok(Self { cards, plans: PlanShelf::of(database).await?, ordered })
    }
}

/// Verifies one month, or the whole ledger.
pub async fn verify(database: &Database, month: Option<BillingPeriod>) -> Result<Verification, VerifyError> {
    let mut verification = Verification::default();
    let cards = cards(database, &mut verification).await?;
    let known = Known::of(database, cards).await?;
    let retired = database.retired().await?;
    let closed: BTreeMap<BillingPeriod, PeriodRow> =
        database.closed_months().await?.into_iter().map(|row| (month_of(row.period), row)).collect();
    let months: BTreeSet<BillingPeriod> = match month {
        Some(month) => BTreeSet::from([month]),
        // A closed month whose entries are all gone is one to look at too.
        None => {
            let with_entries = database.months().await?.into_iter().map(month_of);
            with_entries.chain(closed.keys().copied()).collect()
        }
    };
    for month in months {
        // Its manifest says what it was closed with, and nothing is left to hold it against.
        let gone = retired.months.contains(&month)
            && database.partition_rows(schemas::LEDGER, month_number(month)).await? == 0;
        if gone {
            continue;
        }
        check_month(database, month, closed.get(&month), &known, &mut verification).await?;
    }
    check_calls(database, month, &retired, &mut verification).await?;
    overrides::check_overrides(database, month, &retired, &mut verification.findings).await?;
    check_vouched(database, month, &closed, &retired, &mut verification).await?;
    verification.retired = retired;
    if month.is_none() {
        check_balance(database, &mut verification).await?;
        for compared in database.rollup_comparisons().await? {
            if compared.left != compared.right {
                let what =
                    format!("{}: ledger {}, usage_hourly {}", compared.what, compared.left, compared.right);
                verification.findings.push(Finding { invariant: "I6 one number", what });
            }
        }
        for off in database.rolled_differences().await? {
            let what = format!(
                "{} of tenant {:?}: usage_between has {} calls and {} cost more than the ledger; empty the tables rolled_up and usage_days to have every day summed anew",
                day_of(off.day),
                off.tenant,
                off.calls,
                off.cost
            );
            verification.findings.push(Finding { invariant: "I6 one number", what });
        }
    }
    Ok(verification)
}

/// Verifies a month that is about to be closed: its entries and the calls they belong to. The manifest is of the entries that
/// were verified, read once.
pub(crate) async fn verify_open(
    database: &Database,
    month: BillingPeriod,
) -> Result<(Verification, Manifest), VerifyError> {
    let mut verification = Verification::default();
    let cards = cards(database, &mut verification).await?;
    let known = Known::of(database, cards).await?;
    let manifest = check_month(database, month, None, &known, &mut verification).await?;
    let retired = database.retired().await?;
    check_calls(database, Some(month), &retired, &mut verification).await?;
    overrides::check_overrides(database, Some(month), &retired, &mut verification.findings).await?;
    check_vouched(database, Some(month), &BTreeMap::new(), &retired, &mut verification).await?;
    Ok((verification, manifest))
}

/// Everything, or whatever was posted while a month's entries were, is what was vouched for.
async fn check_vouched(
    database: &Database,
    month: Option<BillingPeriod>,
    closed: &BTreeMap<BillingPeriod, PeriodRow>,
    retired: &Retired,
    verification: &mut Verification,
) -> Result<(), DatabaseError> {
    // Every entry of a month was posted before it was closed.
    let months = database.closed_months().await?.into_iter();
    let gone = months.filter(|row| retired.months.contains(&month_of(row.period)));
    let gone_until = gone.map(|row| row.closed_at).max();
    let within = match month {
        None => None,
        // Of a month without entries there is nothing to look at.
        Some(month) => Some(database.posted_extent(month).await?.unwrap_or((i64::MAX, i64::MIN))),
    };
    let findings = &mut verification.findings;
    verification.vouched = chain::check_chains(database, within, closed, gone_until, findings).await?;
    Ok(())
}

/// Every entry of a month, one at a time; where it is closed, that they are those it was closed with, and its invoices.
/// Returns what it could be closed with.
async fn check_month(
    database: &Database,
    month: BillingPeriod,
    closed: Option<&PeriodRow>,
    known: &Known,
    verification: &mut Verification,
) -> Result<Manifest, VerifyError> {
    verification.months += 1;
    let mut manifest = Manifest::default();
    let mut late = Vec::new();
    let findings = &mut verification.findings;
    database
        .each_entry(month, |entry, posted_at| {
            check_entry(&entry, known, findings);
            manifest.add(&entry);
            if closed.is_some_and(|closed| posted_at > closed.closed_at) {
                late.push(entry.id);
            }
        })
        .await?;
    verification.entries += manifest.entries();
    let Some(closed) = closed else { return Ok(manifest) };
    let mut found = |what: String| {
        verification.findings.push(Finding { invariant: "I5 closed", what: format!("{month}: {what}") })
    };
    if let Some(difference) = manifest.differs(closed) {
        found(difference);
    }
    for entry in late {
        found(format!("entry {entry} was posted after the month was closed"));
    }
    overrides::check_adjustments(database, month, closed, &mut verification.findings).await?;
    invoices::check(database, month, &mut verification.findings).await?;
    Ok(manifest)
}

async fn cards(
    database: &Database,
    verification: &mut Verification,
) -> Result<HashMap<String, RateCard>, DatabaseError> {
    let mut cards = HashMap::new();
    for row in database.prices().await? {
        let id = row.price_id.clone();
        match PriceRow::from_table(row).card() {
            Ok(card) => {
                cards.insert(id, card);
            }
            Err(
                error @ (PriceRowError::Altered { .. }
                | PriceRowError::Unit { .. }
                | PriceRowError::Rate { .. }),
            ) => {
                verification.findings.push(Finding { invariant: "I10 explainable", what: error.to_string() });
            }
        }
    }
    Ok(cards)
}

/// Recomputes one entry: units from tokens, costs from units and prices, the total from its parts.
fn check_entry(entry: &Entry, known: &Known, findings: &mut Vec<Finding>) {
    let (facts, quantities) = (&entry.facts, &entry.quantities);
    let mut found = |invariant, what: String| {
        findings.push(Finding { invariant, what: format!("entry {}: {what}", entry.id) })
    };

    let parts: Cost = quantities.unit_costs.values().copied().sum();
    if parts != quantities.cost {
        found("I6 one number", format!("its units cost {parts}, it says {}", quantities.cost));
    }
    if matches!(entry.entry_type, EntryType::Adjustment | EntryType::Credit) {
        // Of a tenant and a month, and of no call: money and nothing else.
        let besides = Quantities { charge: quantities.charge, ..Quantities::default() };
        if *quantities != besides {
            found("I6 one number", "it is an adjustment and states usage or cost".into());
        }
        if facts.tenant_source == TENANT_SOURCE && !known.ordered.contains(&entry.call) {
            found(
                "I10 explainable",
                "it is a credit or charge that nobody ordered, or whose order was not done to its end".into(),
            );
        }
        return;
    }
    check_charge(entry, &known.plans, &mut found);
    let free = matches!(facts.state, State::Unmetered | State::Unpriced);
    if free && (!quantities.cost.is_zero() || !facts.price_id.is_empty()) {
        found("I9 visible", format!("it is {} and costs {}", facts.state.name(), quantities.cost));
    }
    if facts.state == State::Unmetered && (quantities.tokens != [0; 6] || !quantities.units.is_empty()) {
        found("I9 visible", "it is unmetered and states units".into());
    }
    if free {
        return;
    }
    let (card, tier) = split_price_id(&facts.price_id);
    let Some(card) = known.cards.get(card) else {
        return found(
            "I10 explainable",
            format!("its price {:?} is not in the table prices", facts.price_id),
        );
    };
    for (name, quantity) in &quantities.units {
        let Some(unit_price) = UnitPart::named(name).and_then(|unit| card.unit_price(unit, tier)) else {
            found("I10 explainable", format!("its price has no rate for {name}"));
            continue;
        };
        let magnitude = Cost::of(quantity.unsigned_abs(), unit_price);
        let expected = magnitude.map(|cost| if *quantity < 0 { -cost } else { cost });
        let stated = quantities.unit_costs.get(name).copied().unwrap_or_default();
        if expected != Some(stated) {
            found("I8 decimal", format!("{quantity} {name} at {unit_price} cost {stated}"));
        }
    }
    check_parts(entry, card, &mut found);
}

/// A first posting whose price has tiers for the units beyond them is split where the tiers begin. What changes it later is
/// a difference of two such splits and has none of its own.
fn check_parts(entry: &Entry, card: &RateCard, found: &mut impl FnMut(&'static str, String)) {
    let splits = card.rates.iter().any(|(_, rate)| rate.reach() == Reach::UnitsBeyond);
    let quantities = &entry.quantities;
    if !splits || entry.entry_type != EntryType::Usage || quantities.calls != 1 {
        return;
    }
    let rated = quantities.usage().and_then(|usage| rate::rate(&usage, card).ok());
    let lines = rated.iter().flat_map(|rated| &rated.lines);
    let expected: BTreeMap<String, i64> =
        lines.map(|line| (line.unit.to_string(), i64::try_from(line.quantity).unwrap_or(i64::MAX))).collect();
    if expected != quantities.units {
        let what = format!("its price splits its units into {expected:?}, it says {:?}", quantities.units);
        found("I8 decimal", what);
    }
}

/// Recomputes what an entry is charged: its cost, or what its plan makes of it, line by line.
fn check_charge(entry: &Entry, plans: &PlanShelf, found: &mut impl FnMut(&'static str, String)) {
    let (facts, quantities) = (&entry.facts, &entry.quantities);
    if facts.plan_id.is_empty() {
        if quantities.charge != quantities.cost || !quantities.unit_charges.is_empty() {
            let what = format!("it charges {}, pass-through is {}", quantities.charge, quantities.cost);
            found("I6 one number", what);
        }
        return;
    }
    let parts: Cost = quantities.unit_charges.values().copied().sum();
    if parts != quantities.charge {
        found("I6 one number", format!("its units are charged {parts}, it says {}", quantities.charge));
    }
    let Some(plan) = plans.plan(&facts.plan_id) else {
        return found("I10 explainable", format!("its plan {} is in no plan file", facts.plan_id));
    };
    for (name, quantity) in &quantities.units {
        let Some(unit) = UnitPart::named(name) else { continue };
        let cost = quantities.unit_costs.get(name).copied().unwrap_or_default();
        let magnitude = if *quantity < 0 { -cost } else { cost };
        let charged = plan.charge(facts, &[(unit, quantity.unsigned_abs(), magnitude)]);
        let expected = charged.map(|charged| if *quantity < 0 { -charged.charge } else { charged.charge });
        let stated = quantities.unit_charges.get(name).copied().unwrap_or_default();
        // A refinement is the difference of two charges, each rounded.
        let slack = i128::from(quantities.calls == 0);
        if expected.is_none_or(|expected| (expected - stated).picos().abs() > slack) {
            found("I8 decimal", format!("{quantity} {name} that cost {cost} are charged {stated}"));
        }
    }
}

/// The entries of a call add up to the call once, or to nothing. A call corrected after its month closed has entries in
/// several; all of them are added up, but for calls of months whose entries may be gone.
async fn check_calls(
    database: &Database,
    month: Option<BillingPeriod>,
    retired: &Retired,
    verification: &mut Verification,
) -> Result<(), VerifyError> {
    let (odd, looked_at) = database.odd_calls(month, retired.ledger_from()).await?;
    verification.calls = looked_at;
    for net in odd {
        let call = CallId::from_bytes(net.call_id).map(|call| call.to_string()).unwrap_or_default();
        let what =
            format!("call {call} adds up to {} calls, {} tokens, cost {}", net.calls, net.tokens, net.cost);
        verification.findings.push(Finding { invariant: "I3 call", what });
    }
    Ok(())
}

/// Every span seen came to something, and the calls among them are the ledger's.
async fn check_balance(database: &Database, verification: &mut Verification) -> Result<(), DatabaseError> {
    let balance = Balance::draw(database).await?;
    verification.findings.extend(unbalanced(&balance));
    verification.balance = balance;
    Ok(())
}

/// What of a balance does not hold.
pub(crate) fn unbalanced(balance: &Balance) -> Vec<Finding> {
    let mut findings = Vec::new();
    if balance.calls_off() > 0 {
        let (standing, (_, calls)) = (balance.standing(), balance.calls);
        let what = format!("{standing} spans stand for a call, the ledger has {calls} calls");
        findings.push(Finding { invariant: "I9 visible", what });
    }
    if balance.gone > 0 {
        let what = format!("{} positions that batches leave out are not in quarantine", balance.gone);
        findings.push(Finding { invariant: "I9 visible", what });
    }
    findings
}
