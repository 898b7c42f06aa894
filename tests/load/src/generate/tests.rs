//! What everything measured rests on: requests are real OTLP, repeatable, no two spans alike, and counted rightly.

use std::collections::HashSet;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::Generator;
use super::manifest::{Manifest, Totals};

const STARTS_AT: u64 = 1_793_491_200_000_000_000;

fn spans(generator: &Generator, index: u64) -> Vec<Span> {
    let mut request = ExportTraceServiceRequest::decode(&generator.request(index)[..]).unwrap();
    assert_eq!(request.resource_spans.len(), 1);
    request.resource_spans.remove(0).scope_spans.remove(0).spans
}

fn value(span: &Span, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.clone()
}

fn text(span: &Span, key: &str) -> String {
    match value(span, key) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key} is {other:?}"),
    }
}

fn tokens(span: &Span, key: &str) -> u64 {
    match value(span, &format!("gen_ai.usage.{key}_tokens")) {
        Some(Value::IntValue(count)) => u64::try_from(count).unwrap(),
        None => 0,
        other => panic!("{key} is {other:?}"),
    }
}

#[test]
fn requests_are_repeatable_and_no_two_spans_share_an_id() {
    let (generator, again) = (Generator::new(7, 40, STARTS_AT), Generator::new(7, 40, STARTS_AT));
    let (mut traces, mut span_ids, mut responses) = (HashSet::new(), HashSet::new(), HashSet::new());
    for index in 0..200 {
        assert_eq!(generator.request(index), again.request(index));
        let spans = spans(&generator, index);
        assert_eq!(spans.len(), 40);
        for span in spans {
            assert!(traces.insert(span.trace_id.clone()));
            assert!(span_ids.insert(span.span_id.clone()));
            assert!(responses.insert(text(&span, "gen_ai.response.id")));
        }
    }
    assert_ne!(
        generator.request(0),
        Generator::new(8, 40, STARTS_AT).request(0),
        "another seed is another load"
    );
}

#[test]
fn every_span_is_a_whole_ai_call() {
    let generator = Generator::new(1, 100, STARTS_AT);
    for (number, span) in spans(&generator, 3).into_iter().enumerate() {
        assert!((24..=25).contains(&span.attributes.len()), "{}", span.attributes.len());
        assert_eq!((span.trace_id.len(), span.span_id.len(), span.parent_span_id.len()), (16, 8, 8));
        assert_eq!(span.start_time_unix_nano, STARTS_AT + (300 + number as u64) * 1_000);
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
        let (input, output) = (tokens(&span, "input"), tokens(&span, "output"));
        assert!(tokens(&span, "cache_read.input") + tokens(&span, "cache_creation.input") <= input);
        assert!(tokens(&span, "reasoning.output") <= output && output > 0);
    }
}

#[test]
fn the_manifest_is_the_sum_of_what_the_requests_say() {
    for batch in [1, 7, 100] {
        let generator = Generator::new(3, batch, STARTS_AT);
        let mut summed = Manifest::new();
        for span in (10..60).flat_map(|index| spans(&generator, index)) {
            *summed.entry(text(&span, "tenant.id")).or_default() += Totals {
                calls: 1,
                input_tokens: tokens(&span, "input"),
                cache_read_tokens: tokens(&span, "cache_read.input"),
                cache_write_tokens: tokens(&span, "cache_creation.input"),
                output_tokens: tokens(&span, "output"),
                reasoning_tokens: tokens(&span, "reasoning.output"),
            };
        }
        assert_eq!(generator.manifest(10..60), summed, "batches of {batch}");
    }
}
