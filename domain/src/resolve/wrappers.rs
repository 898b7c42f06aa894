//! Which spans only repeat the calls under them, and which stand for calls nobody reported.
//!
//! Relation decides, never the numbers: a wrapper may repeat its calls exactly, as a sum, or only the last step's.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use super::accord::states_nothing;
use super::duplicates::{self, Group};
use super::tree::Tree;
use crate::usage::TokenClass;

/// What was decided of the wrappers.
#[derive(Debug, Default)]
pub(super) struct Wrapping {
    pub suppressed: Vec<Suppressed>,
    /// Whether a wrapper stands for calls that may still be reported.
    pub may_change: bool,
}

/// A wrapper that repeats calls.
#[derive(Debug)]
pub(super) struct Suppressed {
    pub node: usize,
    /// The group it repeats, an index into the groups.
    pub by: usize,
    pub reason: String,
}

/// Judges every possible wrapper that states usage. Wrappers that stand for unreported calls join `groups`.
pub(super) fn judge(tree: &Tree<'_>, wrappers: &[usize], groups: &mut Vec<Group>) -> Wrapping {
    let under = groups_under(tree, groups);
    let childless: Vec<usize> = wrappers.iter().copied().filter(|node| !under.contains_key(node)).collect();
    // Of childless wrappers that nest, the innermost is nearest to the call and stands for it.
    let outer: BTreeSet<usize> = childless.iter().flat_map(|&node| tree.ancestors(node)).collect();
    let innermost: Vec<usize> = childless.into_iter().filter(|node| !outer.contains(node)).collect();
    duplicates::join(tree, groups, &innermost);
    name_silent_calls(tree, wrappers, groups);

    // Only now is every call there that a wrapper may hold besides a silent one.
    let under = groups_under(tree, groups);
    for &node in wrappers {
        if let Some(only) = under.get(&node).and_then(only)
            && is_silent(tree, &groups[only])
            && !states_another(tree, groups, node, only)
        {
            lend(tree, &mut groups[only], node);
        }
    }
    duplicates::tie_lenders(tree, groups);
    duplicates::pair_lenders(tree, groups);
    let under = groups_under(tree, groups);
    let mut wrapping = Wrapping { may_change: !innermost.is_empty(), suppressed: Vec::new() };
    for &node in wrappers.iter().filter(|node| !innermost.contains(node)) {
        let under =
            under.get(&node).expect("a wrapper that is not innermost has a call or a wrapper under it");
        let reason = match under.iter().any(|&at| groups[at].lender == Some(node)) {
            true => "lends its usage to the call under it".into(),
            false => compare(tree, groups, under, node),
        };
        let by = *under.first().expect("nodes without groups under them are not listed");
        wrapping.suppressed.push(Suppressed { node, by, reason });
    }
    wrapping
}

/// A wrapper that names an answer says which answer the one silent call under it had: where another report of that
/// answer was seen, the silent call is one more report of the same call.
fn name_silent_calls(tree: &Tree<'_>, wrappers: &[usize], groups: &mut Vec<Group>) {
    let strong = |node: usize| tree.report(node).strong_response_id();
    let under = groups_under(tree, groups);
    for &node in wrappers {
        let Some(id) = strong(node) else { continue };
        let Some(silent) = under.get(&node).and_then(only).filter(|&at| {
            is_silent(tree, &groups[at]) && groups[at].members.iter().all(|&member| strong(member).is_none())
        }) else {
            continue;
        };
        let named = |group: &Group| group.members.iter().any(|&member| strong(member) == Some(id));
        if let Some(at) = groups.iter().position(named) {
            let members = std::mem::take(&mut groups[silent].members);
            groups[at].members.extend(members);
            groups[at].members.sort_unstable();
            groups[at].rule = Rule::ResponseId;
        }
    }
    groups.retain(|group| !group.members.is_empty());
}

/// For every node, the groups with a report somewhere under it.
fn groups_under(tree: &Tree<'_>, groups: &[Group]) -> BTreeMap<usize, BTreeSet<usize>> {
    let mut under: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        for above in group.members.iter().flat_map(|&member| tree.ancestors(member)) {
            under.entry(above).or_default().insert(at);
        }
    }
    under
}

fn only(under: &BTreeSet<usize>) -> Option<usize> {
    under.first().copied().filter(|_| under.len() == 1)
}

fn is_silent(tree: &Tree<'_>, group: &Group) -> bool {
    group.members.iter().all(|&member| states_nothing(&tree.report(member).usage))
}

/// Whether a wrapper names an answer that another group than the given one reports: then its usage is that call's.
fn states_another(tree: &Tree<'_>, groups: &[Group], node: usize, given: usize) -> bool {
    let Some(id) = tree.report(node).strong_response_id() else { return false };
    let reports = |group: &Group| {
        group.members.iter().any(|&member| tree.report(member).strong_response_id() == Some(id))
    };
    groups.iter().enumerate().any(|(at, group)| at != given && reports(group))
}

/// The nearest wrapper around a call lends; one farther out finds the place taken.
fn lend(tree: &Tree<'_>, group: &mut Group, node: usize) {
    let nearer = group.lender.is_none_or(|lender| tree.is_ancestor(lender, node));
    if nearer {
        group.lender = Some(node);
        group.rule = Rule::WrapperLends;
    }
}

/// Says how the wrapper's figure compares with what its calls state; more than theirs is worth a look.
fn compare(tree: &Tree<'_>, groups: &[Group], under: &BTreeSet<usize>, node: usize) -> String {
    let stated = |class| tree.report(node).usage.count(class);
    let reported = |class| -> u64 {
        let best =
            |group: &Group| group.members.iter().map(|&member| tree.report(member).usage.count(class)).max();
        under.iter().filter_map(|&at| best(&groups[at])).sum()
    };
    for class in [TokenClass::Input, TokenClass::Output] {
        if stated(class) > reported(class) {
            return format!(
                "underreported: states {} {}, its calls {}",
                stated(class),
                class.name(),
                reported(class)
            );
        }
    }
    String::new()
}
