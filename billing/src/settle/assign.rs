//! Which ledger call each resolved call is, and what to post for it.

use std::collections::BTreeSet;

use domain::identity::CallId;
use domain::ledger::{Standing, State, difference};
use domain::resolve::{Outcome, Resolution, ResolvedCall, Rule, SpanOutcome, SpanRef};
use schemas::rows::DecisionRow;

use super::Settler;
use super::post::{Batch, decision_hash};
use super::store::{Component, TraceKey};
use super::target::{Target, target};

impl Settler {
    /// Adds to `batch` whatever makes the ledger say what was resolved of a closed set of traces.
    pub(super) fn assign(&mut self, component: Component, resolution: &Resolution, batch: &mut Batch) {
        let standing = self.store.standing(&component);
        let ids = call_ids(&resolution.calls, &standing);

        let none = Standing::default();
        let mut targets = Vec::with_capacity(resolution.calls.len());
        for (call, &id) in resolution.calls.iter().zip(&ids) {
            let stands = standing.iter().find(|(known, _)| *known == id).map_or(&none, |(_, stands)| *stands);
            let pinned = self.shelf.pinned(stands);
            let (prices, plans) = (&mut self.prices, &self.plans);
            let target = target(call, prices, plans, pinned.as_ref(), &self.config.currency);
            let entries = difference(id, stands, Some((&target.facts, &target.quantities)), &self.periods);
            batch.entries.extend(entries);
            targets.push(target);
        }
        let gone = standing.iter().filter(|(id, _)| !ids.contains(id));
        for (id, stands) in gone.filter(|(_, stands)| self.is_here(&component, stands)) {
            batch.entries.extend(difference(*id, stands, None, &self.periods));
        }
        for outcome in &resolution.outcomes {
            self.decide(&component, outcome, &ids, &targets, batch);
        }
        batch.settled.extend(component);
    }

    /// A call stands that no resolved call is: it turned out to be part of another, or none. Whether the evidence that it
    /// was posted for is here to say so.
    fn is_here(&self, component: &[TraceKey], stands: &Standing) -> bool {
        let mut spans = component.iter().flat_map(|key| self.store.evidence(key));
        spans.any(|evidence| {
            stands.history().any(|facts| facts.trace == evidence.trace() && facts.span == evidence.span())
        })
    }

    /// Writes down what became of a span, unless it is plainly billed, says it by its kind, or was said before.
    fn decide(
        &self,
        component: &[TraceKey],
        outcome: &SpanOutcome,
        ids: &[CallId],
        targets: &[Target],
        batch: &mut Batch,
    ) {
        let Some(key) = component.iter().find(|key| key.trace == outcome.span.trace) else { return };
        let target = outcome.call.map(|at| &targets[at]).filter(|_| outcome.outcome == Outcome::Billed);
        let stands = self.store.decision(key, outcome.span.span);
        if stands.is_none() && is_plain(outcome, target) {
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
        let row = DecisionRow {
            realm: key.realm.as_str().to_string(),
            trace_id: outcome.span.trace.bytes(),
            span_id: outcome.span.span.bytes(),
            outcome: name.to_string(),
            outcome_reason: reason,
            rule: outcome.rule.name().to_string(),
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

/// The ledger's id of each resolved call. A call that already stands keeps the smallest of its ids; one that does not
/// gets the id of its response, else of its winning span.
fn call_ids(calls: &[ResolvedCall], standing: &[(CallId, &Standing)]) -> Vec<CallId> {
    let mut taken: BTreeSet<CallId> = BTreeSet::new();
    calls
        .iter()
        .map(|call| {
            let fresh = match &call.strong_response_id {
                Some(id) => CallId::of_response(&call.realm, id),
                None => CallId::of_span(&call.realm, call.winner.trace, call.winner.span),
            };
            let stands = standing
                .iter()
                .filter(|(id, stands)| !taken.contains(id) && is_of(stands, call))
                .map(|(id, _)| *id)
                .min();
            let id = stands.unwrap_or(fresh);
            taken.insert(id);
            id
        })
        .collect()
}

/// Whether any entry of a standing call was posted for one of the spans, or for the answer, of a resolved call.
fn is_of(standing: &Standing, call: &ResolvedCall) -> bool {
    standing.history().any(|facts| {
        call.members.binary_search(&SpanRef { trace: facts.trace, span: facts.span }).is_ok()
            || call.strong_response_id.as_ref().is_some_and(|id| *id == facts.response_id)
    })
}
