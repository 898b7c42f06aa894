//! Price files of every format: what they come to, which goes before which, and what is refused, with its place.

use std::sync::Arc;

use billing::prices::{Fault, Origin, PriceFileError, Source, check, compare, read};
use chrono::{DateTime, Utc};
use domain::price::{Context, Layer, PriceBook, PriceIndex};
use domain::rate::rate;
use domain::time::EventTime;
use domain::usage::{TokenClass, Usage};

fn time(text: &str) -> EventTime {
    let time: DateTime<Utc> = text.parse().unwrap();
    EventTime::from_nanos(time.timestamp_nanos_opt().unwrap())
}

const NOVEMBER: &str = "2026-11-21T12:00:00Z";

fn source(name: &str, text: &str) -> Source {
    Source::of_file(name, text.as_bytes().to_vec()).unwrap()
}

fn faults(name: &str, text: &str) -> Vec<String> {
    match source(name, text).read("USD") {
        Err(PriceFileError::Faults(faults)) => faults.iter().map(Fault::to_string).collect(),
        other => panic!("{text}: {other:?}"),
    }
}

/// A book of these files over the bundled prices.
fn book(sources: &[Source]) -> PriceBook {
    let mut sources: Vec<Source> = sources.iter().cloned().chain([Source::bundled()]).collect();
    sources.sort_by_key(|source| source.origin);
    let layer = |source: &Source| Layer {
        name: source.origin.name().into(),
        providers: source.read("USD").unwrap().providers,
    };
    PriceBook::layered(sources.iter().map(layer).collect()).unwrap()
}

/// What a million prompt tokens and a million generated ones cost, and the layer that says so.
fn cost(book: &PriceBook, provider: &str, model: &str, at: &str, context: &Context<'_>) -> String {
    let usage = Usage::default().with(TokenClass::Input, 1_000_000).with(TokenClass::Output, 1_000_000);
    match book.find(provider, model, time(at), context) {
        Ok(found) => {
            let cost = rate(&usage, found.card).unwrap().cost.to_string();
            format!("{} {}", cost.trim_end_matches('0').trim_end_matches('.'), found.layer)
        }
        Err(unpriced) => unpriced.code().to_string(),
    }
}

const OWN: &str = r#"
currency = "USD"

# Negotiated for 2026.
[[price]]
provider = "openai"
model = "gpt-4o"
valid_from = 2026-01-01
valid_to = 2027-01-01
input_mtok = 2.00
output_mtok = "8.00"

[[price]]
provider = "openai"
model = "gpt-4o"
batch = true
valid_from = 2026-07-01
input_mtok = "1"
output_mtok = "4"

# Our own machines.
[[price]]
provider = "vllm"
model = "llama-3"
match = "starts_with"
input_mtok = 0.05
output_mtok = { base = 0.10, tiers = [{ above = 100_000, price = 0.20 }] }
"#;

#[test]
fn own_prices_go_before_all_others_while_they_hold() {
    let book = book(&[source("own.toml", OWN)]);
    let standard = Context::default();
    let batch = Context { batch: true, ..Context::default() };
    for (provider, model, at, context, expected) in [
        ("openai", "gpt-4o", NOVEMBER, &standard, "10 own"),
        ("openai", "gpt-4o-2024-08-06", NOVEMBER, &standard, "10 own"),
        ("openai", "GPT-4o", NOVEMBER, &standard, "10 own"),
        ("openai", "gpt-4o-mini", NOVEMBER, &standard, "0.75 bundled"),
        ("openai", "gpt-4o", "2025-12-31T23:59:59.999999999Z", &standard, "12.5 bundled"),
        ("openai", "gpt-4o", "2026-01-01T00:00:00Z", &standard, "10 own"),
        ("openai", "gpt-4o", "2026-12-31T23:59:59.999999999Z", &standard, "10 own"),
        ("openai", "gpt-4o", "2027-01-01T00:00:00Z", &standard, "12.5 bundled"),
        ("openai", "gpt-4o", "2026-06-30T23:59:59Z", &batch, "10 own"),
        ("openai", "gpt-4o", "2026-07-01T00:00:00Z", &batch, "5 own"),
        ("azure.ai.openai", "gpt-4o", NOVEMBER, &standard, "12.5 bundled"),
        ("vllm", "llama-3-70b", NOVEMBER, &standard, "0.25 own"),
        ("", "llama-3-70b", NOVEMBER, &standard, "0.25 own"),
        ("vllm", "mixtral", NOVEMBER, &standard, "model_unknown"),
        ("nobody", "mixtral", NOVEMBER, &standard, "provider_unknown"),
    ] {
        assert_eq!(cost(&book, provider, model, at, context), expected, "{provider} {model} {at}");
    }
}

#[test]
fn rows_and_tables_of_the_same_prices_are_the_same_prices() {
    let rows = "provider,model,unit,price,above,match,valid_from,valid_to,batch\n\
        vllm,llama-3,output_mtok,0.20,100000,starts_with,,,\n\
        openai,gpt-4o,output_mtok,4,,,2026-07-01,,true\n\
        openai,gpt-4o,input_mtok,1,,,2026-07-01,,true\n\
        openai,gpt-4o,input_mtok,2.00,,,2026-01-01,2027-01-01,\n\
        openai,gpt-4o,output_mtok,8.00,,,2026-01-01,2027-01-01,false\n\
        vllm,llama-3,input_mtok,0.05,,starts_with,,,\n\
        vllm,llama-3,output_mtok,0.10,,starts_with,,,\n";
    let (rows, tables) = (book(&[source("own.csv", rows)]), book(&[source("own.toml", OWN)]));
    assert_eq!(rows.version(), tables.version());
    // A byte order mark changes nothing.
    let marked = book(&[source("own.toml", &format!("\u{feff}{OWN}"))]);
    assert_eq!(marked.version(), tables.version());
}

#[test]
fn tiers_for_the_units_beyond_are_stated_in_both_formats_and_never_mixed() {
    let toml = "[[price]]\nprovider = \"vllm\"\nmodel = \"m\"\noutput_mtok = 1\ninput_mtok = { base = 1, tiers = [{ beyond = 10, price = 2 }, { beyond = 20, price = 3 }] }\n";
    let csv = "provider,model,unit,price,above,beyond\nvllm,m,output_mtok,1,,\nvllm,m,input_mtok,3,,20\nvllm,m,input_mtok,1,,\nvllm,m,input_mtok,2,,10\n";
    let (tables, rows) = (book(&[source("own.toml", toml)]), book(&[source("own.csv", csv)]));
    assert_eq!(tables.version(), rows.version());
    // 10 at 1, 10 at 2, the rest at 3 dollars a million.
    assert_eq!(cost(&tables, "vllm", "m", NOVEMBER, &Context::default()), "3.99997 own");
    for (name, text, fault) in [
        (
            "own.toml",
            toml.replace("beyond = 20", "above = 20"),
            "for the whole call (above) or for the units beyond",
        ),
        (
            "own.toml",
            toml.replace("beyond = 20", "beyond = 20, above = 20"),
            "with price and either above or beyond",
        ),
        ("own.toml", toml.replace("beyond = 20", "beyond = 10"), "two tiers begin at 10"),
        ("own.csv", csv.replace("3,,20", "3,20,"), "for the whole call (above) or for the units beyond"),
        ("own.csv", csv.replace("3,,20", "3,20,20"), "for the whole call (above) or for the units beyond"),
        ("own.csv", csv.replace("3,,20", "3,,-1"), "a bound must be a count"),
    ] {
        let found = faults(name, &text);
        assert!(found.len() == 1 && found[0].contains(fault), "{found:?}");
    }
}

#[test]
fn hours_that_meet_are_refused_and_those_that_do_not_are_not() {
    let of = |first: &str, second: &str| {
        let price = |hours: &str, price: u32| {
            let hours = if hours.is_empty() { String::new() } else { format!("hours = \"{hours}\"\n") };
            format!("[[price]]\nprovider = \"p\"\nmodel = \"m\"\n{hours}input_mtok = {price}\n")
        };
        source("own.toml", &(price(first, 1) + &price(second, 2))).read("USD").is_ok()
    };
    for (first, second, accepted) in [
        ("", "08:00-20:00", true),
        ("20:00-08:00", "08:00-20:00", true),
        ("", "", false),
        ("20:00-08:01", "08:00-20:00", false),
        ("22:00-02:00", "23:00-01:00", false),
        ("08:00-20:00", "08:00-20:00", false),
    ] {
        assert_eq!(of(first, second), accepted, "{first} {second}");
    }
    let said = faults("own.csv", "provider,model,unit,price,hours\np,m,input_mtok,1,8-20\n");
    assert!(said[0].contains("are no hours"), "{said:?}");
}

#[test]
fn a_model_that_two_own_lists_have_is_not_guessed_where_nobody_names_the_provider() {
    let rows =
        "provider,model,unit,price\nours,m-1,input_mtok,1\ntheirs,m-1,input_mtok,2\nours,m-2,input_mtok,3\n";
    let book = book(&[source("own.csv", rows)]);
    let find = |model| book.find("", model, time(NOVEMBER), &Context::default());
    assert_eq!(find("m-1").unwrap_err().code(), "provider_unstated");
    assert_eq!(find("m-2").unwrap().card.provider, "ours");
}

#[test]
fn the_index_finds_what_the_book_finds() {
    let book = Arc::new(book(&[source("own.toml", OWN)]));
    let mut index = PriceIndex::new(Arc::clone(&book));
    for at in ["2025-06-01T00:00:00Z", NOVEMBER, "2027-06-01T00:00:00Z"] {
        for (provider, model) in [("openai", "gpt-4o"), ("vllm", "llama-3"), ("", "gpt-4o"), ("x", "y")] {
            let here = index.find(provider, model, time(at), &Context::default());
            let there = book.find(provider, model, time(at), &Context::default());
            assert_eq!(here.map(|f| f.card.price_id), there.map(|f| f.card.price_id), "{model} {at}");
        }
    }
}

#[test]
fn every_fault_of_an_own_file_is_named_with_its_line() {
    let toml = r#"currency = "EUR"
colour = 1
[[price]]
provider = "openai"
model = "a"
input_mtok = -1
[[price]]
provider = "openai"
model = "b"
input_mtok = 1e30
[[price]]
provider = "openai"
model = "c"
smell_mtok = 1
[[price]]
model = "d"
input_mtok = 1
valid_from = "yesterday"
[[price]]
provider = "openai"
model = "e"
input_mtok = 1
valid_from = 2026-01-01
[[price]]
provider = "openai"
model = "e"
input_mtok = 2
valid_from = 2026-06-01
[[price]]
provider = "openai"
model = "f"
cache_read_mtok = 1
[[price]]
provider = "openai"
model = "g"
batch = true
input_mtok = 1
[[price]]
provider = "openai"
model = "h"
input_mtok = 1
valid_from = 2026-06-01
valid_to = 2026-06-01
[[price]]
provider = "openai"
model = "i"
"#;
    let found = faults("own.toml", toml);
    for expected in [
        "line 1: currency is \"EUR\"",
        "line 2: colour is not known",
        "line 6: input_mtok: -1 is negative",
        "line 10: input_mtok: 1e30",
        "line 14: \"smell_mtok\" is no unit",
        "line 15: this [[price]] lacks provider",
        "line 18: \"yesterday\" is no day",
        "line 24: openai e overlaps with its price in line 19",
        "line 29, openai f: ",
        "line 33, openai g: has prices for special contexts only",
        "line 38: this [[price]] ends before it holds",
        "line 44: this [[price]] states no price",
    ] {
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{expected}\n{}", found.join("\n"));
    }
    assert_eq!(found.len(), 12, "{}", found.join("\n"));

    let csv = "provider,model,unit,price,valid_from,above\n\
        openai,a,input_mtok,-1,,\n\
        openai,b,input_mtok,1e30,,\n\
        openai,c,smell,1,,\n\
        ,d,input_mtok,1,,\n\
        openai,e,input_mtok,1,yesterday,\n\
        openai,f,input_mtok,1,,\n\
        openai,f,input_mtok,1,,\n\
        openai,g,input_mtok,\"1,5\",,\n\
        openai,h,input_mtok,1,,many\n\
        openai,i,input_mtok,1,,1000\n\
        openai,j\n\
        openai,k,input_mtok,NaN,,\n";
    let found = faults("own.csv", csv);
    for expected in [
        "line 2: -1 is negative",
        "line 3: 1e30",
        "line 4: \"smell\" is no unit",
        "line 5: provider is empty",
        "line 6: \"yesterday\" is no day",
        "line 8: input_mtok of this price stands in an earlier line too (the price begins in line 7)",
        "line 9: \"1,5\" is not a number",
        "line 10: a bound must be a count",
        "line 11: input of i has tiers and no price below them",
        "line 12: not a row",
        "line 13: \"NaN\" is not a number",
    ] {
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{expected}\n{}", found.join("\n"));
    }
    assert_eq!(found.len(), 11, "{}", found.join("\n"));
    assert_eq!(faults("own.csv", "provider,model,unit,price,prize,unit\n").len(), 2);
    // Syntax: every line that is not TOML.
    let found = faults("own.toml", "a = \nb = 1\nc = = 2\n");
    assert!(found.len() >= 2 && found.iter().any(|fault| fault.starts_with("line 3")), "{found:?}");
}

#[test]
fn a_file_that_is_not_text_or_no_price_file_says_so() {
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("x,y".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let error = Source::of_file("own.csv", utf16).unwrap_err();
    assert!(error.to_string().contains("UTF-16"), "{error}");
    let error = Source::of_file("own.csv", b"provider\nm\xe9nage\n".to_vec()).unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
    assert!(matches!(Source::of_file("prices.xls", b"PK".to_vec()), Err(PriceFileError::Format)));
}

const LITELLM: &str = r#"{
"sample_spec": {"litellm_provider": "one of many", "input_cost_per_token": 0.0},
"gpt-4o": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 9e-06,
  "cache_read_input_token_cost": 1.5e-06, "input_cost_per_token_batches": 1e-06, "output_cost_per_token_batches": 2e-06,
  "input_cost_per_token_above_200k_tokens": 6e-06, "search_context_cost_per_query": {"search_context_size_low": 0.03}},
"azure/gpt-4o": {"litellm_provider": "azure", "input_cost_per_token": 4e-06, "output_cost_per_token": 8e-06},
"azure/eu/gpt-4o": {"litellm_provider": "azure", "input_cost_per_token": 5e-06, "output_cost_per_token": 8e-06},
"bedrock/anthropic.claude-x": {"litellm_provider": "bedrock", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
"gemini/gemini-9": {"litellm_provider": "gemini", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
"vertex_ai/gemini-9": {"litellm_provider": "vertex_ai-language-models", "input_cost_per_token": 2e-06, "output_cost_per_token": 3e-06},
"dall-e-3": {"litellm_provider": "openai", "output_cost_per_image": 0.04},
"deepseek-flash": {"litellm_provider": "deepseek", "input_cost_per_token": 3e-07, "output_cost_per_token": 1e-06,
  "off_peak_pricing": {"input_cost_per_token": 1.5e-07, "windows": [{"hours_utc": "10:00-00:00", "weekdays": [1]}]}}
}"#;

#[test]
fn litellm_prices_go_before_bundled_ones_from_the_instant_they_are_imported_for() {
    let mut litellm = source("model_prices_and_context_window.json", LITELLM);
    assert_eq!(litellm.origin, Origin::Imported);
    let lists = litellm.read("USD").unwrap();
    let left_out: Vec<String> = lists.left_out.iter().map(Fault::to_string).collect();
    assert_eq!(left_out.len(), 3, "{left_out:?}");
    for (fault, model) in left_out.iter().zip(["azure/eu/gpt-4o", "dall-e-3", "deepseek-flash"]) {
        assert!(fault.contains(model), "{fault}");
    }

    litellm.since = Some(time("2026-06-01T00:00:00Z"));
    let imported = book(&[litellm.clone()]);
    let both = book(&[source("own.toml", OWN), litellm]);
    let batch = Context { batch: true, ..Context::default() };
    for (book, provider, model, at, context, expected) in [
        (&imported, "openai", "gpt-4o", "2026-05-31T00:00:00Z", &Context::default(), "12.5 bundled"),
        // A prompt of a million tokens is beyond the tier.
        (&imported, "openai", "gpt-4o", NOVEMBER, &Context::default(), "15 imported"),
        (&imported, "openai", "gpt-4o", NOVEMBER, &batch, "3 imported"),
        (&imported, "azure.ai.openai", "gpt-4o", NOVEMBER, &Context::default(), "12 imported"),
        (&imported, "aws.bedrock", "anthropic.claude-x", NOVEMBER, &Context::default(), "2 imported"),
        (&imported, "gcp.gemini", "gemini-9", NOVEMBER, &Context::default(), "3 imported"),
        (&imported, "gcp.vertex_ai", "gemini-9", NOVEMBER, &Context::default(), "5 imported"),
        (&both, "openai", "gpt-4o", NOVEMBER, &Context::default(), "10 own"),
        (&both, "openai", "gpt-4o", "2027-02-01T00:00:00Z", &Context::default(), "15 imported"),
    ] {
        assert_eq!(cost(book, provider, model, at, context), expected, "{provider} {model} {at}");
    }
}

#[test]
fn every_fault_of_a_litellm_file_is_named_with_its_key() {
    let found = faults(
        "litellm.json",
        r#"{"a": {"litellm_provider": "openai", "input_cost_per_token": -1e-6},
            "b": {"litellm_provider": "openai", "input_cost_per_token": 1e30},
            "b": {"litellm_provider": "openai", "input_cost_per_token": 1},
            "c": {"litellm_provider": "openai", "output_cost_per_token": [1]},
            "d": {"litellm_provider": "openai", "input_cost_per_token": "1"},
            "e": 1}"#,
    );
    let at: Vec<&str> = found.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(
        at,
        ["model \"a\"", "model \"b\"", "model \"b\"", "model \"c\"", "model \"d\"", "model \"e\""]
    );
}

#[test]
fn the_check_names_gaps_jumps_odd_prices_and_what_another_source_says() {
    let own = "provider,model,unit,price,valid_from,valid_to\n\
        openai,gpt-4o,input_mtok,2.5,2026-01-01,2026-06-30\n\
        openai,gpt-4o,input_mtok,0.0025,2026-07-01,\n\
        ours,m,input_mtok,1500,,\n\
        ours,m,cache_read_mtok,1600,,\n";
    let found = check(&book(&[source("own.csv", own)]));
    let own: Vec<(&str, &str)> = found
        .iter()
        .filter(|finding| finding.layer == "own")
        .map(|finding| (finding.kind, finding.model.as_str()))
        .collect();
    let count = |kind, model| own.iter().filter(|found| **found == (kind, model)).count();
    assert_eq!((count("gap", "gpt-4o"), count("jump", "gpt-4o"), count("odd", "m")), (1, 2, 2), "{found:#?}");
    assert_eq!(own.len(), 5, "{found:#?}");

    let second = PriceBook::new(source("litellm.json", LITELLM).read("USD").unwrap().providers).unwrap();
    let found = compare(&book(&[]), &second, time(NOVEMBER));
    let of = |model: &str| found.iter().filter(|f| f.model == model).map(|f| f.kind).collect::<Vec<_>>();
    assert!(of("gpt-4o").iter().all(|kind| *kind == "disagreement") && of("gpt-4o").len() >= 3, "{found:#?}");
    assert_eq!(of("anthropic.claude-x"), ["missing"]);
    assert!(compare(&book(&[]), &book(&[]), time(NOVEMBER)).is_empty());
}

#[test]
fn the_bundled_prices_have_nothing_new_to_look_at() {
    let found = check(&read(&Source::bundled().content).unwrap());
    let shown: Vec<_> =
        found.iter().map(|f| format!("{} {} {}: {}", f.kind, f.provider, f.model, f.what)).collect();
    // What openrouter states so.
    let known = "odd openrouter ~deepseek/deepseek-pro-latest: a cached read costs more than a prompt token";
    assert_eq!(shown, [known]);
}
