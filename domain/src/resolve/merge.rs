//! One call from its reports: the winner, and the usage class by class from the report that knows best.

use std::cmp::Reverse;

use super::accord::{families, includes_cache_of, states_nothing};
use super::duplicates::Group;
use super::tree::Tree;
use super::{Metering, Outcome, ResolvedCall, Rule, SpanOutcome, SpanRef, TenantSource, rulings};
use crate::naming;
use crate::observation::{Dimensions, Kind, Observation};
use crate::usage::{TokenClass, Usage};

/// Operations that generate nothing, so that an input alone is the whole usage.
const WITHOUT_OUTPUT: &[&str] = &["embeddings", "rerank", "moderation", "transcription", "image_generation"];

/// Puts a group's reports together.
pub(super) fn merge(tree: &Tree<'_>, group: &Group) -> ResolvedCall {
    let mut ranked: Vec<usize> = group.members.clone();
    ranked.sort_by_key(|&node| (Reverse(standing(tree.report(node))), tree.span_ref(node)));
    let winner = tree.report(ranked[0]);
    let reports = || ranked.iter().map(|&node| tree.report(node));

    let lender = group.lender.map(|node| tree.report(node));
    let usage = merge_usage(reports().chain(lender));
    // Where a report around another names another model, the inner one is nearer to what answered.
    let overruled = |&outer: &usize| {
        let other_model = |&inner: &usize| {
            tree.is_ancestor(outer, inner) && families(tree.report(outer), tree.report(inner)) == Some(false)
        };
        ranked.iter().any(other_model)
    };
    let (outer, nearest): (Vec<usize>, Vec<usize>) = ranked.iter().copied().partition(overruled);
    let named = || nearest.iter().chain(&outer).map(|&node| tree.report(node));
    let first = |read: &dyn Fn(&Observation) -> Option<String>| named().chain(lender).find_map(read);
    // Names of the provider come best from who names it; a dated model best from who knows the answer.
    let request_model = first(&|report| report.request_model.clone());
    let response_model = nearest
        .iter()
        .map(|&node| tree.report(node))
        .filter_map(|report| report.response_model.as_deref())
        .min_by_key(|model| (naming::model_family(model).len() == model.len(), model.len()))
        .map(str::to_string);
    let model = response_model
        .or_else(|| request_model.clone())
        .or_else(|| first(&|report| report.model().map(str::to_string)));
    let provider = first(&|report| report.provider.clone())
        .or_else(|| model.as_deref().and_then(naming::provider_of_model).map(str::to_string));
    let operation =
        first(&|report| (!report.operation.is_empty()).then(|| report.operation.clone())).unwrap_or_default();
    let strong_response_id = reports()
        .chain(lender)
        .filter(|report| report.strong_response_id().is_some())
        .filter_map(|report| report.response_id.as_ref())
        .max_by_key(|id| (id.from_attribute, Reverse(&id.text)))
        .map(|id| id.text.clone());
    let response_id = strong_response_id
        .clone()
        .or_else(|| first(&|report| report.response_id.as_ref().map(|id| id.text.clone())));

    let mut members: Vec<SpanRef> = ranked.iter().map(|&node| tree.span_ref(node)).collect();
    members.sort_unstable();
    ResolvedCall {
        realm: winner.key.realm.clone(),
        winner: tree.span_ref(ranked[0]),
        members,
        rule: group.rule,
        metering: metering(&usage, &operation),
        estimated: reports().any(|report| report.estimated && !states_nothing(&report.usage)),
        usage,
        provider,
        request_model,
        model,
        operation,
        service_tier: first(&|report| report.service_tier.clone()),
        region: first(&|report| report.region.clone()),
        response_id,
        strong_response_id,
        occurred_at: winner.end,
        dimensions: Dimensions::default(),
        tenant_source: TenantSource::None,
        tenant_conflict: None,
        ruled: rulings::ruled(tree, group),
    }
}

/// How good a report is as the one to bill by: of a call that was made before one of an answer given again, definite before
/// wrapper, with a strong id of its own, with usage, trusted, detailed.
fn standing(report: &Observation) -> impl Ord + use<> {
    let id = report.strong_response_id().is_some()
        && report.response_id.as_ref().is_some_and(|id| id.from_attribute);
    let silent = states_nothing(&report.usage);
    (
        report.ruling.is_none(),
        report.kind == Kind::Call,
        !silent,
        id,
        report.trust,
        known_classes(&report.usage),
        report.response_model.is_some(),
    )
}

fn known_classes(usage: &Usage) -> usize {
    TokenClass::ALL.iter().filter(|class| usage.count(**class) > 0).count() + usage.units.len()
}

/// Class by class from the most trusted report that states it; of equals, from the one with more detail. A mixture
/// that breaks the laws of usage is dropped for the best single report.
fn merge_usage<'a>(reports: impl Iterator<Item = &'a Observation>) -> Usage {
    let mut sources: Vec<&Observation> = reports.filter(|report| !states_nothing(&report.usage)).collect();
    sources.sort_by_key(|report| {
        (Reverse(report.trust), Reverse(known_classes(&report.usage)), report.trace, report.span)
    });
    let Some(best) = sources.first() else { return Usage::default() };
    let mut merged = Usage::default();
    for class in TokenClass::ALL {
        // A zero by one report and a count by another: the zero is "not known here" unless everyone says it.
        let stated = |nonzero: bool| {
            sources.iter().filter_map(|report| report.usage.get(class)).find(|count| !nonzero || *count > 0)
        };
        merged.set(class, stated(true).or_else(|| stated(false)));
    }
    // An input that leaves out the cache, by a report that says nothing of one, beside the whole by another.
    let part = sources.iter().find(|source| source.usage.count(TokenClass::Input) > 0);
    let whole =
        part.and_then(|part| sources.iter().find(|source| includes_cache_of(&source.usage, &part.usage)));
    if let Some(whole) = whole {
        merged.set(TokenClass::Input, whole.usage.get(TokenClass::Input));
    }
    for source in &sources {
        for (unit, quantity) in &source.usage.units {
            merged.units.entry(unit.clone()).or_insert(*quantity);
        }
    }
    if merged.check().is_ok() { merged } else { best.usage.clone() }
}

/// How much of what a call used is stated.
pub fn metering(usage: &Usage, operation: &str) -> Metering {
    if states_nothing(usage) {
        Metering::Unmetered
    } else if usage.get(TokenClass::Output).is_none()
        && usage.get(TokenClass::Input).is_some()
        && !WITHOUT_OUTPUT.contains(&operation)
    {
        Metering::Partial
    } else {
        Metering::Whole
    }
}

/// Whether more evidence may still complete the call.
pub(super) fn may_change(call: &ResolvedCall) -> bool {
    call.metering != Metering::Whole
}

/// The outcome of each report of a call. The lender of a call's usage is a wrapper and judged there.
pub(super) fn outcomes(
    tree: &Tree<'_>,
    group: &Group,
    call: &ResolvedCall,
    index: usize,
) -> Vec<SpanOutcome> {
    group
        .members
        .iter()
        .map(|&node| {
            let span = tree.span_ref(node);
            let won = span == call.winner;
            if let Some(ruling) = call.ruled.as_ref().filter(|_| won) {
                return SpanOutcome {
                    span,
                    outcome: Outcome::NotBillable,
                    rule: Rule::Ruled,
                    reason: ruling.clone(),
                    call: Some(index),
                    winner: None,
                };
            }
            let conflict = call.tenant_conflict.as_deref().filter(|_| won);
            SpanOutcome {
                span,
                outcome: if won { Outcome::Billed } else { Outcome::Merged },
                rule: if won
                    && group.members.len() == 1
                    && group.rule != Rule::WrapperLends
                    && group.rule != Rule::WrapperBilled
                {
                    Rule::Call
                } else {
                    group.rule
                },
                reason: conflict
                    .map(|other| format!("tenant conflict: also stated {other:?}"))
                    .unwrap_or_default(),
                call: Some(index),
                winner: (!won).then_some(call.winner),
            }
        })
        .collect()
}
