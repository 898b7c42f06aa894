//! The fields of a record and their numbers, and how a record is read.

use std::collections::BTreeMap;

use domain::attributes::{Attributes, AttributesMark};
use domain::identity::{Realm, SpanId, TraceId};
use domain::observation::{
    Dimensions, KeyStamp, Kind, Link, Observation, ResponseId, Scope, SpanStatus, Trust,
};
use domain::time::{EventTime, ReceivedAt};
use domain::usage::{TokenClass, Usage, UsageFault};
use prost::Message;

use super::DecodeError;

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireEvidence {
    #[prost(oneof = "What", tags = "1, 2")]
    pub(super) what: Option<What>,
    /// An observation's attributes. Last, so that what stands before can be cut off and read without them.
    #[prost(string, tag = "3")]
    pub(super) attributes: String,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum What {
    #[prost(message, tag = "1")]
    Observation(Box<WireObservation>),
    #[prost(message, tag = "2")]
    Link(WireLink),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireLink {
    #[prost(string, tag = "1")]
    pub(super) realm: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) span: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) parent: Vec<u8>,
    #[prost(sfixed64, tag = "5")]
    pub(super) start: i64,
    #[prost(sfixed64, tag = "6")]
    pub(super) end: i64,
    #[prost(sfixed64, tag = "7")]
    pub(super) received_at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireObservation {
    #[prost(string, tag = "1")]
    pub(super) realm: String,
    #[prost(string, optional, tag = "2")]
    pub(super) key_tenant: Option<String>,
    #[prost(bool, tag = "3")]
    pub(super) key_operator: bool,
    #[prost(sfixed64, tag = "4")]
    pub(super) received_at: i64,
    #[prost(bytes = "vec", tag = "5")]
    pub(super) trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "6")]
    pub(super) span: Vec<u8>,
    #[prost(bytes = "vec", tag = "7")]
    pub(super) parent: Vec<u8>,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(string, tag = "9")]
    pub(super) scope_name: String,
    #[prost(string, tag = "10")]
    pub(super) scope_version: String,
    #[prost(fixed64, tag = "11")]
    pub(super) process: u64,
    #[prost(sfixed64, tag = "12")]
    pub(super) start: i64,
    #[prost(sfixed64, tag = "13")]
    pub(super) end: i64,
    #[prost(uint32, tag = "14")]
    pub(super) status: u32,
    #[prost(string, optional, tag = "15")]
    pub(super) error_type: Option<String>,
    #[prost(uint32, tag = "16")]
    pub(super) kind: u32,
    #[prost(string, tag = "17")]
    pub(super) convention: String,
    #[prost(string, tag = "18")]
    pub(super) operation: String,
    #[prost(string, optional, tag = "19")]
    pub(super) provider: Option<String>,
    #[prost(string, optional, tag = "20")]
    pub(super) request_model: Option<String>,
    #[prost(string, optional, tag = "21")]
    pub(super) response_model: Option<String>,
    #[prost(string, optional, tag = "22")]
    pub(super) response_id: Option<String>,
    #[prost(bool, tag = "23")]
    pub(super) response_id_from_attribute: bool,
    #[prost(bool, optional, tag = "24")]
    pub(super) streaming: Option<bool>,
    #[prost(string, optional, tag = "25")]
    pub(super) service_tier: Option<String>,
    #[prost(string, optional, tag = "26")]
    pub(super) region: Option<String>,
    #[prost(bool, tag = "27")]
    pub(super) estimated: bool,
    #[prost(uint32, tag = "28")]
    pub(super) trust: u32,
    #[prost(message, optional, tag = "29")]
    pub(super) fault: Option<WireFault>,
    #[prost(message, optional, tag = "30")]
    pub(super) dimensions: Option<WireDimensions>,
    #[prost(message, optional, tag = "31")]
    pub(super) resource_dimensions: Option<WireDimensions>,
    #[prost(uint32, tag = "32")]
    pub(super) decoder_version: u32,
    /// Where attributes stood before they stood behind the observation.
    #[prost(string, tag = "33")]
    pub(super) attributes: String,
    #[prost(uint32, tag = "34")]
    pub(super) attributes_bytes: u32,
    #[prost(fixed64, tag = "35")]
    pub(super) attributes_hash: u64,
    #[prost(uint32, tag = "36")]
    pub(super) reread: u32,
    #[prost(string, optional, tag = "37")]
    pub(super) ruling: Option<String>,
    #[prost(uint64, optional, tag = "40")]
    pub(super) input: Option<u64>,
    #[prost(uint64, optional, tag = "41")]
    pub(super) cache_read: Option<u64>,
    #[prost(uint64, optional, tag = "42")]
    pub(super) cache_write: Option<u64>,
    #[prost(uint64, optional, tag = "43")]
    pub(super) cache_write_1h: Option<u64>,
    #[prost(uint64, optional, tag = "44")]
    pub(super) output: Option<u64>,
    #[prost(uint64, optional, tag = "45")]
    pub(super) reasoning: Option<u64>,
    #[prost(uint64, optional, tag = "46")]
    pub(super) audio_input: Option<u64>,
    #[prost(uint64, optional, tag = "47")]
    pub(super) audio_output: Option<u64>,
    #[prost(btree_map = "string, uint64", tag = "48")]
    pub(super) units: BTreeMap<String, u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireDimensions {
    #[prost(string, optional, tag = "1")]
    pub(super) tenant: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) feature: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) user_id: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(super) session_id: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub(super) agent: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub(super) service: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub(super) environment: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireFault {
    #[prost(uint32, tag = "1")]
    pub(super) what: u32,
    #[prost(string, tag = "2")]
    pub(super) class: String,
    #[prost(uint64, tag = "3")]
    pub(super) count: u64,
    #[prost(string, tag = "4")]
    pub(super) whole: String,
    #[prost(uint64, tag = "5")]
    pub(super) whole_count: u64,
}

/// Pairs of a value and its number on the wire. Numbers are never reused.
pub(super) const KINDS: &[(Kind, u32)] =
    &[(Kind::Call, 1), (Kind::PossibleWrapper, 2), (Kind::Attribution, 3), (Kind::Unrecognised, 4)];
pub(super) const STATUSES: &[(SpanStatus, u32)] =
    &[(SpanStatus::Unset, 0), (SpanStatus::Ok, 1), (SpanStatus::Error, 2)];
pub(super) const TRUSTS: &[(Trust, u32)] =
    &[(Trust::Estimate, 1), (Trust::Framework, 2), (Trust::Instrumentation, 3), (Trust::Provider, 4)];

pub(super) fn number<T: PartialEq>(table: &[(T, u32)], value: T) -> u32 {
    table.iter().find(|(known, _)| *known == value).map_or(0, |(_, number)| *number)
}

fn value<T: Copy>(table: &[(T, u32)], number: u32, field: &'static str) -> Result<T, DecodeError> {
    table
        .iter()
        .find(|(_, known)| *known == number)
        .map(|(value, _)| *value)
        .ok_or(DecodeError::Missing { field })
}

pub(super) fn to_link(wire: WireLink) -> Result<Link, DecodeError> {
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

pub(super) fn to_observation(wire: WireObservation, behind: String) -> Result<Observation, DecodeError> {
    let mark = AttributesMark { bytes: wire.attributes_bytes, hash: wire.attributes_hash };
    let attributes = if mark.bytes == 0 {
        Attributes::Here(wire.attributes)
    } else if behind.is_empty() {
        Attributes::Elsewhere(mark)
    } else {
        Attributes::Here(behind)
    };
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
        reread: wire.reread,
        ruling: wire.ruling,
        attributes,
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
