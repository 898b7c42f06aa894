//! What calls that state no usage may have come to, by the calls beside them that do.
//!
//! ```text
//! calls that stand, by month, tenant, feature, model, operation ─▶ the nearest comparable ones ─▶ mean × calls, with its error
//! ```
//!
//! Promises: it reads and never posts, so an estimate is in no sum of the ledger; calls without comparable ones have no
//! estimate, which is not zero; what is estimated of a partial call is only what no span states of it, its output.
//!
//! Leaves to others: whether anybody is to pay by it (`docs/estimates.md`).

use std::collections::BTreeMap;

use domain::ledger::State;
use domain::naming;
use domain::sample::{Expectation, Sample};
use domain::time::BillingPeriod;
use schemas::MeteredGroup;

/// What no span states of some calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// All usage.
    Usage,
    /// The output; the input is billed.
    Output,
}

impl Missing {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Output => "output",
        }
    }
}

/// What calls have in common with those that are estimated by them, besides month, provider and operation; the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// Tenant, feature and model.
    Feature,
    /// Tenant and model.
    Tenant,
    /// The model.
    Model,
}

impl Likeness {
    /// From the nearest to the farthest.
    const ALL: [Self; 3] = [Self::Feature, Self::Tenant, Self::Model];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Feature => "tenant, feature, model",
            Self::Tenant => "tenant, model",
            Self::Model => "model",
        }
    }
}

/// What an estimate goes by, and what it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// What the comparable calls have in common with those estimated.
    pub likeness: Likeness,
    /// How many comparable calls there are.
    pub calls: u64,
    /// Tokens of the prompts; `None` where they are known and billed.
    pub input: Option<Expectation>,
    /// Tokens generated.
    pub output: Expectation,
    /// What the provider charges for what is missing.
    pub cost: Expectation,
}

/// Calls of which something is missing, and what that may have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// The month the calls were made in.
    pub month: BillingPeriod,
    /// The payer.
    pub tenant: String,
    /// The product feature.
    pub feature: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The operation.
    pub operation: String,
    /// ISO 4217.
    pub currency: String,
    /// What no span states.
    pub missing: Missing,
    /// How many calls.
    pub calls: u64,
    /// By what it was estimated; `None` where there are no comparable calls.
    pub basis: Option<Basis>,
}

/// Calls whose usage and price are known.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    input: Sample,
    output: Sample,
    cost: Sample,
    output_cost: Sample,
}

/// What comparable calls have in common; tenant and feature are `None` where they play no part.
type Key<'g> = (BillingPeriod, &'g str, &'g str, &'g str, &'g str, Option<&'g str>, Option<&'g str>);

fn key(group: &MeteredGroup, likeness: Likeness) -> Key<'_> {
    let tenant = (likeness != Likeness::Model).then_some(group.tenant.as_str());
    let feature = (likeness == Likeness::Feature).then_some(group.feature.as_str());
    // A call that states nothing often names only the model asked for, where others name the dated one that answered.
    let family = naming::model_family(&group.model);
    (group.month, &group.provider, family, &group.operation, &group.currency, tenant, feature)
}

/// Estimates all calls of which something is missing, in the order of the groups.
pub fn estimate(groups: &[MeteredGroup]) -> Vec<Estimate> {
    let mut known: BTreeMap<Key<'_>, Known> = BTreeMap::new();
    for group in groups.iter().filter(|group| group.state == State::Billed) {
        for likeness in Likeness::ALL {
            let sums = known.entry(key(group, likeness)).or_default();
            sums.input.add(&group.input);
            sums.output.add(&group.output);
            sums.cost.add(&group.cost);
            sums.output_cost.add(&group.output_cost);
        }
    }
    let estimated = groups.iter().filter_map(|group| {
        let missing = match group.state {
            State::Unmetered => Missing::Usage,
            State::Partial => Missing::Output,
            State::Billed | State::Unpriced => return None,
        };
        // Calls of which not even the model is known have nothing in common.
        let nearest = Likeness::ALL.into_iter().filter(|_| !group.model.is_empty());
        let basis = nearest
            .filter_map(|likeness| Some((likeness, known.get(&key(group, likeness))?)))
            .find_map(|(likeness, known)| known.basis(likeness, missing, group.calls));
        Some(Estimate {
            month: group.month,
            tenant: group.tenant.clone(),
            feature: group.feature.clone(),
            provider: group.provider.clone(),
            model: group.model.clone(),
            operation: group.operation.clone(),
            currency: group.currency.clone(),
            missing,
            calls: group.calls,
            basis,
        })
    });
    estimated.collect()
}

impl Known {
    fn basis(&self, likeness: Likeness, missing: Missing, calls: u64) -> Option<Basis> {
        let (input, cost) = match missing {
            Missing::Usage => (Some(self.input.expect(calls)?), self.cost),
            Missing::Output => (None, self.output_cost),
        };
        let (output, cost) = (self.output.expect(calls)?, cost.expect(calls)?);
        Some(Basis { likeness, calls: self.cost.calls, input, output, cost })
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;

    /// Calls of acme's search by gpt-4o in October, each with its input and output; prices 1 and 10.
    fn group(state: State, calls: &[(i64, i64)]) -> MeteredGroup {
        let sample = |figure: fn(&(i64, i64)) -> i64| {
            let mut sample = Sample::default();
            for call in calls {
                let figure = Decimal::from(figure(call));
                sample.add(&Sample { calls: 1, sum: figure, squares: Some(figure * figure) });
            }
            sample
        };
        MeteredGroup {
            month: BillingPeriod::parse("2026-10").unwrap(),
            tenant: "acme".into(),
            feature: "search".into(),
            provider: "openai".into(),
            model: "gpt-4o".into(),
            operation: "chat".into(),
            currency: "USD".into(),
            state,
            calls: calls.len() as u64,
            input: sample(|call| call.0),
            output: sample(|call| call.1),
            cost: sample(|call| call.0 + 10 * call.1),
            output_cost: sample(|call| 10 * call.1),
        }
    }

    fn of(change: impl FnOnce(&mut MeteredGroup), group: MeteredGroup) -> MeteredGroup {
        let mut group = group;
        change(&mut group);
        group
    }

    /// What the calls of the first group are estimated by: likeness, comparable calls, sum of the cost.
    fn nearest(groups: &[MeteredGroup]) -> Option<(&'static str, u64, String)> {
        let estimates = estimate(groups);
        let basis = estimates[0].basis?;
        Some((basis.likeness.name(), basis.calls, basis.cost.sum.normalize().to_string()))
    }

    #[test]
    fn the_nearest_comparable_calls_are_gone_by() {
        let silent = || group(State::Unmetered, &[(0, 0)]);
        let same = || group(State::Billed, &[(100, 10)]);
        let other_feature = || of(|group| group.feature = "chat".into(), group(State::Billed, &[(50, 5); 3]));
        let other_tenant = || of(|group| group.tenant = "globex".into(), group(State::Billed, &[(7, 0); 2]));
        for (what, beside, expected) in [
            (
                "all",
                vec![same(), other_feature(), other_tenant()],
                Some(("tenant, feature, model", 1, "200")),
            ),
            // Those of one tenant are its features' together: (3 · 100) / 3.
            ("feature", vec![other_feature(), other_tenant()], Some(("tenant, model", 3, "100"))),
            ("tenant", vec![other_tenant()], Some(("model", 2, "7"))),
            ("none", vec![], None),
            (
                "dated",
                vec![of(|group| group.model = "gpt-4o-2024-08-06".into(), same())],
                Some(("tenant, feature, model", 1, "200")),
            ),
            ("model", vec![of(|group| group.model = "gpt-4o-mini".into(), same())], None),
            ("operation", vec![of(|group| group.operation = "embeddings".into(), same())], None),
            ("provider", vec![of(|group| group.provider = "azure.ai.openai".into(), same())], None),
            ("currency", vec![of(|group| group.currency = "EUR".into(), same())], None),
            ("month", vec![of(|group| group.month = group.month.next(), same())], None),
            ("state", vec![group(State::Partial, &[(100, 0)]), silent()], None),
        ] {
            let mut groups = vec![silent()];
            groups.extend(beside);
            let expected = expected.map(|(likeness, calls, cost)| (likeness, calls, cost.to_string()));
            assert_eq!(nearest(&groups), expected, "{what}");
        }
        let unnamed = |group| of(|group: &mut MeteredGroup| group.model.clear(), group);
        assert_eq!(nearest(&[unnamed(silent()), unnamed(same())]), None, "no model is known");
    }

    /// Worked by hand. Known: (100, 10), (200, 20), (300, 60). Inputs: mean 200, variance 10000. Outputs: mean 30, variance
    /// (400 + 100 + 900) / 2 = 700. Costs 200, 400, 900: mean 500, variance (90000 + 10000 + 160000) / 2 = 130000. Of outputs alone
    /// 100, 200, 600: mean 300, variance 70000. For 6 calls the variance counts 36/3 + 6 = 18 times; for 3 calls, 9/3 + 3 = 6 times.
    #[test]
    fn calls_come_to_the_mean_of_the_comparable_ones_and_partial_ones_to_the_output_alone() {
        let known = group(State::Billed, &[(100, 10), (200, 20), (300, 60)]);
        let silent = group(State::Unmetered, &[(0, 0); 6]);
        let partial = group(State::Partial, &[(5_000, 0); 3]);
        let estimates = estimate(&[known, partial, silent]);
        let shown = |found: Expectation| {
            let error = found.error.map(|error| (error * error).round_dp(6).normalize());
            (found.sum.normalize().to_string(), error.map(|error| error.to_string()))
        };
        let figures = |sum: &str, squared: &str| (sum.to_string(), Some(squared.to_string()));
        let [partial, silent] = &estimates[..] else { panic!("{estimates:?}") };

        assert_eq!((silent.missing, silent.calls), (Missing::Usage, 6));
        let basis = silent.basis.unwrap();
        assert_eq!(basis.calls, 3);
        assert_eq!(shown(basis.input.unwrap()), figures("1200", "180000"));
        assert_eq!(shown(basis.output), figures("180", "12600"));
        assert_eq!(shown(basis.cost), figures("3000", "2340000"));

        assert_eq!((partial.missing, partial.calls), (Missing::Output, 3));
        let basis = partial.basis.unwrap();
        assert_eq!(basis.input, None, "it is known and billed");
        assert_eq!(shown(basis.output), figures("90", "4200"));
        assert_eq!(shown(basis.cost), figures("900", "420000"));
    }
}
