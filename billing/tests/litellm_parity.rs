//! What LiteLLM's own calculator says a call costs, and what it costs here.
//!
//! The cases in `litellm/cases.jsonl` were made by `tests/tools/litellm_cases.py` with LiteLLM 1.106.2 (MIT licence,
//! Berri AI): a line a model, with its entry of LiteLLM's price file. Each is rated at LiteLLM's prices as they are read
//! here, and at the bundled ones where both know the model. Every difference is a row of `litellm/differences.csv` for one
//! of the reasons in [`EXPLAINED`]; a new one fails, and so does one that is gone. `UPDATE_GOLDEN=1` writes the table anew.
//! Floats are at home in this file alone: the other calculator reckons with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use billing::prices::Source;
use domain::price::{Context, Found, PriceBook, UnitClass};
use domain::rate::{Rated, rate};
use domain::time::EventTime;
use domain::usage::{TokenClass, Usage};
use rust_decimal::Decimal;
use serde_json::{Map, Value};

/// The reasons for which amounts may differ: as the table begins, and what is different on purpose.
const EXPLAINED: &[(&str, &str)] = &[
    (
        "long prompt in a service tier",
        "a service tier without prices for long prompts has the standard ones there, and its own for all prompts here",
    ),
    (
        "no prices of the service tier here",
        "the bundled data has no flex or priority prices for the model: the standard ones stand in, and `prices show` says so",
    ),
    (
        "price data",
        "the two price files state different prices: each is rated as stated, and `prices check --against` names them",
    ),
];

/// When the calls were made: the bundled data knows dates, LiteLLM's none.
const AT_NANOS: i64 = 1_795_000_000_000_000_000;

/// Well-known names of the providers as LiteLLM lists them.
const PROVIDERS: &[(&str, &str)] = &[
    ("anthropic", "anthropic"),
    ("bedrock_converse", "aws"),
    ("gemini", "gcp.gemini"),
    ("groq", "groq"),
    ("mistral", "mistral"),
    ("moonshot", "moonshotai"),
    ("openai", "openai"),
    ("vertex_ai-language-models", "gcp.vertex_ai"),
    ("xai", "x-ai"),
];

/// A row of the table: whose prices, provider, model.
type Place = (&'static str, &'static str, String);

/// A reason of [`EXPLAINED`], and the particulars.
type Why = (&'static str, String);

/// What came of the comparison.
#[derive(Default)]
struct Tally {
    same: BTreeMap<&'static str, u32>,
    /// How many cases of a model differ, and why: reasons, with particulars.
    differ: BTreeMap<Place, (u32, BTreeMap<&'static str, BTreeSet<String>>)>,
}

fn usage(case: &Value) -> Usage {
    let classes = [
        ("input", TokenClass::Input),
        ("cache_read", TokenClass::CacheRead),
        ("cache_write", TokenClass::CacheWrite),
        ("cache_write_1h", TokenClass::CacheWrite1h),
        ("output", TokenClass::Output),
        ("reasoning", TokenClass::Reasoning),
    ];
    let stated = classes.into_iter().filter_map(|(name, class)| Some((class, case[name].as_u64()?)));
    stated.fold(Usage::default(), |usage, (class, count)| usage.with(class, count))
}

/// Whether the amounts agree. Theirs is rounded at every step, ours once a line at the twelfth digit.
fn agree(ours: &Rated, theirs: f64) -> bool {
    let ours: f64 = ours.cost.to_string().parse().unwrap();
    (ours - theirs).abs() <= 1e-9 * theirs + 1e-11
}

/// Whether a service tier of the entry has prices, and none of its own for long prompts.
fn lacks_long_prompts(entry: &Value, case: &Value) -> bool {
    let Some(tier) = case["tier"].as_str() else { return false };
    let long = |key: &&String| key.starts_with("input_cost_per_token_above_");
    let mut keys = entry.as_object().into_iter().flat_map(Map::keys).filter(long).peekable();
    keys.peek().is_some() && !keys.any(|key| key.ends_with(tier))
}

/// Dollars a million units.
fn shown(unit_price: Decimal) -> String {
    (unit_price * Decimal::from(1_000_000)).normalize().to_string()
}

/// Where two price lists price the units of a call differently.
fn prices_apart(ours: (&Found<'_>, &Rated), theirs: (&Found<'_>, &Rated), usage: &Usage) -> Vec<Why> {
    let prompt = usage.get(TokenClass::Input).unwrap_or(0);
    let price =
        |found: &Found<'_>, unit: UnitClass| Some(found.card.rates.covering(unit)?.unit_price(prompt).0);
    // Reasoning, or an hour's cache, may be a line on one side alone.
    let units: BTreeSet<UnitClass> =
        ours.1.lines.iter().chain(&theirs.1.lines).map(|line| line.unit.class).collect();
    let why = if ours.0.context_ignored { "no prices of the service tier here" } else { "price data" };
    let apart = units.into_iter().filter_map(|unit| {
        let (ours, theirs) = (price(ours.0, unit)?, price(theirs.0, unit)?);
        (ours != theirs).then(|| (why, format!("{unit} {} here, {} there", shown(ours), shown(theirs))))
    });
    apart.collect()
}

impl Tally {
    fn add(&mut self, place: Place, agrees: bool, why: Vec<Why>, case: &str) {
        if agrees {
            *self.same.entry(place.0).or_default() += 1;
            return;
        }
        assert!(!why.is_empty(), "{place:?} differs for no reason known: {case}");
        let (cases, reasons) = self.differ.entry(place).or_default();
        *cases += 1;
        for (reason, what) in why {
            reasons.entry(reason).or_default().insert(what);
        }
    }

    fn table(&self) -> String {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(["prices", "provider", "model", "cases", "why"]).unwrap();
        for ((prices, provider, model), (cases, why)) in &self.differ {
            let particulars = |what: &BTreeSet<String>| what.iter().cloned().collect::<Vec<_>>().join("; ");
            let why = why.iter().map(|(reason, what)| format!("{reason}: {}", particulars(what)));
            let why: Vec<String> = why.collect();
            table.write_record([prices, *provider, model, &cases.to_string(), &why.join(" | ")]).unwrap();
        }
        String::from_utf8(table.into_inner().unwrap()).unwrap()
    }
}

/// Rates a case at LiteLLM's prices, and at the bundled ones where they know the model.
fn compare(tally: &mut Tally, book: &PriceBook, line: &Value, case: &Value) {
    let name = line["model"].as_str().unwrap();
    let listed = line["entry"]["litellm_provider"].as_str().unwrap();
    let (_, provider) = PROVIDERS.iter().find(|(theirs, _)| *theirs == listed).unwrap();
    let context = Context { service_tier: case["tier"].as_str(), ..Context::default() };
    let theirs: f64 = case["cost"].as_str().unwrap().parse().unwrap();
    let (usage, shown) = (usage(case), format!("{name}: {case}"));
    // A call names its model without the prefix by which LiteLLM tells whose it is.
    let prefixes = ["gemini", "groq", "mistral", "moonshot", "vertex_ai", "xai"];
    let name =
        name.split_once('/').filter(|(prefix, _)| prefixes.contains(prefix)).map_or(name, |(_, bare)| bare);

    let at = EventTime::from_nanos(AT_NANOS);
    let found = book.find(provider, name, at, &context).unwrap();
    let rated = rate(&usage, found.card).unwrap();
    let mut why = Vec::new();
    if lacks_long_prompts(&line["entry"], case) {
        why.push(("long prompt in a service tier", "standard prices there".to_string()));
    }
    tally.add(("LiteLLM", provider, name.to_string()), agree(&rated, theirs), why.clone(), &shown);

    let bundled = billing::prices::bundled();
    let Ok(ours) = bundled.find(provider, name, at, &context) else { return };
    let agrees = match rate(&usage, ours.card) {
        Ok(ours_rated) => {
            if agree(&rated, theirs) {
                why.clear();
            }
            why.extend(prices_apart((&ours, &ours_rated), (&found, &rated), &usage));
            agree(&ours_rated, theirs)
        }
        Err(unpriced) => panic!("{unpriced}: {shown}"),
    };
    tally.add(("bundled", provider, name.to_string()), agrees, why, &shown);
}

#[test]
fn a_call_costs_what_litellms_calculator_says_but_for_the_differences_in_the_table() {
    let lines: Vec<Value> =
        include_str!("litellm/cases.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let entry = |line: &Value| (line["model"].as_str().unwrap().to_string(), line["entry"].clone());
    let file: Map<String, Value> = lines.iter().map(entry).collect();
    let source = Source::of_file("litellm.json", Value::Object(file).to_string().into_bytes()).unwrap();
    let lists = source.read("USD").unwrap();
    let left_out: Vec<String> = lists.left_out.iter().map(ToString::to_string).collect();
    let book = PriceBook::new(lists.providers).unwrap();
    let mut tally = Tally::default();
    for line in &lines {
        if left_out.iter().any(|fault| fault.contains(&format!("{}", line["model"]))) {
            continue;
        }
        line["cases"].as_array().unwrap().iter().for_each(|case| compare(&mut tally, &book, line, case));
    }
    let table = tally.table();
    for reason in tally.differ.values().flat_map(|(_, why)| why.keys()) {
        assert!(EXPLAINED.iter().any(|(known, _)| known == reason), "{reason}");
    }
    for (reason, explained) in EXPLAINED {
        assert!(table.contains(reason), "{reason} ({explained}) explains nothing any more");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/litellm/differences.csv");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(table, expected, "UPDATE_GOLDEN=1 writes the table anew: judge every row before it is kept");
    assert!(tally.same["LiteLLM"] > 1_000 && tally.same["bundled"] > 600, "{:?}", tally.same);
}
