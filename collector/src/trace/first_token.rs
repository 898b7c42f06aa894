//! How long a model call took to its first token, as its span tells it. Conventions have a name of their own each.

use crate::otlp::{SpanView, ValueView};

/// Attributes that state it, with the nanoseconds of their unit.
const ATTRIBUTES: [(&str, f64); 3] = [
    // OpenTelemetry's GenAI conventions, and Vercel's AI SDK from version 7 on: seconds.
    ("gen_ai.response.time_to_first_chunk", 1e9),
    ("gen_ai.client.operation.time_to_first_chunk", 1e9),
    // Vercel's AI SDK before: milliseconds.
    ("ai.response.msToFirstChunk", 1e6),
];

/// Events that mark it: OpenInference's, and Vercel's.
const EVENTS: [&str; 2] = ["First Token Stream Event", "ai.stream.firstChunk"];

/// The time from the start of a span to its first token, in nanoseconds; `None` where nothing is said of it.
pub(super) fn first_token_nanos(span: &SpanView<'_>) -> Option<u64> {
    let stated = span.attributes().map_while(Result::ok).find_map(|attribute| {
        let (_, nanos) = ATTRIBUTES.iter().find(|(name, _)| *name == attribute.key)?;
        let count = match attribute.value.view().ok()? {
            ValueView::Double(count) => count,
            ValueView::Int(count) => count as f64,
            _ => return None,
        };
        // A cast of a float saturates; what is no number is nothing said.
        (count >= 0.0).then_some((count * nanos) as u64)
    });
    stated.or_else(|| {
        let event = span.events().map_while(Result::ok).find(|event| EVENTS.contains(&event.name))?;
        event.time_unix_nano.checked_sub(span.start_unix_nano)
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use opentelemetry_proto::tonic::trace::v1::Span;
    use opentelemetry_proto::tonic::trace::v1::span::Event;
    use prost::Message as _;

    use super::*;
    use crate::otlp::RawSpan;

    fn stated(attributes: &[(&str, Value)], events: &[(&str, u64)]) -> Option<u64> {
        let attribute = |(key, value): &(&str, Value)| KeyValue {
            key: (*key).into(),
            value: Some(AnyValue { value: Some(value.clone()) }),
            ..KeyValue::default()
        };
        let event = |(name, time): &(&str, u64)| Event {
            name: (*name).into(),
            time_unix_nano: *time,
            ..Event::default()
        };
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![1; 8],
            start_time_unix_nano: 1_000,
            attributes: attributes.iter().map(attribute).collect(),
            events: events.iter().map(event).collect(),
            ..Span::default()
        };
        first_token_nanos(&RawSpan::of(&span.encode_to_vec()).read().unwrap())
    }

    #[test]
    fn every_convention_is_read_in_its_unit() {
        for (attributes, events, expected) in [
            (
                vec![("gen_ai.response.time_to_first_chunk", Value::DoubleValue(0.25))],
                vec![],
                Some(250_000_000),
            ),
            (vec![("ai.response.msToFirstChunk", Value::IntValue(40))], vec![], Some(40_000_000)),
            (vec![], vec![("First Token Stream Event", 1_700)], Some(700)),
            (vec![], vec![("First Token Stream Event", 900)], None),
            (vec![("ai.response.msToFirstChunk", Value::DoubleValue(f64::NAN))], vec![], None),
            (vec![], vec![("retry", 1_700)], None),
        ] {
            assert_eq!(stated(&attributes, &events), expected, "{attributes:?} {events:?}");
        }
    }
}
