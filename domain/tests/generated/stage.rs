//! What a story is played on: traces, a clock, the spans that were exported, and what really happened.

use std::collections::BTreeSet;

use domain::identity::Realm;
use domain::observation::{Dimensions, KeyStamp, Kind, ResponseId, Scope, SpanStatus, Trust};
use domain::resolve::{Metering, SpanRef};
use domain::{Attributes, EventTime, Evidence, Link, Observation, ReceivedAt, SpanId, TraceId, Usage};

use crate::random::Random;

const NOON: i64 = 1_793_534_400_000_000_000;
const MS: i64 = 1_000_000;

/// Whom and what something is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Payer {
    pub tenant: Option<String>,
    pub feature: Option<String>,
}

impl Payer {
    /// This, and what it leaves open from another.
    pub fn or(&self, other: &Self) -> Self {
        Self {
            tenant: self.tenant.clone().or_else(|| other.tenant.clone()),
            feature: self.feature.clone().or_else(|| other.feature.clone()),
        }
    }

    fn dimensions(&self) -> Dimensions {
        Dimensions { tenant: self.tenant.clone(), feature: self.feature.clone(), ..Dimensions::default() }
    }
}

/// Where the next span goes.
#[derive(Debug, Clone)]
pub struct Place {
    pub trace: TraceId,
    pub parent: Option<SpanId>,
    /// What the nearest spans above that were exported state.
    pub payer: Payer,
    /// Whether the parent itself is never exported.
    pub parent_lost: bool,
}

/// A call that really happened, and what its spans let anyone know of it.
#[derive(Debug, Clone)]
pub struct TrueCall {
    /// What the provider counted.
    pub used: Usage,
    /// What the spans state of it.
    pub known: Usage,
    pub metering: Metering,
    pub payer: Payer,
}

/// What really happened.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    pub calls: Vec<TrueCall>,
    /// Spans that only repeat calls.
    pub wrappers: BTreeSet<SpanRef>,
    /// Attempts that nobody charges for.
    pub failed: BTreeSet<SpanRef>,
}

/// A report that can be retrieved again by its response id.
#[derive(Debug, Clone)]
pub struct Stored {
    pub id: String,
    pub call: usize,
    pub report: Draft,
    pub inherited: Payer,
}

/// A span to be: what differs from a plain call of the main process.
#[derive(Debug, Clone)]
pub struct Draft {
    pub kind: Kind,
    pub scope: &'static str,
    pub start: i64,
    pub end: i64,
    pub usage: Usage,
    pub id: Option<String>,
    pub own: Payer,
    pub trust: Trust,
    pub provider: Option<&'static str>,
    pub request_model: Option<&'static str>,
    pub response_model: Option<&'static str>,
    pub failed: bool,
    /// Made by a gateway: another process, an operator's key.
    pub gateway: bool,
}

#[derive(Debug)]
pub struct Stage {
    pub random: Random,
    /// Milliseconds.
    pub now: i64,
    pub evidence: Vec<Evidence>,
    pub truth: Truth,
    pub stored: Vec<Stored>,
    /// The tenant that every key is bound to.
    pub key: Option<String>,
    /// What the resource of the main process states.
    pub resource: Payer,
}

impl Stage {
    /// Moves the clock and says the new time.
    pub fn after(&mut self, low: i64, high: i64) -> i64 {
        self.now += self.random.between(low, high);
        self.now
    }

    pub fn new_trace(&mut self) -> TraceId {
        let (high, low) = (self.random.next(), self.random.next());
        TraceId::from_slice(&[high.to_be_bytes(), low.to_be_bytes()].concat()).expect("never all zeros")
    }

    pub fn new_span(&mut self) -> SpanId {
        SpanId::from_bytes(self.random.next().to_be_bytes()).expect("never all zeros")
    }

    pub fn new_id(&mut self) -> String {
        format!("chatcmpl-{:016x}{:016x}", self.random.next(), self.random.next())
    }

    /// A tenant or a feature, or both, or neither.
    pub fn some_payer(&mut self, percent: u64) -> Payer {
        let mut one = |kind: &str| {
            let number = self.random.below(4);
            self.random.chance(percent).then(|| format!("{kind}-{number}"))
        };
        Payer { tenant: one("tenant"), feature: one("feature") }
    }

    /// What a call at a place is for, if its own spans state `own`.
    pub fn payer(&self, place: &Place, own: &Payer) -> Payer {
        let bound = Payer { tenant: self.key.clone(), feature: None };
        bound.or(own).or(&place.payer).or(&self.resource)
    }

    /// Exports a span that carries nothing.
    pub fn link(&mut self, place: &Place, span: SpanId, start: i64, end: i64) {
        let received = self.received(end);
        self.evidence.push(Evidence::Link(Link {
            realm: Realm::new(""),
            trace: place.trace,
            span,
            parent: place.parent,
            start: EventTime::from_nanos(NOON + start * MS),
            end: EventTime::from_nanos(NOON + end * MS),
            received_at: received,
        }));
    }

    /// Exports a span under a new id.
    pub fn report(&mut self, place: &Place, draft: Draft) -> SpanRef {
        let span = self.new_span();
        self.report_as(place, span, draft)
    }

    /// Exports a span.
    pub fn report_as(&mut self, place: &Place, span: SpanId, draft: Draft) -> SpanRef {
        let key = match draft.gateway {
            true => KeyStamp { operator: true, ..KeyStamp::default() },
            false => KeyStamp { tenant: self.key.clone(), ..KeyStamp::default() },
        };
        let resource = if draft.gateway { Payer::default() } else { self.resource.clone() };
        let observation = Observation {
            key,
            received_at: self.received(draft.end),
            trace: place.trace,
            span,
            parent: place.parent,
            name: draft.scope.into(),
            scope: Scope { name: draft.scope.into(), version: "1".into() },
            process: if draft.gateway { 2 } else { 1 },
            start: EventTime::from_nanos(NOON + draft.start * MS),
            end: EventTime::from_nanos(NOON + draft.end * MS),
            status: if draft.failed { SpanStatus::Error } else { SpanStatus::Unset },
            error_type: None,
            kind: draft.kind,
            convention: "generated".into(),
            operation: "chat".into(),
            provider: draft.provider.map(str::to_string),
            request_model: draft.request_model.map(str::to_string),
            response_model: draft.response_model.map(str::to_string),
            response_id: draft.id.map(|text| ResponseId { text, from_attribute: true }),
            streaming: None,
            service_tier: None,
            region: None,
            usage: draft.usage,
            estimated: false,
            trust: draft.trust,
            fault: None,
            dimensions: draft.own.dimensions(),
            resource_dimensions: resource.dimensions(),
            ruling: None,
            decoder_version: 1,
            reread: 0,
            attributes: Attributes::Here("{}".into()),
        };
        self.evidence.push(Evidence::Observation(Box::new(observation)));
        SpanRef { trace: place.trace, span }
    }

    /// Exporters send within seconds.
    fn received(&mut self, end: i64) -> ReceivedAt {
        let delay = self.random.between(0, 5_000);
        ReceivedAt::from_nanos(NOON + (end + delay) * MS)
    }

    pub fn happened(&mut self, call: TrueCall) -> usize {
        self.truth.calls.push(call);
        self.truth.calls.len() - 1
    }
}
