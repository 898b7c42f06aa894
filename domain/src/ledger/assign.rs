//! Which ledger call each resolved call is, and everything to post for a resolved set.
//!
//! First [`call_ids`], because what should stand for a call may depend on what stands for it; then [`assign`].
//!
//! Promises: no two calls of a set share an id; what stands for a call that is none any more is taken back; assigning
//! again in answer to what was posted gives the same ids and posts nothing.

use std::collections::BTreeSet;

use super::difference::{Periods, Posting, Standing, difference};
use super::entry::{Facts, Quantities};
use crate::identity::CallId;
use crate::resolve::{Resolution, ResolvedCall, SpanRef};

/// What makes the ledger say what was resolved of a closed set; empty where it does. `ids` are those of its calls by
/// [`call_ids`], `targets` what should stand for each of them (`None`: it is not billed), `standing` what stands for any
/// call whose evidence may lie in the set, in the order of ids.
pub fn assign(
    resolution: &Resolution,
    ids: &[CallId],
    targets: &[Option<(&Facts, &Quantities)>],
    standing: &[(CallId, &Standing)],
    periods: &Periods,
) -> Posting {
    let nothing = Standing::default();
    let mut posting = Posting::new();
    for (&target, &id) in targets.iter().zip(ids) {
        let stands = standing_of(id, standing).unwrap_or(&nothing);
        posting.extend(difference(id, stands, target, periods));
    }
    let kept: BTreeSet<CallId> = ids.iter().copied().collect();
    let seen: BTreeSet<SpanRef> = resolution.outcomes.iter().map(|outcome| outcome.span).collect();
    for &(id, stands) in standing.iter().filter(|(id, _)| !kept.contains(id)) {
        // It turned out to be part of another call, or none. Only where its evidence is here to say so.
        if stands.history().any(|facts| seen.contains(&span_of(facts))) {
            posting.extend(difference(id, stands, None, periods));
        }
    }
    posting
}

/// What stands for one call, of what stands in the order of ids.
pub fn standing_of<'s>(id: CallId, standing: &[(CallId, &'s Standing)]) -> Option<&'s Standing> {
    standing.binary_search_by_key(&id, |(known, _)| *known).ok().map(|at| standing[at].1)
}

/// The ledger's id of each call of a closed set. `standing` is what stands for any call whose evidence may lie in the set,
/// in the order of ids.
///
/// A call keeps the smallest of the ids that stand for it, before those that once stood for it and were taken back, so
/// that what was split stays split. One that never stood gets the id of its response, else of its winning span.
pub fn call_ids(calls: &[ResolvedCall], standing: &[(CallId, &Standing)]) -> Vec<CallId> {
    let mut ids: Vec<Option<CallId>> = vec![None; calls.len()];
    let mut taken: BTreeSet<CallId> = BTreeSet::new();
    for once in [false, true] {
        for (call, id) in calls.iter().zip(&mut ids).filter(|(_, id)| id.is_none()) {
            let of_call = |stands: &Standing| match once {
                false => stands.facts().into_iter().any(|facts| is_of(facts, call)),
                true => stands.history().any(|facts| is_of(facts, call)),
            };
            *id = standing
                .iter()
                .find(|(id, stands)| !taken.contains(id) && of_call(stands))
                .map(|(id, _)| *id);
            taken.extend(*id);
        }
    }
    let fresh = |(call, id): (&ResolvedCall, Option<CallId>)| {
        id.unwrap_or_else(|| {
            let mut fresh = natural_id(call);
            // What was split off keeps nothing of the old id, which another part may hold.
            while !taken.insert(fresh) {
                fresh = fresh.apart();
            }
            fresh
        })
    };
    calls.iter().zip(ids).map(fresh).collect()
}

fn natural_id(call: &ResolvedCall) -> CallId {
    match &call.strong_response_id {
        Some(id) => CallId::of_response(&call.realm, id),
        None => CallId::of_span(&call.realm, call.winner.trace, call.winner.span),
    }
}

/// Whether facts were posted for one of the spans of a call. The answer's name is not asked: a call known by it alone
/// has the id of it.
fn is_of(facts: &Facts, call: &ResolvedCall) -> bool {
    call.members.binary_search(&span_of(facts)).is_ok()
}

fn span_of(facts: &Facts) -> SpanRef {
    SpanRef { trace: facts.trace, span: facts.span }
}
