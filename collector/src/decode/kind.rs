//! What a span is in the eyes of billing: one call, a possible wrapper of calls, or none of both.

use domain::observation::Kind;

use super::findings::Findings;
use super::producer::{Habit, Producer};
use crate::otlp::{SpanKind, SpanView};

/// The kind of a span that has to do with AI usage; `None` for one that states none and is no call.
///
/// A marker of a call makes a call, with or without usage: whether it failed or was not metered is decided later. Where markers
/// contradict each other the stronger convention's counts. Usage alone makes a possible wrapper, unless the span is plainly a client's
/// request (it names the answer, or is a client span with a model): old conventions have no marker.
pub(super) fn of_span(findings: &Findings<'_>, producer: Producer, span: &SpanView<'_>) -> Option<Kind> {
    let usage = states_usage(findings);
    if findings.raw_span {
        // One request on the wire, with the provider's own answer or, for streams, without: then its parent lends the usage.
        return Some(Kind::Call);
    }
    let marked = marked(findings);
    if findings.gateway || producer.habit == Habit::LiteLlm {
        // Written on whatever span was open, over the facts of an earlier call: never one call for certain. The callback's own
        // span without usage stands for a call that nobody metered.
        let own = producer.habit == Habit::LiteLlm && marked == Some(true);
        return if usage { Some(Kind::PossibleWrapper) } else { own.then_some(Kind::Call) };
    }
    match marked {
        Some(true) if !usage && producer.habit == Habit::MarksMethods && prepares(span.name) => None,
        // Some libraries mark every request of a client alike.
        Some(true) if !usage && names_nothing(findings) && findings.answered_by_no_model() => None,
        // No request takes no time: a moment of a call, such as a piece of its stream.
        Some(true) if !usage && names_nothing(findings) && span.start_unix_nano == span.end_unix_nano => None,
        Some(true) if usage && producer.habit == Habit::RepeatsEmbeddings && is_embeddings(findings) => {
            Some(Kind::PossibleWrapper)
        }
        Some(true) => Some(Kind::Call),
        Some(false) => usage.then_some(Kind::PossibleWrapper),
        None if usage => {
            let client = span.kind == SpanKind::Client
                && (findings.request_model.get().is_some() || findings.response_model.get().is_some());
            let summed = findings.counts.is_empty() && !findings.aggregate.is_empty();
            let call = !summed && (client || findings.response_id.get().is_some());
            Some(if call { Kind::Call } else { Kind::PossibleWrapper })
        }
        None => findings.unknown_usage.then_some(Kind::Unrecognised),
    }
}

/// Whether the strongest marker says that the span is a call; `None` without any.
fn marked(findings: &Findings<'_>) -> Option<bool> {
    match (findings.call.rank(), findings.not_call.rank()) {
        (Some(call), Some(not)) => Some(call < not),
        (Some(_), None) => Some(true),
        (None, Some(_)) => Some(false),
        (None, None) => None,
    }
}

/// Whether what the span is may follow from its OpenTelemetry kind: no marker says it.
pub(super) fn goes_by_span_kind(findings: &Findings<'_>) -> bool {
    marked(findings).is_none()
}

/// Whether a method, by its name, sends nothing: it makes a request ready or looks at an answer.
fn prepares(name: &str) -> bool {
    let method = name.rsplit('.').next().unwrap_or(name);
    ["_prepare", "_validate", "_parse"].iter().any(|start| method.starts_with(start))
}

/// Whether a span names neither a model nor an answer.
fn names_nothing(findings: &Findings<'_>) -> bool {
    findings.request_model.get().is_none()
        && findings.response_model.get().is_none()
        && findings.response_id.get().is_none()
}

fn states_usage(findings: &Findings<'_>) -> bool {
    !findings.counts.is_empty()
        || !findings.aggregate.is_empty()
        || findings.raw_usage.is_some()
        || !findings.units.is_empty()
}

fn is_embeddings(findings: &Findings<'_>) -> bool {
    findings.call.get().is_some_and(|operation| *operation == "embeddings" || *operation == "rerank")
}
