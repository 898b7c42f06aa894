//! Which spans only repeat the calls under them, and which stand for calls nobody reported.
//!
//! Relation decides, never the numbers: a wrapper may repeat its calls exactly, as a sum, or only the last step's.

use super::Rule;
use super::duplicates::{self, Group};
use super::merge::states_nothing;
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
    let mut wrapping = Wrapping::default();
    let mut childless = Vec::new();
    for &node in wrappers {
        let under = calls_under(tree, groups, node);
        match under.as_slice() {
            [] => childless.push(node),
            [only] if is_silent(tree, &groups[*only]) => lend(tree, &mut groups[*only], node),
            _ => {}
        }
    }
    // Of childless wrappers that nest, the innermost is nearest to the call and stands for it.
    let innermost: Vec<usize> = childless
        .iter()
        .copied()
        .filter(|&node| !childless.iter().any(|&other| tree.is_ancestor(node, other)))
        .collect();
    wrapping.may_change = !innermost.is_empty();
    duplicates::join(tree, groups, &innermost);

    for &node in wrappers {
        if innermost.contains(&node) {
            continue;
        }
        let under = calls_under(tree, groups, node);
        let by = *under.first().expect("a wrapper that is not innermost has a call or a wrapper under it");
        if groups.iter().any(|group| group.lender == Some(node)) {
            wrapping.suppressed.push(Suppressed {
                node,
                by,
                reason: "lends its usage to the call under it".into(),
            });
        } else {
            wrapping.suppressed.push(Suppressed { node, by, reason: compare(tree, groups, &under, node) });
        }
    }
    wrapping
}

/// The groups with a member somewhere under a node.
fn calls_under(tree: &Tree<'_>, groups: &[Group], node: usize) -> Vec<usize> {
    (0..groups.len())
        .filter(|&at| groups[at].members.iter().any(|&member| tree.is_ancestor(node, member)))
        .collect()
}

fn is_silent(tree: &Tree<'_>, group: &Group) -> bool {
    group.members.iter().all(|&member| states_nothing(&tree.report(member).usage))
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
fn compare(tree: &Tree<'_>, groups: &[Group], under: &[usize], node: usize) -> String {
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
