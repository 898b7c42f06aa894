//! Whether what reports state lets them be reports of one call.
//!
//! Each fact is compared on its own: two reports may agree in it, disagree, or one of them says nothing. Groups of
//! reports agree in a fact if any two of their reports do, and disagree if none do and some disagree: reports that an id
//! tied may name the provider differently, and one of the names fits.

use super::duplicates::Group;
use super::tree::{CLOCK_SLACK_NANOS, Tree};
use crate::naming;
use crate::observation::{Observation, Trust};
use crate::usage::{TokenClass, Usage};

/// How long after a framework's span of a stream the SDK's may begin, in nanoseconds: the framework hands on a generator and
/// ends its span, and the request is sent when the first piece is asked for.
const HANDED_ON_NANOS: i64 = 100_000_000;
/// The same where both stand under one parent and one of them states no usage: a first request may have to load its SDK.
const HANDED_ON_BESIDE_NANOS: i64 = 2_000_000_000;

/// How much output the first event of a stream states at most, before anything was written.
const FIRST_EVENT_TOKENS_MAX: u64 = 16;

/// Whether a usage says nothing about what to bill: no class at all, or only zeros (no model reads and writes nothing;
/// instrumentations write that for "unknown").
pub(super) fn states_nothing(usage: &Usage) -> bool {
    usage.units.is_empty() && TokenClass::ALL.iter().all(|class| usage.count(*class) == 0)
}

/// The tenant that a report states. An operator's key lends usage, never a tenant.
pub(super) fn stated_tenant(report: &Observation) -> Option<&str> {
    let own = report.dimensions.tenant.as_deref().filter(|_| !report.key.operator);
    report.key.tenant.as_deref().or(own)
}

/// How what two sides state compares; `None` where one of them does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accord {
    /// Exact usage; `None` where one side states none at all.
    pub usage: Option<bool>,
    /// Strong response ids.
    ids: Option<bool>,
    /// Provider and model family.
    names: Option<bool>,
    /// Kind of operation, tenant: all that cannot differ within one call.
    rest: Option<bool>,
    /// Whether input and output are both counted: numbers that do not agree by chance.
    counted: bool,
}

impl Accord {
    /// Whether nothing that is stated speaks against one call.
    pub fn is_possible(self) -> bool {
        self.ids != Some(false) && self.names != Some(false) && self.is_possible_but_for_names()
    }

    /// The same for reports one above the other: spans of one call may carry a gateway's id and the provider's own, if
    /// the usage is exact; and if it is that by numbers that tell, the outer one may be named after an alias, a deployment,
    /// or the model that was asked before a fallback.
    pub fn is_possible_nested(self) -> bool {
        let exact = self.usage == Some(true);
        (self.ids != Some(false) || exact)
            && (self.names != Some(false) || (exact && self.counted))
            && self.is_possible_but_for_names()
    }

    /// The same, judged by how two groups compare in usage instead of two of their reports.
    pub fn with_usage_of(self, groups: Self) -> Self {
        Self { usage: groups.usage, counted: groups.counted, ..self }
    }

    fn is_possible_but_for_names(self) -> bool {
        self.usage != Some(false) && self.rest != Some(false)
    }
}

/// Compares two reports.
pub(super) fn of_reports(x: &Observation, y: &Observation) -> Accord {
    Accord {
        usage: usages(x, y),
        ids: ids(x, y),
        names: none_differs([providers(x, y), families(x, y)]),
        rest: none_differs([operations(x, y), tenants(x, y)]),
        counted: states_both_wholes(x),
    }
}

/// Compares two groups, fact by fact.
pub(super) fn of_groups(tree: &Tree<'_>, a: &Group, b: &Group) -> Accord {
    if let ([x], [y]) = (a.members.as_slice(), b.members.as_slice()) {
        return of_reports(tree.report(*x), tree.report(*y));
    }
    let over = |fact: fn(&Observation, &Observation) -> Option<bool>| {
        let mut found = None;
        for (x, y) in pairs(a, b) {
            match fact(tree.report(x), tree.report(y)) {
                Some(true) => return Some(true),
                Some(false) => found = Some(false),
                None => {}
            }
        }
        found
    };
    Accord {
        usage: over(usages),
        ids: over(ids),
        names: none_differs([over(providers), over(families)]),
        rest: none_differs([over(operations), over(tenants)]),
        counted: a.members.iter().any(|&node| states_both_wholes(tree.report(node))),
    }
}

fn none_differs(facts: [Option<bool>; 2]) -> Option<bool> {
    Some(!facts.contains(&Some(false)))
}

/// Every report of one group with every report of another.
pub(super) fn pairs<'g>(a: &'g Group, b: &'g Group) -> impl Iterator<Item = (usize, usize)> + 'g {
    a.members.iter().flat_map(|&x| b.members.iter().map(move |&y| (x, y)))
}

/// Whether their times overlap or adjoin.
pub(super) fn touch(x: &Observation, y: &Observation) -> bool {
    let within = |slack: i64| {
        x.start.nanos() <= y.end.nanos().saturating_add(slack)
            && y.start.nanos() <= x.end.nanos().saturating_add(slack)
    };
    within(CLOCK_SLACK_NANOS) || (within(HANDED_ON_NANOS) && is_handed_on(x, y)) || is_handed_on_beside(x, y)
}

/// The same for a stream of which one side states no usage, so that nothing but its place tells it: under the same parent, the
/// framework's span over before the SDK's began.
pub(super) fn is_handed_on_beside(x: &Observation, y: &Observation) -> bool {
    let (first, second) = if x.start <= y.start { (x, y) } else { (y, x) };
    let beside = x.trace == y.trace && x.parent.is_some() && x.parent == y.parent;
    let silent = states_nothing(&x.usage) || states_nothing(&y.usage);
    let after = second.start.nanos().saturating_sub(first.end.nanos());
    beside
        && silent
        && first.trust == Trust::Framework
        && second.trust > Trust::Framework
        && second.streaming == Some(true)
        && (-CLOCK_SLACK_NANOS..=HANDED_ON_BESIDE_NANOS).contains(&after)
}

/// Whether a framework ended its span of a stream before the SDK's began: the framework first, the same counts.
fn is_handed_on(x: &Observation, y: &Observation) -> bool {
    let (first, second) = if x.start <= y.start { (x, y) } else { (y, x) };
    first.trust == Trust::Framework
        && second.trust > Trust::Framework
        && second.streaming == Some(true)
        && states_both_wholes(x)
        && usages(x, y) == Some(true)
}

fn states_both_wholes(report: &Observation) -> bool {
    report.usage.count(TokenClass::Input) > 0 && report.usage.count(TokenClass::Output) > 0
}

/// Whether `whole` states the input of `part` and the cached tokens beside it, where `part` knows of none: to the token.
pub(super) fn includes_cache_of(whole: &Usage, part: &Usage) -> bool {
    let cached = |usage: &Usage| {
        usage.count(TokenClass::CacheRead).saturating_add(usage.count(TokenClass::CacheWrite))
    };
    let input = part.count(TokenClass::Input);
    input > 0
        && cached(part) == 0
        && cached(whole) > 0
        && whole.count(TokenClass::Input) == input.saturating_add(cached(whole))
}

/// Whether the output of one whose counts are known to be inexact exceeds the other's by no more than its habit explains: the
/// count that the first event of a stream carries, added to the last one's.
fn states_slightly_more(x: &Observation, y: &Observation) -> bool {
    let more = x.usage.count(TokenClass::Output).checked_sub(y.usage.count(TokenClass::Output));
    x.trust == Trust::Estimate
        && !x.estimated
        && y.trust > Trust::Estimate
        && y.usage.count(TokenClass::Output) > 0
        && more.is_some_and(|more| more <= FIRST_EVENT_TOKENS_MAX)
}

/// Whether one covers the other in time.
pub(super) fn covers(x: &Observation, y: &Observation) -> bool {
    let over = |outer: &Observation, inner: &Observation| {
        outer.start.nanos() <= inner.start.nanos().saturating_add(CLOCK_SLACK_NANOS)
            && outer.end.nanos().saturating_add(CLOCK_SLACK_NANOS) >= inner.end.nanos()
    };
    over(x, y) || over(y, x)
}

/// Input and output exactly; an input without its cache is the same as the whole, and so is an output that is known to come out
/// slightly too high. Of the other classes and units those that both state: what one leaves out is detail, and a
/// zero is silence, which is what some instrumentations write for what they do not know.
fn usages(x: &Observation, y: &Observation) -> Option<bool> {
    if states_nothing(&x.usage) || states_nothing(&y.usage) {
        return None;
    }
    let input = includes_cache_of(&x.usage, &y.usage) || includes_cache_of(&y.usage, &x.usage);
    let output = states_slightly_more(x, y) || states_slightly_more(y, x);
    let exact = |class: &TokenClass| matches!(class, TokenClass::Input | TokenClass::Output);
    let classes = TokenClass::ALL.iter().all(|class| {
        let (a, b) = (x.usage.count(*class), y.usage.count(*class));
        a == b
            || (!exact(class) && (a == 0 || b == 0))
            || (*class == TokenClass::Input && input)
            || (*class == TokenClass::Output && output)
    });
    let units = x.usage.units.iter().all(|(unit, count)| y.usage.units.get(unit).is_none_or(|c| c == count));
    Some(classes && units)
}

fn ids(x: &Observation, y: &Observation) -> Option<bool> {
    Some(x.strong_response_id()? == y.strong_response_id()?)
}

fn tenants(x: &Observation, y: &Observation) -> Option<bool> {
    Some(stated_tenant(x)? == stated_tenant(y)?)
}

/// Providers as one seller: an SDK pointed at Azure or Vertex is often named after its maker.
fn providers(x: &Observation, y: &Observation) -> Option<bool> {
    fn seller(provider: &str) -> &str {
        match provider {
            "azure.ai.openai" | "azure.ai.inference" => "openai",
            google if google.starts_with("gcp.") => "gcp",
            other => other,
        }
    }
    Some(seller(x.provider.as_deref()?) == seller(y.provider.as_deref()?))
}

/// Any name of the one with any name of the other: an alias that was asked for may be answered by its dated model.
pub(super) fn families(x: &Observation, y: &Observation) -> Option<bool> {
    fn named(report: &Observation) -> impl Iterator<Item = &str> + Clone {
        [&report.request_model, &report.response_model]
            .into_iter()
            .flatten()
            .map(|model| naming::model_family(model))
    }
    let (mut a, b) = (named(x).peekable(), named(y));
    a.peek()?;
    b.clone().next()?;
    Some(a.any(|family| b.clone().any(|other| other.eq_ignore_ascii_case(family))))
}

fn operations(x: &Observation, y: &Observation) -> Option<bool> {
    let known = !x.operation.is_empty() && !y.operation.is_empty();
    known.then(|| (x.operation == "embeddings") == (y.operation == "embeddings"))
}
