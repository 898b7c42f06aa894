//! The one exception to "one report an instrumentation": a span of practically no length that only marks the end of
//! the silent stream before it, with its usage if there is one, by the same instrumentation, beside or under it.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::Rule;
use super::accord::{self, states_nothing};
use super::duplicates::Group;
use super::tree::{CLOCK_SLACK_NANOS, Tree};
use crate::observation::Observation;

/// A span is of practically no length up to this, in nanoseconds: starting and ending one takes that long.
const NO_LENGTH_NANOS: i64 = 1_000_000;

/// Adds each mark of an end to the call whose stream ended last before it; each stream has one.
pub(super) fn attach(tree: &Tree<'_>, groups: &mut Vec<Group>) {
    let mut carriers: Vec<(usize, usize)> = Vec::new();
    let mut streams: Vec<(usize, usize)> = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        for &node in &group.members {
            let report = tree.report(node);
            if states_nothing(&report.usage) {
                streams.push((node, at));
            }
            if group.members.len() == 1 && is_no_length(report) {
                carriers.push((node, at));
            }
        }
    }
    let silent = |node: usize| states_nothing(&tree.report(node).usage);
    // Those with usage choose first: a stream that was metered is not left over for a mark that says nothing.
    carriers.sort_by_key(|&(node, _)| (silent(node), tree.report(node).start, node));
    streams.sort_by_key(|&(node, _)| Reverse((tree.report(node).end, node)));
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    for (carrier, from) in carriers {
        if taken.contains(&carrier) {
            continue;
        }
        let fits = |&&(stream, into): &&(usize, usize)| {
            let both_mark = silent(carrier) && is_no_length(tree.report(stream));
            !taken.contains(&stream)
                && !both_mark
                && is_before(tree, stream, carrier)
                && accord::of_groups(tree, &groups[into], &groups[from]).is_possible()
        };
        let Some(&(stream, into)) = streams.iter().find(fits) else { continue };
        taken.insert(stream);
        let mut absorbed = groups[from].clone();
        groups[from].members.clear();
        absorbed.timeless = vec![carrier];
        groups[into].absorb(absorbed, Rule::StreamUsage);
    }
    groups.retain(|group| !group.members.is_empty());
}

/// Whether a span only marks, later and maybe in a trace of its own, the end of a stream that the same instrumentation reports
/// without usage.
pub(super) fn ends_stream(mark: &Observation, stream: &Observation) -> bool {
    mark.scope.name == stream.scope.name
        && is_no_length(mark)
        && !is_no_length(stream)
        && states_nothing(&stream.usage)
        && !states_nothing(&mark.usage)
        && stream.end.nanos() <= mark.start.nanos().saturating_add(CLOCK_SLACK_NANOS)
}

fn is_no_length(report: &Observation) -> bool {
    report.end.nanos().saturating_sub(report.start.nanos()) <= NO_LENGTH_NANOS
}

/// Whether a stream ended before the carrier, in its place and by its instrumentation.
fn is_before(tree: &Tree<'_>, stream: usize, carrier: usize) -> bool {
    let (before, after) = (tree.report(stream), tree.report(carrier));
    before.trace == after.trace
        && before.scope.name == after.scope.name
        && (before.parent == after.parent || tree.is_ancestor(stream, carrier))
        && before.end.nanos() <= after.start.nanos().saturating_add(CLOCK_SLACK_NANOS)
}
