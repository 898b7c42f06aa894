//! Recomputing the ledger: every amount from its usage and its price, every sum from its rows.
//!
//! A check is named after the invariant it holds the ledger to. A finding says which row and what it should say; an
//! empty list of findings is the promise kept.

use std::collections::{BTreeMap, HashMap};

use domain::identity::CallId;
use domain::ledger::{Entry, Quantities, State};
use domain::money::Cost;
use domain::price::{RateCard, UnitClass};
use domain::time::BillingPeriod;
use schemas::rows::month_of;
use schemas::{Database, DatabaseError};

use crate::invoice::{self, DraftError};
use crate::prices::{PriceRow, PriceRowError};
use crate::settle::split_price_id;

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
    /// Distinct spans by outcome: the balance of what was seen.
    pub outcomes: BTreeMap<String, u64>,
    /// What does not hold; empty where all is well.
    pub findings: Vec<Finding>,
}

/// Why it could not be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database failed.
    #[error("the ledger cannot be read")]
    Database(#[from] DatabaseError),
}

/// Verifies one month, or the whole ledger.
pub async fn verify(database: &Database, month: Option<BillingPeriod>) -> Result<Verification, VerifyError> {
    let mut verification = Verification::default();
    let cards = cards(database, &mut verification).await?;
    let months: Vec<BillingPeriod> = match month {
        Some(month) => vec![month],
        None => database.months().await?.into_iter().map(month_of).collect(),
    };
    let mut calls: HashMap<CallId, Quantities> = HashMap::new();
    for month in months {
        verification.months += 1;
        for entry in database.entries_of_period(month).await? {
            verification.entries += 1;
            check_entry(&entry, &cards, &mut verification.findings);
            calls.entry(entry.call).or_default().add(&entry.quantities);
        }
    }
    verification.calls = calls.len() as u64;
    // A call corrected after its month closed has entries in two months; only all of them add up.
    if month.is_none() {
        check_calls(&calls, &mut verification.findings);
        check_balance(database, &mut verification).await?;
        for compared in database.rollup_comparisons().await? {
            if compared.left != compared.right {
                let what =
                    format!("{}: ledger {}, usage_hourly {}", compared.what, compared.left, compared.right);
                verification.findings.push(Finding { invariant: "I6 one number", what });
            }
        }
    }
    check_closed(database, month, &mut verification.findings).await?;
    Ok(verification)
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
fn check_entry(entry: &Entry, cards: &HashMap<String, RateCard>, findings: &mut Vec<Finding>) {
    let (facts, quantities) = (&entry.facts, &entry.quantities);
    let mut found = |invariant, what: String| {
        findings.push(Finding { invariant, what: format!("entry {}: {what}", entry.id) })
    };

    let parts: Cost = quantities.unit_costs.values().copied().sum();
    if parts != quantities.cost {
        found("I6 one number", format!("its units cost {parts}, it says {}", quantities.cost));
    }
    if quantities.charge != quantities.cost {
        found(
            "I6 one number",
            format!("it charges {}, pass-through is {}", quantities.charge, quantities.cost),
        );
    }
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
    let Some(card) = cards.get(card) else {
        return found(
            "I10 explainable",
            format!("its price {:?} is not in the table prices", facts.price_id),
        );
    };
    for (name, quantity) in &quantities.units {
        let Some(rate) = UnitClass::named(name).and_then(|unit| card.rates.covering(unit)) else {
            found("I10 explainable", format!("its price has no rate for {name}"));
            continue;
        };
        let (unit_price, _) = rate.unit_price(tier.map_or(0, |above| above.saturating_add(1)));
        let magnitude = Cost::of(quantity.unsigned_abs(), unit_price);
        let expected = magnitude.map(|cost| if *quantity < 0 { -cost } else { cost });
        let stated = quantities.unit_costs.get(name).copied().unwrap_or_default();
        if expected != Some(stated) {
            found("I8 decimal", format!("{quantity} {name} at {unit_price} cost {stated}"));
        }
    }
}

/// The entries of a call add up to the call once, or to nothing.
fn check_calls(calls: &HashMap<CallId, Quantities>, findings: &mut Vec<Finding>) {
    for (call, net) in calls {
        let once = match net.calls {
            0 => net.is_zero(),
            1 => net.tokens.iter().all(|count| *count >= 0) && net.cost >= Cost::ZERO,
            _ => false,
        };
        if !once {
            let what = format!(
                "call {call} adds up to {} calls, {:?} tokens, cost {}",
                net.calls, net.tokens, net.cost
            );
            findings.push(Finding { invariant: "I3 call", what });
        }
    }
}

/// Every span seen came to something, and the calls among them are the ledger's.
async fn check_balance(database: &Database, verification: &mut Verification) -> Result<(), DatabaseError> {
    for row in database.outcome_counts().await? {
        verification.outcomes.insert(row.outcome, row.spans);
    }
    let of = |outcome: &str| verification.outcomes.get(outcome).copied().unwrap_or(0);
    let seen = of("billed") + of("unpriced") + of("unmetered");
    let posted = database.net_calls().await?;
    if of("pending") == 0 && i64::try_from(seen).ok() != Some(posted) {
        let what = format!("{seen} spans stand for a call, the ledger has {posted} calls");
        verification.findings.push(Finding { invariant: "I9 visible", what });
    }
    Ok(())
}

/// Closed months are as they were closed, and their invoices add up to their entries.
async fn check_closed(
    database: &Database,
    month: Option<BillingPeriod>,
    findings: &mut Vec<Finding>,
) -> Result<(), DatabaseError> {
    for closed in database.closed_sums().await? {
        let period = month_of(closed.period);
        if month.is_some_and(|month| month != period) {
            continue;
        }
        if closed.entries_then != closed.entries_now || closed.charge_then != closed.charge_now {
            let what = format!(
                "{period} was closed with {} entries of {}, it has {} of {}",
                closed.entries_then, closed.charge_then, closed.entries_now, closed.charge_now
            );
            findings.push(Finding { invariant: "I5 closed", what });
        }
        let drafts = match invoice::Draft::of(database, period).await {
            Ok(drafts) => drafts,
            Err(DraftError::Database(error)) => return Err(error),
            Err(error) => {
                findings.push(Finding { invariant: "I6 one number", what: format!("{period}: {error}") });
                continue;
            }
        };
        for issued in invoice::issued(database, period).await? {
            if !drafts.contains(&issued.draft) {
                let what = format!("invoice {} is not what the entries of {period} add up to", issued.number);
                findings.push(Finding { invariant: "I5 closed", what });
            }
        }
    }
    Ok(())
}
