//! No prompt and no answer of the recordings stands in a row.
//!
//! What counts as their text is found without the table of names under test: by the shape of the recorded values.
//! Recorded content is JSON, at last under a key such as `content` or `text`, or one attribute for each part of a
//! message with such a word at the end of its name.

use std::collections::BTreeSet;

use schemas::rows::SpanRow;
use serde_json::Value;

use super::{json_spans, list, recordings, rows};

const WORDS: [&str; 12] = [
    "arguments",
    "args",
    "content",
    "input",
    "inputs",
    "instructions",
    "output",
    "parts",
    "prompt",
    "q",
    "result",
    "text",
];

/// Texts of a sentence or more: a single word may stand anywhere by chance.
fn collect(value: &Value, within_content: bool, texts: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ (Value::Array(_) | Value::Object(_) | Value::String(_))) => {
                collect(&inner, within_content, texts)
            }
            _ if within_content && text.trim().contains(' ') => drop(texts.insert(text.clone())),
            _ => {}
        },
        Value::Array(values) => values.iter().for_each(|value| collect(value, within_content, texts)),
        Value::Object(fields) => {
            for (key, value) in fields {
                collect(value, within_content || WORDS.contains(&key.as_str()), texts);
            }
        }
        _ => {}
    }
}

fn texts_of_attributes(owner: &Value, texts: &mut BTreeSet<String>) {
    for attribute in list(owner, "attributes") {
        let last = attribute["key"].as_str().unwrap().rsplit('.').next().unwrap();
        // A list stands as {"arrayValue": {"values": [...]}}; its keys are none of the words.
        let value = &attribute["value"];
        let plain = value.get("stringValue").unwrap_or(value);
        collect(plain, WORDS.contains(&last), texts);
    }
}

fn stored_texts(row: &SpanRow) -> impl Iterator<Item = &String> {
    let maps = [&row.resource_attributes, &row.span_attributes].into_iter();
    let maps = maps.chain(&row.events_attributes).chain(&row.links_attributes);
    maps.flatten()
        .flat_map(|(key, value)| [key, value])
        .chain([&row.span_name, &row.status_message])
        .chain(&row.events_name)
}

#[test]
fn no_prompt_and_no_answer_is_stored() {
    let (mut all, mut with_content) = (BTreeSet::new(), 0);
    for (name, body, json) in recordings() {
        let mut texts = BTreeSet::new();
        for (_, span) in json_spans(&json) {
            texts_of_attributes(span, &mut texts);
            list(span, "events").for_each(|event| texts_of_attributes(event, &mut texts));
        }
        for row in rows(&body, false) {
            for stored in stored_texts(&row) {
                let found = texts.iter().find(|text| stored.contains(text.as_str()));
                assert_eq!(found, None, "{name}: {} {:?}", row.span_name, row.span_attributes);
            }
        }
        let stored = rows(&body, true);
        let stands = |text: &String| {
            stored.iter().any(|row| stored_texts(row).any(|stored| stored.contains(text.as_str())))
        };
        with_content += texts.iter().filter(|text| stands(text)).count();
        all.append(&mut texts);
    }
    // The search finds what is known to be there, and finds it in the rows where content is kept.
    for known in
        ["Population of Berlin?", "Paris is the capital of France.", "You are a lawyer.", "sunny in Berlin"]
    {
        assert!(all.contains(known), "{known}: {all:?}");
    }
    assert!(with_content > 100, "{with_content}");
}
