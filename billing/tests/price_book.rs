//! The bundled price book: what people rely on finding in it, and that a file with a fault does not become a book.

use std::collections::BTreeMap;

use billing::prices::{PriceFileError, PriceRow, bundled, quotes, read};
use chrono::{DateTime, Utc};
use domain::money::Cost;
use domain::price::{Context, PriceId};
use domain::rate::rate;
use domain::time::EventTime;
use domain::usage::{TokenClass, Usage};
use serde_json::{Value, json};

fn time(text: &str) -> EventTime {
    let time: DateTime<Utc> = text.parse().unwrap();
    EventTime::from_nanos(time.timestamp_nanos_opt().unwrap())
}

const NOVEMBER: &str = "2026-11-21T12:00:00Z";

/// What a call of 1,000 prompt tokens (400 of them cached) and 100 generated ones costs.
fn cost(provider: &str, model: &str, context: &Context<'_>) -> String {
    let usage = Usage::default().with(TokenClass::Input, 1_000).with(TokenClass::CacheRead, 400);
    let usage = if model.contains("embedding") { usage } else { usage.with(TokenClass::Output, 100) };
    match bundled().find(provider, model, time(NOVEMBER), context) {
        Ok(found) => rate(&usage, found.card).unwrap().cost.to_string(),
        Err(unpriced) => unpriced.code().to_string(),
    }
}

#[test]
fn models_in_wide_use_cost_what_their_price_pages_say() {
    // By hand from the price pages: 600 × input + 400 × cached + 100 × output, in dollars.
    for (provider, model, expected) in [
        ("openai", "gpt-4o", "0.003000000000"),
        ("openai", "gpt-4o-2024-08-06", "0.003000000000"),
        ("openai", "gpt-4o-mini", "0.000180000000"),
        ("openai", "gpt-4o-mini-2024-07-18", "0.000180000000"),
        ("openai", "gpt-4.1", "0.002200000000"),
        ("openai", "gpt-4.1-2025-04-14", "0.002200000000"),
        ("openai", "gpt-4.1-mini", "0.000440000000"),
        ("openai", "gpt-4.1-mini-2025-04-14", "0.000440000000"),
        ("openai", "gpt-5", "0.001800000000"),
        ("openai", "gpt-5-2025-08-07", "0.001800000000"),
        ("openai", "gpt-5-mini", "0.000360000000"),
        ("openai", "gpt-5-mini-2025-08-07", "0.000360000000"),
        ("openai", "o3-mini", "0.001320000000"),
        ("openai", "o3-mini-2025-01-31", "0.001320000000"),
        ("openai", "o4-mini", "0.001210000000"),
        ("openai", "o4-mini-2025-04-16", "0.001210000000"),
        ("openai", "gpt-4o-audio-preview", "0.003500000000"),
        ("openai", "gpt-4o-audio-preview-2024-12-17", "0.003500000000"),
        ("openai", "text-embedding-3-small", "0.000020000000"),
        ("anthropic", "claude-3-5-sonnet-20241022", "0.003420000000"),
        ("anthropic", "claude-haiku-4-5", "0.001140000000"),
        ("anthropic", "claude-haiku-4-5-20251001", "0.001140000000"),
        ("anthropic", "claude-sonnet-4-20250514", "0.003420000000"),
        ("anthropic", "claude-sonnet-4-5", "0.003420000000"),
        ("anthropic", "claude-sonnet-4-5-20250929", "0.003420000000"),
        ("aws.bedrock", "meta.llama3-70b-instruct-v1:0", "0.003000000000"),
        ("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "0.003762000000"),
        ("gcp.vertex_ai", "gemini-2.5-flash", "0.000442000000"),
        ("gcp.gemini", "gemini-2.5-flash", "0.000442000000"),
        ("gcp.gen_ai", "gemini-2.5-flash", "0.000442000000"),
        ("gcp.vertex_ai", "claude-sonnet-4-5@20250929", "0.003420000000"),
        ("azure.ai.openai", "gpt-4o-2024-08-06", "0.003000000000"),
        ("", "gpt-4o", "0.003000000000"),
        ("openai", "no-such-model", "model_unknown"),
        ("ollama", "gpt-4o", "provider_unknown"),
        ("strangers-cloud", "gpt-4o", "provider_unknown"),
    ] {
        assert_eq!(cost(provider, model, &Context::default()), expected, "{provider} {model}");
    }
}

#[test]
fn tiers_and_batches_have_their_own_price_where_the_provider_has_one() {
    let tier = |tier| Context { service_tier: Some(tier), ..Context::default() };
    for (model, context, expected) in [
        ("o3", tier("default"), "0.002200000000"),
        ("o3", tier("flex"), "0.001100000000"),
        ("o3", tier("priority"), "0.003850000000"),
        ("o3", tier("auto"), "0.002200000000"),
        ("o3", Context { batch: true, ..Context::default() }, "0.001200000000"),
        ("gpt-4o", tier("flex"), "0.003000000000"),
    ] {
        assert_eq!(cost("openai", model, &context), expected, "{model} {context:?}");
    }
}

#[test]
fn every_row_gives_back_the_card_it_was_made_of() {
    let book = bundled();
    let rows = PriceRow::of_book(&book);
    assert_eq!(rows.len(), book.cards().count());
    let mut ids = BTreeMap::new();
    for (row, card) in rows.iter().zip(book.cards()) {
        assert_eq!(row.card().as_ref(), Ok(card));
        assert!(ids.insert(row.price_id.clone(), ()).is_none(), "{} twice", row.price_id);
        assert_eq!(book.version().to_string(), row.book_version);
    }
    let last = rows.last().unwrap();
    let id = PriceId::parse(&last.price_id).unwrap();
    assert_eq!(book.card(id).unwrap().model, last.model);

    let mut altered = last.clone();
    altered.rates.values_mut().for_each(|rate| *rate = "0.5".into());
    assert!(altered.card().unwrap_err().to_string().contains("altered"));
}

#[test]
fn a_price_is_quoted_with_the_rule_that_led_to_it() {
    let book = bundled();
    let one = quotes(&book, Some("openai"), "gpt-4o-2024-08-06", time(NOVEMBER), &Context::default());
    assert_eq!(one[0].rule, r#"openai: "gpt-4o-2024-08-06" equals "gpt-4o-2024-08-06""#);
    let all = quotes(&book, None, "gpt-4o", time(NOVEMBER), &Context::default());
    let providers: Vec<&str> = all.iter().map(|quote| quote.found.rule.provider.as_str()).collect();
    assert!(providers.contains(&"openai") && providers.contains(&"azure"), "{providers:?}");
}

#[test]
fn the_same_file_is_the_same_book_and_another_is_another() {
    let file = |price: &str| {
        read(one_model(json!({"input_mtok": 7, "output_mtok": 8})).to_string().replace('7', price).as_bytes())
    };
    assert_eq!(file("7").unwrap().version(), file("7.0").unwrap().version());
    assert_ne!(file("7").unwrap().version(), file("7.1").unwrap().version());
}

/// A file with one provider, one model, and these prices.
fn one_model(prices: Value) -> Value {
    json!([{"id": "acme", "models": [{"id": "large", "match": {"equals": "large"}, "prices": prices}]}])
}

#[test]
fn a_file_with_a_fault_is_refused_and_the_fault_named() {
    let with = |field: &str, value: Value| {
        let mut file = one_model(json!({"input_mtok": 1}));
        file[0]["models"][0][field] = value;
        file
    };
    let of_provider = |field: &str, value: Value| {
        let mut file = one_model(json!({"input_mtok": 1}));
        file[0][field] = value;
        file
    };
    for (file, expected) in [
        (one_model(json!({"input_mtok": -1})), "negative"),
        (one_model(json!({"input_mtok": "NaN"})), "not a number"),
        (one_model(json!({"input_mtok": "3"})), "not a number"),
        (one_model(json!({"input_mtok": {"base": 1}})), "base and tiers"),
        (one_model(json!({"input_mtok": {"base": 1, "tiers": [{"price": 2}]}})), "must be a count"),
        (
            one_model(json!({"input_mtok": {"base": 1, "tiers": [{"start": -5, "price": 2}]}})),
            "must be a count",
        ),
        (one_model(json!({"input_mtok": {"base": 1, "tiers": [{"start": 5}]}})), "lacks its price"),
        (one_model(json!({"cache_read_mtok": 1})), "none for input"),
        (one_model(json!([])), "0 of its prices"),
        (one_model(json!([{"constraint": {"start_date": "2026-01-01"}, "prices": {}}])), "0 of its prices"),
        (one_model(json!([{"constraint": null, "prices": {}}])), "must be an object"),
        (
            one_model(json!([{"prices": {}}, {"constraint": {"start_date": "2026-13-01"}, "prices": {}}])),
            "not a constraint",
        ),
        (one_model(json!(null)), "prices are missing"),
        (one_model(json!("free")), "must be an object"),
        (with("id", json!("")), "id must be a name"),
        (with("match", json!(null)), "match is missing"),
        (with("match", json!({"equals": "a", "contains": "b"})), "one operation"),
        (with("match", json!({"regex": "(?<=a)b"})), "look-around"),
        (with("price_variants", json!([{"when": {}, "prices": {}}])), "when it applies"),
        (with("price_variants", json!([{"when": {"service_tier": 1}, "prices": {}}])), "must be a text"),
        (with("price_variants", json!([{"when": {"service_tier": "flex"}}])), "lacks prices"),
        (of_provider("id", json!("ACME")), "lower case"),
        (of_provider("models", json!({})), "must be a list"),
        (of_provider("fallback_model_providers", json!([1])), "no name"),
        (json!({}), "must be a list"),
    ] {
        let error = read(file.to_string().as_bytes()).expect_err(&file.to_string());
        let text = error.to_string();
        assert!(text.contains(expected), "{file} gave {text}");
    }
}

#[test]
fn text_that_is_no_json_is_refused() {
    let huge = one_model(json!({"input_mtok": 7})).to_string();
    for (text, json) in [
        ("", true),
        ("[", true),
        (huge.replace('7', "NaN").as_str(), true),
        (huge.replace('7', "0x7").as_str(), true),
        (huge.replace('7', "1e30").as_str(), false),
        (huge.replace('7', "1e-30").as_str(), false),
        (huge.replace('7', "0.00000000000000000000000000000001").as_str(), false),
    ] {
        let error = read(text.as_bytes()).unwrap_err();
        assert_eq!(matches!(error, PriceFileError::Json(_)), json, "{text}: {error}");
    }
}

#[test]
fn every_model_with_a_fault_is_named_at_once() {
    let model =
        |id: &str, price: i32| json!({"id": id, "match": {"equals": id}, "prices": {"input_mtok": price}});
    let file = json!([{"id": "acme", "models": [model("one", -1), model("two", 2), model("three", -3)]}]);
    let PriceFileError::Faults(faults) = read(file.to_string().as_bytes()).unwrap_err() else { panic!() };
    let at: Vec<&str> = faults.iter().map(|fault| fault.at.as_str()).collect();
    assert_eq!(at, [r#"provider "acme", model "one""#, r#"provider "acme", model "three""#]);
}

#[test]
fn a_key_that_is_not_known_is_kept_and_stops_only_what_it_prices() {
    let file = one_model(json!({"input_mtok": 1, "smell_mtok": 2, "dances_kcount": 3}));
    let book = read(file.to_string().as_bytes()).unwrap();
    let found = book.find("acme", "large", time(NOVEMBER), &Context::default()).unwrap();
    assert_eq!(found.card.rates.unsupported(), ["dances_kcount", "smell_mtok"]);
    let usage = Usage::default().with(TokenClass::Input, 1);
    assert_eq!(rate(&usage, found.card).unwrap_err().code(), "rate_unsupported");
    let bundled = bundled();
    let unknown: Vec<_> = bundled.cards().filter(|card| !card.rates.unsupported().is_empty()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_least_that_is_billed_of_a_transcription_is_ten_seconds() {
    let book = bundled();
    let mut usage = Usage::default();
    usage.units.insert("seconds".into(), 3);
    let cost = |model| {
        let found = book.find("groq", model, time(NOVEMBER), &Context::default()).unwrap();
        rate(&usage, found.card).unwrap().cost
    };
    // 0.04 dollars an hour.
    assert_eq!(cost("whisper-large-v3-turbo"), Cost::parse("0.000111111111").unwrap());
}
