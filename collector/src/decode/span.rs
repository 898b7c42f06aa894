//! One span made into evidence: what its attributes state, weighed with who made it and which process it ran in.

use std::borrow::Cow;

use domain::naming;
use domain::observation::{KeyStamp, Kind, Observation, ResponseId, Scope, SpanStatus, Trust};
use domain::{Attributes, EventTime, ReceivedAt, Usage};

use super::answer::Recorded;
use super::beside::Beside;
use super::config::Dimension;
use super::convention::Meaning;
use super::counts::Counts;
use super::decoded::Sink;
use super::findings::Findings;
use super::index::Index;
use super::normalise::{Normalised, meaning_of_raw, normalise};
use super::place::region_of_host;
use super::producer::{self, Habit, Producer};
use super::resource::Resource;
use super::verbatim::Verbatim;
use super::{DECODER_VERSION, conventions, kind};
use crate::otlp::{ScopeView, SpanKind, SpanView, StatusCode, WalkError};

/// Longer span names are cut: they are for people.
const NAME_BYTES_MAX: usize = 256;
/// Longer error types are cut.
const ERROR_BYTES_MAX: usize = 128;

/// What every span of a request has in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) index: &'a Index,
    pub(super) key: &'a KeyStamp,
    pub(super) received_at: ReceivedAt,
    /// Of a span that is read anew: what is not among its attributes any more.
    pub(super) recalled: Option<&'a Beside>,
}

/// What every span of a scope has in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) resource: &'a Resource,
    pub(super) scope: ScopeView<'a>,
    pub(super) producer: Producer,
}

impl<'a> Source<'a> {
    pub(super) fn new(resource: &'a Resource, scope: ScopeView<'a>) -> Self {
        let named = if resource.openlit && scope.name.is_empty() { "openlit" } else { scope.name };
        Self { resource, scope, producer: producer::of_scope(named) }
    }
}

/// What a span says, in texts of the request wherever it says it in so many words.
pub(super) type Said<'a> = Observation<Cow<'a, str>>;

/// What a span turned out to be.
#[derive(Debug)]
pub(super) enum Found {
    /// AI usage, or what looks like it: its trace is worth remembering.
    Usage,
    /// A statement of tenant or feature.
    Attribution,
    /// A statement of something lesser, of interest only beside AI usage.
    Hint(Box<Observation>),
    /// Nothing but a place between other spans.
    Place,
}

/// Reads one span. What matters by itself is told to `sink`; `kept` is memory for it.
pub(super) fn read<'a>(
    request: Request<'_>,
    source: Source<'a>,
    span: &SpanView<'a>,
    kept: &mut Verbatim,
    sink: &mut impl Sink,
) -> Result<Found, WalkError> {
    let mut findings = Findings::read(span, request.index, kept)?;
    if let Some(kind) = kind::of_span(&findings, source.producer, span) {
        let mut beside = Beside {
            client: kind::goes_by_span_kind(&findings) && span.kind == SpanKind::Client,
            openlit: source.resource.openlit && source.scope.name.is_empty(),
            ..Beside::default()
        };
        let mut said = bare(request, source, span, &mut findings, "");
        usage(request, source.producer, span, findings, kind, &mut beside, &mut said)?;
        said.attributes = Attributes::Here(Cow::Borrowed(kept.end(beside)));
        sink.observation(&said);
        return Ok(Found::Usage);
    }
    let told = |dimension| findings.told.tells(dimension);
    if told(Dimension::Tenant) || told(Dimension::Feature) {
        sink.observation(&bare(request, source, span, &mut findings, kept.end(Beside::default())));
        return Ok(Found::Attribution);
    }
    if [Dimension::User, Dimension::Session, Dimension::Agent].into_iter().any(told) {
        let said = bare(request, source, span, &mut findings, kept.end(Beside::default()));
        return Ok(Found::Hint(Box::new(said.map(Cow::into_owned))));
    }
    Ok(Found::Place)
}

/// An observation of kind attribution: where and when the span was, and whom it names.
fn bare<'a>(
    request: Request<'_>,
    source: Source<'a>,
    span: &SpanView<'a>,
    findings: &mut Findings<'a>,
    kept: &'a str,
) -> Said<'a> {
    let marked = findings.marked_by.get().or(findings.counted_by.get());
    let text = Cow::Borrowed;
    Observation {
        key: request.key.clone(),
        received_at: request.received_at,
        trace: span.trace_id,
        span: span.span_id,
        parent: span.parent,
        name: text(cut(span.name, NAME_BYTES_MAX)),
        scope: Scope {
            name: text(cut(source.scope.name, NAME_BYTES_MAX)),
            version: text(cut(source.scope.version, NAME_BYTES_MAX)),
        },
        process: source.resource.process,
        start: time(span.start_unix_nano),
        end: time(span.end_unix_nano),
        status: match span.status {
            _ if findings.failed => SpanStatus::Error,
            StatusCode::Unset => SpanStatus::Unset,
            StatusCode::Ok => SpanStatus::Ok,
            StatusCode::Error => SpanStatus::Error,
        },
        error_type: findings.error_type.take().map(|error| match error {
            Cow::Borrowed(error) => text(cut(error, ERROR_BYTES_MAX)),
            Cow::Owned(error) => Cow::Owned(cut(&error, ERROR_BYTES_MAX).to_owned()),
        }),
        kind: Kind::Attribution,
        convention: text(marked.map(|table| conventions::ALL[usize::from(*table)].name).unwrap_or_default()),
        operation: text(""),
        provider: None,
        request_model: None,
        response_model: None,
        response_id: None,
        streaming: None,
        service_tier: None,
        region: None,
        usage: Usage::default(),
        estimated: false,
        trust: source.producer.trust,
        fault: None,
        dimensions: findings.told.dimensions(),
        resource_dimensions: source.resource.dimensions.borrowed().map(|told| text(told.as_str())),
        ruling: findings.told.take_ruling().map(Cow::Owned),
        decoder_version: DECODER_VERSION,
        reread: 0,
        attributes: Attributes::Here(text(kept)),
    }
}

/// Adds what a span of AI usage says, and to `beside` what of it was in content.
fn usage<'a>(
    request: Request<'_>,
    producer: Producer,
    span: &SpanView<'a>,
    mut findings: Findings<'a>,
    kind: Kind,
    beside: &mut Beside,
    said: &mut Said<'a>,
) -> Result<(), WalkError> {
    let call = kind == Kind::Call;
    let mut recorded = match request.recalled {
        _ if !call => Recorded::default(),
        Some(recalled) => recalled.answer.clone().unwrap_or_default(),
        None => findings.recorded(),
    };
    beside.answer = (recorded != Recorded::default()).then(|| recorded.clone());
    said.kind = kind;
    said.operation = Cow::Borrowed(findings.call.get().copied().unwrap_or_default());
    said.streaming = findings.streaming.get().copied();
    said.request_model = findings.request_model.take().and_then(model);
    said.response_model =
        findings.response_model.take().or(recorded.model.take().map(Cow::Owned)).and_then(model);
    if call {
        let requested = match request.recalled {
            _ if !needs_request(said) => Recorded::default(),
            Some(recalled) => recalled.request.clone().unwrap_or_default(),
            None => findings.requested(),
        };
        beside.request = (requested != Recorded::default()).then(|| requested.clone());
        if said.request_model.is_none() {
            said.request_model = requested.model.map(Cow::Owned).and_then(model);
        }
        said.streaming = said.streaming.or(requested.streamed.then_some(true));
        said.service_tier = findings
            .response_tier
            .take()
            .or_else(|| recorded.tier.take().map(Cow::Owned))
            .or_else(|| findings.request_tier.take())
            .or(requested.tier.map(Cow::Owned));
    }
    if call && said.operation.is_empty() && names_embeddings(said) {
        said.operation = Cow::Borrowed("embeddings");
    }
    said.provider = provider(&mut findings, said);
    if said.provider.as_deref() == Some("aws.bedrock") {
        for model in [&mut said.request_model, &mut said.response_model].into_iter().flatten() {
            *model = Cow::Owned(naming::bedrock_model(model));
        }
    }
    said.response_id = response_id(&mut findings, producer, said, &mut recorded);
    said.region = findings
        .region
        .take()
        .or_else(|| findings.host.get().and_then(|host| region_of_host(host)).map(|at| at.to_owned().into()));
    if said.status == SpanStatus::Error && said.error_type.is_none() {
        said.error_type = exception_type(span)?.map(Cow::Borrowed);
    }
    if producer.habit == Habit::RepeatsEmbeddings && said.dimensions.feature.is_none() {
        said.dimensions.feature = said.dimensions.agent.clone();
    }
    let Normalised { usage, fault } = counted(&findings, &recorded, producer, said.provider.as_deref());
    said.usage = usage;
    said.fault = fault;
    for (unit, count) in &findings.units {
        said.usage.units.insert((*unit).to_owned(), *count);
    }
    if producer.habit == Habit::EstimatesStreams && estimates(&findings, said) {
        said.estimated = true;
        said.trust = Trust::Estimate;
    } else if findings.raw_span {
        said.trust = Trust::Provider;
    }
    Ok(())
}

/// The provider's own name of a model.
fn model(spelling: Cow<'_, str>) -> Option<Cow<'_, str>> {
    match spelling {
        Cow::Borrowed(spelling) => naming::model(spelling).map(Cow::Borrowed),
        Cow::Owned(spelling) => naming::model(&spelling).map(|name| Cow::Owned(name.to_owned())),
    }
}

/// Whether a span that names no operation is of a model that embeds, by the model's name.
fn names_embeddings(said: &Said<'_>) -> bool {
    let models = [&said.response_model, &said.request_model];
    models.into_iter().flatten().any(|model| model.to_ascii_lowercase().contains("embed"))
}

/// The recorded request is worth reading where a span leaves out what it asks for.
fn needs_request(said: &Said<'_>) -> bool {
    said.request_model.is_none() || said.streaming.is_none()
}

fn counted(
    findings: &Findings<'_>,
    recorded: &Recorded,
    producer: Producer,
    provider: Option<&str>,
) -> Normalised {
    let raw = findings.raw_usage.as_ref();
    if findings.counts.is_empty() {
        return match raw {
            Some(raw) => normalise(raw, meaning_of_raw(raw), None, provider),
            None => normalise(&findings.aggregate, Meaning::Inclusive, None, provider),
        };
    }
    let detailed = producer.habit == Habit::DetailedSinceSix && findings.details_input;
    let meaning = match findings.object_meaning {
        _ if detailed => Meaning::Inclusive,
        Some(meaning) => meaning,
        None => producer.meaning,
    };
    normalise(&findings.counts, meaning, raw.or(recorded.usage.as_ref()), provider)
}

/// Spellings in order of strength; where none is a provider's, the model's name tells its maker.
fn provider<'a>(findings: &mut Findings<'a>, said: &Said<'_>) -> Option<Cow<'a, str>> {
    findings.providers.sort_by_key(|(rank, _)| *rank);
    let spelled = findings.providers.drain(..).find_map(|(_, spelling)| match spelling {
        Cow::Borrowed(spelling) => naming::provider(spelling),
        Cow::Owned(spelling) => naming::provider(&spelling).map(|name| Cow::Owned(name.into_owned())),
    });
    let models = [&said.response_model, &said.request_model];
    spelled.or_else(|| {
        models.into_iter().flatten().find_map(|model| naming::provider_of_model(model)).map(Cow::Borrowed)
    })
}

fn response_id<'a>(
    findings: &mut Findings<'a>,
    producer: Producer,
    said: &Said<'_>,
    recorded: &mut Recorded,
) -> Option<ResponseId<Cow<'a, str>>> {
    // LiteLLM makes ids up for providers that do not answer in OpenAI's form, and for embeddings.
    let own = producer.habit == Habit::LiteLlm || findings.gateway;
    let invented = own
        && !findings.raw_span
        && (said.operation == "embeddings"
            || !matches!(said.provider.as_deref(), Some("openai" | "azure.ai.openai")));
    // A gateway that got no answer names the call after itself.
    let itself = findings.gateway_call_id.take();
    let stated = findings.response_id.take().filter(|id| !invented && itself.as_ref() != Some(id));
    match (stated, recorded.response_id.take()) {
        (Some(text), _) => Some(ResponseId { text, from_attribute: true }),
        (None, Some(id)) => Some(ResponseId { text: Cow::Owned(id), from_attribute: false }),
        (None, None) => None,
    }
}

/// Whether a stream's counts may be the producer's own estimate: those it had from the provider come with details.
fn estimates(findings: &Findings<'_>, said: &Said<'_>) -> bool {
    use super::convention::Count;
    let detailed = |counts: &Counts| {
        [Count::CacheRead, Count::CacheWrite, Count::Reasoning]
            .iter()
            .any(|count| counts.stated(*count).is_some())
    };
    said.streaming == Some(true) && !said.usage.is_empty() && !detailed(&findings.counts)
}

/// The type of the exception that a failed span recorded.
fn exception_type<'a>(span: &SpanView<'a>) -> Result<Option<&'a str>, WalkError> {
    for event in span.events() {
        let event = event?;
        if event.name != "exception" {
            continue;
        }
        for attribute in event.attributes() {
            let attribute = attribute?;
            if attribute.key == "exception.type"
                && let Some(text) = attribute.value.text()
            {
                return Ok(Some(cut(text, ERROR_BYTES_MAX)));
            }
        }
    }
    Ok(None)
}

/// Nanoseconds beyond the year 2262 become its end: such a span is quarantined for being ahead of time.
pub(super) fn time(unix_nano: u64) -> EventTime {
    EventTime::from_nanos(i64::try_from(unix_nano).unwrap_or(i64::MAX))
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
