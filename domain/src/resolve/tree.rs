//! The spans of a set of evidence as a forest: one node a span, however many copies of it came.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use super::{Readings, SpanRef};
use crate::identity::TraceId;
use crate::observation::{Evidence, Kind, Observation};

/// Clocks of one trace that disagree by less than this are taken as agreeing, in nanoseconds: instrumentations of one
/// process round to milliseconds, and Node's spans start up to a millisecond before their parents.
pub(super) const CLOCK_SLACK_NANOS: i64 = 5_000_000;

/// Why a node stands under its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parent {
    /// It has none: it is the root of its trace.
    Root,
    /// The span it names.
    Named(usize),
    /// The span it names was not seen; this is the smallest span around it, else the one root of its trace.
    Enclosing(usize),
    /// The span it names was not seen, nothing encloses it, and its trace has no root or several.
    Unknown,
}

impl Parent {
    pub(super) fn node(self) -> Option<usize> {
        match self {
            Self::Named(node) | Self::Enclosing(node) => Some(node),
            Self::Root | Self::Unknown => None,
        }
    }
}

/// The spans, sorted by trace and span id, each with its parent.
#[derive(Debug)]
pub struct Tree<'a> {
    spans: Vec<&'a Evidence>,
    parents: Vec<Parent>,
}

impl<'a> Tree<'a> {
    /// Builds the forest. Of the readings of one copy of a span the newest stays, and of the copies the most telling one,
    /// never the first to arrive.
    pub fn new(evidence: impl IntoIterator<Item = &'a Evidence>) -> Self {
        let evidence: Vec<&Evidence> = evidence.into_iter().collect();
        let readings = Readings::of(&evidence);
        let mut best: HashMap<SpanRef, &'a Evidence> = HashMap::new();
        for candidate in evidence.into_iter().filter(|candidate| !readings.supersede(candidate)) {
            let key = SpanRef { trace: candidate.trace(), span: candidate.span() };
            best.entry(key)
                .and_modify(|kept| {
                    if tells_more(candidate, kept) {
                        *kept = candidate;
                    }
                })
                .or_insert(candidate);
        }
        let mut spans: Vec<_> = best.into_iter().collect();
        spans.sort_unstable_by_key(|(key, _)| *key);
        let index: HashMap<SpanRef, usize> =
            spans.iter().enumerate().map(|(node, (key, _))| (*key, node)).collect();
        let spans: Vec<_> = spans.into_iter().map(|(_, evidence)| evidence).collect();
        let parents = find_parents(&spans, &index);
        Self { spans, parents }
    }

    /// All nodes.
    pub(super) fn nodes(&self) -> std::ops::Range<usize> {
        0..self.spans.len()
    }

    /// What a node's span says, if it is more than a link.
    pub(super) fn observation(&self, node: usize) -> Option<&'a Observation> {
        match self.spans[node] {
            Evidence::Observation(observation) => Some(observation),
            Evidence::Link(_) => None,
        }
    }

    /// The observation of a node that is known to hold one.
    pub(super) fn report(&self, node: usize) -> &'a Observation {
        self.observation(node).expect("screened nodes are observations")
    }

    pub(super) fn span_ref(&self, node: usize) -> SpanRef {
        SpanRef { trace: self.spans[node].trace(), span: self.spans[node].span() }
    }

    pub(super) fn parent(&self, node: usize) -> Parent {
        self.parents[node]
    }

    /// Whether a node's place says nothing of what it is part of: it is a root, or it began after the parent it names had
    /// ended, with a context that was left over (callbacks that run in a queue).
    pub(super) fn is_astray(&self, node: usize) -> bool {
        match self.parents[node] {
            Parent::Root => true,
            Parent::Named(above) => {
                let (began, over) = (times(self.spans[node]).0, times(self.spans[above]).1);
                over.saturating_add(CLOCK_SLACK_NANOS) < began
            }
            Parent::Enclosing(_) | Parent::Unknown => false,
        }
    }

    /// The nodes above, nearest first. Ends after as many steps as there are nodes, so that spans which name each
    /// other as parents cannot hold it.
    pub(super) fn ancestors(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.parents[node].node(), |&above| self.parents[above].node())
            .take(self.spans.len())
    }

    pub(super) fn is_ancestor(&self, above: usize, below: usize) -> bool {
        self.ancestors(below).any(|node| node == above)
    }

    /// The same, going only from spans to the parents they name.
    pub(super) fn is_named_ancestor(&self, above: usize, below: usize) -> bool {
        let mut at = below;
        for _ in 0..self.spans.len() {
            match self.parents[at] {
                Parent::Named(parent) if parent == above => return true,
                Parent::Named(parent) => at = parent,
                Parent::Root | Parent::Enclosing(_) | Parent::Unknown => return false,
            }
        }
        false
    }

    /// Whether every span up to the root of the trace is known.
    pub(super) fn reaches_root(&self, node: usize) -> bool {
        let mut at = node;
        for _ in 0..=self.spans.len() {
            match self.parents[at] {
                Parent::Root => return true,
                Parent::Named(above) => at = above,
                Parent::Enclosing(_) | Parent::Unknown => return false,
            }
        }
        false
    }
}

/// Whether one copy of a span tells more than another: first one that came with the payer's own key, then one with more
/// detail, then the one received earlier. A total order, so that which copy arrives first never matters.
fn tells_more(candidate: &Evidence, kept: &Evidence) -> bool {
    telling(candidate).cmp(&telling(kept)).then_with(|| {
        // Copies as good as each other are alike, but for a client that sends different spans under one id.
        if candidate == kept { Ordering::Equal } else { format!("{candidate:?}").cmp(&format!("{kept:?}")) }
    }) == Ordering::Greater
}

fn telling(evidence: &Evidence) -> impl Ord + use<> {
    let received = Reverse(evidence.received_at().nanos());
    match evidence {
        Evidence::Link(_) => (false, false, false, 0, 0, received),
        Evidence::Observation(observation) => {
            let key = &observation.key;
            let (detail, length) = (observation.usage.detail(), observation.attributes.len());
            (true, key.tenant.is_some(), !key.operator, detail, length, received)
        }
    }
}

fn times(evidence: &Evidence) -> (i64, i64) {
    match evidence {
        Evidence::Observation(observation) => (observation.start.nanos(), observation.end.nanos()),
        Evidence::Link(link) => (link.start.nanos(), link.end.nanos()),
    }
}

/// Gives every span its parent. The result is a forest whatever the spans say: spans that name each other in a circle
/// are cut loose at the first of them, and no span is put under one of its own descendants.
fn find_parents(spans: &[&Evidence], index: &HashMap<SpanRef, usize>) -> Vec<Parent> {
    let mut parents: Vec<Parent> = spans
        .iter()
        .map(|span| match span.parent() {
            None => Parent::Root,
            Some(parent) => {
                let named = index.get(&SpanRef { trace: span.trace(), span: parent });
                named.map_or(Parent::Unknown, |&above| Parent::Named(above))
            }
        })
        .collect();
    for node in 0..spans.len() {
        if leads_to(&parents, node, node) {
            parents[node] = Parent::Unknown;
        }
    }
    if !parents.contains(&Parent::Unknown) {
        return parents;
    }
    let mut by_length: HashMap<TraceId, Vec<usize>> = HashMap::new();
    for (node, span) in spans.iter().enumerate() {
        by_length.entry(span.trace()).or_default().push(node);
    }
    for nodes in by_length.values_mut() {
        nodes.sort_by_key(|&node| {
            let (start, end) = times(spans[node]);
            (end.saturating_sub(start), node)
        });
    }
    for node in 0..spans.len() {
        if parents[node] == Parent::Unknown {
            let trace = &by_length[&spans[node].trace()];
            let around = enclosing(spans, trace, node, &parents).or_else(|| only_root(spans, trace));
            parents[node] = around.map_or(Parent::Unknown, Parent::Enclosing);
        }
    }
    parents
}

/// Whether `to` is reached going up from `from`.
fn leads_to(parents: &[Parent], from: usize, to: usize) -> bool {
    std::iter::successors(parents[from].node(), |&above| parents[above].node())
        .take(parents.len())
        .any(|above| above == to)
}

/// The shortest span of the trace that is strictly longer than this one, covers it, and may be above it.
fn enclosing(spans: &[&Evidence], by_length: &[usize], node: usize, parents: &[Parent]) -> Option<usize> {
    let (start, end) = times(spans[node]);
    let length = end.saturating_sub(start);
    by_length.iter().copied().find(|&other| {
        let (other_start, other_end) = times(spans[other]);
        other != node
            && other_end.saturating_sub(other_start) > length
            && other_start <= start.saturating_add(CLOCK_SLACK_NANOS)
            && other_end.saturating_add(CLOCK_SLACK_NANOS) >= end
            && !are_beside(spans, parents, other, node)
            && !leads_to(parents, other, node)
    })
}

/// The root of a trace, if one was seen and no other: whatever the clocks say, every span of the trace is under it. (A span
/// that ends after its parents, as generators do, is enclosed by none of them.)
fn only_root(spans: &[&Evidence], trace: &[usize]) -> Option<usize> {
    let mut roots = trace.iter().copied().filter(|&node| spans[node].parent().is_none());
    roots.next().filter(|_| roots.next().is_none())
}

/// Whether a span cannot be above another, however their times lie: it is under the parent that the other misses, or in
/// a call of the instrumentation whose call the other is, since calls of one instrumentation run at the same time far
/// more often than one inside the other.
fn are_beside(spans: &[&Evidence], parents: &[Parent], other: usize, node: usize) -> bool {
    let call_scope = |at: usize| match spans[at] {
        Evidence::Observation(report) if report.kind == Kind::Call => Some(&report.scope.name),
        _ => None,
    };
    let named = |&at: &usize| match parents[at] {
        Parent::Named(above) => Some(above),
        Parent::Root | Parent::Enclosing(_) | Parent::Unknown => None,
    };
    let (missing, scope) = (spans[node].parent(), call_scope(node));
    std::iter::successors(Some(other), named)
        .take(spans.len())
        .any(|at| spans[at].parent() == missing || (scope.is_some() && call_scope(at) == scope))
}
