//! A ledger in memory, settled as `billing` does: closed sets of traces, and what differs from what stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::ledger::{Entry, Facts, Periods, Quantities, Standing, State, assign, call_ids};
use domain::resolve::{LinkKey, Metering, Resolution, ResolvedCall, Rules, SpanRef, link_keys, resolve};
use domain::{CallId, Evidence, TraceId};

#[derive(Debug, Default)]
pub struct Book {
    entries: Vec<Arc<Entry>>,
}

/// What stands for a call, without what may depend on when it was first posted.
pub type Line = (Facts, Quantities);

impl Book {
    /// Settles what is known so far; the number of entries posted.
    pub fn settle(&mut self, evidence: &[Evidence], rules: &Rules) -> usize {
        let mut posted = 0;
        for component in components(evidence) {
            let resolution = resolve(component.iter().copied(), rules);
            posted += self.post(&component, &resolution);
        }
        posted
    }

    fn post(&mut self, component: &[&Evidence], resolution: &Resolution) -> usize {
        let traces: BTreeSet<TraceId> = component.iter().map(|evidence| evidence.trace()).collect();
        let calls: BTreeSet<CallId> = self
            .entries
            .iter()
            .filter(|entry| traces.contains(&entry.facts.trace))
            .map(|entry| entry.call)
            .collect();
        let mut standing: BTreeMap<CallId, Standing> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| calls.contains(&entry.call)) {
            standing.entry(entry.call).or_default().add(Arc::clone(entry));
        }
        let targets: Vec<Line> = resolution.calls.iter().map(target).collect();
        let wanted: Vec<_> = targets.iter().map(|(facts, quantities)| Some((facts, quantities))).collect();
        let standing: Vec<_> = standing.iter().map(|(call, stands)| (*call, stands)).collect();
        let ids = call_ids(&resolution.calls, &standing);
        let posting = assign(resolution, &ids, &wanted, &standing, &Periods::default());
        let posted = posting.len();
        self.entries.extend(posting.into_iter().map(Arc::new));
        posted
    }

    /// The id that each call stands under, by the span it is billed by.
    pub fn ids(&self) -> BTreeMap<SpanRef, CallId> {
        let mut nets: BTreeMap<(SpanRef, CallId), i64> = BTreeMap::new();
        for entry in &self.entries {
            let billed_by = SpanRef { trace: entry.facts.trace, span: entry.facts.span };
            *nets.entry((billed_by, entry.call)).or_default() += entry.quantities.calls;
        }
        nets.into_iter().filter(|(_, calls)| *calls != 0).map(|(key, _)| key).collect()
    }

    /// What stands, call by call; an error names a call that does not stand once or not at all.
    pub fn lines(&self) -> Result<Vec<Line>, String> {
        let mut nets: BTreeMap<CallId, BTreeMap<&Facts, Quantities>> = BTreeMap::new();
        for entry in &self.entries {
            nets.entry(entry.call).or_default().entry(&entry.facts).or_default().add(&entry.quantities);
        }
        let mut lines = Vec::new();
        for (call, mut nets) in nets {
            nets.retain(|_, quantities| !quantities.is_zero());
            let calls: i64 = nets.values().map(|quantities| quantities.calls).sum();
            if nets.len() > 1 || calls != nets.len() as i64 {
                return Err(format!("call {call} stands {calls} times in {} lines", nets.len()));
            }
            lines.extend(nets.into_iter().map(|(facts, quantities)| (facts.clone(), quantities)));
        }
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(lines)
    }
}

/// Evidence by closed sets: traces that share a link key, through any number of steps.
pub fn components(evidence: &[Evidence]) -> Vec<Vec<&Evidence>> {
    let mut of_trace: BTreeMap<TraceId, usize> = BTreeMap::new();
    let mut of_key: BTreeMap<LinkKey, usize> = BTreeMap::new();
    let mut sets: Vec<Vec<&Evidence>> = Vec::new();
    for one in evidence {
        let mut into = *of_trace.entry(one.trace()).or_insert_with(|| {
            sets.push(Vec::new());
            sets.len() - 1
        });
        sets[into].push(one);
        let Evidence::Observation(observation) = one else { continue };
        for key in link_keys(observation) {
            let other = *of_key.entry(key).or_insert(into);
            if other != into {
                let moved = std::mem::take(&mut sets[into]);
                sets[other].extend(moved);
                of_trace.values_mut().chain(of_key.values_mut()).for_each(|at| {
                    if *at == into {
                        *at = other;
                    }
                });
                into = other;
            }
        }
    }
    sets.retain(|set| !set.is_empty());
    sets
}

/// What should stand for a call, unrated.
pub fn target(call: &ResolvedCall) -> Line {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let state = match call.metering {
        Metering::Whole => State::Unpriced,
        Metering::Partial => State::Partial,
        Metering::Unmetered => State::Unmetered,
    };
    let facts = Facts {
        state,
        tenant: text(&call.dimensions.tenant),
        tenant_source: call.tenant_source.name().into(),
        feature: text(&call.dimensions.feature),
        user_id: String::new(),
        session_id: String::new(),
        agent: String::new(),
        service: String::new(),
        environment: String::new(),
        realm: call.realm.clone(),
        provider: text(&call.provider),
        request_model: text(&call.request_model),
        model: text(&call.model),
        operation: call.operation.clone(),
        occurred_at: call.occurred_at,
        service_tier: String::new(),
        region: String::new(),
        rule: call.rule.name().into(),
        currency: "USD".into(),
        price_id: String::new(),
        plan_id: String::new(),
        trace: call.winner.trace,
        span: call.winner.span,
        response_id: text(&call.response_id),
    };
    (facts, Quantities::of_usage(&call.usage))
}
