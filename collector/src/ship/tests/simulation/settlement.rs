//! Settlement in small: committed batches behind a cursor, `resolve` over whole traces, the posted difference, the cursor.
//!
//! The rules are those of `billing::settle`: nothing is read but what a batch row vouches for, by count and hash; entries go
//! before the cursor; a pass that fails anywhere is done again from what stands. What is simpler: no waiting for quiet traces, no window,
//! no prices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::identity::CollectorId;
use domain::ledger::{Facts, Periods, Quantities, Standing, State as Billed, assign, call_ids};
use domain::observation::Evidence;
use domain::resolve::{ResolvedCall, Rules, resolve};
use domain::{identity::CallId, ledger::Entry};
use schemas::record;

use super::database::{Model, State};

/// Reads the next batch of each collector, in this order, and posts what follows. Says what it did.
pub fn pass(model: &Model, collectors: &[[u8; 16]]) -> &'static str {
    let mut state = model.state();
    let mut traces = BTreeSet::new();
    let mut cursors = Vec::new();
    for &collector in collectors {
        let id = CollectorId::from_bytes(collector).expect("an id is not zero");
        let after = state.cursors.get(&id).copied().unwrap_or(0);
        let mut next = state.batches.range((collector, 0)..=(collector, after + 1)).map(|(_, batch)| batch);
        let Some(batch) = next.rfind(|batch| batch.last_seq > after) else { continue };
        let rows = state.log.range((collector, batch.first_seq)..=(collector, batch.last_seq));
        let rows = rows.map(|(_, row)| row).filter(|row| !batch.refused.contains(&row.seq));
        let (mut found, mut hash) = (0, 0);
        for row in rows {
            found += 1;
            hash = record::fold_hash(hash, record::hash(&row.record));
            traces.insert(row.trace_id);
        }
        if (found, hash) != (batch.rows, batch.content_hash) {
            return "a batch is not what was committed";
        }
        cursors.push((id, batch.last_seq));
    }
    if cursors.is_empty() {
        return "nothing to settle";
    }
    if state.fails() {
        return "could not read";
    }
    let entries: Vec<Entry> = traces.iter().flat_map(|trace| posting(&state, *trace)).collect();
    for entry in entries {
        if state.fails() {
            return "failed between entries";
        }
        state.entries.insert(entry.id, Arc::new(entry));
    }
    if state.reply_lost() {
        return "failed before the cursor";
    }
    state.cursors.extend(cursors);
    "settled"
}

fn posting(state: &State, trace: [u8; 16]) -> Vec<Entry> {
    let rows = state.log.values().filter(|row| row.trace_id == trace);
    let evidence: Vec<Evidence> =
        rows.map(|row| record::decode(&row.record).expect("it was evidence once")).collect();
    let resolution = resolve(&evidence, &Rules { late_limit_nanos: i64::MAX, future_limit_nanos: i64::MAX });
    let mut standing: BTreeMap<CallId, Standing> = BTreeMap::new();
    for entry in state.entries.values().filter(|entry| entry.facts.trace.bytes() == trace) {
        standing.entry(entry.call).or_default().add(Arc::clone(entry));
    }
    let standing: Vec<(CallId, &Standing)> = standing.iter().map(|(call, stands)| (*call, stands)).collect();
    let ids = call_ids(&resolution.calls, &standing);
    let targets: Vec<(Facts, Quantities)> =
        resolution.calls.iter().map(|call| (facts(call), Quantities::of_usage(&call.usage))).collect();
    let targets: Vec<_> = targets.iter().map(|(facts, quantities)| Some((facts, quantities))).collect();
    assign(&resolution, &ids, &targets, &standing, &Periods::default())
}

fn facts(call: &ResolvedCall) -> Facts {
    let text = String::new;
    Facts {
        state: Billed::Billed,
        tenant: text(),
        tenant_source: text(),
        feature: text(),
        user_id: text(),
        session_id: text(),
        agent: text(),
        service: text(),
        environment: text(),
        realm: call.realm.clone(),
        provider: text(),
        request_model: text(),
        model: text(),
        operation: call.operation.clone(),
        occurred_at: call.occurred_at,
        service_tier: text(),
        region: text(),
        rule: call.rule.name().into(),
        currency: "USD".into(),
        price_id: text(),
        plan_id: text(),
        trace: call.winner.trace,
        span: call.winner.span,
        response_id: text(),
    }
}
