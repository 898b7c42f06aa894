//! Rating again what stands in the ledger: calls that had no price, and, where asked, calls whose price was another.
//!
//! The same path as everything else: target, difference, posting. The target is what stands with another price; usage,
//! tenant and every other fact stay. It needs the ledger alone, not the evidence, which may be gone by then. What stands
//! in a closed month is corrected in the open one.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::identity::CallId;
use domain::ledger::{Facts, Quantities, Standing, State, difference};
use domain::money::Cost;
use domain::price::Unpriced;
use domain::resolve::{self, Metering};
use domain::time::BillingPeriod;
use schemas::RepriceFilter;
use schemas::rows::DecisionRow;

use super::post::Batch;
use super::target::{Target, rated_target};
use super::{PassSummary, SettleError, Settler};

/// What to rate again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Also calls that have a price.
    pub priced: bool,
    /// Only what is billed in this month.
    pub month: Option<BillingPeriod>,
    /// Only this tenant's calls.
    pub tenant: Option<String>,
    /// Only calls to this provider, by its well-known name.
    pub provider: Option<String>,
    /// Only calls of this model, by the provider's own name.
    pub model: Option<String>,
}

/// What changes, or would, for one tenant in one month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repriced {
    /// The payer.
    pub tenant: String,
    /// The month the calls stand in.
    pub month: BillingPeriod,
    /// The month that takes the difference: the same, or the open one where it is closed.
    pub posted_in: BillingPeriod,
    /// The state they stood in.
    pub state: State,
    /// Calls whose price changes.
    pub calls: i64,
    /// What their cost changes by.
    pub cost: Cost,
    /// What their charge changes by.
    pub charge: Cost,
}

/// What rating again came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repricing {
    /// By tenant, month and state.
    pub changes: Vec<Repriced>,
    /// Entries posted, or that would be.
    pub entries: u64,
    /// Calls looked at that still have no price, by the reason's code.
    pub unpriced: BTreeMap<&'static str, u64>,
}

/// Calls in memory at once.
const CALLS_A_SLICE: u64 = 50_000;

/// Tenant, month, month of posting, state's name.
type Key = (String, BillingPeriod, BillingPeriod, &'static str);

/// Rates again what is in scope and, with `apply`, posts the difference. To be run when nothing else posts.
pub async fn reprice(settler: &mut Settler, scope: &Scope, apply: bool) -> Result<Repricing, SettleError> {
    let mut repricing = Repricing::default();
    if !scope.priced && !worth_it(settler, &mut repricing).await? {
        return Ok(repricing);
    }
    let filter = RepriceFilter {
        priced: scope.priced,
        month: scope.month,
        tenant: scope.tenant.clone(),
        provider: scope.provider.clone(),
        model: scope.model.clone(),
        made_since: settler.database.retired().await?.ledger_from(),
    };
    let calls = settler.database.reprice_count(&filter).await?;
    let slices = calls.div_ceil(CALLS_A_SLICE).max(1);
    let mut sums: BTreeMap<Key, (State, i64, Cost, Cost)> = BTreeMap::new();
    for slice in 0..slices {
        let mut standing: BTreeMap<CallId, Standing> = BTreeMap::new();
        for entry in settler.database.reprice_entries(&filter, slice, slices).await? {
            standing.entry(entry.call).or_default().add(Arc::new(entry));
        }
        let mut batch = Batch::default();
        for (call, standing) in &standing {
            let Some((facts, quantities)) = standing.net() else { continue };
            let Some(target) = rerate(settler, facts, &quantities) else { continue };
            if let Some(unpriced) = &target.unpriced {
                *repricing.unpriced.entry(Unpriced::code(unpriced)).or_default() += 1;
            }
            let wanted = Some((&target.facts, &target.quantities));
            let posting = difference(*call, standing, wanted, &settler.periods);
            let Some(last) = posting.last() else { continue };
            let month = standing.month(facts).unwrap_or(last.period);
            let key = (facts.tenant.clone(), month, last.period, facts.state.name());
            let sum = sums.entry(key).or_insert((facts.state, 0, Cost::ZERO, Cost::ZERO));
            sum.1 += 1;
            sum.2 += target.quantities.cost - quantities.cost;
            sum.3 += target.quantities.charge - quantities.charge;
            if facts.state == State::Unpriced && target.unpriced.is_none() {
                batch.decisions.push(priced(&target.facts, *call));
            }
            batch.entries.extend(posting);
        }
        repricing.entries += batch.entries.len() as u64;
        if apply && !batch.entries.is_empty() {
            settler.post(batch, &mut PassSummary::default()).await?;
        }
    }
    repricing.changes = sums
        .into_iter()
        .map(|((tenant, month, posted_in, _), (state, calls, cost, charge))| Repriced {
            tenant,
            month,
            posted_in,
            state,
            calls,
            cost,
            charge,
        })
        .collect();
    Ok(repricing)
}

/// Whether the book knows any model that calls without a price name; those it does not know are counted.
async fn worth_it(settler: &mut Settler, repricing: &mut Repricing) -> Result<bool, SettleError> {
    let mut worth = false;
    for models in settler.database.unpriced_models().await? {
        let knows = |model: &str| !model.is_empty() && settler.book().knows(&models.provider, model);
        if knows(&models.model) || knows(&models.request_model) {
            worth = true;
        } else {
            let calls = u64::try_from(models.calls).unwrap_or(0);
            *repricing.unpriced.entry("model_unknown").or_default() += calls;
        }
    }
    if worth {
        repricing.unpriced.clear();
    }
    Ok(worth)
}

/// What should stand by the prices of now; `None` where the ledger does not hold what is needed to say.
fn rerate(settler: &mut Settler, facts: &Facts, quantities: &Quantities) -> Option<Target> {
    if facts.state == State::Unmetered {
        return None;
    }
    let usage = quantities.usage()?;
    let metering = match facts.state {
        State::Partial => Metering::Partial,
        State::Billed => Metering::Whole,
        _ => resolve::metering(&usage, &facts.operation),
    };
    let (price_id, plan_id) = (String::new(), String::new());
    let asked = Facts { state: State::Unmetered, price_id, plan_id, ..facts.clone() };
    let target = rated_target(asked, Some(&usage), metering, &mut settler.prices, &settler.plans, None);
    // A price that is gone takes nothing back: it was the price when the call was made.
    let lost = target.unpriced.is_some() && facts.state != State::Unpriced;
    (!lost).then_some(target)
}

/// What became of the winning span of a call that has a price now.
fn priced(facts: &Facts, call: CallId) -> DecisionRow {
    DecisionRow {
        realm: facts.realm.as_str().to_string(),
        trace_id: facts.trace.bytes(),
        span_id: facts.span.bytes(),
        outcome: "billed".into(),
        outcome_reason: "priced after it was posted without a price".into(),
        rule: facts.rule.clone(),
        call_id: call.bytes(),
        winner_trace_id: [0; 16],
        winner_span_id: [0; 8],
        decided_at: 0,
    }
}
