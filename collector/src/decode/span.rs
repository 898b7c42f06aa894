//! One span made into evidence: what its attributes state, weighed with who made it and which process it ran in.

use std::borrow::Cow;

use domain::naming;
use domain::observation::{KeyStamp, Kind, Observation, ResponseId, Scope, SpanStatus, Trust};
use domain::{EventTime, ReceivedAt, Usage};

use super::answer::Recorded;
use super::config::Dimension;
use super::convention::Meaning;
use super::counts::Counts;
use super::findings::Findings;
use super::index::Index;
use super::normalise::{Normalised, meaning_of_raw, normalise};
use super::place::region_of_host;
use super::producer::{self, Habit, Producer};
use super::resource::Resource;
use super::{DECODER_VERSION, conventions, kind, verbatim};
use crate::otlp::{ScopeView, SpanView, StatusCode, WalkError};

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

/// What a span turned out to be.
#[derive(Debug)]
pub(super) enum Found {
    /// AI usage, or what looks like it: its trace is worth remembering.
    Usage(Box<Observation>),
    /// A statement of tenant or feature.
    Attribution(Box<Observation>),
    /// A statement of something lesser, of interest only beside AI usage.
    Hint(Box<Observation>),
    /// Nothing but a place between other spans.
    Place,
}

/// Reads one span.
pub(super) fn read<'a>(
    request: Request<'_>,
    source: Source<'a>,
    span: &SpanView<'a>,
) -> Result<Found, WalkError> {
    let mut findings = Findings::read(span, request.index)?;
    if let Some(kind) = kind::of_span(&findings, source.producer, span) {
        return Ok(Found::Usage(Box::new(usage(request, source, span, findings, kind)?)));
    }
    let told = |dimension| findings.told.tells(dimension);
    let wrap = if told(Dimension::Tenant) || told(Dimension::Feature) {
        Found::Attribution
    } else if [Dimension::User, Dimension::Session, Dimension::Agent].into_iter().any(told) {
        Found::Hint
    } else {
        return Ok(Found::Place);
    };
    Ok(wrap(Box::new(bare(request, source, span, &mut findings))))
}

/// An observation of kind attribution: where and when the span was, and whom it names.
fn bare(
    request: Request<'_>,
    source: Source<'_>,
    span: &SpanView<'_>,
    findings: &mut Findings<'_>,
) -> Observation {
    let marked = findings.marked_by.get().or(findings.counted_by.get());
    Observation {
        key: request.key.clone(),
        received_at: request.received_at,
        trace: span.trace_id,
        span: span.span_id,
        parent: span.parent,
        name: cut(span.name, NAME_BYTES_MAX).to_owned(),
        scope: Scope {
            name: cut(source.scope.name, NAME_BYTES_MAX).to_owned(),
            version: cut(source.scope.version, NAME_BYTES_MAX).to_owned(),
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
        error_type: findings.error_type.get().map(|text| cut(text, ERROR_BYTES_MAX).to_owned()),
        kind: Kind::Attribution,
        convention: marked
            .map(|table| conventions::ALL[usize::from(*table)].name)
            .unwrap_or_default()
            .to_owned(),
        operation: String::new(),
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
        resource_dimensions: source.resource.dimensions.clone(),
        decoder_version: DECODER_VERSION,
        attributes: verbatim::object(findings.kept.drain(..)),
    }
}

/// An observation of AI usage.
fn usage(
    request: Request<'_>,
    source: Source<'_>,
    span: &SpanView<'_>,
    mut findings: Findings<'_>,
    kind: Kind,
) -> Result<Observation, WalkError> {
    let producer = source.producer;
    let call = kind == Kind::Call;
    let recorded = if call { findings.recorded() } else { Recorded::default() };
    let mut observation = bare(request, source, span, &mut findings);
    observation.kind = kind;
    observation.operation = findings.call.get().copied().unwrap_or_default().to_owned();
    observation.streaming = findings.streaming.get().copied();
    observation.request_model = findings.request_model.get().and_then(|text| naming::model(text));
    observation.response_model =
        findings.response_model.get().map(Cow::as_ref).or(recorded.model.as_deref()).and_then(naming::model);
    if call {
        let requested = if needs_request(&observation) { findings.requested() } else { Default::default() };
        if observation.request_model.is_none() {
            observation.request_model = requested.model.as_deref().and_then(naming::model);
        }
        observation.streaming = observation.streaming.or(requested.streamed.then_some(true));
        observation.service_tier = findings
            .response_tier
            .get()
            .map(|tier| tier.clone().into_owned())
            .or_else(|| recorded.tier.clone())
            .or_else(|| findings.request_tier.get().map(|tier| tier.clone().into_owned()))
            .or(requested.tier);
    }
    observation.provider = provider(&mut findings, &observation);
    if observation.provider.as_deref() == Some("aws.bedrock") {
        for model in [&mut observation.request_model, &mut observation.response_model].into_iter().flatten() {
            *model = naming::bedrock_model(model);
        }
    }
    observation.response_id = response_id(&findings, producer, &observation, &recorded);
    observation.region = findings
        .region
        .get()
        .map(|region| region.clone().into_owned())
        .or_else(|| findings.host.get().and_then(|host| region_of_host(host)).map(str::to_owned));
    if observation.status == SpanStatus::Error && observation.error_type.is_none() {
        observation.error_type = exception_type(span)?;
    }
    if producer.habit == Habit::RepeatsEmbeddings && observation.dimensions.feature.is_none() {
        observation.dimensions.feature = observation.dimensions.agent.clone();
    }
    let Normalised { usage, fault } =
        counted(&findings, &recorded, producer, observation.provider.as_deref());
    observation.usage = usage;
    observation.fault = fault;
    for (unit, count) in &findings.units {
        observation.usage.units.insert((*unit).to_owned(), *count);
    }
    if producer.habit == Habit::EstimatesStreams && estimates(&findings, &observation) {
        observation.estimated = true;
        observation.trust = Trust::Estimate;
    } else if findings.raw_span {
        observation.trust = Trust::Provider;
    }
    Ok(observation)
}

/// The recorded request is worth reading where a span leaves out what it asks for.
fn needs_request(observation: &Observation) -> bool {
    observation.request_model.is_none() || observation.streaming.is_none()
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
fn provider(findings: &mut Findings<'_>, observation: &Observation) -> Option<String> {
    findings.providers.sort_by_key(|(rank, _)| *rank);
    let spelled = findings.providers.iter().find_map(|(_, spelling)| naming::provider(spelling));
    let models = [&observation.response_model, &observation.request_model];
    spelled.or_else(|| {
        models.into_iter().flatten().find_map(|model| naming::provider_of_model(model)).map(str::to_owned)
    })
}

fn response_id(
    findings: &Findings<'_>,
    producer: Producer,
    observation: &Observation,
    recorded: &Recorded,
) -> Option<ResponseId> {
    // LiteLLM makes ids up for providers that do not answer in OpenAI's form, and for embeddings.
    let own = producer.habit == Habit::LiteLlm || findings.gateway;
    let invented = own
        && !findings.raw_span
        && (observation.operation == "embeddings"
            || !matches!(observation.provider.as_deref(), Some("openai" | "azure.ai.openai")));
    // A gateway that got no answer names the call after itself.
    let provided = |id: &&Cow<'_, str>| findings.gateway_call_id.get() != Some(*id);
    let stated = findings.response_id.get().filter(|_| !invented).filter(provided);
    match (stated, &recorded.response_id) {
        (Some(id), _) => Some(ResponseId { text: id.clone().into_owned(), from_attribute: true }),
        (None, Some(id)) => Some(ResponseId { text: id.clone(), from_attribute: false }),
        (None, None) => None,
    }
}

/// Whether a stream's counts may be the producer's own estimate: those it had from the provider come with details.
fn estimates(findings: &Findings<'_>, observation: &Observation) -> bool {
    use super::convention::Count;
    let detailed = |counts: &Counts| {
        [Count::CacheRead, Count::CacheWrite, Count::Reasoning]
            .iter()
            .any(|count| counts.stated(*count).is_some())
    };
    observation.streaming == Some(true) && !observation.usage.is_empty() && !detailed(&findings.counts)
}

/// The type of the exception that a failed span recorded.
fn exception_type(span: &SpanView<'_>) -> Result<Option<String>, WalkError> {
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
                return Ok(Some(cut(text, ERROR_BYTES_MAX).to_owned()));
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
