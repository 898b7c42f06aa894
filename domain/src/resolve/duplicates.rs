//! Which definite calls are reports of one call.
//!
//! A strong response id ties reports whatever else they say. Without one, two reports are tied only if everything that
//! is stated agrees (`accord`), their times touch, and they come from different instrumentations; pairs are made one to
//! one over the whole set, nearest relation first (`pairing`), so that equal concurrent calls stay as many as they are.

use std::collections::{BTreeSet, HashMap};

use super::Rule;
use super::pairing;
use super::stream_usage;
use super::tree::Tree;

/// The reports of one call.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Nodes, sorted.
    pub members: Vec<usize>,
    /// Members that are tied whatever their time: by an id, or as the usage of a stream.
    pub timeless: Vec<usize>,
    /// What tied them, or made the one member a call.
    pub rule: Rule,
    /// A wrapper that lends its usage.
    pub lender: Option<usize>,
}

impl Group {
    fn single(node: usize, rule: Rule) -> Self {
        Self { members: vec![node], timeless: Vec::new(), rule, lender: None }
    }

    /// Takes over every report of another group.
    pub fn absorb(&mut self, other: Self, rule: Rule) {
        self.members.extend(other.members);
        self.members.sort_unstable();
        self.timeless.extend(other.timeless);
        self.lender = self.lender.or(other.lender);
        // An id is the better reason, whatever else ties others to the call.
        if self.rule != Rule::ResponseId {
            self.rule = if other.rule == Rule::ResponseId { Rule::ResponseId } else { rule };
        }
    }
}

/// Groups calls into reports of one call each.
pub(super) fn group(tree: &Tree<'_>, calls: &[usize]) -> Vec<Group> {
    let mut groups = Vec::new();
    add_by_id(tree, &mut groups, calls, Rule::Call);
    stream_usage::attach(tree, &mut groups);
    pairing::pair_all(tree, &mut groups);
    groups
}

/// Adds single reports (wrappers that stand for calls) to groups they turn out to report; the rest become groups.
pub(super) fn join(tree: &Tree<'_>, groups: &mut Vec<Group>, reports: &[usize]) {
    if reports.is_empty() {
        return;
    }
    add_by_id(tree, groups, reports, Rule::WrapperBilled);
    pairing::pair_all(tree, groups);
}

/// Brings a silent call to the group that has the strong id of the wrapper which lends to it: then nothing is to be lent.
pub(super) fn tie_lenders(tree: &Tree<'_>, groups: &mut Vec<Group>) {
    for at in 0..groups.len() {
        let Some(id) = groups[at].lender.and_then(|lender| tree.report(lender).strong_response_id()) else {
            continue;
        };
        let has_it = |group: &Group| {
            group.members.iter().any(|&node| tree.report(node).strong_response_id() == Some(id))
        };
        if let Some(into) = groups.iter().position(has_it).filter(|&into| into != at) {
            let absorbed = Group { timeless: groups[at].members.clone(), ..groups[at].clone() };
            groups[at].members.clear();
            groups[into].absorb(absorbed, Rule::ResponseId);
        }
    }
    groups.retain(|group| !group.members.is_empty());
}

/// Pairs silent calls by what is lent to them: a call may be reported with its usage elsewhere. The wrapper that lends stays the
/// call's: it may name the answer.
pub(super) fn pair_lenders(tree: &Tree<'_>, groups: &mut Vec<Group>) {
    let lenders: BTreeSet<usize> = groups.iter().filter_map(|group| group.lender).collect();
    if lenders.is_empty() {
        return;
    }
    for group in groups.iter_mut() {
        group.members.extend(group.lender);
        group.members.sort_unstable();
    }
    pairing::pair_all(tree, groups);
    for group in groups.iter_mut() {
        group.members.retain(|node| !lenders.contains(node));
    }
}

/// Adds each report to the group that has its strong id, else as a group of its own.
fn add_by_id(tree: &Tree<'_>, groups: &mut Vec<Group>, reports: &[usize], rule: Rule) {
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    for (at, group) in groups.iter().enumerate() {
        let ids = group.members.iter().filter_map(|&node| tree.report(node).strong_response_id());
        by_id.extend(ids.map(|id| (id, at)));
    }
    for &node in reports {
        let id = tree.report(node).strong_response_id();
        if let Some(&at) = id.and_then(|id| by_id.get(id)) {
            let group = &mut groups[at];
            let same = |&other: &usize| tree.report(other).strong_response_id() == id;
            group.timeless = group.members.iter().copied().filter(same).chain([node]).collect();
            group.members.push(node);
            group.members.sort_unstable();
            group.rule = Rule::ResponseId;
        } else {
            by_id.extend(id.map(|id| (id, groups.len())));
            groups.push(Group::single(node, rule));
        }
    }
}
