//! The rules of the tail: how likely a trace is kept, seen whole.
//!
//! A trace that a rule names is kept for certain, the rest with one probability for all; then a tenant that sends more
//! than its rate, of the one or of the other, gets that scaled down. What a rule says may depend on the trace and on what was seen before it, never
//! on the trace's random number: so the probability that is stated is the true one, and what was kept, each trace
//! counted `1 / probability` times, estimates what came without bias.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::Cost;

use super::portrait::Portrait;
use super::sample::Sampler;
use super::tenant_rates::TenantRates;
use super::top_cost::TopCost;

/// Which traces are kept for certain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TailRules {
    /// Those with a span that failed.
    pub errors: bool,
    /// Those with a model call that took at least so long.
    pub slow: Option<Duration>,
    /// Those with a model call that took at least so long to its first token.
    pub slow_first_token: Option<Duration>,
    /// Those whose calls cost more than this together.
    pub cost_over: Option<Cost>,
    /// So many of the costliest of each tenant and hour; 0: none.
    pub top_cost: usize,
    /// Those in which settlement had to decide between reports.
    pub conflicts: bool,
    /// Those that one of these tenants pays for.
    pub tenants: BTreeSet<String>,
    /// Those that serve one of these features.
    pub features: BTreeSet<String>,
}

/// Why a trace was kept, or might have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its tenant or feature is under investigation.
    Investigated,
    /// A span of it failed.
    Error,
    /// A model call took long.
    Slow,
    /// A model call took long to its first token.
    SlowFirstToken,
    /// It cost more than the limit.
    Cost,
    /// Settlement had to decide.
    Conflict,
    /// It was among the costliest of its tenant and hour.
    TopCost,
    /// No rule named it: kept by chance.
    Rest,
}

impl Reason {
    /// Every reason, in the order in which a trace is asked for them.
    pub const ALL: [Self; 8] = [
        Self::Investigated,
        Self::Error,
        Self::Slow,
        Self::SlowFirstToken,
        Self::Cost,
        Self::Conflict,
        Self::TopCost,
        Self::Rest,
    ];

    /// Its name on spans and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Investigated => "investigated",
            Self::Error => "error",
            Self::Slow => "slow",
            Self::SlowFirstToken => "slow_first_token",
            Self::Cost => "cost",
            Self::Conflict => "conflict",
            Self::TopCost => "top_cost",
            Self::Rest => "rest",
        }
    }
}

/// When a trace is judged, by the collector's clock: no client's clock opens an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Seconds since the epoch.
    pub(super) second: i64,
}

impl Moment {
    pub(super) fn hour(self) -> i64 {
        self.second.div_euclid(3600)
    }
}

/// What was decided of a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Verdict {
    /// Keeps the trace or not; `None` keeps nothing.
    pub(super) sampler: Option<Sampler>,
    pub(super) reason: Reason,
}

/// Judges one trace after the other.
#[derive(Debug)]
pub(super) struct Judge {
    rules: TailRules,
    /// How likely the rest is kept.
    rest: f64,
    top_cost: TopCost,
    /// Of named traces and of the rest, apart: a tenant's crowd must not cost it its failures.
    rates: Option<[TenantRates; 2]>,
}

impl Judge {
    /// `rate_max` is how many traces a second of one tenant are kept, about: named ones, and as many of the rest.
    pub(super) fn new(rules: TailRules, rest: f64, rate_max: Option<u32>) -> Self {
        let top_cost = TopCost::new(rules.top_cost);
        Self { rules, rest, top_cost, rates: rate_max.map(|max| [max, max].map(TenantRates::new)) }
    }

    /// Judges a trace, and remembers what later ones are compared with.
    pub(super) fn judge(&mut self, trace: &Portrait, now: Moment) -> Verdict {
        // Asked of every trace, whatever else names it: or the costliest would be those of the rest.
        let is_top = self.top_cost.admits(&trace.payer, now.hour(), trace.cost);
        let reason = self.first_reason(trace, is_top);
        let (class, likely) = if reason == Reason::Rest { (1, self.rest) } else { (0, 1.0) };
        let rates = self.rates.as_mut().map(|rates| &mut rates[class]);
        let scale = rates.map_or(1.0, |rates| rates.scale(&trace.payer, now.second, likely));
        Verdict { sampler: Sampler::new(likely * scale), reason }
    }

    fn first_reason(&self, trace: &Portrait, is_top: bool) -> Reason {
        let rules = &self.rules;
        let reaches = |limit: Option<Duration>, took: Duration| limit.is_some_and(|limit| took >= limit);
        let investigated = trace.tenants.iter().any(|tenant| rules.tenants.contains(tenant))
            || trace.features.iter().any(|feature| rules.features.contains(feature));
        let holds = |reason: &Reason| match reason {
            Reason::Investigated => investigated,
            Reason::Error => rules.errors && trace.failed,
            Reason::Slow => reaches(rules.slow, trace.slowest),
            Reason::SlowFirstToken => reaches(rules.slow_first_token, trace.first_token),
            Reason::Cost => rules.cost_over.is_some_and(|limit| trace.cost > limit),
            Reason::Conflict => rules.conflicts && trace.conflict,
            Reason::TopCost => is_top,
            Reason::Rest => true,
        };
        Reason::ALL.into_iter().find(holds).unwrap_or(Reason::Rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment { second: 7_200 };

    fn cost(text: &str) -> Cost {
        Cost::parse(text).unwrap()
    }

    #[test]
    fn each_rule_keeps_what_it_says_and_the_first_is_named() {
        let rules = TailRules {
            errors: true,
            slow: Some(Duration::from_secs(30)),
            slow_first_token: Some(Duration::from_secs(5)),
            cost_over: Some(cost("0.50")),
            top_cost: 0,
            conflicts: true,
            tenants: ["acme".to_string()].into(),
            features: ["search".to_string()].into(),
        };
        let plain =
            Portrait { payer: "globex".into(), tenants: vec!["globex".into()], ..Portrait::default() };
        for (trace, reason) in [
            (plain.clone(), Reason::Rest),
            (Portrait { failed: true, ..plain.clone() }, Reason::Error),
            (Portrait { slowest: Duration::from_secs(30), ..plain.clone() }, Reason::Slow),
            (Portrait { slowest: Duration::from_millis(29_999), ..plain.clone() }, Reason::Rest),
            (Portrait { first_token: Duration::from_secs(6), ..plain.clone() }, Reason::SlowFirstToken),
            (Portrait { cost: cost("0.500000000001"), ..plain.clone() }, Reason::Cost),
            (Portrait { cost: cost("0.50"), ..plain.clone() }, Reason::Rest),
            (Portrait { conflict: true, ..plain.clone() }, Reason::Conflict),
            (Portrait { features: vec!["search".into()], ..plain.clone() }, Reason::Investigated),
            (Portrait { tenants: vec!["acme".into()], failed: true, ..plain.clone() }, Reason::Investigated),
        ] {
            let mut judge = Judge::new(rules.clone(), 0.25, None);
            let verdict = judge.judge(&trace, NOW);
            let likely = if reason == Reason::Rest { 0.25 } else { 1.0 };
            assert_eq!(verdict, Verdict { sampler: Sampler::new(likely), reason }, "{trace:?}");
        }
    }

    #[test]
    fn without_rules_everything_is_the_rest_and_at_zero_nothing_is_kept() {
        let trace = Portrait { failed: true, conflict: true, cost: cost("1000"), ..Portrait::default() };
        let verdict = Judge::new(TailRules::default(), 0.0, None).judge(&trace, NOW);
        assert_eq!(verdict, Verdict { sampler: None, reason: Reason::Rest });
    }

    #[test]
    fn a_costly_trace_that_another_rule_names_takes_its_place_among_the_costliest() {
        let rules = TailRules { errors: true, top_cost: 1, ..TailRules::default() };
        let mut judge = Judge::new(rules, 0.0, None);
        let costs = |text: &str, failed| Portrait { cost: cost(text), failed, ..Portrait::default() };
        assert_eq!(judge.judge(&costs("5", true), NOW).reason, Reason::Error);
        assert_eq!(judge.judge(&costs("4", false), NOW).reason, Reason::Rest);
        assert_eq!(judge.judge(&costs("6", false), NOW).reason, Reason::TopCost);
    }
}
