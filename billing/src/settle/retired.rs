//! Settling beside what went by retention: a call of which evidence may be gone is left as it stands.
//!
//! What is resolved of a set that reaches back so far is resolved of what is left of it: a call whose winning report went
//! would be posted a second time by another, a wrapper whose calls went would be billed itself. Only calls that ended after
//! everything that went are posted; new evidence of the others is set aside, where a person can find it.

use std::collections::BTreeSet;

use domain::identity::CallId;
use domain::ledger;
use domain::resolve::{Outcome, Resolution, SpanOutcome, SpanRef};
use domain::time::EventTime;
use schemas::rows::DecisionRow;

use super::assign::{Targeted, wanted};
use super::post::{Batch, decision_hash};
use super::store::{Component, TraceKey};
use super::target::target;
use super::{SettleError, Settler};
use crate::retire::{Frozen, span_of};

/// The rule of a span that is set aside because it cannot be told whether its call is billed.
const RULE: &str = "retention";

impl Settler {
    /// Takes over what this settler, or another, retired.
    pub(crate) async fn follow_retirements(&mut self) -> Result<(), SettleError> {
        let last = self.database.last_retirement().await?;
        if last != self.last_retirement {
            self.last_retirement = last;
            self.frozen = Frozen::of(&self.database.retirements().await?);
        }
        Ok(())
    }

    /// What is not judged again.
    pub(crate) fn frozen(&self) -> &Frozen {
        &self.frozen
    }

    /// As `assign`, for a set of which evidence may be gone.
    pub(super) fn assign_beside_frozen(
        &mut self,
        component: Component,
        resolution: &Resolution,
        batch: &mut Batch,
    ) {
        let standing = self.store.standing(&component);
        let ids = ledger::call_ids(&resolution.calls, &standing);
        let spans: BTreeSet<SpanRef> = standing
            .iter()
            .filter(|(_, stands)| self.frozen.holds_standing(stands))
            .flat_map(|(_, stands)| stands.history().map(span_of))
            .collect();
        let mut targets: Vec<Targeted> = Vec::with_capacity(ids.len());
        let mut is_frozen: Vec<bool> = Vec::with_capacity(ids.len());
        for (call, &id) in resolution.calls.iter().zip(&ids) {
            let stands = ledger::standing_of(id, &standing);
            let pinned = stands.and_then(|stands| self.shelf.pinned(stands));
            let (prices, plans) = (&mut self.prices, &self.plans);
            let effect = self.store.effect(call);
            let target = target(call, &effect, prices, plans, pinned.as_ref(), &self.config.currency);
            is_frozen.push(self.frozen.holds_call(call, target.facts.occurred_at, stands, &spans));
            targets.push((target, effect));
        }
        let free = || (0..ids.len()).filter(|at| !is_frozen[*at]);
        let free_ids: Vec<CallId> = free().map(|at| ids[at]).collect();
        let free_targets: Vec<_> = free().map(|at| wanted(&resolution.calls[at], &targets[at])).collect();
        let held: BTreeSet<CallId> = (0..ids.len()).filter(|at| is_frozen[*at]).map(|at| ids[at]).collect();
        let free_standing: Vec<_> = standing
            .iter()
            .filter(|(id, stands)| !held.contains(id) && !self.frozen.holds_standing(stands))
            .copied()
            .collect();
        let posting = ledger::assign(resolution, &free_ids, &free_targets, &free_standing, &self.periods);
        batch.entries.extend(posting);

        let fresh = self.store.fresh_spans(&component, &self.frozen);
        for outcome in &resolution.outcomes {
            match outcome.call {
                Some(at) if !is_frozen[at] => self.decide(&component, outcome, &ids, &targets, batch),
                call => {
                    let key = component.iter().find(|key| {
                        key.trace == outcome.span.trace
                            && fresh.contains(&((*key).clone(), outcome.span.span))
                    });
                    // What was decided of a span stands; only one that is new says something here.
                    let Some(key) = key else { continue };
                    match call {
                        Some(at) => self.set_aside(key, outcome, targets[at].0.facts.occurred_at, batch),
                        None => self.decide(&component, outcome, &ids, &targets, batch),
                    }
                }
            }
        }
        batch.settled.extend(component);
    }

    fn set_aside(&self, key: &TraceKey, outcome: &SpanOutcome, ended: EventTime, batch: &mut Batch) {
        let row = DecisionRow {
            realm: key.realm.as_str().to_string(),
            trace_id: outcome.span.trace.bytes(),
            span_id: outcome.span.span.bytes(),
            outcome: Outcome::Quarantined.name().to_string(),
            outcome_reason: format!(
                "its call ended at {ended}; evidence of then has gone by retention, so whether it is billed cannot be told"
            ),
            rule: RULE.to_string(),
            call_id: [0; 16],
            winner_trace_id: [0; 16],
            winner_span_id: [0; 8],
            decided_at: 0,
        };
        if self.store.decision(key, outcome.span.span) != Some(decision_hash(&row)) {
            batch.decisions.push(row);
        }
    }
}
