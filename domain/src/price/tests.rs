//! Which card holds, as tables over a small book.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::time::EventTime;

const HOUR: u64 = 3_600_000_000_000;

fn time(text: &str) -> EventTime {
    let time: DateTime<Utc> = text.parse().unwrap();
    EventTime::from_nanos(time.timestamp_nanos_opt().unwrap())
}

fn day(text: &str) -> Option<Constraint> {
    Some(Constraint::From(time(&format!("{text}T00:00:00Z"))))
}

/// Rates from text: `input 3, output 15`, in dollars a unit: what counts here is which one is chosen.
fn rates(text: &str) -> Rates {
    let rate = |item: &str| {
        let (class, price) = item.trim().split_once(' ').unwrap();
        (UnitClass::named(class).unwrap(), Rate::flat(price.parse().unwrap()))
    };
    Rates::new(text.split(',').filter(|item| !item.is_empty()).map(rate).collect(), Vec::new())
}

fn when(text: &str) -> BTreeMap<String, String> {
    text.split(',').map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect()
}

fn dated(constraint: Option<Constraint>, prices: &str) -> Dated {
    Dated { constraint, rates: rates(prices) }
}

fn variant(asks: &str, constraint: Option<Constraint>, prices: &str) -> Variant {
    Variant { when: when(asks), constraint, rates: rates(prices) }
}

fn model(provider: &str, id: &str, standard: Vec<Dated>, variants: Vec<Variant>) -> ModelPrices {
    ModelPrices::new(provider, id, Clause::text(TextOp::StartsWith, id), standard, variants, &[]).unwrap()
}

fn list(id: &str, resells: &[&str], models: Vec<ModelPrices>) -> ProviderPrices {
    let resells = resells.iter().map(ToString::to_string).collect();
    let aliases = Some(Clause::text(TextOp::Contains, id));
    ProviderPrices {
        id: id.into(),
        aliases,
        claims: Some(Clause::text(TextOp::StartsWith, "gpt-")),
        resells,
        models,
    }
}

/// A model whose price was cut once, with a flex tier, a batch price and dear hours.
fn varied() -> ModelPrices {
    model(
        "openai",
        "gpt-4",
        vec![
            dated(None, "input 10, output 40"),
            dated(day("2026-03-01"), "input 8, output 30"),
            dated(Some(Constraint::Daily(22 * HOUR, 2 * HOUR)), "input 12, output 50"),
        ],
        vec![
            variant("service_tier=default", None, ""),
            variant("service_tier=flex", day("2026-05-01"), "input 5"),
            variant("processing=batch", None, "input 4, output 20"),
        ],
    )
}

fn book() -> PriceBook {
    let flat =
        |provider: &str, id: &str, prices: &str| model(provider, id, vec![dated(None, prices)], vec![]);
    PriceBook::new(vec![
        list("openai", &[], vec![varied(), flat("openai", "gpt-5-2025-12-11", "input 1, output 2")]),
        list("azure", &["openai"], vec![flat("azure", "gpt-5", "input 3, output 6")]),
        list(
            "openrouter",
            &[],
            vec![
                flat("openrouter", "acme/one", "input 1, output 1"),
                flat("openrouter", "acme/two", "input 1, output 1"),
                flat("openrouter", "other/two", "input 9, output 9"),
            ],
        ),
    ])
    .unwrap()
}

/// `input/output` of the card for a call, or why there is none.
fn found(provider: &str, name: &str, at: &str, context: Context<'_>) -> String {
    let book = book();
    let direct = book.find(provider, name, time(at), &context).map(|found| found.card.clone());
    let mut index = PriceIndex::new(Arc::new(book.clone()));
    for _ in 0..2 {
        let remembered = index.find(provider, name, time(at), &context).map(|found| found.card.clone());
        assert_eq!(remembered, direct, "memory and book differ");
    }
    match direct {
        Ok(card) => {
            let price = |class| card.rates.get(class).unwrap().base().to_string();
            format!("{}/{}", price(UnitClass::Input), price(UnitClass::Output))
        }
        Err(unpriced) => unpriced.code().to_string(),
    }
}

const NOON: &str = "2026-06-01T12:00:00Z";

#[test]
fn the_last_price_that_applies_holds() {
    for (at, expected) in [
        ("2026-02-28T21:59:59.999999999Z", "10/40"),
        ("2026-02-28T22:00:00Z", "12/50"),
        ("2026-03-01T01:59:59.999999999Z", "12/50"),
        ("2026-03-01T02:00:00Z", "8/30"),
        ("2030-01-01T12:00:00Z", "8/30"),
        ("1980-01-01T12:00:00Z", "10/40"),
    ] {
        assert_eq!(found("openai", "gpt-4", at, Context::default()), expected, "{at}");
    }
}

#[test]
fn each_rate_is_that_of_the_first_variant_that_applies() {
    let tier = |tier| Context { service_tier: Some(tier), ..Context::default() };
    for (context, at, expected) in [
        (tier("default"), NOON, "8/30"),
        (tier("flex"), NOON, "5/30"),
        (tier("FLEX"), NOON, "5/30"),
        (tier("flex"), "2026-04-30T12:00:00Z", "8/30"),
        (tier("priority"), NOON, "8/30"),
        (Context { batch: true, ..Context::default() }, NOON, "4/20"),
        (tier("batch"), NOON, "4/20"),
        (Context { batch: true, ..tier("default") }, NOON, "4/20"),
        (Context { batch: true, ..tier("flex") }, NOON, "5/20"),
        (Context { batch: true, ..tier("flex") }, "2026-06-01T23:00:00Z", "5/20"),
        (tier("flex"), "2026-06-01T23:00:00Z", "5/50"),
    ] {
        assert_eq!(found("openai", "gpt-4", at, context), expected, "{context:?} at {at}");
    }
}

#[test]
fn a_variant_that_gives_no_rate_is_no_part_of_the_card() {
    let full = vec![
        variant("service_tier=flex", None, "input 5, output 9"),
        variant("processing=batch", None, "input 4"),
    ];
    let prices = model("p", "m", vec![dated(None, "input 10, output 40")], full);
    let card = |known: &[&str]| prices.card(time(NOON), |_, value| known.contains(&value)).unwrap();
    assert_eq!(card(&["flex", "batch"]).price_id, card(&["flex"]).price_id);
    assert_ne!(card(&["flex", "batch"]).price_id, card(&["batch"]).price_id);
}

#[test]
fn a_memory_that_is_full_starts_anew() {
    let mut index = PriceIndex::new(Arc::new(book()));
    for at in 0..20_000 {
        let unpriced = index.find("nobody", &at.to_string(), time(NOON), &Context::default()).unwrap_err();
        assert_eq!(unpriced.code(), "provider_unknown");
    }
    assert!(index.find("openai", "gpt-4", time(NOON), &Context::default()).is_ok());
}

#[test]
fn names_lead_to_a_price_or_to_none_and_never_to_a_strangers() {
    for (provider, name, expected) in [
        ("openai", "gpt-4", "8/30"),
        (" OpenAI ", " GPT-4-turbo ", "8/30"),
        ("openai", "gpt-5-20251211", "1/2"),
        ("openai", "gpt-5-20251211:free", "1/2"),
        ("openai", "gpt-5-20251311", "model_unknown"),
        ("openai", "llama", "model_unknown"),
        ("openai", "", "model_unstated"),
        ("", "gpt-4", "8/30"),
        ("", "llama", "provider_unstated"),
        ("azure.ai.openai", "gpt-5-mini", "3/6"),
        ("azure.ai.openai", "gpt-4", "8/30"),
        ("azure.ai.inference", "gpt-4", "8/30"),
        ("my-openai-proxy", "gpt-4", "8/30"),
        // Well-known, but without a list of its own: not the list its name resembles.
        ("ollama", "gpt-4", "provider_unknown"),
        ("aws.bedrock", "gpt-4", "provider_unknown"),
        ("my-own-cloud", "gpt-4", "provider_unknown"),
        ("openrouter", "acme/one", "1/1"),
        ("openrouter", "one", "1/1"),
        ("openrouter", "two", "model_unknown"),
    ] {
        assert_eq!(found(provider, name, NOON, Context::default()), expected, "{provider} {name}");
    }
}

#[test]
fn prices_that_are_passed_on_are_the_standard_ones() {
    let flex = Context { service_tier: Some("flex"), ..Context::default() };
    assert_eq!(found("azure", "gpt-4", NOON, flex), "8/30");
    let book = book();
    let card = book.find("azure", "gpt-4", time(NOON), &flex).unwrap();
    assert!(card.context_ignored);
    assert_eq!(
        card.rule.to_string(),
        r#"azure, at the standard price of openai: "gpt-4" starts with "gpt-4""#
    );
    assert!(!book.find("openai", "gpt-4", time(NOON), &flex).unwrap().context_ignored);
    assert!(!book.find("openai", "gpt-4", time(NOON), &Context::default()).unwrap().context_ignored);
}

#[test]
fn the_rule_says_how_the_card_was_found() {
    let book = book();
    let rule =
        |provider, name| book.find(provider, name, time(NOON), &Context::default()).unwrap().rule.to_string();
    assert_eq!(rule("", "gpt-4"), r#"openai (by the model's name): "gpt-4" starts with "gpt-4""#);
    assert_eq!(
        rule("azure.ai.openai", "gpt-5"),
        r#"azure (by its well-known name): "gpt-5" starts with "gpt-5""#
    );
    let dated = r#"openai: "gpt-5-2025-12-11" (date spelled out) starts with "gpt-5-2025-12-11""#;
    assert_eq!(rule("openai", "gpt-5-20251211"), dated);
    assert_eq!(rule("openrouter", "one"), r#"openrouter: "one" is the only model of that name there"#);
}

#[test]
fn cards_cover_time_without_gap_or_overlap() {
    let prices = varied();
    let standard: Vec<&RateCard> = prices.cards().filter(|card| card.context.is_empty()).collect();
    assert_eq!(standard.len(), 3);
    let ids: std::collections::BTreeSet<PriceId> = prices.cards().map(|card| card.price_id).collect();
    assert_eq!(ids.len(), prices.cards().count(), "two cards share an id");
    let dear = standard
        .iter()
        .find(|card| !card.daily.is_empty() && card.valid_from.is_none() && card.valid_to.is_none());
    assert_eq!(dear.unwrap().daily, [(0, 2 * HOUR), (22 * HOUR, 24 * HOUR)]);
    let cut = standard.iter().find(|card| card.valid_from.is_some()).unwrap();
    assert_eq!((cut.valid_from, cut.valid_to), (Some(time("2026-03-01T00:00:00Z")), None));
}

#[test]
fn an_id_outlives_the_end_of_its_price_and_nothing_else() {
    let id = |standard: Vec<Dated>| model("p", "m", standard, vec![]).cards().next().unwrap().price_id;
    let alone = id(vec![dated(None, "input 1, output 2")]);
    assert_eq!(
        id(vec![dated(None, "input 1, output 2"), dated(day("2027-01-01"), "input 2, output 2")]),
        alone
    );
    assert_ne!(id(vec![dated(None, "input 1, output 3")]), alone);
    assert_ne!(id(vec![dated(None, "input 1")]), alone);
    assert_eq!(PriceId::parse(&alone.to_string()), Ok(alone));
    assert!(PriceId::parse("xyz").is_err() && PriceBookVersion::parse("").is_err());
}

#[test]
fn a_book_is_named_by_its_content() {
    let with_end = |end: &str| {
        let standard = vec![dated(None, "input 1, output 2"), dated(day(end), "input 2, output 2")];
        PriceBook::new(vec![list("p", &[], vec![model("p", "m", standard, vec![])])]).unwrap().version()
    };
    assert_eq!(book().version(), book().version());
    assert_eq!(with_end("2027-01-01"), with_end("2027-01-01"));
    assert_ne!(with_end("2027-01-01"), with_end("2027-01-02"));
}

#[test]
fn lists_that_contradict_themselves_make_no_book() {
    let new = |standard, variants| {
        ModelPrices::new("p", "m", Clause::text(TextOp::Equals, "m"), standard, variants, &[])
            .unwrap_err()
            .to_string()
    };
    assert!(new(vec![], vec![]).contains("0 of its prices"));
    assert!(new(vec![dated(None, "input 1"), dated(None, "input 2")], vec![]).contains("2 of its prices"));
    assert!(new(vec![dated(None, "cache_read 1")], vec![]).contains("cannot be used"));
    assert!(
        new(vec![dated(None, "input 1, audio_input 2, cache_read 1")], vec![]).contains("cannot be used")
    );
    assert!(new(vec![dated(None, "input -1")], vec![]).contains("cannot be used"));
    // A part's rate is fine in a variant as long as the standard rates have the whole.
    let in_variant = vec![variant("service_tier=flex", None, "reasoning 1")];
    assert!(new(vec![dated(None, "input 1")], in_variant).contains("cannot be used"));
    let many = (0..300).map(|at| variant(&format!("service_tier={at}"), None, "input 1")).collect();
    assert!(new(vec![dated(None, "input 1")], many).contains("more than 256"));

    let twice = || model("p", "m", vec![dated(None, "input 1")], vec![]);
    let models = PriceBook::new(vec![list("p", &[], vec![twice(), twice()])]).unwrap_err();
    assert!(matches!(models, BookError::ModelTwice { .. }));
    let lists = PriceBook::new(vec![list("p", &[], vec![]), list("p", &[], vec![])]).unwrap_err();
    assert!(matches!(lists, BookError::ProviderTwice { .. }));
}

#[test]
fn a_rate_is_written_as_it_is_read() {
    let tier = |above, price: &str| Tier { above, unit_price: price.parse().unwrap() };
    let rate = Rate::tiered("0.0000030".parse().unwrap(), vec![tier(500, "0.9"), tier(200, "0.6")]);
    assert_eq!(rate.to_string(), "0.000003; 0.6 above 200; 0.9 above 500");
    assert_eq!(Rate::parse(&rate.to_string()).unwrap().to_string(), rate.to_string());
    let beyond = Rate::with_tiers("1".parse().unwrap(), vec![tier(200, "0.6")], Reach::UnitsBeyond);
    assert_eq!(beyond.to_string(), "1; 0.6 beyond 200");
    assert_eq!(Rate::parse("1; 0.6 beyond 200"), Ok(beyond));
    for bad in ["", "x", "1;", "1; 2", "1; 2 above x", "1 above 2", "1e3", "1; 2 above 3; 4 beyond 5"] {
        assert!(Rate::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_narrowest_rate_covers() {
    let rates = rates("input 1, cache_read 2, cache_write_5m 3");
    for (class, expected) in [
        (UnitClass::CacheRead, Some(2)),
        (UnitClass::AudioCacheRead, Some(2)),
        (UnitClass::CacheWrite1h, Some(3)),
        (UnitClass::ImageInput, Some(1)),
        (UnitClass::Output, None),
    ] {
        assert_eq!(rates.covering(class).map(Rate::base), expected.map(Decimal::from), "{class}");
    }
}

prop_compose! {
    fn any_constraint()(kind in 0..4, a in 0..6_u64, b in 0..6_u64) -> Option<Constraint> {
        match kind {
            0 => None,
            1 => Some(Constraint::From(EventTime::from_nanos((a * 24 * HOUR) as i64))),
            2 => Some(Constraint::Daily(a * 4 * HOUR, b * 4 * HOUR)),
            _ => {
                let day = |at: u64| Some(EventTime::from_nanos((at * 24 * HOUR) as i64)).filter(|_| at > 0);
                Some(Constraint::DailyUntil((day(a), day(b)), (b * 4 * HOUR, a * 4 * HOUR)))
            }
        }
    }
}

prop_compose! {
    fn any_variant()(key in 0..2_usize, value in 0..2, constraint in any_constraint(), class in 0..3_usize, price in 1..100) -> Variant {
        let prices = ["input", "output", "input 1, output"][class];
        variant(&format!("{}={value}", ["a", "b"][key]), constraint, &format!("{prices} {price}"))
    }
}

proptest! {
    /// The rules, applied directly: the last standard price, then each variant from last to first over it.
    #[test]
    fn a_card_says_what_the_rules_say(
        constraints in proptest::collection::vec(any_constraint(), 0..5),
        at in 0..4_usize,
        variants in proptest::collection::vec(any_variant(), 0..5),
        now in 0..(6 * 24 * HOUR) as i64,
        known in proptest::collection::vec((0..2_usize, 0..2_usize), 0..3),
    ) {
        let mut standard: Vec<Dated> = constraints.into_iter().flatten().zip(1..).map(|(constraint, price)| dated(Some(constraint), &format!("input {price}, output {price}"))).collect();
        standard.insert(at.min(standard.len()), dated(None, "input 50, output 50"));
        let now = EventTime::from_nanos(now);
        let is = |key: &str, value: &str| known.iter().any(|(k, v)| ["a", "b"][*k] == key && v.to_string() == value);
        let of_day = |start: u64, end: u64| {
            let of_day = now.nanos() as u64 % (24 * HOUR);
            if end < start { of_day >= start || of_day < end } else { start <= of_day && of_day < end }
        };
        let applies = |constraint: Option<Constraint>| match constraint {
            None => true,
            Some(Constraint::From(start)) => start <= now,
            Some(Constraint::Until(start, end)) => start.is_none_or(|start| start <= now) && now < end,
            Some(Constraint::Daily(start, end)) => of_day(start, end),
            Some(Constraint::DailyUntil((from, to), (start, end))) => {
                from.is_none_or(|from| from <= now) && to.is_none_or(|to| now < to) && of_day(start, end)
            }
        };
        let mut expected = standard.iter().rfind(|dated| applies(dated.constraint)).unwrap().rates.clone();
        for variant in variants.iter().rev().filter(|v| applies(v.constraint) && v.when.iter().all(|(k, x)| is(k, x))) {
            expected.overlay(&variant.rates, |_| true);
        }
        // A key has one value at most; a call that states two is none.
        prop_assume!(!known.iter().any(|(k, v)| known.iter().any(|(l, w)| k == l && v != w)));

        let prices = model("p", "m", standard, variants);
        let card = prices.card(now, is).unwrap();
        prop_assert_eq!(&card.rates, &expected);
        prop_assert!(card.holds_at(now));
        prop_assert!(card.context.iter().all(|(key, value)| is(key, value)));
    }
}
