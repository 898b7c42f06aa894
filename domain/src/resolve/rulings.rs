//! Whether a call is one that nobody charges for, by what an operator ruled about attributes of its reports.
//!
//! One report is enough: a gateway that answered from its cache made no call, which the SDK that asked it cannot know.
//! Its answer bears the id of the call that filled the cache, though, so that the two are one by their id. That call was
//! made, and stays billed: a report that names its answer and stands apart from every ruled one speaks of it.

use super::accord::touch;
use super::duplicates::Group;
use super::tree::Tree;

/// The ruling by which a group is not billed: of several the smallest name.
pub(super) fn ruled(tree: &Tree<'_>, group: &Group) -> Option<String> {
    let reports = || group.members.iter().copied().chain(group.lender);
    let ruled: Vec<usize> = reports().filter(|&node| tree.report(node).ruling.is_some()).collect();
    let covered = |node: usize| {
        ruled.iter().any(|&by| {
            by == node
                || tree.is_ancestor(by, node)
                || tree.is_ancestor(node, by)
                || touch(tree.report(by), tree.report(node))
        })
    };
    let names_its_answer = |&node: &usize| tree.report(node).strong_response_id().is_some();
    if ruled.is_empty() || reports().filter(names_its_answer).any(|node| !covered(node)) {
        return None;
    }
    ruled.iter().filter_map(|&node| tree.report(node).ruling.clone()).min()
}
