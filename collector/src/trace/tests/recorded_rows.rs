//! Rows of recorded spans, against the OTLP/JSON form of the same requests, against a file, and one span with everything.

use std::path::Path;

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prost::Message as _;
use schemas::rows::{SpanRow, TextMap};
use serde_json::Value;

use super::{json_spans, list, recordings, rows};
use crate::trace::content::is_content;
use crate::trace::{ESTIMATED_COST, PROBABILITY, RULE, WEIGHT};

/// What is said of a span that is one of all.
const OURS: [(&str, &str); 3] = [(PROBABILITY, "1"), (WEIGHT, "1"), (RULE, "rest")];

#[test]
fn every_recorded_span_is_a_row_that_says_the_same() {
    let kinds = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
    let codes = ["Unset", "Ok", "Error"];
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    for (name, body, json) in recordings() {
        let (rows, spans) = (rows(&body, false), json_spans(&json).collect::<Vec<_>>());
        assert_eq!(rows.len(), spans.len(), "{name}");
        for (row, (resource, span)) in rows.iter().zip(spans) {
            let start = number(&span["startTimeUnixNano"]);
            assert_eq!(row.trace_id, text(&span["traceId"]), "{name}");
            assert_eq!(row.span_id, text(&span["spanId"]), "{name}");
            assert_eq!(row.parent_span_id, text(&span["parentSpanId"]), "{name}");
            assert_eq!(row.span_name, text(&span["name"]), "{name}");
            assert_eq!(row.timestamp as u64, start, "{name}");
            assert_eq!(row.duration, number(&span["endTimeUnixNano"]) - start, "{name}");
            assert_eq!(row.span_kind, kinds[number(&span["kind"]) as usize], "{name}");
            assert_eq!(row.status_code, codes[number(&span["status"]["code"]) as usize], "{name}");
            assert_eq!(row.status_message, text(&span["status"]["message"]), "{name}");
            same_attributes(&row.resource_attributes, resource, &name);
            same_attributes(&row.span_attributes, span, &name);
            assert!(row.span_attributes.ends_with(&map(&OURS)), "{name}");
            let service = row.resource_attributes.iter().find(|(key, _)| key == "service.name");
            assert_eq!(Some(&row.service_name), service.map(|(_, value)| value), "{name}");
            let events: Vec<_> = list(span, "events").map(|event| text(&event["name"])).collect();
            assert_eq!(row.events_name, events, "{name}");
            assert_eq!(
                (row.events_timestamp.len(), row.events_attributes.len()),
                (events.len(), events.len()),
                "{name}"
            );
        }
    }
}

/// Attributes that are not content stand in the row, in order; those that are strings, integers or truths with their text.
fn same_attributes(row: &TextMap, json: &Value, name: &str) {
    let kept: Vec<_> = list(json, "attributes")
        .filter(|attribute| !is_content(attribute["key"].as_str().unwrap()))
        .collect();
    let ours = row.iter().filter(|(key, _)| OURS.iter().all(|(ours, _)| key != ours));
    assert_eq!(ours.clone().count(), kept.len(), "{name}");
    for ((key, text), attribute) in ours.zip(kept) {
        let value = &attribute["value"];
        assert_eq!(key, attribute["key"].as_str().unwrap(), "{name}");
        let plain = value["stringValue"].as_str().or(value["intValue"].as_str()).map(str::to_string);
        let plain = plain.or_else(|| value["boolValue"].as_bool().map(|truth| truth.to_string()));
        assert!(plain.is_none_or(|plain| plain == *text), "{name}: {key} is {text}, not {value}");
    }
}

/// Set `UPDATE_GOLDEN=1` to write the file anew, then read what changed.
#[test]
fn recorded_rows_stand_as_written_down() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/trace/tests/recorded_rows.golden.txt");
    let scenarios = ["10_otel_genai_openai_errors", "36_vercel_ai_v5", "43_pydantic_ai_agent"];
    let mut found = String::new();
    for (name, body, _) in recordings() {
        if scenarios.iter().any(|scenario| name.starts_with(scenario)) {
            rows(&body, false).iter().for_each(|row| found.push_str(&written_down(&name, row)));
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "rows differ from {}; if they should, set UPDATE_GOLDEN=1", file.display());
}

/// A row as people read it: a line a column, a line an attribute, nothing for what is empty.
fn written_down(name: &str, row: &SpanRow) -> String {
    let Value::Object(columns) = serde_json::to_value(row).unwrap() else {
        unreachable!("a row is a struct")
    };
    let mut text = format!("# {name} {}\n", row.span_id);
    for (column, value) in columns {
        match value {
            Value::Array(values) if column.ends_with("Attributes") => {
                values.iter().for_each(|value| text.push_str(&format!("{column} {value}\n")));
            }
            value if value == "" || value == Value::Array(vec![]) => {}
            value => text.push_str(&format!("{column} {value}\n")),
        }
    }
    text + "\n"
}

fn pair(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.into())) };
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

fn map(pairs: &[(&str, &str)]) -> TextMap {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

#[test]
fn every_part_of_a_span_has_its_column() {
    let span = Span {
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        parent_span_id: vec![0xef; 8],
        trace_state: "congo=t61".into(),
        name: "chat".into(),
        kind: 3,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_000_000_005,
        attributes: vec![
            pair("a", "1"),
            pair(PROBABILITY, "0.5"),
            pair(ESTIMATED_COST, "9"),
            pair("gen_ai.prompt", "hello"),
        ],
        events: vec![
            Event {
                time_unix_nano: 7,
                name: "gen_ai.user.message".into(),
                attributes: vec![pair("content", "hello")],
                ..Event::default()
            },
            Event {
                time_unix_nano: 8,
                name: "retry".into(),
                attributes: vec![pair("b", "2")],
                ..Event::default()
            },
        ],
        links: vec![
            Link {
                trace_id: vec![1; 16],
                span_id: vec![2; 8],
                trace_state: "x=y".into(),
                attributes: vec![pair("c", "3")],
                ..Link::default()
            },
            Link::default(),
        ],
        status: Some(Status { message: "no".into(), code: 2 }),
        ..Span::default()
    };
    let scope =
        InstrumentationScope { name: "lib".into(), version: "2".into(), ..InstrumentationScope::default() };
    let scope = ScopeSpans { scope: Some(scope), spans: vec![span], ..ScopeSpans::default() };
    let resource = Resource { attributes: vec![pair("service.name", "web")], ..Resource::default() };
    let group =
        ResourceSpans { resource: Some(resource), scope_spans: vec![scope], ..ResourceSpans::default() };
    let body = TracesData { resource_spans: vec![group] }.encode_to_vec();
    let expected = SpanRow {
        timestamp: 1_700_000_000_000_000_000,
        trace_id: "ab".repeat(16),
        span_id: "cd".repeat(8),
        parent_span_id: "ef".repeat(8),
        trace_state: "congo=t61".into(),
        span_name: "chat".into(),
        span_kind: "Client".into(),
        service_name: "web".into(),
        resource_attributes: map(&[("service.name", "web")]),
        scope_name: "lib".into(),
        scope_version: "2".into(),
        span_attributes: [map(&[("a", "1")]), map(&OURS)].concat(),
        duration: 5,
        status_code: "Error".into(),
        status_message: "no".into(),
        events_timestamp: vec![7, 8],
        events_name: vec!["gen_ai.user.message".into(), "retry".into()],
        events_attributes: vec![map(&[]), map(&[("b", "2")])],
        links_trace_id: vec!["01".repeat(16), String::new()],
        links_span_id: vec!["02".repeat(8), String::new()],
        links_trace_state: vec!["x=y".into(), String::new()],
        links_attributes: vec![map(&[("c", "3")]), map(&[])],
    };
    assert_eq!(rows(&body, false), std::slice::from_ref(&expected));
    let with_content = SpanRow {
        span_attributes: [map(&[("a", "1"), ("gen_ai.prompt", "hello")]), map(&OURS)].concat(),
        events_attributes: vec![map(&[("content", "hello")]), map(&[("b", "2")])],
        ..expected
    };
    assert_eq!(rows(&body, true), [with_content]);
}
