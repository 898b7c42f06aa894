//! What the rules of the tail look at: a trace as far as it came, with the money in it.
//!
//! Calls are put together from their reports by the law of settlement ([`domain::resolve`]) and priced by whoever knows
//! prices, so that a trace costs here what it will cost in the ledger, if all of it is here. It is an estimate all the
//! same: reports in other traces, later ones, and prices of another day are not seen.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::observation::Kind;
use domain::resolve::{self, ResolvedCall, Rule, Rules};
use domain::{Cost, Evidence, Realm, SpanId};

use super::first_token::first_token_nanos;
use super::hold::HeldTrace;
use crate::otlp::{RawSpan, StatusCode};

/// Knows what calls cost.
pub trait PriceCalls: Send + std::fmt::Debug {
    /// What the provider charges for a call at the prices in force; `None` where usage or price is unknown.
    fn cost(&mut self, call: &ResolvedCall) -> Option<Cost>;
}

/// A trace in the eyes of the rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Portrait {
    /// Who pays for most of it; empty where nobody is named.
    pub(super) payer: String,
    /// Everyone who pays for a call of it.
    pub(super) tenants: Vec<String>,
    /// Every feature a call of it is for.
    pub(super) features: Vec<String>,
    /// Whether a span of it failed.
    pub(super) failed: bool,
    /// The longest of its model calls.
    pub(super) slowest: Duration,
    /// The longest time one of its model calls took to the first token.
    pub(super) first_token: Duration,
    /// What its calls cost, as far as a price is known.
    pub(super) cost: Cost,
    /// Whether settlement has to decide something that its reports do not say alike.
    pub(super) conflict: bool,
    /// What each call costs, by the span that it is billed by.
    pub(super) costs: BTreeMap<SpanId, Cost>,
}

impl Portrait {
    /// Looks at a trace.
    pub(super) fn of(trace: &HeldTrace, rules: &Rules, prices: &mut dyn PriceCalls) -> Self {
        let mut portrait = Self::default();
        let calls: Vec<SpanId> = trace.evidence.iter().filter_map(model_call).collect();
        for span in trace.spans.iter().filter_map(|held| RawSpan::of(&held.bytes).read().ok()) {
            portrait.failed |= span.status == StatusCode::Error;
            if calls.contains(&span.span_id) {
                let took = span.end_unix_nano.saturating_sub(span.start_unix_nano);
                portrait.slowest = portrait.slowest.max(Duration::from_nanos(took));
                let first_token = first_token_nanos(&span).unwrap_or_default();
                portrait.first_token = portrait.first_token.max(Duration::from_nanos(first_token));
            }
        }
        portrait.resolve(&trace.evidence, rules, prices);
        portrait
    }

    fn resolve(&mut self, evidence: &[Evidence], rules: &Rules, prices: &mut dyn PriceCalls) {
        // Reports merge only within a realm, and nearly every trace is of one.
        let mut realms: BTreeMap<&Realm, Vec<&Evidence>> = BTreeMap::new();
        for evidence in evidence {
            realms.entry(evidence.realm()).or_default().push(evidence);
        }
        let mut paid: BTreeMap<String, Cost> = BTreeMap::new();
        for evidence in realms.into_values() {
            let resolution = resolve::resolve(evidence, rules);
            self.conflict |= resolution.outcomes.iter().any(|outcome| {
                matches!(outcome.rule, Rule::NoId | Rule::WrapperLends | Rule::WrapperBilled | Rule::Fault)
                    || outcome.reason.starts_with("underreported")
            });
            for call in resolution.calls {
                self.conflict |= call.tenant_conflict.is_some();
                let cost = prices.cost(&call).filter(|_| call.ruled.is_none());
                if let Some(cost) = cost {
                    self.cost += cost;
                    self.costs.insert(call.winner.span, cost);
                }
                if let Some(tenant) = call.dimensions.tenant {
                    let paid = paid.entry(tenant).or_default();
                    *paid += cost.unwrap_or_default();
                }
                self.features.extend(call.dimensions.feature);
            }
        }
        self.features.sort_unstable();
        self.features.dedup();
        // Of equal payers the first by name, so that the same trace has the same payer everywhere.
        let payer = paid.iter().max_by(|one, two| one.1.cmp(two.1).then(two.0.cmp(one.0)));
        self.payer = payer.map(|(tenant, _)| tenant.clone()).unwrap_or_default();
        self.tenants = paid.into_keys().collect();
    }
}

/// What the definite calls of a late span's evidence cost. A late wrapper says nothing of its own: the calls under it
/// were counted when the trace was decided.
pub(super) fn late_costs(
    evidence: &[Evidence],
    rules: &Rules,
    prices: &mut dyn PriceCalls,
) -> BTreeMap<SpanId, Cost> {
    let calls = evidence.iter().filter(|evidence| model_call(evidence).is_some()).cloned().collect();
    Portrait::of(&HeldTrace::of_evidence(calls), rules, prices).costs
}

fn model_call(evidence: &Evidence) -> Option<SpanId> {
    match evidence {
        Evidence::Observation(observation) if observation.kind == Kind::Call => Some(observation.span),
        _ => None,
    }
}
