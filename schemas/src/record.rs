//! Evidence as bytes: what the journal holds, and what `observation_log.record` keeps beside the readable columns.
//!
//! The encoding is Protocol Buffers with field numbers that are never reused, so that a journal or a log written by an
//! earlier version is read by every later one. It is written once, when a span is decoded, and travels unchanged
//! through journal, batch and table; settlement checks the hash of exactly these bytes.

use std::collections::BTreeMap;

use domain::identity::{Realm, SpanId, TraceId};
use domain::observation::{
    Dimensions, Evidence, KeyStamp, Kind, Link, Observation, ResponseId, Scope, SpanStatus, Trust,
};
use domain::time::{EventTime, ReceivedAt};
use domain::usage::{TokenClass, Usage, UsageFault};
use prost::Message;

/// Bytes that are no evidence this version can read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not the encoding at all.
    #[error("evidence record is not readable")]
    Malformed(#[from] prost::DecodeError),
    /// A field that must be there is missing or impossible.
    #[error("evidence record has no valid {field}")]
    Missing {
        /// The field.
        field: &'static str,
    },
}

/// Encodes evidence.
pub fn encode(evidence: &Evidence) -> Vec<u8> {
    let wire = match evidence {
        Evidence::Observation(observation) => {
            WireEvidence { what: Some(What::Observation(from_observation(observation))) }
        }
        Evidence::Link(link) => WireEvidence { what: Some(What::Link(from_link(link))) },
    };
    wire.encode_to_vec()
}

/// Decodes what [`encode`] of this or any earlier version wrote.
pub fn decode(bytes: &[u8]) -> Result<Evidence, DecodeError> {
    match WireEvidence::decode(bytes)?.what {
        Some(What::Observation(wire)) => Ok(Evidence::Observation(Box::new(to_observation(*wire)?))),
        Some(What::Link(wire)) => Ok(Evidence::Link(to_link(wire)?)),
        None => Err(DecodeError::Missing { field: "kind of evidence" }),
    }
}

/// The hash that a batch's content hash is made of.
pub fn hash(record: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(record)
}

/// Adds a record to the content hash of a batch: order matters, as positions do.
pub fn fold_hash(batch: u64, record: u64) -> u64 {
    let mut both = [0; 16];
    both[..8].copy_from_slice(&batch.to_le_bytes());
    both[8..].copy_from_slice(&record.to_le_bytes());
    xxhash_rust::xxh3::xxh3_64(&both)
}

#[derive(Clone, PartialEq, Message)]
struct WireEvidence {
    #[prost(oneof = "What", tags = "1, 2")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(message, tag = "1")]
    Observation(Box<WireObservation>),
    #[prost(message, tag = "2")]
    Link(WireLink),
}

#[derive(Clone, PartialEq, Message)]
struct WireLink {
    #[prost(string, tag = "1")]
    realm: String,
    #[prost(bytes = "vec", tag = "2")]
    trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    span: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent: Vec<u8>,
    #[prost(sfixed64, tag = "5")]
    start: i64,
    #[prost(sfixed64, tag = "6")]
    end: i64,
    #[prost(sfixed64, tag = "7")]
    received_at: i64,
}

#[derive(Clone, PartialEq, Message)]
struct WireObservation {
    #[prost(string, tag = "1")]
    realm: String,
    #[prost(string, optional, tag = "2")]
    key_tenant: Option<String>,
    #[prost(bool, tag = "3")]
    key_operator: bool,
    #[prost(sfixed64, tag = "4")]
    received_at: i64,
    #[prost(bytes = "vec", tag = "5")]
    trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "6")]
    span: Vec<u8>,
    #[prost(bytes = "vec", tag = "7")]
    parent: Vec<u8>,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(string, tag = "9")]
    scope_name: String,
    #[prost(string, tag = "10")]
    scope_version: String,
    #[prost(fixed64, tag = "11")]
    process: u64,
    #[prost(sfixed64, tag = "12")]
    start: i64,
    #[prost(sfixed64, tag = "13")]
    end: i64,
    #[prost(uint32, tag = "14")]
    status: u32,
    #[prost(string, optional, tag = "15")]
    error_type: Option<String>,
    #[prost(uint32, tag = "16")]
    kind: u32,
    #[prost(string, tag = "17")]
    convention: String,
    #[prost(string, tag = "18")]
    operation: String,
    #[prost(string, optional, tag = "19")]
    provider: Option<String>,
    #[prost(string, optional, tag = "20")]
    request_model: Option<String>,
    #[prost(string, optional, tag = "21")]
    response_model: Option<String>,
    #[prost(string, optional, tag = "22")]
    response_id: Option<String>,
    #[prost(bool, tag = "23")]
    response_id_from_attribute: bool,
    #[prost(bool, optional, tag = "24")]
    streaming: Option<bool>,
    #[prost(string, optional, tag = "25")]
    service_tier: Option<String>,
    #[prost(string, optional, tag = "26")]
    region: Option<String>,
    #[prost(bool, tag = "27")]
    estimated: bool,
    #[prost(uint32, tag = "28")]
    trust: u32,
    #[prost(message, optional, tag = "29")]
    fault: Option<WireFault>,
    #[prost(message, optional, tag = "30")]
    dimensions: Option<WireDimensions>,
    #[prost(message, optional, tag = "31")]
    resource_dimensions: Option<WireDimensions>,
    #[prost(uint32, tag = "32")]
    decoder_version: u32,
    #[prost(string, tag = "33")]
    attributes: String,
    #[prost(uint64, optional, tag = "40")]
    input: Option<u64>,
    #[prost(uint64, optional, tag = "41")]
    cache_read: Option<u64>,
    #[prost(uint64, optional, tag = "42")]
    cache_write: Option<u64>,
    #[prost(uint64, optional, tag = "43")]
    cache_write_1h: Option<u64>,
    #[prost(uint64, optional, tag = "44")]
    output: Option<u64>,
    #[prost(uint64, optional, tag = "45")]
    reasoning: Option<u64>,
    #[prost(uint64, optional, tag = "46")]
    audio_input: Option<u64>,
    #[prost(uint64, optional, tag = "47")]
    audio_output: Option<u64>,
    #[prost(btree_map = "string, uint64", tag = "48")]
    units: BTreeMap<String, u64>,
}

#[derive(Clone, PartialEq, Message)]
struct WireDimensions {
    #[prost(string, optional, tag = "1")]
    tenant: Option<String>,
    #[prost(string, optional, tag = "2")]
    feature: Option<String>,
    #[prost(string, optional, tag = "3")]
    user_id: Option<String>,
    #[prost(string, optional, tag = "4")]
    session_id: Option<String>,
    #[prost(string, optional, tag = "5")]
    agent: Option<String>,
    #[prost(string, optional, tag = "6")]
    service: Option<String>,
    #[prost(string, optional, tag = "7")]
    environment: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct WireFault {
    #[prost(uint32, tag = "1")]
    what: u32,
    #[prost(string, tag = "2")]
    class: String,
    #[prost(uint64, tag = "3")]
    count: u64,
    #[prost(string, tag = "4")]
    whole: String,
    #[prost(uint64, tag = "5")]
    whole_count: u64,
}

/// Pairs of a value and its number on the wire. Numbers are never reused.
const KINDS: &[(Kind, u32)] =
    &[(Kind::Call, 1), (Kind::PossibleWrapper, 2), (Kind::Attribution, 3), (Kind::Unrecognised, 4)];
const STATUSES: &[(SpanStatus, u32)] = &[(SpanStatus::Unset, 0), (SpanStatus::Ok, 1), (SpanStatus::Error, 2)];
const TRUSTS: &[(Trust, u32)] =
    &[(Trust::Estimate, 1), (Trust::Framework, 2), (Trust::Instrumentation, 3), (Trust::Provider, 4)];

fn number<T: PartialEq>(table: &[(T, u32)], value: T) -> u32 {
    table.iter().find(|(known, _)| *known == value).map_or(0, |(_, number)| *number)
}

fn value<T: Copy>(table: &[(T, u32)], number: u32, field: &'static str) -> Result<T, DecodeError> {
    table
        .iter()
        .find(|(_, known)| *known == number)
        .map(|(value, _)| *value)
        .ok_or(DecodeError::Missing { field })
}

fn from_link(link: &Link) -> WireLink {
    WireLink {
        realm: link.realm.as_str().to_string(),
        trace: link.trace.bytes().to_vec(),
        span: link.span.bytes().to_vec(),
        parent: link.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        start: link.start.nanos(),
        end: link.end.nanos(),
        received_at: link.received_at.nanos(),
    }
}

fn to_link(wire: WireLink) -> Result<Link, DecodeError> {
    Ok(Link {
        realm: Realm::new(wire.realm),
        trace: trace_id(&wire.trace)?,
        span: span_id(&wire.span)?,
        parent: SpanId::from_slice(&wire.parent),
        start: EventTime::from_nanos(wire.start),
        end: EventTime::from_nanos(wire.end),
        received_at: ReceivedAt::from_nanos(wire.received_at),
    })
}

fn trace_id(bytes: &[u8]) -> Result<TraceId, DecodeError> {
    TraceId::from_slice(bytes).ok_or(DecodeError::Missing { field: "trace id" })
}

fn span_id(bytes: &[u8]) -> Result<SpanId, DecodeError> {
    SpanId::from_slice(bytes).ok_or(DecodeError::Missing { field: "span id" })
}

fn from_observation(observation: &Observation) -> Box<WireObservation> {
    let usage = &observation.usage;
    Box::new(WireObservation {
        realm: observation.key.realm.as_str().to_string(),
        key_tenant: observation.key.tenant.clone(),
        key_operator: observation.key.operator,
        received_at: observation.received_at.nanos(),
        trace: observation.trace.bytes().to_vec(),
        span: observation.span.bytes().to_vec(),
        parent: observation.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        name: observation.name.clone(),
        scope_name: observation.scope.name.clone(),
        scope_version: observation.scope.version.clone(),
        process: observation.process,
        start: observation.start.nanos(),
        end: observation.end.nanos(),
        status: number(STATUSES, observation.status),
        error_type: observation.error_type.clone(),
        kind: number(KINDS, observation.kind),
        convention: observation.convention.clone(),
        operation: observation.operation.clone(),
        provider: observation.provider.clone(),
        request_model: observation.request_model.clone(),
        response_model: observation.response_model.clone(),
        response_id: observation.response_id.as_ref().map(|id| id.text.clone()),
        response_id_from_attribute: observation.response_id.as_ref().is_some_and(|id| id.from_attribute),
        streaming: observation.streaming,
        service_tier: observation.service_tier.clone(),
        region: observation.region.clone(),
        estimated: observation.estimated,
        trust: number(TRUSTS, observation.trust),
        fault: observation.fault.as_ref().map(from_fault),
        dimensions: from_dimensions(&observation.dimensions),
        resource_dimensions: from_dimensions(&observation.resource_dimensions),
        decoder_version: observation.decoder_version,
        attributes: observation.attributes.clone(),
        input: usage.get(TokenClass::Input),
        cache_read: usage.get(TokenClass::CacheRead),
        cache_write: usage.get(TokenClass::CacheWrite),
        cache_write_1h: usage.get(TokenClass::CacheWrite1h),
        output: usage.get(TokenClass::Output),
        reasoning: usage.get(TokenClass::Reasoning),
        audio_input: usage.get(TokenClass::AudioInput),
        audio_output: usage.get(TokenClass::AudioOutput),
        units: usage.units.clone(),
    })
}

fn to_observation(wire: WireObservation) -> Result<Observation, DecodeError> {
    let mut usage = Usage::default();
    for (class, count) in [
        (TokenClass::Input, wire.input),
        (TokenClass::CacheRead, wire.cache_read),
        (TokenClass::CacheWrite, wire.cache_write),
        (TokenClass::CacheWrite1h, wire.cache_write_1h),
        (TokenClass::Output, wire.output),
        (TokenClass::Reasoning, wire.reasoning),
        (TokenClass::AudioInput, wire.audio_input),
        (TokenClass::AudioOutput, wire.audio_output),
    ] {
        usage.set(class, count);
    }
    usage.units = wire.units;
    let from_attribute = wire.response_id_from_attribute;
    Ok(Observation {
        key: KeyStamp { realm: Realm::new(wire.realm), tenant: wire.key_tenant, operator: wire.key_operator },
        received_at: ReceivedAt::from_nanos(wire.received_at),
        trace: trace_id(&wire.trace)?,
        span: span_id(&wire.span)?,
        parent: SpanId::from_slice(&wire.parent),
        name: wire.name,
        scope: Scope { name: wire.scope_name, version: wire.scope_version },
        process: wire.process,
        start: EventTime::from_nanos(wire.start),
        end: EventTime::from_nanos(wire.end),
        status: value(STATUSES, wire.status, "status")?,
        error_type: wire.error_type,
        kind: value(KINDS, wire.kind, "kind")?,
        convention: wire.convention,
        operation: wire.operation,
        provider: wire.provider,
        request_model: wire.request_model,
        response_model: wire.response_model,
        response_id: wire.response_id.map(|text| ResponseId { text, from_attribute }),
        streaming: wire.streaming,
        service_tier: wire.service_tier,
        region: wire.region,
        usage,
        estimated: wire.estimated,
        trust: value(TRUSTS, wire.trust, "trust")?,
        fault: wire.fault.map(to_fault).transpose()?,
        dimensions: to_dimensions(wire.dimensions),
        resource_dimensions: to_dimensions(wire.resource_dimensions),
        decoder_version: wire.decoder_version,
        attributes: wire.attributes,
    })
}

fn from_dimensions(dimensions: &Dimensions) -> Option<WireDimensions> {
    (!dimensions.is_empty()).then(|| WireDimensions {
        tenant: dimensions.tenant.clone(),
        feature: dimensions.feature.clone(),
        user_id: dimensions.user_id.clone(),
        session_id: dimensions.session_id.clone(),
        agent: dimensions.agent.clone(),
        service: dimensions.service.clone(),
        environment: dimensions.environment.clone(),
    })
}

fn to_dimensions(wire: Option<WireDimensions>) -> Dimensions {
    let wire = wire.unwrap_or_default();
    Dimensions {
        tenant: wire.tenant,
        feature: wire.feature,
        user_id: wire.user_id,
        session_id: wire.session_id,
        agent: wire.agent,
        service: wire.service,
        environment: wire.environment,
    }
}

/// Names of classes and of sums of classes that a fault can be about.
const FAULT_CLASSES: &[&str] = &["cache_read_tokens and cache_write_tokens", "total_tokens", "tokens"];

fn from_fault(fault: &UsageFault) -> WireFault {
    let (what, class, count, whole, whole_count) = match fault {
        UsageFault::PartExceedsWhole { part, part_count, whole, whole_count } => {
            (1, *part, *part_count, *whole, *whole_count)
        }
        UsageFault::Absurd { class, count } => (2, *class, *count, "", 0),
        UsageFault::Negative { class } => (3, *class, 0, "", 0),
        UsageFault::NotACount { class } => (4, *class, 0, "", 0),
    };
    WireFault { what, class: class.into(), count, whole: whole.into(), whole_count }
}

fn to_fault(wire: WireFault) -> Result<UsageFault, DecodeError> {
    // A name this version does not know (a later decoder's) still is a fault of some tokens.
    let name = |text: &str| {
        let known = TokenClass::ALL.iter().map(|class| class.name()).chain(FAULT_CLASSES.iter().copied());
        known.into_iter().find(|known| *known == text).unwrap_or("tokens")
    };
    match wire.what {
        1 => Ok(UsageFault::PartExceedsWhole {
            part: name(&wire.class),
            part_count: wire.count,
            whole: name(&wire.whole),
            whole_count: wire.whole_count,
        }),
        2 => Ok(UsageFault::Absurd { class: name(&wire.class), count: wire.count }),
        3 => Ok(UsageFault::Negative { class: name(&wire.class) }),
        4 => Ok(UsageFault::NotACount { class: name(&wire.class) }),
        _ => Err(DecodeError::Missing { field: "fault" }),
    }
}
