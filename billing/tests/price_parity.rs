//! Prices every model of the bundled data with the independent implementation that the data comes from, and compares.
//!
//! Floats are at home in this file alone: the other implementation calculates with them. Every difference allowed is a
//! row of [`EXPLAINED`], and a row that explains nothing fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use domain::price::{Context, ModelPrices, ModelRule, RateCard, UnitClass, Unpriced};
use domain::rate::rate;
use domain::time::EventTime;
use domain::usage::{TokenClass, Usage};
use genai_prices::{Calculator, ErrorKind, PriceRequest};

/// Where the two differ on purpose: a short name, and what ours does instead.
const EXPLAINED: &[(&str, &str)] = &[
    (
        "no rate is not zero",
        "a class that was used and has no rate, nor a wider one, costs nothing there and makes the call unpriced here",
    ),
    (
        "vendor left out",
        "a model named without its vendor's prefix is not found there, and here where only one model of the provider is so called",
    ),
];

/// How many usages each model is priced with: one in every context at every one of [`TIMES`], the rest in any context at
/// any time.
const USAGES: usize = 200;

/// Names how many usages each model is priced with in every context at every one of [`TIMES`], which takes long for more
/// than a few.
const EVERYWHERE: &str = "LEDGERLINE_PARITY_USAGES";

/// Times before, between and after the changes in the data, at hours on either side of the daily ones.
const TIMES: &[&str] = &[
    "2024-03-01T12:00:00Z",
    "2025-06-09T23:59:59Z",
    "2025-06-10T00:00:00Z",
    "2026-08-20T00:29:59Z",
    "2026-08-20T00:30:00Z",
    "2026-10-13T16:30:00Z",
    "2026-11-21T03:59:59Z",
    "2026-11-21T12:00:00Z",
    "2027-02-01T08:00:00Z",
];

const CONTEXTS: &[Context<'static>] = &[
    Context { service_tier: None, region: None, batch: false },
    Context { service_tier: Some("default"), region: None, batch: false },
    Context { service_tier: Some("flex"), region: None, batch: false },
    Context { service_tier: Some("priority"), region: None, batch: false },
    Context { service_tier: Some("fast"), region: None, batch: false },
    Context { service_tier: Some("scale"), region: None, batch: false },
    Context { service_tier: None, region: None, batch: true },
    Context { service_tier: Some("flex"), region: None, batch: true },
    Context { service_tier: Some("default"), region: None, batch: true },
];

/// A generator whose sequence is written down in its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }

    /// Any second of the years 2023 to 2027.
    fn time(&mut self) -> EventTime {
        let (from, to) = (time("2023-01-01T00:00:00Z").nanos(), time("2028-01-01T00:00:00Z").nanos());
        let second = self.below(u64::try_from((to - from) / 1_000_000_000).unwrap());
        EventTime::from_nanos(from + i64::try_from(second).unwrap() * 1_000_000_000)
    }

    /// A count of one of the magnitudes that occur, around the limits of tiers too.
    fn tokens(&mut self) -> u64 {
        let bound = [1, 10, 3_000, 200_001, 272_002, 1_000_000][self.below(6) as usize];
        self.below(bound)
    }
}

fn time(text: &str) -> EventTime {
    let time: DateTime<Utc> = text.parse().unwrap();
    EventTime::from_nanos(time.timestamp_nanos_opt().unwrap())
}

/// A usage that a call to a model with this card could have.
fn usage(dice: &mut Dice, card: &RateCard) -> Usage {
    // A class that the card cannot price is used now and then, to see that it is refused.
    let mut tokens_of = |class| {
        let priced = card.rates.get(class).is_some() || dice.below(50) == 0;
        if priced { dice.tokens() } else { 0 }
    };
    let (input, output) = (tokens_of(UnitClass::Input), tokens_of(UnitClass::Output));
    let read = dice.below(input + 1);
    let write = dice.below(input - read + 1);
    let audio = dice.below(input - read - write + 1);
    let reasoning = dice.below(output + 1);
    let mut usage = Usage::default();
    let mut state = |dice: &mut Dice, class, count| {
        // Parts are stated or not; wholes always, since the other side refuses parts alone.
        let stated = matches!(class, TokenClass::Input | TokenClass::Output) || dice.below(2) == 0;
        usage.set(class, stated.then_some(count));
    };
    state(dice, TokenClass::Input, input);
    state(dice, TokenClass::CacheRead, read);
    state(dice, TokenClass::AudioInput, audio);
    state(dice, TokenClass::Output, output);
    state(dice, TokenClass::Reasoning, reasoning);
    let spoken = dice.below(output - reasoning + 1);
    state(dice, TokenClass::AudioOutput, spoken);
    if dice.below(2) == 0 {
        usage.set(TokenClass::CacheWrite, Some(write));
        if dice.below(2) == 0 {
            usage.set(TokenClass::CacheWrite1h, Some(dice.below(write + 1)));
        }
    }
    for class in UnitClass::all().filter(|class| *class != UnitClass::Requests) {
        let token =
            class.is_prompt_token() || UnitClass::Output == class || UnitClass::Output.is_ancestor_of(class);
        if !token && (card.rates.get(class).is_some() || dice.below(400) == 0) && dice.below(2) == 0 {
            usage.units.insert(class.name().to_string(), dice.below(5_000));
        }
    }
    // Seconds sent are part of all seconds.
    if let Some(sent) = usage.units.get("audio_input_seconds").copied() {
        usage.units.insert("audio_seconds".into(), sent + dice.below(100));
    }
    if let Some(made) = usage.units.get("audio_output_seconds").copied() {
        *usage.units.entry("audio_seconds".into()).or_default() += made;
    }
    if let Some(pages) = usage.units.get("annotated_document_pages").copied() {
        usage.units.insert("document_pages".into(), pages + dice.below(100));
    }
    usage
}

/// The same usage in the other implementation's words.
fn theirs(usage: &Usage) -> genai_prices::Usage {
    let names = [
        (TokenClass::Input, "input_tokens"),
        (TokenClass::CacheRead, "cache_read_tokens"),
        (TokenClass::CacheWrite, "cache_write_tokens"),
        (TokenClass::CacheWrite1h, "cache_write_1h_tokens"),
        (TokenClass::Output, "output_tokens"),
        (TokenClass::Reasoning, "output_reasoning_tokens"),
        (TokenClass::AudioInput, "input_audio_tokens"),
        (TokenClass::AudioOutput, "output_audio_tokens"),
    ];
    let mut theirs = genai_prices::Usage::new();
    for (class, name) in names {
        if let Some(count) = usage.get(class) {
            theirs.insert(name, count as f64);
        }
    }
    // Both parts stated and apart: they want to be told that nothing is both.
    if usage.get(TokenClass::AudioInput).is_some() && usage.get(TokenClass::CacheRead).is_some() {
        theirs.insert("cache_audio_read_tokens", 0.0);
    }
    for (name, count) in &usage.units {
        let name = match name.as_str() {
            "audio_input_seconds" => "input_audio_seconds",
            "audio_output_seconds" => "output_audio_seconds",
            "document_pages" => "input_document_pages",
            "annotated_document_pages" => "input_annotated_document_pages",
            other => other,
        };
        theirs.insert(name, *count as f64);
    }
    theirs
}

/// What came of pricing one call with both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The same price.
    Same,
    /// Neither knows the provider or the model.
    NeitherKnows,
    /// They differ, as a row of [`EXPLAINED`] says.
    Differs(&'static str),
}

/// Prices one call with both. `provider` is the data's own name, or empty for a call that names none.
fn compare(provider: &str, model: &str, time: EventTime, context: &Context<'_>, usage: &Usage) -> Outcome {
    let words = theirs(usage);
    let since_epoch = Duration::from_nanos(time.nanos().try_into().unwrap());
    let mut request = PriceRequest::new(model, &words).with_timestamp(UNIX_EPOCH + since_epoch);
    if !provider.is_empty() {
        request = request.with_provider_id(provider);
    }
    if let Some(tier) = context.service_tier {
        request = request.with_price_context("service_tier", tier);
    }
    if context.batch {
        request = request.with_price_context("processing", "batch");
    }
    let theirs = Calculator::bundled().calculate(&request);
    let book = billing::prices::bundled();
    let ours = book.find(provider, model, time, context);
    let case = || format!("{provider} {model} at {time} with {context:?}: {usage:?}");
    match (ours, theirs) {
        (Ok(found), Ok(theirs)) => {
            assert_eq!(found.card.model, theirs.model_id, "another model: {}", case());
            assert_eq!(found.rule.provider, theirs.provider_id, "another provider: {}", case());
            let rated = match rate(usage, found.card) {
                Ok(rated) => rated,
                Err(Unpriced::NoRate { .. }) => return Outcome::Differs("no rate is not zero"),
                Err(unpriced) => panic!("{unpriced}: {}", case()),
            };
            let ours: f64 = rated.cost.to_string().parse().unwrap();
            // Theirs is rounded at every step, ours once a line at the twelfth digit.
            let allowed = 1e-9 * theirs.total_price + 1e-11;
            assert!(
                (ours - theirs.total_price).abs() <= allowed,
                "{ours}, {}: {}",
                theirs.total_price,
                case()
            );
            Outcome::Same
        }
        (Err(_), Err(error)) => {
            let unknown = [ErrorKind::ModelNotFound, ErrorKind::ProviderNotFound].contains(&error.kind());
            assert!(unknown, "{error}: {}", case());
            Outcome::NeitherKnows
        }
        (Ok(found), Err(error)) if error.kind() == ErrorKind::ModelNotFound => {
            assert_eq!(found.rule.model_rule, ModelRule::WithoutVendor, "{}", case());
            Outcome::Differs("vendor left out")
        }
        (ours, theirs) => panic!("ours {ours:?}, theirs {theirs:?}: {}", case()),
    }
}

/// How often each outcome came up. A difference without a row in [`EXPLAINED`] fails.
#[derive(Default)]
struct Tally(BTreeMap<Outcome, usize>);

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        if let Outcome::Differs(name) = outcome {
            assert!(EXPLAINED.iter().any(|(known, _)| *known == name), "{name} is not explained");
        }
        *self.0.entry(outcome).or_default() += 1;
    }

    fn merge(&mut self, other: Self) {
        for (outcome, count) in other.0 {
            *self.0.entry(outcome).or_default() += count;
        }
    }

    fn share(&self, outcome: Outcome) -> f64 {
        self.0[&outcome] as f64 / self.0.values().sum::<usize>() as f64
    }
}

/// The times and contexts that each model is priced at, one for each usage.
fn cells(dice: &mut Dice) -> Vec<(EventTime, usize)> {
    let everywhere: Option<usize> =
        std::env::var(EVERYWHERE).ok().map(|count| count.parse().expect("it states a count"));
    let every_cell =
        || TIMES.iter().flat_map(|at| (0..CONTEXTS.len()).map(move |context| (time(at), context)));
    match everywhere {
        Some(usages) => every_cell().flat_map(|cell| std::iter::repeat_n(cell, usages)).collect(),
        None => {
            let mut cells: Vec<_> = every_cell().collect();
            cells.resize_with(USAGES, || (dice.time(), dice.below(CONTEXTS.len() as u64) as usize));
            cells
        }
    }
}

#[test]
fn every_model_costs_what_the_reference_says_at_every_time_and_in_every_context() {
    let book = billing::prices::bundled();
    let models: Vec<_> =
        book.providers().flat_map(|list| list.models.iter().map(move |prices| (&list.id, prices))).collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    // A seed for each model, so that a model is priced alike whoever prices it.
    let price_all = |(seed, (provider, prices)): (usize, &(&String, &ModelPrices))| {
        let mut dice = Dice(20_261_121 + seed as u64);
        let mut tally = Tally::default();
        let cards: Vec<&RateCard> = prices.cards().collect();
        for (at, context) in cells(&mut dice) {
            let card = cards[dice.below(cards.len() as u64) as usize];
            let usage = usage(&mut dice, card);
            tally.add(compare(provider, prices.model(), at, &CONTEXTS[context], &usage));
        }
        tally
    };
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let tallies: Vec<_> = (0..workers)
            .map(|worker| {
                let mine = models.iter().enumerate().skip(worker).step_by(workers);
                scope.spawn(move || mine.map(price_all).collect::<Vec<Tally>>())
            })
            .collect();
        for tallies in tallies {
            tallies.join().expect("it says itself what differs").into_iter().for_each(|one| tally.merge(one));
        }
    });
    println!("{} models, {} calls priced: {:?}", models.len(), tally.0.values().sum::<usize>(), tally.0);
    assert!(tally.0.values().sum::<usize>() > 2_000 * TIMES.len() * CONTEXTS.len(), "{:?}", tally.0);
    // The comparison is of prices, not of refusals; and the one difference there may be does come up.
    assert!(tally.share(Outcome::Same) > 0.9, "{:?}", tally.0);
    assert!(tally.share(Outcome::Differs("no rate is not zero")) > 0.0);
}

/// Every text that a match clause of the data compares with.
fn literals(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::String(text) => drop(found.insert(text.clone())),
        serde_json::Value::Array(items) => items.iter().for_each(|item| literals(item, found)),
        serde_json::Value::Object(map) => map.values().for_each(|item| literals(item, found)),
        _ => {}
    }
}

#[test]
fn every_spelling_leads_to_the_model_that_the_reference_finds() {
    let data: serde_json::Value =
        serde_json::from_slice(include_bytes!("../data/genai-prices.json")).unwrap();
    let usage = Usage::default().with(TokenClass::Input, 1_000).with(TokenClass::Output, 0);
    let at = time("2026-11-21T12:00:00Z");
    let mut dice = Dice(20_261_122);
    let mut tally = Tally::default();
    for list in data.as_array().unwrap() {
        let provider = list["id"].as_str().unwrap();
        let mut names = BTreeSet::new();
        list["models"].as_array().unwrap().iter().for_each(|model| literals(&model["match"], &mut names));
        for name in names {
            let bare = name.rsplit('/').next().unwrap();
            let spellings = [
                name.clone(),
                name.to_uppercase(),
                format!("{name}-x"),
                format!("x-{name}"),
                format!("{name}-20251211"),
                name.replace("-2025-", "-2025"),
                bare.to_string(),
            ];
            // Under its own provider, under one that resells, and under none.
            for provider in [provider, "azure", "google", ""] {
                for spelling in &spellings {
                    let context = &CONTEXTS[dice.below(CONTEXTS.len() as u64) as usize];
                    tally.add(compare(provider, spelling, at, context, &usage));
                }
            }
        }
    }
    assert!(tally.0[&Outcome::Same] > 20_000 && tally.0[&Outcome::NeitherKnows] > 10_000, "{:?}", tally.0);
    assert!(tally.share(Outcome::Differs("vendor left out")) > 0.0);
}
