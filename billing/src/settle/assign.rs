//! What to post for a resolved set, and what to write down of each span that is not plainly billed.

use domain::identity::CallId;
use domain::ledger::{self, Facts, Quantities, State};
use domain::overrides::Effect;
use domain::resolve::{Outcome, Resolution, ResolvedCall, Rule, SpanOutcome};
use schemas::rows::DecisionRow;

use super::Settler;
use super::post::{Batch, decision_hash};
use super::store::{Component, TraceKey};
use super::target::{Target, target};

/// The rule of a call that is not billed because a person said so.
const RULE: &str = "override";

/// What should stand for a call, and what people decided about it.
pub(super) type Targeted = (Target, Effect);

/// What is to be billed of a call, if anything.
pub(super) fn wanted<'t>(
    call: &ResolvedCall,
    (target, effect): &'t Targeted,
) -> Option<(&'t Facts, &'t Quantities)> {
    let billed = call.ruled.is_none() && effect.reversed_by.is_none();
    billed.then_some((&target.facts, &target.quantities))
}

impl Settler {
    /// Adds to `batch` whatever makes the ledger say what was resolved of a closed set of traces.
    pub(super) fn assign(&mut self, component: Component, resolution: &Resolution, batch: &mut Batch) {
        let earliest = component.iter().filter_map(|key| self.store.extent(key)).map(|extent| extent.0).min();
        if earliest.is_some_and(|earliest| self.frozen.touches(earliest)) {
            return self.assign_beside_frozen(component, resolution, batch);
        }
        let standing = self.store.standing(&component);
        let ids = ledger::call_ids(&resolution.calls, &standing);
        let mut targets: Vec<Targeted> = Vec::with_capacity(ids.len());
        for (call, &id) in resolution.calls.iter().zip(&ids) {
            let stands = ledger::standing_of(id, &standing);
            let pinned = stands.and_then(|stands| self.shelf.pinned(stands));
            let (prices, plans) = (&mut self.prices, &self.plans);
            let effect = self.store.effect(call);
            let target = target(call, &effect, prices, plans, pinned.as_ref(), &self.config.currency);
            targets.push((target, effect));
        }
        let wanted: Vec<_> =
            resolution.calls.iter().zip(&targets).map(|(call, target)| wanted(call, target)).collect();
        batch.entries.extend(ledger::assign(resolution, &ids, &wanted, &standing, &self.periods));
        for outcome in &resolution.outcomes {
            self.decide(&component, outcome, &ids, &targets, batch);
        }
        batch.settled.extend(component);
    }

    /// Writes down what became of a span, unless it is plainly billed, says it by its kind, or was said before.
    pub(super) fn decide(
        &self,
        component: &[TraceKey],
        outcome: &SpanOutcome,
        ids: &[CallId],
        targets: &[Targeted],
        batch: &mut Batch,
    ) {
        let Some(key) = component.iter().find(|key| key.trace == outcome.span.trace) else { return };
        let judged = outcome.call.map(|at| &targets[at]).filter(|_| outcome.outcome == Outcome::Billed);
        let effect = judged.map(|(_, effect)| effect).filter(|effect| !effect.is_none());
        let target = judged.map(|(target, _)| target);
        let stands = self.store.decision(key, outcome.span.span);
        if stands.is_none() && effect.is_none() && is_plain(outcome, target) {
            return;
        }
        let (name, reason) = match target {
            Some(Target { facts, unpriced, .. }) => match (facts.state, unpriced) {
                (State::Unpriced, Some(unpriced)) => ("unpriced", format!("{}: {unpriced}", unpriced.code())),
                (State::Unmetered, _) => ("unmetered", "no span of the call states its usage".to_string()),
                (State::Partial, _) => {
                    ("billed", "partial: no span of the call states its output".to_string())
                }
                _ => ("billed", outcome.reason.clone()),
            },
            None => (outcome.outcome.name(), outcome.reason.clone()),
        };
        let (name, rule, reason) = match effect {
            Some(effect) if effect.reversed_by.is_some() => {
                (Outcome::NotBillable.name(), RULE, effect.reason())
            }
            Some(effect) => {
                let also = if reason.is_empty() { String::new() } else { format!("; {reason}") };
                (name, outcome.rule.name(), effect.reason() + &also)
            }
            None => (name, outcome.rule.name(), reason),
        };
        let row = DecisionRow {
            realm: key.realm.as_str().to_string(),
            trace_id: outcome.span.trace.bytes(),
            span_id: outcome.span.span.bytes(),
            outcome: name.to_string(),
            outcome_reason: reason,
            rule: rule.to_string(),
            call_id: outcome.call.map_or([0; 16], |at| ids[at].bytes()),
            winner_trace_id: outcome.winner.map_or([0; 16], |winner| winner.trace.bytes()),
            winner_span_id: outcome.winner.map_or([0; 8], |winner| winner.span.bytes()),
            decided_at: 0,
        };
        if stands != Some(decision_hash(&row)) {
            batch.decisions.push(row);
        }
    }
}

/// Whether the span's kind and the ledger say it all.
fn is_plain(outcome: &SpanOutcome, target: Option<&Target>) -> bool {
    outcome.reason.is_empty()
        && match outcome.outcome {
            Outcome::Billed => {
                outcome.rule == Rule::Call && target.is_some_and(|target| target.facts.state == State::Billed)
            }
            Outcome::Attribution | Outcome::Unrecognised => true,
            _ => false,
        }
}
