//! Which definite calls are reports of one call.
//!
//! A strong response id ties reports whatever else they say. Without one, two reports are tied only if everything that
//! is stated agrees, their times touch, and they come from different instrumentations; pairs are made one to one over
//! the whole set, nearest relation first, so that equal concurrent calls stay as many as they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::merge::states_nothing;
use super::tree::{CLOCK_SLACK_NANOS, Parent, Tree};
use super::{Rule, TenantSource};
use crate::identity::TraceId;
use crate::naming;
use crate::observation::Observation;
use crate::usage::TokenClass;

/// The reports of one call.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Nodes, sorted.
    pub members: Vec<usize>,
    /// What tied them, or made the one member a call.
    pub rule: Rule,
    /// A wrapper that lends its usage.
    pub lender: Option<usize>,
}

/// Groups calls into reports of one call each.
pub(super) fn group(tree: &Tree<'_>, calls: &[usize]) -> Vec<Group> {
    let mut groups = by_response_id(tree, calls);
    attach_stream_usage(tree, &mut groups);
    for relation in Relation::NEAREST_FIRST {
        pair(tree, &mut groups, relation);
    }
    groups
}

/// Adds single reports (wrappers that stand for calls) to groups they turn out to report; the rest become groups.
pub(super) fn join(tree: &Tree<'_>, groups: &mut Vec<Group>, reports: &[usize]) {
    groups.extend(reports.iter().map(|&node| Group {
        members: vec![node],
        rule: Rule::WrapperBilled,
        lender: None,
    }));
    for relation in Relation::NEAREST_FIRST {
        pair(tree, groups, relation);
    }
}

fn by_response_id(tree: &Tree<'_>, calls: &[usize]) -> Vec<Group> {
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for &node in calls {
        if let Some(id) = tree.report(node).strong_response_id() {
            if let Some(&at) = by_id.get(id) {
                groups[at].members.push(node);
                groups[at].rule = Rule::ResponseId;
                continue;
            }
            by_id.insert(id, groups.len());
        }
        groups.push(Group { members: vec![node], rule: Rule::Call, lender: None });
    }
    groups
}

/// The one exception to "one report an instrumentation": a span of no length that only carries the usage of the
/// stream before it, by the same instrumentation, beside it.
fn attach_stream_usage(tree: &Tree<'_>, groups: &mut Vec<Group>) {
    let single = |group: &Group| (group.members.len() == 1).then(|| group.members[0]);
    let mut carriers: Vec<usize> = Vec::new();
    let mut streams: Vec<usize> = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        let Some(report) = single(group).map(|node| tree.report(node)) else { continue };
        if states_nothing(&report.usage) {
            streams.push(at);
        } else if report.end.nanos() - report.start.nanos() <= CLOCK_SLACK_NANOS / 5 {
            carriers.push(at);
        }
    }
    let order = |at: &usize| (tree.report(groups[*at].members[0]).end, tree.span_ref(groups[*at].members[0]));
    carriers.sort_by_key(order);
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    let mut joined: BTreeMap<usize, usize> = BTreeMap::new();
    for &carrier in &carriers {
        let node = groups[carrier].members[0];
        let report = tree.report(node);
        let stream = streams
            .iter()
            .copied()
            .filter(|at| !taken.contains(at))
            .filter(|&at| {
                let other = tree.report(groups[at].members[0]);
                let near = tree.parent(groups[at].members[0]) == tree.parent(node)
                    || tree.is_ancestor(groups[at].members[0], node);
                other.trace == report.trace
                    && other.scope.name == report.scope.name
                    && near
                    && other.end.nanos() <= report.start.nanos() + CLOCK_SLACK_NANOS
                    && families_meet(other, report)
            })
            .max_by_key(order);
        if let Some(stream) = stream {
            taken.insert(stream);
            joined.insert(carrier, stream);
        }
    }
    for (&carrier, &stream) in joined.iter().rev() {
        let members = std::mem::take(&mut groups[carrier].members);
        groups[stream].members.extend(members);
        groups[stream].members.sort_unstable();
        groups[stream].rule = Rule::StreamUsage;
    }
    groups.retain(|group| !group.members.is_empty());
}

/// How two reports stand to each other, nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Nested,
    Siblings,
    SameTrace,
    SameProcess,
}

impl Relation {
    const NEAREST_FIRST: [Self; 4] = [Self::Nested, Self::Siblings, Self::SameTrace, Self::SameProcess];

    fn holds(self, tree: &Tree<'_>, a: usize, b: usize) -> bool {
        let (x, y) = (tree.report(a), tree.report(b));
        let same_trace = x.trace == y.trace;
        match self {
            Self::Nested => same_trace && (tree.is_ancestor(a, b) || tree.is_ancestor(b, a)),
            Self::Siblings => same_trace && x.parent.is_some() && x.parent == y.parent,
            Self::SameTrace => same_trace,
            Self::SameProcess => {
                let root = tree.parent(a) == Parent::Root || tree.parent(b) == Parent::Root;
                !same_trace && root && x.process != 0 && x.process == y.process
            }
        }
    }
}

/// Pairs groups one to one by a relation and merges the pairs, instrumentation by instrumentation.
fn pair(tree: &Tree<'_>, groups: &mut Vec<Group>, relation: Relation) {
    let mut by_scope: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        for &node in &group.members {
            let list = by_scope.entry(tree.report(node).scope.name.as_str()).or_default();
            if list.last() != Some(&at) {
                list.push(at);
            }
        }
    }
    let order = |at: &usize| {
        groups[*at].members.iter().map(|&node| (tree.report(node).start, tree.span_ref(node))).min()
    };
    by_scope.values_mut().for_each(|list| list.sort_by_key(order));

    // Where a group went when it was merged into another.
    let mut merged_into: Vec<usize> = (0..groups.len()).collect();
    let scopes: Vec<&str> = by_scope.keys().copied().collect();
    for (first, left_scope) in scopes.iter().enumerate() {
        // The same instrumentation reports a call twice only by nesting (a request and its raw wire request).
        let from = if relation == Relation::Nested { first } else { first + 1 };
        for right_scope in &scopes[from..] {
            let alive = |list: &[usize]| -> Vec<usize> {
                let mut seen = BTreeSet::new();
                list.iter().map(|&at| root_of(&merged_into, at)).filter(|at| seen.insert(*at)).collect()
            };
            let (left, right) = (alive(&by_scope[left_scope]), alive(&by_scope[right_scope]));
            let near = Near::new(tree, groups, &right, relation);
            let edges: Vec<Vec<usize>> = left
                .iter()
                .map(|&a| {
                    near.of(tree, &groups[a])
                        .filter(|&b| {
                            let ordered = left_scope != right_scope || a < right[b];
                            a != right[b] && ordered && related(tree, &groups[a], &groups[right[b]], relation)
                        })
                        .collect()
                })
                .collect();
            for (a, b) in matching(&edges, right.len()) {
                let (into, from) = (root_of(&merged_into, left[a]), root_of(&merged_into, right[b]));
                if into == from || !related(tree, &groups[into], &groups[from], relation) {
                    continue;
                }
                let absorbed = std::mem::take(&mut groups[from].members);
                groups[into].members.extend(absorbed);
                groups[into].members.sort_unstable();
                groups[into].rule = match (relation, groups[into].rule) {
                    (_, Rule::ResponseId) => Rule::ResponseId,
                    (Relation::Nested, _) => Rule::Nested,
                    _ => Rule::NoId,
                };
                merged_into[from] = into;
            }
        }
    }
    groups.retain(|group| !group.members.is_empty());
}

/// Which groups are worth comparing with one: those of the same trace, or, across traces, all.
struct Near {
    by_trace: Option<HashMap<TraceId, BTreeSet<usize>>>,
    all: usize,
}

impl Near {
    fn new(tree: &Tree<'_>, groups: &[Group], list: &[usize], relation: Relation) -> Self {
        let by_trace = (relation != Relation::SameProcess).then(|| {
            let mut by_trace: HashMap<TraceId, BTreeSet<usize>> = HashMap::new();
            for (index, &at) in list.iter().enumerate() {
                for &node in &groups[at].members {
                    by_trace.entry(tree.report(node).trace).or_default().insert(index);
                }
            }
            by_trace
        });
        Self { by_trace, all: list.len() }
    }

    fn of<'n>(&'n self, tree: &Tree<'_>, group: &Group) -> Box<dyn Iterator<Item = usize> + 'n> {
        match &self.by_trace {
            None => Box::new(0..self.all),
            Some(by_trace) => {
                let traces: BTreeSet<TraceId> =
                    group.members.iter().map(|&node| tree.report(node).trace).collect();
                Box::new(traces.into_iter().filter_map(|trace| by_trace.get(&trace)).flatten().copied())
            }
        }
    }
}

fn root_of(merged_into: &[usize], mut at: usize) -> usize {
    while merged_into[at] != at {
        at = merged_into[at];
    }
    at
}

/// The largest one-to-one matching, found in order, so that it is a function of the set (Kuhn's algorithm).
fn matching(edges: &[Vec<usize>], right: usize) -> Vec<(usize, usize)> {
    fn augment(left: usize, edges: &[Vec<usize>], taken: &mut [Option<usize>], tried: &mut [bool]) -> bool {
        // A free partner before a taken one, so that pairs come out in order where they can.
        if let Some(&free) = edges[left].iter().find(|&&to| taken[to].is_none()) {
            taken[free] = Some(left);
            return true;
        }
        for &to in &edges[left] {
            if std::mem::replace(&mut tried[to], true) {
                continue;
            }
            if taken[to].is_none_or(|other| augment(other, edges, taken, tried)) {
                taken[to] = Some(left);
                return true;
            }
        }
        false
    }
    let mut taken = vec![None; right];
    for left in 0..edges.len() {
        if !edges[left].is_empty() {
            augment(left, edges, &mut taken, &mut vec![false; right]);
        }
    }
    let mut pairs: Vec<_> =
        taken.iter().enumerate().filter_map(|(to, left)| left.map(|left| (left, to))).collect();
    pairs.sort_unstable();
    pairs
}

/// Whether two groups may be one call: some pair of members stands in the relation, and no pair disagrees.
fn related(tree: &Tree<'_>, a: &Group, b: &Group, relation: Relation) -> bool {
    if a.members.is_empty() || b.members.is_empty() {
        return false;
    }
    let pairs = || a.members.iter().flat_map(|&x| b.members.iter().map(move |&y| (x, y)));
    pairs().any(|(x, y)| relation.holds(tree, x, y) && agrees(tree.report(x), tree.report(y), relation))
        && !pairs().any(|(x, y)| disagrees(tree.report(x), tree.report(y), relation))
}

/// What no two reports of one call can have.
fn disagrees(x: &Observation, y: &Observation, relation: Relation) -> bool {
    let ids = x.strong_response_id().zip(y.strong_response_id());
    let tenants = stated_tenant(x).zip(stated_tenant(y));
    let one_scope = x.scope.name == y.scope.name && relation != Relation::Nested;
    let conflicting_ids = ids.is_some_and(|(a, b)| a != b) && relation != Relation::Nested;
    // Nested spans of one call can carry a gateway's id and the provider's own; then everything else has to agree.
    let nested_ids = relation == Relation::Nested
        && ids.is_some_and(|(a, b)| a != b)
        && usage_match(x, y) != UsageMatch::Exact;
    one_scope || conflicting_ids || nested_ids || tenants.is_some_and(|(a, b)| a != b) || !touch(x, y)
}

/// What the reports of one call must have in common when no id ties them.
fn agrees(x: &Observation, y: &Observation, relation: Relation) -> bool {
    let close = matches!(relation, Relation::Nested | Relation::Siblings);
    let usage = match usage_match(x, y) {
        UsageMatch::Exact => true,
        // A report without usage can only be told by its place: inside or beside the other, over the same time.
        UsageMatch::OneSilent | UsageMatch::BothSilent => {
            close && covers(x, y) && x.scope.name != y.scope.name
        }
        UsageMatch::Differs => false,
    };
    usage && providers_meet(x, y) && families_meet(x, y) && operations_meet(x, y)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UsageMatch {
    Exact,
    OneSilent,
    BothSilent,
    Differs,
}

fn usage_match(x: &Observation, y: &Observation) -> UsageMatch {
    match (states_nothing(&x.usage), states_nothing(&y.usage)) {
        (true, true) => return UsageMatch::BothSilent,
        (true, false) | (false, true) => return UsageMatch::OneSilent,
        (false, false) => {}
    }
    // Classes that only one report states are detail, not disagreement. Zero and silence are alike for the parts:
    // some instrumentations write zeros for what they do not know.
    let wholes = [TokenClass::Input, TokenClass::Output];
    let same = wholes.iter().all(|class| x.usage.count(*class) == y.usage.count(*class));
    let parts = TokenClass::ALL.iter().filter(|class| !wholes.contains(class)).all(|class| {
        let (a, b) = (x.usage.count(*class), y.usage.count(*class));
        a == b || a == 0 || b == 0
    });
    if same && parts { UsageMatch::Exact } else { UsageMatch::Differs }
}

fn stated_tenant(observation: &Observation) -> Option<&str> {
    observation.key.tenant.as_deref().or(observation.dimensions.tenant.as_deref())
}

/// Whether their times overlap or adjoin.
fn touch(x: &Observation, y: &Observation) -> bool {
    x.start.nanos() <= y.end.nanos().saturating_add(CLOCK_SLACK_NANOS)
        && y.start.nanos() <= x.end.nanos().saturating_add(CLOCK_SLACK_NANOS)
}

/// Whether one covers the other in time.
fn covers(x: &Observation, y: &Observation) -> bool {
    let over = |outer: &Observation, inner: &Observation| {
        outer.start.nanos() <= inner.start.nanos().saturating_add(CLOCK_SLACK_NANOS)
            && outer.end.nanos().saturating_add(CLOCK_SLACK_NANOS) >= inner.end.nanos()
    };
    over(x, y) || over(y, x)
}

/// Providers as one seller: an SDK pointed at Azure or Vertex is often named after its maker.
fn providers_meet(x: &Observation, y: &Observation) -> bool {
    let seller = |provider: &str| match provider {
        "azure.ai.openai" | "azure.ai.inference" => "openai".to_string(),
        other if other.starts_with("gcp.") => "gcp".to_string(),
        other => other.to_string(),
    };
    match (&x.provider, &y.provider) {
        (Some(a), Some(b)) => seller(a) == seller(b),
        _ => true,
    }
}

fn families_meet(x: &Observation, y: &Observation) -> bool {
    let families = |observation: &Observation| -> Vec<String> {
        [&observation.request_model, &observation.response_model]
            .into_iter()
            .flatten()
            .map(|model| naming::model_family(model).to_ascii_lowercase())
            .collect()
    };
    let (a, b) = (families(x), families(y));
    a.is_empty() || b.is_empty() || a.iter().any(|family| b.contains(family))
}

fn operations_meet(x: &Observation, y: &Observation) -> bool {
    let embeds = |observation: &Observation| observation.operation == "embeddings";
    x.operation.is_empty() || y.operation.is_empty() || embeds(x) == embeds(y)
}

/// Where a tenant stated on a report ranks, for the winner's own and for its duplicates.
pub(super) fn stated_source(is_winner: bool, observation: &Observation) -> Option<TenantSource> {
    stated_tenant(observation)?;
    Some(match (&observation.key.tenant, is_winner) {
        (Some(_), _) => TenantSource::Key,
        (None, true) => TenantSource::Span,
        (None, false) => TenantSource::Duplicate,
    })
}
