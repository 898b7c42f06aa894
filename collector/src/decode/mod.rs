//! Spans understood once, whatever library made them: from the bytes of an export request to evidence for billing.
//!
//! ```text
//! bytes ─walk─▶ span ─findings─▶ facts ─kind─▶ call? wrapper? ─normalise─▶ usage ─▶ Observation ─▶ Sink
//!                 ▲ index ◀── conventions/*: attribute name ─▶ fact (a table each)      └─▶ or Link, or nothing
//! ```
//!
//! Promises: one pass over a request; no span of AI usage passes unseen, recognised or not; the same bytes, key and time always give
//! the same observations; no input makes it panic, and what it makes is bounded by what came. Prompts and completions are looked into
//! only on calls, only for the provider's id, model, tier and usage, and never kept. Duplicates, wrappers and
//! prices are not its business: it says what each span states, with one meaning for every token class.
//!
//! This is what every span costs, so texts stay where they stand in the request: an observation borrows them until its sink has
//! written it down, and a span that says nothing new takes no memory of its own.
//!
//! `conventions` is where a new library is taught; `producer` is what is known of libraries beyond their names.

mod config;
mod convention;
mod conventions;
mod producer;
mod prefixes;
mod index;
mod scan;
mod counts;
mod answer;
mod rulings;
mod dimensions;
mod findings;
mod kind;
mod normalise;
mod beside;
mod verbatim;
mod wording;
mod resource;
mod place;
mod span;
mod traces;
mod decoded;
mod reread;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use domain::observation::KeyStamp;
use domain::{Link, Observation, ReceivedAt, SpanId, TraceId};

pub use config::DecodeConfig;
pub use decoded::{Decoded, RejectReason, Rejections, Sink, Spans};
pub use rulings::Ruling;
pub use traces::AiTraces;

use crate::otlp::{ExportRequest, SpanFault, SpanView, WalkError};
use index::Index;
use resource::Resource;
use span::{Found, Request, Source};
use verbatim::Verbatim;

/// The version of the tables and rules, on every observation. Raised when the same span would be read differently.
pub const DECODER_VERSION: u32 = 4;

/// Makes evidence of export requests. Built once, shared by all connections.
#[derive(Debug)]
pub struct Decoder {
    index: Index,
}

/// A span that is evidence only if its trace has AI usage.
enum Waiting {
    Place(Place),
    Hint(Box<Observation>),
}

/// Where a span stood: what most spans leave while their request is read, and nothing after it.
#[derive(Clone, Copy)]
struct Place {
    trace: TraceId,
    span: SpanId,
    parent: Option<SpanId>,
    start_unix_nano: u64,
    end_unix_nano: u64,
}

impl Decoder {
    /// A decoder that looks for tenants and features under the configured names.
    pub fn new(config: &DecodeConfig) -> Self {
        Self { index: Index::new(config) }
    }

    /// Reads a protobuf request and hands its evidence to `sink`. After an error the sink holds part of a request.
    ///
    /// Spans of traces with AI usage, seen in this request or remembered in `ai_traces`, leave a link where they leave nothing else.
    pub fn read(
        &self,
        body: &[u8],
        key: &KeyStamp,
        received_at: ReceivedAt,
        ai_traces: &AiTraces,
        sink: &mut impl Sink,
    ) -> Result<Spans, WalkError> {
        walk(body, Request { index: &self.index, key, received_at, recalled: None }, ai_traces, sink)
    }

    /// Reads a protobuf request into `out`, after what is there. On an error `out` is as it was.
    pub fn decode(
        &self,
        body: &[u8],
        key: &KeyStamp,
        received_at: ReceivedAt,
        ai_traces: &AiTraces,
        out: &mut Decoded,
    ) -> Result<(), WalkError> {
        let before = out.evidence.len();
        let read = self.read(body, key, received_at, ai_traces, &mut out.evidence);
        let spans = read.inspect_err(|_| out.evidence.truncate(before))?;
        out.spans += spans.sent;
        out.ai_spans += spans.ai;
        out.rejected += spans.rejected;
        Ok(())
    }
}

fn walk(
    body: &[u8],
    request: Request<'_>,
    ai_traces: &AiTraces,
    sink: &mut impl Sink,
) -> Result<Spans, WalkError> {
    let mut spans = Spans::default();
    let mut kept = Verbatim::default();
    let mut waiting = Vec::new();
    let mut here = Vec::new();
    for group in ExportRequest::new(body).resource_spans() {
        let group = group?;
        let resource = Resource::read(&group.resource, request.index)?;
        for scope in group.scope_spans() {
            let scope = scope?;
            let source = Source::new(&resource, scope.scope);
            for raw in scope.spans() {
                spans.sent += 1;
                let view = match raw?.read() {
                    Ok(view) => view,
                    Err(fault) => {
                        spans.rejected.add(fault.into());
                        continue;
                    }
                };
                match span::read(request, source, &view, &mut kept, sink) {
                    Ok(Found::Usage) => {
                        spans.ai += 1;
                        if here.last() != Some(&view.trace_id) {
                            here.push(view.trace_id);
                        }
                    }
                    Ok(Found::Attribution) => {}
                    Ok(Found::Hint(observation)) => waiting.push(Waiting::Hint(observation)),
                    Ok(Found::Place) => waiting.push(Waiting::Place(Place::of(&view))),
                    Err(fault) => spans.rejected.add(SpanFault::from(fault).into()),
                }
            }
        }
    }
    ai_traces.insert_all(&request.key.realm, &here);
    if waiting.is_empty() {
        return Ok(spans);
    }
    here.sort_unstable();
    let has_usage =
        |trace: TraceId| here.binary_search(&trace).is_ok() || ai_traces.contains(&request.key.realm, trace);
    for waiting in waiting {
        match waiting {
            Waiting::Hint(observation) if has_usage(observation.trace) => {
                sink.observation(&observation.map(Cow::Owned));
            }
            Waiting::Place(place) if has_usage(place.trace) => sink.link(&place.link(request)),
            _ => {}
        }
    }
    Ok(spans)
}

impl Place {
    fn of(view: &SpanView<'_>) -> Self {
        Self {
            trace: view.trace_id,
            span: view.span_id,
            parent: view.parent,
            start_unix_nano: view.start_unix_nano,
            end_unix_nano: view.end_unix_nano,
        }
    }

    fn link(self, request: Request<'_>) -> Link {
        Link {
            realm: request.key.realm.clone(),
            trace: self.trace,
            span: self.span,
            parent: self.parent,
            start: span::time(self.start_unix_nano),
            end: span::time(self.end_unix_nano),
            received_at: request.received_at,
        }
    }
}
