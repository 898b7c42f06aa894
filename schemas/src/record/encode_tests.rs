//! What is written is what a protobuf library writes of the message in `wire.rs`, and reads back as what it was made of.

use domain::attributes::Attributes;
use domain::identity::{Realm, SpanId, TraceId};
use domain::observation::{
    Dimensions, Evidence, KeyStamp, Kind, Link, Observation, ResponseId, Scope, SpanStatus, Trust,
};
use domain::time::{EventTime, ReceivedAt};
use domain::usage::{TokenClass, Usage, UsageFault};
use proptest::prelude::*;
use prost::Message;

use super::super::protobuf::varint_bytes;
use super::super::wire::{
    KINDS, STATUSES, TRUSTS, What, WireDimensions, WireEvidence, WireFault, WireLink, WireObservation, number,
};
use super::super::{DecodeError, decode, encode, hash, rejoin, without_attributes};

/// Takes bits from a number, one for each thing that may be there or not.
struct Bits(u64);

impl Bits {
    fn next(&mut self) -> bool {
        let bit = self.0 & 1 == 1;
        self.0 >>= 1;
        bit
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        self.next().then_some(value)
    }
}

/// Dimensions of which some are stated; a stated one may be empty.
fn dimensions(bits: &mut Bits, text: &str) -> Dimensions {
    Dimensions {
        tenant: bits.maybe(text.to_owned()),
        feature: bits.maybe(String::new()),
        user_id: bits.maybe("user".into()),
        session_id: bits.maybe(text.to_owned()),
        agent: None,
        service: bits.maybe(text.to_owned()),
        environment: bits.maybe("test".into()),
    }
}

/// An observation whose fields are there as the bits say, with a text wherever one can stand.
fn observation(bits: u64, text: &str, count: u64) -> Observation {
    let bits = &mut Bits(bits);
    let owned = || text.to_owned();
    let mut usage = Usage::default();
    for class in TokenClass::ALL {
        usage.set(class, bits.maybe(count >> (class as u32 * 8)));
    }
    if bits.next() {
        usage.units = [(owned(), count), ("web_searches".to_owned(), 0)].into();
    }
    let fault = match (bits.next(), bits.next()) {
        (false, false) => None,
        (true, false) => Some(UsageFault::Absurd { class: TokenClass::Output.name(), count }),
        (false, true) => Some(UsageFault::Negative { class: TokenClass::Input.name() }),
        (true, true) => Some(UsageFault::PartExceedsWhole {
            part: TokenClass::Reasoning.name(),
            part_count: count,
            whole: TokenClass::Output.name(),
            whole_count: 0,
        }),
    };
    Observation {
        key: KeyStamp { realm: Realm::new(owned()), tenant: bits.maybe(owned()), operator: bits.next() },
        received_at: ReceivedAt::from_nanos(count.cast_signed()),
        trace: TraceId::from_bytes([7; 16]).unwrap(),
        span: SpanId::from_bytes([8; 8]).unwrap(),
        parent: bits.maybe(SpanId::from_bytes([9; 8]).unwrap()),
        name: owned(),
        scope: Scope { name: owned(), version: String::new() },
        process: count,
        start: EventTime::from_nanos(0),
        end: EventTime::from_nanos(-1),
        status: [SpanStatus::Unset, SpanStatus::Ok, SpanStatus::Error][(count % 3) as usize],
        error_type: bits.maybe(owned()),
        kind: [Kind::Call, Kind::PossibleWrapper, Kind::Attribution, Kind::Unrecognised]
            [(count % 4) as usize],
        convention: owned(),
        operation: String::new(),
        provider: bits.maybe(owned()),
        request_model: bits.maybe(String::new()),
        response_model: bits.maybe(owned()),
        response_id: bits.maybe(ResponseId { text: owned(), from_attribute: count.is_multiple_of(2) }),
        streaming: bits.maybe(count.is_multiple_of(3)),
        service_tier: bits.maybe(owned()),
        region: bits.maybe(owned()),
        usage,
        estimated: bits.next(),
        trust: [Trust::Estimate, Trust::Framework, Trust::Instrumentation, Trust::Provider]
            [(count % 4) as usize],
        fault,
        dimensions: dimensions(bits, text),
        resource_dimensions: dimensions(bits, text),
        decoder_version: 1,
        reread: (count % 3) as u32,
        ruling: bits.maybe(owned()),
        attributes: Attributes::Here(text.repeat(20)),
    }
}

proptest! {
    #[test]
    fn an_observation_is_written_as_protobuf_writes_it(bits: u64, text in ".{0,80}", count: u64) {
        let observation = observation(bits, &text, count);
        let wire = from_observation(&observation);
        let evidence = Evidence::Observation(Box::new(observation));
        let record = encode(&evidence);
        prop_assert_eq!(&record, &wire.encode_to_vec());
        prop_assert_eq!(decode(&record).unwrap(), evidence);
    }

    #[test]
    fn a_record_is_read_without_its_attributes_and_takes_no_others_back(bits: u64, text in ".{1,80}", count: u64) {
        let whole = observation(bits, &text, count);
        let json = whole.attributes.json().unwrap().to_owned();
        let record = encode(&Evidence::Observation(Box::new(whole.clone())));
        let kept = without_attributes(&record);
        prop_assert_eq!(kept.len() + json.len() + varint_bytes(json.len() as u64) + 1, record.len());
        let Evidence::Observation(mut read) = decode(kept).unwrap() else { panic!("an observation") };
        prop_assert_eq!(read.attributes.len(), json.len());
        prop_assert_eq!(&encode(&Evidence::Observation(read.clone())), kept, "it says the same of them");
        let other = rejoin(&mut read, format!("{json} "));
        prop_assert!(matches!(other, Err(DecodeError::OtherAttributes)));
        rejoin(&mut read, json).unwrap();
        prop_assert_eq!(*read, whole);
    }

    #[test]
    fn a_record_of_before_attributes_stood_apart_is_kept_whole(bits: u64, text in ".{1,80}", count: u64) {
        let whole = observation(bits, &text, count);
        let mut wire = from_observation(&whole);
        let Some(What::Observation(within)) = &mut wire.what else { panic!("an observation") };
        (within.attributes, within.attributes_bytes, within.attributes_hash) = (wire.attributes, 0, 0);
        wire.attributes = String::new();
        let record = wire.encode_to_vec();
        prop_assert_eq!(without_attributes(&record), &record);
        prop_assert_eq!(decode(&record).unwrap(), Evidence::Observation(Box::new(whole)));
    }

    #[test]
    fn only_what_is_attributes_to_the_last_byte_is_cut_off(bytes: Vec<u8>, text in "[a-z]{1,80}") {
        // A text in the place of an observation, and bytes behind it that hold something else as well.
        let mut record = vec![0x0a, 0];
        record.extend(&bytes);
        let rest = [&[0x1a, text.len() as u8], text.as_bytes(), &[0x20, 1]].concat();
        prop_assert_eq!(without_attributes(&[&[0x0a, 0][..], &rest].concat()).len(), 2 + rest.len());
        let kept = without_attributes(&record);
        prop_assert!(record.starts_with(kept) && (kept.len() == 2 || kept.len() == record.len()));
    }

    #[test]
    fn a_link_is_written_as_protobuf_writes_it(realm in ".{0,80}", time: i64, rooted: bool) {
        let link = Link {
            realm: Realm::new(realm),
            trace: TraceId::from_bytes([1; 16]).unwrap(),
            span: SpanId::from_bytes([2; 8]).unwrap(),
            parent: (!rooted).then(|| SpanId::from_bytes([3; 8]).unwrap()),
            start: EventTime::from_nanos(0),
            end: EventTime::from_nanos(time),
            received_at: ReceivedAt::from_nanos(time),
        };
        let wire = WireEvidence { what: Some(What::Link(from_link(&link))), attributes: String::new() };
        let record = encode(&Evidence::Link(link.clone()));
        prop_assert_eq!(&record, &wire.encode_to_vec());
        prop_assert_eq!(decode(&record).unwrap(), Evidence::Link(link));
    }
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

fn from_observation(observation: &Observation) -> WireEvidence {
    let usage = &observation.usage;
    let attributes = observation.attributes.json().unwrap().to_owned();
    let within = Box::new(WireObservation {
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
        reread: observation.reread,
        ruling: observation.ruling.clone(),
        attributes: String::new(),
        attributes_bytes: attributes.len() as u32,
        attributes_hash: if attributes.is_empty() { 0 } else { hash(attributes.as_bytes()) },
        input: usage.get(TokenClass::Input),
        cache_read: usage.get(TokenClass::CacheRead),
        cache_write: usage.get(TokenClass::CacheWrite),
        cache_write_1h: usage.get(TokenClass::CacheWrite1h),
        output: usage.get(TokenClass::Output),
        reasoning: usage.get(TokenClass::Reasoning),
        audio_input: usage.get(TokenClass::AudioInput),
        audio_output: usage.get(TokenClass::AudioOutput),
        units: usage.units.clone(),
    });
    WireEvidence { what: Some(What::Observation(within)), attributes }
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
