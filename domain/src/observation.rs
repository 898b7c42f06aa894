//! What one span says of a call: the evidence that settlement works on.
//!
//! An [`Observation`] is made once, by the decoder, from one span; it is what the journal keeps, what
//! `observation_log` stores and what [`crate::resolve`] reads. It never holds prompt or completion text.
//!
//! Its texts are owned (`String`, where nothing else is said) wherever it is kept. The decoder, which only writes it down, makes
//! it of texts that it borrows from the request.

use crate::attributes::Attributes;
use crate::identity::{Realm, SpanId, TraceId};
use crate::time::{EventTime, ReceivedAt};
use crate::usage::{Usage, UsageFault};

/// One journaled piece of evidence.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// A span that states usage, a call, or an attribution.
    Observation(Box<Observation>),
    /// A span that states nothing but stands between others.
    Link(Link),
}

/// The place of a span in its trace, kept for spans that carry nothing else so that ancestry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The account the span came with.
    pub realm: Realm,
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// The span it was started under, `None` for a root.
    pub parent: Option<SpanId>,
    /// When it started.
    pub start: EventTime,
    /// When it ended.
    pub end: EventTime,
    /// When the collector received it.
    pub received_at: ReceivedAt,
}

/// What a span is in the eyes of billing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Definitely one request to a model: it is suppressed only by another report of the same call.
    Call,
    /// States usage, but may only repeat what calls under it state (agents, chains, workflows, SDK outer spans).
    PossibleWrapper,
    /// States whom or what to bill (tenant, feature, …) and no usage.
    Attribution,
    /// Looks like AI usage but yields none that is understood: counted and alerted, repaired by a later decoder.
    Unrecognised,
}

impl Kind {
    /// The kind's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::PossibleWrapper => "possible_wrapper",
            Self::Attribution => "attribution",
            Self::Unrecognised => "unrecognised",
        }
    }
}

/// How far a producer's counts are believed where two reports of one call disagree. Greater is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trust {
    /// Counts that are estimates, or known to be inexact for this producer.
    Estimate,
    /// A framework or gateway span that repeats what an SDK told it.
    Framework,
    /// An instrumentation of the provider's SDK.
    Instrumentation,
    /// The provider's SDK itself, or the provider's raw usage object.
    Provider,
}

/// How a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SpanStatus {
    /// Nothing was said.
    Unset,
    /// Set explicitly.
    Ok,
    /// The span failed.
    Error,
}

/// The provider's name for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResponseId<S = String> {
    /// The id, verbatim.
    pub text: S,
    /// Whether it stood in an attribute of its own (`true`) or only inside recorded content.
    pub from_attribute: bool,
}

/// The instrumentation scope that made a span.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Scope<S = String> {
    /// Its name, for instance `opentelemetry.instrumentation.openai.v1`.
    pub name: S,
    /// Its version, empty where not stated.
    pub version: S,
}

/// Whom and what a call is for. Each is `None` where nothing was said.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dimensions<S = String> {
    /// The payer.
    pub tenant: Option<S>,
    /// The product feature.
    pub feature: Option<S>,
    /// The end user.
    pub user_id: Option<S>,
    /// The session or conversation.
    pub session_id: Option<S>,
    /// The agent.
    pub agent: Option<S>,
    /// The service (`service.name`).
    pub service: Option<S>,
    /// The deployment environment.
    pub environment: Option<S>,
}

impl<S> Default for Dimensions<S> {
    fn default() -> Self {
        Self {
            tenant: None,
            feature: None,
            user_id: None,
            session_id: None,
            agent: None,
            service: None,
            environment: None,
        }
    }
}

impl<S> Dimensions<S> {
    /// Whether nothing is stated.
    pub fn is_empty(&self) -> bool {
        let Self { tenant, feature, user_id, session_id, agent, service, environment } = self;
        [tenant, feature, user_id, session_id, agent, service, environment].into_iter().all(Option::is_none)
    }

    /// The same, each text made into another.
    pub fn map<T>(self, text: impl Fn(S) -> T) -> Dimensions<T> {
        Dimensions {
            tenant: self.tenant.map(&text),
            feature: self.feature.map(&text),
            user_id: self.user_id.map(&text),
            session_id: self.session_id.map(&text),
            agent: self.agent.map(&text),
            service: self.service.map(&text),
            environment: self.environment.map(&text),
        }
    }

    /// The same, its texts borrowed.
    pub fn borrowed(&self) -> Dimensions<&S> {
        Dimensions {
            tenant: self.tenant.as_ref(),
            feature: self.feature.as_ref(),
            user_id: self.user_id.as_ref(),
            session_id: self.session_id.as_ref(),
            agent: self.agent.as_ref(),
            service: self.service.as_ref(),
            environment: self.environment.as_ref(),
        }
    }
}

impl Dimensions {
    /// Takes from `other` what is not stated here.
    pub fn fill_from(&mut self, other: &Self) {
        let fill = |mine: &mut Option<String>, theirs: &Option<String>| {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        };
        fill(&mut self.tenant, &other.tenant);
        fill(&mut self.feature, &other.feature);
        fill(&mut self.user_id, &other.user_id);
        fill(&mut self.session_id, &other.session_id);
        fill(&mut self.agent, &other.agent);
        fill(&mut self.service, &other.service);
        fill(&mut self.environment, &other.environment);
    }
}

/// What the API key of the request says: stamped at receive, above any attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyStamp {
    /// The account: reports merge only within it.
    pub realm: Realm,
    /// The tenant the key is bound to.
    pub tenant: Option<String>,
    /// Whether the key is an operator's (a gateway's): it may lend usage to a call, never a tenant.
    pub operator: bool,
}

impl Default for KeyStamp {
    fn default() -> Self {
        Self { realm: Realm::new(Realm::DEFAULT), tenant: None, operator: false }
    }
}

/// What one span says of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation<S = String> {
    /// What the request's API key says.
    pub key: KeyStamp,
    /// When the collector received it.
    pub received_at: ReceivedAt,
    /// The span's trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// The span it was started under, `None` for a root.
    pub parent: Option<SpanId>,
    /// The span's name.
    pub name: S,
    /// The instrumentation that made it.
    pub scope: Scope<S>,
    /// A hash of what identifies the process in the resource (service, instance, host, pid), 0 if nothing does.
    pub process: u64,
    /// When it started.
    pub start: EventTime,
    /// When it ended.
    pub end: EventTime,
    /// How it ended.
    pub status: SpanStatus,
    /// `error.type` or what stands for it; a span may have one and still state usage.
    pub error_type: Option<S>,
    /// What it is in the eyes of billing.
    pub kind: Kind,
    /// The convention (the decoder's table) that read it.
    pub convention: S,
    /// The operation by its OpenTelemetry name (`chat`, `embeddings`, `text_completion`, `generate_content`, …), empty if unknown.
    pub operation: S,
    /// The provider by its OpenTelemetry well-known name.
    pub provider: Option<S>,
    /// The model asked for, without gateway or vendor prefix.
    pub request_model: Option<S>,
    /// The model that answered, without gateway or vendor prefix.
    pub response_model: Option<S>,
    /// The provider's name for the answer.
    pub response_id: Option<ResponseId<S>>,
    /// Whether the answer was streamed, where known.
    pub streaming: Option<bool>,
    /// The tier billed (the response's where known, else the request's).
    pub service_tier: Option<S>,
    /// The provider's region, where known.
    pub region: Option<S>,
    /// What was used, normalised.
    pub usage: Usage,
    /// Whether the counts are the producer's estimate.
    pub estimated: bool,
    /// How far the counts are believed.
    pub trust: Trust,
    /// Why the stated usage cannot be billed, if so.
    pub fault: Option<UsageFault>,
    /// What the span itself says of whom to bill.
    pub dimensions: Dimensions<S>,
    /// What its resource says.
    pub resource_dimensions: Dimensions<S>,
    /// The configured ruling that says nobody charges for the call, by its name; never what the attribute says.
    pub ruling: Option<S>,
    /// The decoder that made this.
    pub decoder_version: u32,
    /// How often the span was read anew from what was kept of it; 0 as it came.
    pub reread: u32,
    /// The span's attributes, for later decoders.
    pub attributes: Attributes<S>,
}

impl Observation {
    /// The same span, stating nothing of any call.
    pub fn stating_nothing(self) -> Self {
        Self {
            kind: Kind::Attribution,
            convention: String::new(),
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
            fault: None,
            dimensions: Dimensions::default(),
            ruling: None,
            ..self
        }
    }
}

impl<S> Observation<S> {
    /// The same, each text made into another.
    pub fn map<T>(self, text: impl Fn(S) -> T) -> Observation<T> {
        Observation {
            key: self.key,
            received_at: self.received_at,
            trace: self.trace,
            span: self.span,
            parent: self.parent,
            name: text(self.name),
            scope: Scope { name: text(self.scope.name), version: text(self.scope.version) },
            process: self.process,
            start: self.start,
            end: self.end,
            status: self.status,
            error_type: self.error_type.map(&text),
            kind: self.kind,
            convention: text(self.convention),
            operation: text(self.operation),
            provider: self.provider.map(&text),
            request_model: self.request_model.map(&text),
            response_model: self.response_model.map(&text),
            response_id: self
                .response_id
                .map(|id| ResponseId { text: text(id.text), from_attribute: id.from_attribute }),
            streaming: self.streaming,
            service_tier: self.service_tier.map(&text),
            region: self.region.map(&text),
            usage: self.usage,
            estimated: self.estimated,
            trust: self.trust,
            fault: self.fault,
            dimensions: self.dimensions.map(&text),
            resource_dimensions: self.resource_dimensions.map(&text),
            ruling: self.ruling.map(&text),
            decoder_version: self.decoder_version,
            reread: self.reread,
            attributes: self.attributes.map(&text),
        }
    }
}

impl Observation {
    /// The model for the ledger: the response's where known, else the request's.
    pub fn model(&self) -> Option<&str> {
        self.response_model.as_deref().or(self.request_model.as_deref())
    }

    /// The response id, if it is strong enough to merge reports.
    pub fn strong_response_id(&self) -> Option<&str> {
        let id = self.response_id.as_ref()?;
        crate::identity::is_strong_response_id(&id.text).then_some(id.text.as_str())
    }
}

impl Evidence {
    /// The account it came with.
    pub fn realm(&self) -> &Realm {
        match self {
            Self::Observation(observation) => &observation.key.realm,
            Self::Link(link) => &link.realm,
        }
    }

    /// The trace it belongs to.
    pub fn trace(&self) -> TraceId {
        match self {
            Self::Observation(observation) => observation.trace,
            Self::Link(link) => link.trace,
        }
    }

    /// The span it was made from.
    pub fn span(&self) -> SpanId {
        match self {
            Self::Observation(observation) => observation.span,
            Self::Link(link) => link.span,
        }
    }

    /// The span's parent.
    pub fn parent(&self) -> Option<SpanId> {
        match self {
            Self::Observation(observation) => observation.parent,
            Self::Link(link) => link.parent,
        }
    }

    /// When the collector received it.
    pub fn received_at(&self) -> ReceivedAt {
        match self {
            Self::Observation(observation) => observation.received_at,
            Self::Link(link) => link.received_at,
        }
    }
}
