//! What people decided, and what months' totals led to, held against the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::identity::{CallId, Realm};
use domain::ledger::Standing;
use domain::money::Cost;
use domain::overrides::{Effect, Override};
use domain::resolve::SpanRef;
use domain::time::BillingPeriod;
use schemas::rows::{PeriodRow, month_of};
use schemas::{Database, DatabaseError, Retired};

use super::{Finding, VerifyError};
use crate::adjust;
use crate::invoice::DraftError;
use crate::period;
use crate::plans::PlanShelf;

/// Traces whose calls are compared at once.
const TRACES_A_ROUND: usize = 2_000;

/// A closed month was adjusted by what the plans of its close make of its usage, and by the credits that were left then.
pub(super) async fn check_adjustments(
    database: &Database,
    month: BillingPeriod,
    closed: &PeriodRow,
    findings: &mut Vec<Finding>,
) -> Result<(), VerifyError> {
    let plans = PlanShelf::at(database, Some(&closed.plans)).await?;
    let mut found = |what: String| {
        findings.push(Finding { invariant: "I6 one number", what: format!("{month}: {what}") })
    };
    let mut posted: BTreeMap<(String, String, String), Cost> = BTreeMap::new();
    for sum in database.adjustment_sums(month).await? {
        *posted.entry((sum.tenant, sum.kind, sum.name)).or_default() += sum.charge;
    }
    // What people ordered at once follows from their orders, and is held against those.
    for ordered in database.posted_by_order(month).await? {
        let stands = posted.entry((ordered.tenant, ordered.kind, ordered.name)).or_default();
        *stands -= ordered.charge;
    }
    posted.retain(|_, amount| !amount.is_zero());
    let totals = period::due(database, &plans, month, closed.closed_at).await?;
    let finish = match period::finish(database, &plans, month).await {
        Ok(finish) => finish,
        Err(DraftError::Database(error)) => return Err(error.into()),
        Err(error) => {
            found(error.to_string());
            return Ok(());
        }
    };
    for (tenant, due) in totals.into_iter().chain(finish) {
        for due in due {
            let key = (tenant.clone(), due.kind.to_string(), due.name.clone());
            let stands = posted.remove(&key).unwrap_or_default();
            if stands != due.amount {
                found(format!("{} of {tenant:?} comes to {}, {stands} was posted", due.name, due.amount));
            }
        }
    }
    for ((tenant, _, name), amount) in posted {
        found(format!("{name} of {tenant:?} of {amount} was posted, and nothing says why"));
    }
    Ok(())
}

/// Every override stands in the ledger, and none was left half done. With a month, only calls that have entries in it. What
/// was posted in a month whose entries are gone is not looked for.
pub(super) async fn check_overrides(
    database: &Database,
    month: Option<BillingPeriod>,
    retired: &Retired,
    findings: &mut Vec<Finding>,
) -> Result<(), VerifyError> {
    for id in database.overrides_begun().await? {
        let what = format!("override {id} was begun and never done; give the same order again");
        findings.push(Finding { invariant: "I10 explainable", what });
    }
    let mut orders = database.overrides().await?;
    // The amount is of all entries of an order, or of none: what is posted at once is one entry.
    let posted: BTreeSet<String> = orders
        .iter()
        .filter(|row| retired.months.last().is_some_and(|last| month_of(row.period) <= *last))
        .map(|row| row.override_id.clone())
        .collect();
    orders.retain(|row| !posted.contains(&row.override_id) && !posted.contains(&row.revokes));
    let ordered = adjust::posted_at_once(&orders);
    let calls: Vec<[u8; 16]> = ordered.keys().map(CallId::bytes).collect();
    let mut stands: BTreeMap<CallId, Cost> = BTreeMap::new();
    for entry in database.entries_of_traces(&calls, 0..=i64::MAX).await? {
        *stands.entry(entry.call).or_default() += entry.quantities.charge;
    }
    for (call, (id, amount)) in ordered {
        let stands = stands.get(&call).copied().unwrap_or_default();
        if stands != amount {
            let what = format!("override {id} was ordered to come to {amount}, {stands} was posted");
            findings.push(Finding { invariant: "I6 one number", what });
        }
    }
    let traces: Vec<[u8; 16]> =
        database.override_traces(month).await?.into_iter().map(|row| row.trace_id).collect();
    for some in traces.chunks(TRACES_A_ROUND) {
        let odd = odd_calls(database, some, retired).await?;
        if odd.is_empty() {
            continue;
        }
        // A report that was overruled may be one of a call that stands by another trace.
        let suspects: Vec<[u8; 16]> = odd.values().flat_map(|(_, traces)| traces).copied().collect();
        let beside = database.traces_beside(&suspects).await?;
        for (call, (what, _)) in odd_calls(database, &beside, retired).await? {
            findings.push(Finding { invariant: "I4 append-only", what: format!("call {call} {what}") });
        }
    }
    Ok(())
}

/// Calls that do not stand as was decided about them: what they should be, and the traces of their entries.
async fn odd_calls(
    database: &Database,
    traces: &[[u8; 16]],
    retired: &Retired,
) -> Result<BTreeMap<CallId, (String, BTreeSet<[u8; 16]>)>, DatabaseError> {
    let mut decided: BTreeMap<(Realm, SpanRef), Vec<Override>> = BTreeMap::new();
    for row in database.override_calls_of_traces(traces).await? {
        if let Some((realm, span, one)) = row.decided() {
            decided.entry((realm, span)).or_default().push(one);
        }
    }
    let mut reports: BTreeMap<CallId, BTreeSet<(Realm, SpanRef)>> = BTreeMap::new();
    for row in database.decisions_of_traces(traces).await? {
        let span = row.span();
        if let (Some(call), Some(span)) = (CallId::from_bytes(row.call_id), span) {
            reports.entry(call).or_default().insert((Realm::new(row.realm), span));
        }
    }
    let mut calls: BTreeMap<CallId, Standing> = BTreeMap::new();
    for entry in database.entries_of_traces(traces, 0..=i64::MAX).await? {
        calls.entry(entry.call).or_default().add(Arc::new(entry));
    }
    let mut odd = BTreeMap::new();
    let since = retired.ledger_from().unwrap_or(i64::MIN);
    for (call, stands) in calls {
        if stands.history().any(|facts| facts.occurred_at.nanos() < since) {
            continue;
        }
        let mut spans = reports.remove(&call).unwrap_or_default();
        spans.extend(
            stands
                .history()
                .map(|facts| (facts.realm.clone(), SpanRef { trace: facts.trace, span: facts.span })),
        );
        let effect = Effect::of(spans.iter().filter_map(|span| decided.get(span)).flatten());
        let moved = |facts: &&domain::ledger::Facts| {
            let mut moved = (*facts).clone();
            effect.apply(&mut moved);
            moved != **facts
        };
        let standing = stands.facts();
        let is_odd = match effect.reversed_by {
            Some(_) => !standing.is_empty(),
            None => standing.iter().any(moved),
        };
        if is_odd {
            let traces = stands.history().map(|facts| facts.trace.bytes()).collect();
            odd.insert(call, (format!("is not {}", effect.reason()), traces));
        }
    }
    Ok(odd)
}
