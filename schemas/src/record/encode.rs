//! How evidence is written: every field of `wire.rs`, in the order of its number, straight from where its text stands.
//!
//! This runs once for every span that comes, so nothing is copied into a message first. That it writes what a protobuf
//! library would write of the message in `wire.rs` is held by the tests below.

use domain::attributes::{Attributes, AttributesMark};
use domain::observation::{Dimensions, Link, Observation};
use domain::usage::{TokenClass, UsageFault};

use super::protobuf::{self, Writer};
use super::wire::{KINDS, STATUSES, TRUSTS, number};

/// Fields of the record itself: which kind of evidence it is, and what stands behind that.
const OBSERVATION: u32 = 1;
const LINK: u32 = 2;
const ATTRIBUTES: u32 = 3;

/// What most records have room in; only decides how often bytes move.
const OBSERVATION_BYTES: usize = 512;
const PART_BYTES: usize = 64;

pub(super) fn observation<S: AsRef<str>>(observation: &Observation<S>, out: &mut Vec<u8>) {
    let mut record = Writer::new(out);
    record.message(OBSERVATION, OBSERVATION_BYTES, |message| fields(observation, message));
    record.text(ATTRIBUTES, observation.attributes.json().unwrap_or_default());
}

/// A record without the attributes that stand behind its observation: what is in front of them, to the byte.
///
/// Anything else is left as it is: a link, an observation that holds its attributes within, bytes that are no record.
pub(super) fn without_attributes(record: &[u8]) -> &[u8] {
    protobuf::split_delimited(OBSERVATION, record)
        .filter(|(_, rest)| {
            protobuf::split_delimited(ATTRIBUTES, rest).is_some_and(|(_, rest)| rest.is_empty())
        })
        .map_or(record, |(observation, _)| observation)
}

pub(super) fn link(link: &Link, out: &mut Vec<u8>) {
    Writer::new(out).message(LINK, PART_BYTES, |message| {
        message.text(1, link.realm.as_str());
        message.bytes(2, &link.trace.bytes());
        message.bytes(3, &link.span.bytes());
        if let Some(parent) = link.parent {
            message.bytes(4, &parent.bytes());
        }
        message.fixed64(5, link.start.nanos().cast_unsigned());
        message.fixed64(6, link.end.nanos().cast_unsigned());
        message.fixed64(7, link.received_at.nanos().cast_unsigned());
    });
}

fn fields<S: AsRef<str>>(observation: &Observation<S>, message: &mut Writer<'_>) {
    message.text(1, observation.key.realm.as_str());
    message.optional_text(2, observation.key.tenant.as_ref());
    message.number(3, observation.key.operator.into());
    message.fixed64(4, observation.received_at.nanos().cast_unsigned());
    message.bytes(5, &observation.trace.bytes());
    message.bytes(6, &observation.span.bytes());
    if let Some(parent) = observation.parent {
        message.bytes(7, &parent.bytes());
    }
    message.text(8, observation.name.as_ref());
    message.text(9, observation.scope.name.as_ref());
    message.text(10, observation.scope.version.as_ref());
    message.fixed64(11, observation.process);
    message.fixed64(12, observation.start.nanos().cast_unsigned());
    message.fixed64(13, observation.end.nanos().cast_unsigned());
    message.number(14, number(STATUSES, observation.status).into());
    message.optional_text(15, observation.error_type.as_ref());
    message.number(16, number(KINDS, observation.kind).into());
    message.text(17, observation.convention.as_ref());
    message.text(18, observation.operation.as_ref());
    message.optional_text(19, observation.provider.as_ref());
    message.optional_text(20, observation.request_model.as_ref());
    message.optional_text(21, observation.response_model.as_ref());
    let response_id = observation.response_id.as_ref();
    message.optional_text(22, response_id.map(|id| &id.text));
    message.number(23, response_id.is_some_and(|id| id.from_attribute).into());
    message.optional_number(24, observation.streaming.map(u64::from));
    message.optional_text(25, observation.service_tier.as_ref());
    message.optional_text(26, observation.region.as_ref());
    message.number(27, observation.estimated.into());
    message.number(28, number(TRUSTS, observation.trust).into());
    if let Some(fault) = &observation.fault {
        message.message(29, PART_BYTES, |message| self::fault(fault, message));
    }
    dimensions(30, &observation.dimensions, message);
    dimensions(31, &observation.resource_dimensions, message);
    message.number(32, observation.decoder_version.into());
    let mark = mark(&observation.attributes);
    message.number(34, mark.bytes.into());
    message.fixed64(35, mark.hash);
    message.number(36, observation.reread.into());
    message.optional_text(37, observation.ruling.as_ref());
    for (field, class) in [
        (40, TokenClass::Input),
        (41, TokenClass::CacheRead),
        (42, TokenClass::CacheWrite),
        (43, TokenClass::CacheWrite1h),
        (44, TokenClass::Output),
        (45, TokenClass::Reasoning),
        (46, TokenClass::AudioInput),
        (47, TokenClass::AudioOutput),
    ] {
        message.optional_number(field, observation.usage.get(class));
    }
    for (unit, count) in &observation.usage.units {
        message.message(48, PART_BYTES, |entry| {
            entry.text(1, unit);
            entry.number(2, *count);
        });
    }
}

/// Zeros where there are none, as protobuf leaves out.
fn mark<S: AsRef<str>>(attributes: &Attributes<S>) -> AttributesMark {
    match attributes {
        Attributes::Elsewhere(mark) => *mark,
        Attributes::Here(json) if json.as_ref().is_empty() => AttributesMark { bytes: 0, hash: 0 },
        Attributes::Here(json) => super::mark(json.as_ref()),
    }
}

/// Nothing at all where nothing is stated.
fn dimensions<S: AsRef<str>>(field: u32, dimensions: &Dimensions<S>, message: &mut Writer<'_>) {
    if dimensions.is_empty() {
        return;
    }
    message.message(field, PART_BYTES, |message| {
        message.optional_text(1, dimensions.tenant.as_ref());
        message.optional_text(2, dimensions.feature.as_ref());
        message.optional_text(3, dimensions.user_id.as_ref());
        message.optional_text(4, dimensions.session_id.as_ref());
        message.optional_text(5, dimensions.agent.as_ref());
        message.optional_text(6, dimensions.service.as_ref());
        message.optional_text(7, dimensions.environment.as_ref());
    });
}

fn fault(fault: &UsageFault, message: &mut Writer<'_>) {
    let (what, class, count, whole, whole_count) = match fault {
        UsageFault::PartExceedsWhole { part, part_count, whole, whole_count } => {
            (1, *part, *part_count, *whole, *whole_count)
        }
        UsageFault::Absurd { class, count } => (2, *class, *count, "", 0),
        UsageFault::Negative { class } => (3, *class, 0, "", 0),
        UsageFault::NotACount { class } => (4, *class, 0, "", 0),
    };
    message.number(1, what);
    message.text(2, class);
    message.number(3, count);
    message.text(4, whole);
    message.number(5, whole_count);
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
