//! Pairing reports that no id ties: one to one, nearest relation first, instrumentation by instrumentation.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Rule;
use super::accord::{self, Accord, covers, pairs, states_nothing, touch};
use super::duplicates::Group;
use super::stream_usage::ends_stream;
use super::tree::Tree;
use crate::identity::TraceId;
use crate::observation::Observation;
use crate::usage::TokenClass;

/// How two reports stand to each other, nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// One above the other, by the parents they name.
    Nested,
    /// Under the same parent, seen or not.
    Siblings,
    /// One above the other, where a missing span was bridged.
    Bridged,
    SameTrace,
    SameProcess,
}

impl Relation {
    const NEAREST_FIRST: [Self; 5] =
        [Self::Nested, Self::Siblings, Self::Bridged, Self::SameTrace, Self::SameProcess];

    fn holds(self, tree: &Tree<'_>, a: usize, b: usize) -> bool {
        let (x, y) = (tree.report(a), tree.report(b));
        let same_trace = x.trace == y.trace;
        match self {
            Self::Nested => same_trace && nest(tree, a, b),
            Self::Bridged => same_trace && (tree.is_ancestor(a, b) || tree.is_ancestor(b, a)),
            Self::Siblings => same_trace && x.parent.is_some() && x.parent == y.parent,
            Self::SameTrace => same_trace,
            Self::SameProcess => {
                let astray = tree.is_astray(a) || tree.is_astray(b);
                let input = |one: &Observation| one.usage.get(TokenClass::Input).is_some();
                // What link keys can find: `link_keys` gathers traces by process and exact input and output.
                !same_trace && astray && x.process != 0 && x.process == y.process && input(x) && input(y)
            }
        }
    }
}

/// Whether one is above the other by the parents that spans name.
fn nest(tree: &Tree<'_>, a: usize, b: usize) -> bool {
    tree.is_named_ancestor(a, b) || tree.is_named_ancestor(b, a)
}

/// Merges whatever can be paired.
pub(super) fn pair_all(tree: &Tree<'_>, groups: &mut Vec<Group>) {
    for relation in Relation::NEAREST_FIRST {
        pair(tree, groups, relation);
    }
}

/// Pairs groups one to one by a relation and merges the pairs.
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
                    let mut to = near.of(tree, &groups[a]);
                    to.retain(|&b| {
                        let ordered = left_scope != right_scope || a < right[b];
                        a != right[b] && ordered && related(tree, &groups[a], &groups[right[b]], relation)
                    });
                    to
                })
                .collect();
            for (a, b) in matching(&edges, right.len()) {
                let (into, from) = (root_of(&merged_into, left[a]), root_of(&merged_into, right[b]));
                // A pair before this one may have changed either side.
                if into == from || !related(tree, &groups[into], &groups[from], relation) {
                    continue;
                }
                let rule = match relation {
                    Relation::Nested | Relation::Bridged => Rule::Nested,
                    Relation::Siblings | Relation::SameTrace | Relation::SameProcess => Rule::NoId,
                };
                let absorbed = groups[from].clone();
                groups[from].members.clear();
                groups[into].absorb(absorbed, rule);
                merged_into[from] = into;
            }
        }
    }
    groups.retain(|group| !group.members.is_empty());
}

/// Whether two groups may be one call: nothing they state speaks against it, every two reports could be of one call by
/// instrumentation and time, and some two stand in the relation.
fn related(tree: &Tree<'_>, a: &Group, b: &Group, relation: Relation) -> bool {
    let inside = matches!(relation, Relation::Nested | Relation::Bridged);
    let possible = |accord: Accord| match inside {
        true => accord.is_possible_nested(),
        false => accord.is_possible(),
    };
    // Time and instrumentation first: they are cheap to compare, and most reports of a trace are told apart by them.
    if pairs(a, b).any(|(x, y)| excluded(tree, (a, x), (b, y))) {
        return false;
    }
    let accord = accord::of_groups(tree, a, b);
    if !possible(accord) {
        return false;
    }
    let close = inside || relation == Relation::Siblings;
    pairs(a, b).any(|(x, y)| {
        let (one, other) = (tree.report(x), tree.report(y));
        // A call without usage can only be told by its place: inside or beside the other, over the same time.
        let placed =
            || close && covers(one, other) && (one.scope.name != other.scope.name || is_shell(tree, x, y));
        let handed_on = || relation == Relation::Siblings && accord::is_handed_on_beside(one, other);
        let told = accord.usage == Some(true) || placed() || handed_on();
        let tied = accord::of_reports(one, other).with_usage_of(accord);
        told && relation.holds(tree, x, y) && touch(one, other) && possible(tied)
    })
}

/// Whether the outer of two reports by one instrumentation is the method that made the other's request. A stream without usage
/// is not: it lasts while its answer is worked on, with calls of their own inside.
fn is_shell(tree: &Tree<'_>, x: usize, y: usize) -> bool {
    // By the parents they name: clocks may have the inner one end last.
    let outer = tree.report(if tree.is_named_ancestor(x, y) { x } else { y });
    states_nothing(&outer.usage) && outer.streaming != Some(true) && outer.response_id.is_none()
}

/// What no two reports of one call can be: by one instrumentation unless one is the raw request of the other; or apart
/// in time, unless what ties one of them to its group is not the time. The mark of a stream's end is tied by neither.
fn excluded(tree: &Tree<'_>, (a, x): (&Group, usize), (b, y): (&Group, usize)) -> bool {
    let (one, other) = (tree.report(x), tree.report(y));
    if ends_stream(one, other) || ends_stream(other, one) {
        return false;
    }
    let timeless = || a.timeless.contains(&x) || b.timeless.contains(&y);
    let one_scope = || one.scope.name == other.scope.name;
    (!touch(one, other) && !timeless()) || (one_scope() && !(one.trace == other.trace && nest(tree, x, y)))
}

/// The groups of a list that can stand in a relation to one: of the same trace, or, across traces, of the same usage.
struct Near {
    relation: Relation,
    by_trace: HashMap<TraceId, Vec<usize>>,
    by_usage: HashMap<(u64, u64), Vec<usize>>,
}

impl Near {
    fn new(tree: &Tree<'_>, groups: &[Group], list: &[usize], relation: Relation) -> Self {
        let mut near = Self { relation, by_trace: HashMap::new(), by_usage: HashMap::new() };
        for (index, &at) in list.iter().enumerate() {
            for &node in &groups[at].members {
                let indexes = match relation {
                    Relation::SameProcess => near.by_usage.entry(usage_of(tree, node)).or_default(),
                    _ => near.by_trace.entry(tree.report(node).trace).or_default(),
                };
                indexes.push(index);
            }
        }
        near
    }

    /// In order, each once.
    fn of(&self, tree: &Tree<'_>, group: &Group) -> Vec<usize> {
        let found = group.members.iter().filter_map(|&node| match self.relation {
            Relation::SameProcess => self.by_usage.get(&usage_of(tree, node)),
            _ => self.by_trace.get(&tree.report(node).trace),
        });
        let mut indexes: Vec<usize> = found.flatten().copied().collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes
    }
}

fn usage_of(tree: &Tree<'_>, node: usize) -> (u64, u64) {
    let usage = &tree.report(node).usage;
    (usage.count(TokenClass::Input), usage.count(TokenClass::Output))
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
