//! Whom and what a call is for: the bound key, the span, its duplicates, the nearest ancestor, the resource; who fetches an answer
//! again comes after whom it was made for.

use super::duplicates::Group;
use super::tree::{Parent, Tree};
use super::{ResolvedCall, SpanRef, TenantSource};
use crate::observation::{Dimensions, Observation};

/// Fills in a call's dimensions.
pub(super) fn attribute(tree: &Tree<'_>, group: &Group, call: &mut ResolvedCall) {
    let reports = by_rank(tree, group, call.winner);
    let mut found = Dimensions::default();
    let mut source = TenantSource::None;
    let mut conflict = None;
    let mut take = |dimensions: &Dimensions, from: TenantSource, found: &mut Dimensions| {
        match (&found.tenant, &dimensions.tenant) {
            (None, Some(_)) => source = from,
            (Some(kept), Some(other)) if kept != other && conflict.is_none() => {
                conflict = Some(other.clone())
            }
            _ => {}
        }
        found.fill_from(dimensions);
    };

    for &node in &reports {
        let bound = Dimensions { tenant: tree.report(node).key.tenant.clone(), ..Dimensions::default() };
        take(&bound, TenantSource::Key, &mut found);
    }
    for told in fetched_last(tree, &reports) {
        for &node in &told {
            let report = tree.report(node);
            let won = tree.span_ref(node) == call.winner;
            take(&lent(report), if won { TenantSource::Span } else { TenantSource::Duplicate }, &mut found);
        }
        for (node, enclosing) in ancestors(tree, &told) {
            if let Some(above) = tree.observation(node) {
                let from = if enclosing { TenantSource::Enclosing } else { TenantSource::Ancestor };
                take(&lent(above), from, &mut found);
            }
        }
    }
    for &node in &reports {
        let report = tree.report(node);
        let mut resource = report.resource_dimensions.clone();
        if report.key.operator {
            resource.tenant = None;
        }
        // A resource is the same for all of a process, so that it disagrees with a span is no conflict.
        if found.tenant.is_some() {
            resource.tenant = None;
        }
        take(&resource, TenantSource::Resource, &mut found);
    }
    call.dimensions = found;
    call.tenant_source = source;
    call.tenant_conflict = conflict;
}

/// Whether a span that is not seen yet could still change whom the call is for.
pub(super) fn may_change(tree: &Tree<'_>, group: &Group, call: &ResolvedCall) -> bool {
    let settled =
        matches!(call.tenant_source, TenantSource::Key | TenantSource::Span | TenantSource::Duplicate)
            && group.members.iter().any(|&node| tree.report(node).dimensions.feature.is_some());
    !settled && !group.members.iter().any(|&node| tree.reaches_root(node))
}

/// What a report lends: an operator's key may lend usage, never a tenant.
fn lent(report: &Observation) -> Dimensions {
    let mut dimensions = report.dimensions.clone();
    if report.key.operator {
        dimensions.tenant = None;
    }
    dimensions
}

fn by_rank(tree: &Tree<'_>, group: &Group, winner: SpanRef) -> Vec<usize> {
    let mut reports = group.members.clone();
    reports.sort_by_key(|&node| (tree.span_ref(node) != winner, tree.span_ref(node)));
    reports
}

/// Reports of a call in the making before those that began when one of it was over: they fetch its answer again, and are not
/// whom it was made for. In each part the order stays.
fn fetched_last(tree: &Tree<'_>, reports: &[usize]) -> [Vec<usize>; 2] {
    // Not the first one's end: an instrumentation may hold its span open until the answer was fetched.
    let over = reports.iter().map(|&node| tree.report(node).end).min();
    let (fetched, making) =
        reports.iter().partition(|&&node| over.is_some_and(|over| tree.report(node).start > over));
    [making, fetched]
}

/// The spans above any report, nearest first; with whether a broken chain was bridged on the way.
fn ancestors(tree: &Tree<'_>, reports: &[usize]) -> Vec<(usize, bool)> {
    let mut above: Vec<(usize, bool, usize, usize)> = Vec::new();
    for (rank, &report) in reports.iter().enumerate() {
        let mut bridged = false;
        let mut at = report;
        for (distance, node) in tree.ancestors(report).enumerate() {
            bridged |= matches!(tree.parent(at), Parent::Enclosing(_));
            above.push((distance, bridged, rank, node));
            at = node;
        }
    }
    above.sort_by_key(|&(distance, bridged, rank, _)| (bridged, distance, rank));
    above.into_iter().map(|(_, bridged, _, node)| (node, bridged)).collect()
}
