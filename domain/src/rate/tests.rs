//! Rating as tables: one call a line, money as people write it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::price::{Rate, Rates, Reach, Tier};
use crate::usage::TokenClass;

/// A card from text: `input 3.00 (6.00 above 200000), output 15.00`, in dollars per million units.
fn card(text: &str) -> RateCard {
    let million = Decimal::from(1_000_000);
    let per_million = |price: &str| price.trim().parse::<Decimal>().unwrap() / million;
    let mut rates = BTreeMap::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (class, price) = item.split_once(' ').unwrap();
        let (base, tier) = price.split_once('(').unwrap_or((price, ""));
        let reach = if tier.contains("beyond") { Reach::UnitsBeyond } else { Reach::WholeCall };
        let tier = tier.replace("beyond", "above");
        let tiers = tier.trim_end_matches(')').split("; ").filter_map(|tier| tier.split_once(" above "));
        let tiers = tiers
            .map(|(price, above)| Tier { above: above.parse().unwrap(), unit_price: per_million(price) });
        let rate = Rate::with_tiers(per_million(base), tiers.collect(), reach);
        rates.insert(UnitClass::named(class).unwrap(), rate);
    }
    let rates = Rates::new(rates, Vec::new());
    rates.check().unwrap();
    RateCard::new("acme".into(), "large".into(), (None, None), Vec::new(), BTreeMap::new(), rates, Vec::new())
}

/// A usage from text: `input 1_000, cache_read_tokens 900`; a name that is no token class is a unit.
fn usage(text: &str) -> Usage {
    let mut usage = Usage::default();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (name, count) = item.split_once(' ').unwrap();
        let count = count.trim().replace('_', "").parse().unwrap();
        match TokenClass::ALL.into_iter().find(|class| class.name().trim_end_matches("_tokens") == name) {
            Some(class) => usage.set(class, Some(count)),
            None => drop(usage.units.insert(name.into(), count)),
        }
    }
    usage
}

/// Holds each line `call | usage | lines | cost` of a table to what rating says.
fn check(prices: &str, table: &str) {
    let card = card(prices);
    for line in table.trim().lines() {
        let [call, used, lines, cost] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("a line has four columns: {line}")
        };
        let (found_lines, found_cost) = match rate(&usage(used), &card) {
            Ok(rated) => {
                assert_eq!(rated.cost, rated.lines.iter().map(|line| line.cost).sum(), "{call}");
                (written(&rated), rated.cost.to_string())
            }
            Err(unpriced) => ("-".to_string(), format!("reject: {}", unpriced.code())),
        };
        assert_eq!((found_lines.as_str(), found_cost.as_str()), (lines, cost), "{call}");
    }
}

fn written(rated: &Rated) -> String {
    rated.lines.iter().map(|line| format!("{} {}", line.unit, line.quantity)).collect::<Vec<_>>().join(", ")
}

#[test]
fn each_token_is_billed_once_in_its_narrowest_class() {
    check(
        "input 3.00, output 15.00, cache_read 0.30, cache_write_5m 3.75, cache_write_1h 6.00",
        "
        plain                            | input 1_000, output 200                                  | input 1000, output 200 | 0.006000000000
        cached tokens bill their way     | input 1_000, output 200, cache_read 900                  | input 100, cache_read 900, output 200 | 0.003570000000
        writes of both lifetimes         | input 1_000, cache_write 600, cache_write_1h 200, output 10 | input 400, cache_write_5m 400, cache_write_1h 200, output 10 | 0.004050000000
        all written for an hour          | input 200, cache_write 200, cache_write_1h 200           | cache_write_1h 200 | 0.001200000000
        reasoning is part of the output  | input 10, output 100, reasoning 80                       | input 10, output 100 | 0.001530000000
        more reasoning than output       | input 10, output 100, reasoning 800                      | input 10, output 100 | 0.001530000000
        reasoning and no output          | reasoning 80                                             | reasoning 80 | 0.001200000000
        a part without its whole         | cache_read 900                                           | cache_read 900 | 0.000270000000
        an hour's write without its whole | cache_write_1h 100                                      | cache_write_1h 100 | 0.000600000000
        nothing was used                 | input 0, output 0                                        |  | 0.000000000000
        parts exceed the whole           | input 100, cache_read 101                                | - | reject: usage_inconsistent
        two parts exceed the whole       | input 100, cache_read 60, cache_write 41                 | - | reject: usage_inconsistent
        a search that has no price       | input 10, web_searches 1                                 | - | reject: no_rate
        a unit nobody knows              | input 10, unicorns 1                                     | - | reject: no_rate
        none of a unit nobody knows      | input 10, unicorns 0                                     | input 10 | 0.000030000000
        a class stated twice, alike      | input 10, input_tokens 10                                | input 10 | 0.000030000000
        a class stated twice, otherwise  | input 10, input_tokens 11                                | - | reject: usage_inconsistent
        ",
    );
}

#[test]
fn a_class_without_a_price_has_its_wholes_and_a_whole_without_a_price_has_none() {
    check(
        "input 3.00, output 15.00",
        "
        cached tokens are prompt tokens | input 1_000, cache_read 900                       | input 100, cache_read 900 | 0.003000000000
        so are written ones             | input 1_000, cache_write 900, cache_write_1h 500  | input 100, cache_write_5m 400, cache_write_1h 500 | 0.003000000000
        so is audio                     | input 100, audio_input 60, output 10, audio_output 4 | input 40, audio_input 60, output 6, audio_output 4 | 0.000450000000
        ",
    );
    check(
        "input 0.02",
        "
        an embedding                    | input 1_000, output 0 | input 1000 | 0.000020000000
        an embedding with an output     | input 1_000, output 5 | - | reject: no_rate
        ",
    );
    check("", "an empty list prices nothing | input 1 | - | reject: no_rate");
}

#[test]
fn a_tier_for_the_units_beyond_it_prices_those_and_no_others() {
    let prices = "input 3.00 (6.00 beyond 200000; 9.00 beyond 300000), cache_read 0.30, output 15.00 (30.00 beyond 1000), requests 1000000 (2000000 beyond 1)";
    let without_fee = prices.rsplit_once(", ").unwrap().0;
    check(
        without_fee,
        "
        at the limit              | input 200_000, output 1_000                    | input 200000, output 1000 | 0.615000000000
        one beyond                | input 200_001, output 1_000                    | input 200000, input>200000 1, output 1000 | 0.615006000000
        beyond both               | input 300_010, output 5                        | input 200000, input>200000 100000, input>300000 10, output 5 | 1.200165000000
        output by itself          | input 10, output 1_500                         | input 10, output 1000, output>1000 500 | 0.030030000000
        what was cached is first  | input 250_000, cache_read 200_000              | input>200000 50000, cache_read 200000 | 0.360000000000
        a little of it was        | input 250_000, cache_read 100_000              | input 100000, input>200000 50000, cache_read 100000 | 0.630000000000
        cached beyond, at its own price | input 250_000, cache_read 250_000        | cache_read 250000 | 0.075000000000
        nothing                   | input 0                                        |  | 0.000000000000
        ",
    );
    check(prices, "a fee has tiers too | input 1 | input 1, requests 1 | 1.000003000000");
    // A class without a price of its own stands in the prompt where it stands, and has the price of its place.
    check(
        "input 3.00 (6.00 beyond 200000), output 15.00",
        "cached and beyond | input 300_000, cache_read 250_000 | input>200000 50000, cache_read 200000, cache_read>200000 50000 | 1.200000000000",
    );
}

proptest! {
    /// The parts of a class are the class, and a bound that is never reached changes nothing.
    #[test]
    fn parts_add_up_and_cost_what_each_unit_costs(prompt in 0..3_000_u64, read in 0..3_000_u64, bounds in proptest::collection::btree_set(0..2_000_u64, 1..4)) {
        let tiers = |bounds: &mut dyn Iterator<Item = u64>| -> Vec<Tier> {
            bounds.zip(2..).map(|(above, price)| Tier { above, unit_price: Decimal::from(price) }).collect()
        };
        let rate_of = |tiers| Rate::with_tiers(Decimal::ONE, tiers, Reach::UnitsBeyond);
        let card = |rate: Rate| {
            let rates = Rates::new(BTreeMap::from([(UnitClass::Input, rate)]), Vec::new());
            RateCard::new("acme".into(), "large".into(), (None, None), Vec::new(), BTreeMap::new(), rates, Vec::new())
        };
        let used = Usage::default().with(TokenClass::Input, prompt).with(TokenClass::CacheRead, read.min(prompt));
        let rated = rate(&used, &card(rate_of(tiers(&mut bounds.iter().copied())))).unwrap();
        prop_assert_eq!(rated.lines.iter().map(|line| line.quantity).sum::<u64>(), prompt);
        // Unit by unit: the price of a place is one and another for each bound before it.
        let expected: u64 = (0..prompt).map(|place| 1 + bounds.iter().filter(|bound| place >= **bound).count() as u64).sum();
        prop_assert_eq!(rated.cost, Cost::of(expected, Decimal::ONE).unwrap());
        let far = rate(&used, &card(rate_of(tiers(&mut std::iter::once(10_000))))).unwrap();
        prop_assert_eq!(far.cost, Cost::of(prompt, Decimal::ONE).unwrap());
        prop_assert!(far.lines.iter().all(|line| line.unit.beyond.is_none()));
    }
}

#[test]
fn a_tier_is_chosen_by_the_whole_prompt_and_holds_for_the_whole_call() {
    let prices = "input 3.00 (6.00 above 200000), cache_read 0.30 (0.60 above 200000), output 15.00 (22.50 above 200000)";
    check(
        prices,
        "
        at the limit              | input 200_000, output 1_000                    | input 200000, output 1000 | 0.615000000000
        one beyond                | input 200_001, output 1_000                    | input 200001, output 1000 | 1.222506000000
        beyond, but mostly cached | input 200_001, cache_read 200_000, output 1    | input 1, cache_read 200000, output 1 | 0.120028500000
        long answer, short prompt | input 1, output 300_000                        | input 1, output 300000 | 4.500003000000
        ",
    );
    let tier = |text: &str| rate(&usage(text), &card(prices)).unwrap().tier;
    assert_eq!(tier("input 200_001, output 5"), Some(200_000));
    assert_eq!(tier("input 200_000, output 5"), None);
}

#[test]
fn reasoning_is_a_line_of_its_own_where_it_has_a_price_of_its_own() {
    check(
        "input 2.00, output 8.00, reasoning 3.00",
        "
        some of it        | input 10, output 100, reasoning 80  | input 10, output 20, reasoning 80 | 0.000420000000
        all of it         | input 10, output 100, reasoning 100 | input 10, reasoning 100 | 0.000320000000
        more than all     | input 10, output 100, reasoning 101 | - | reject: usage_inconsistent
        ",
    );
}

#[test]
fn audio_and_cached_tokens_overlap_as_little_as_the_prompt_allows() {
    let prices = "input 2.50, output 10.00, cache_read 1.25, audio_input 40.00, audio_cache_read 2.50, audio_output 80.00";
    check(
        prices,
        "
        audio both ways     | input 100, audio_input 60, output 50, audio_output 40 | input 40, audio_input 60, output 10, audio_output 40 | 0.005800000000
        there is room       | input 100, cache_read 30, audio_input 60              | input 10, cache_read 30, audio_input 60 | 0.002462500000
        there is none       | input 100, cache_read 70, audio_input 60              | cache_read 40, audio_input 30, audio_cache_read 30 | 0.001325000000
        the overlap is said | input 100, cache_read 70, audio_input 60, cache_audio_read_tokens 50 | input 20, cache_read 20, audio_input 10, audio_cache_read 50 | 0.000600000000
        it is said wrongly  | input 100, cache_read 70, audio_input 60, cache_audio_read_tokens 10 | - | reject: usage_inconsistent
        ",
    );
    let assumed = |text: &str| rate(&usage(text), &card(prices)).unwrap().assumed_overlap;
    assert_eq!(assumed("input 100, cache_read 70, audio_input 60"), 30);
    assert_eq!(assumed("input 100, cache_read 30, audio_input 60"), 0);
}

#[test]
fn a_fee_for_the_call_is_charged_once_whatever_was_used() {
    check(
        "input 1.00, output 1.00, requests 12000.00",
        "
        a call        | input 5, output 5 | input 5, output 5, requests 1 | 0.012010000000
        an empty call | input 0           | requests 1 | 0.012000000000
        ",
    );
}

#[test]
fn a_minimum_is_billed_once_anything_is_used() {
    let mut card = card("audio_seconds 30.833333333333");
    card.minimums.push((UnitClass::AudioSeconds, 10));
    let billed = |text: &str| written(&rate(&usage(text), &card).unwrap());
    assert_eq!(billed("seconds 3"), "audio_seconds 10");
    assert_eq!(billed("seconds 11"), "audio_seconds 11");
    assert_eq!(billed("seconds 0"), "");
}

#[test]
fn a_kind_of_token_that_is_not_understood_stops_the_call_and_a_fee_does_not() {
    let rates =
        |key: &str| Rates::new([(UnitClass::Input, Rate::flat(Decimal::ONE))].into(), vec![key.to_string()]);
    let mut card = card("input 1.00");
    card.rates = rates("input_smell_mtok");
    assert_eq!(rate(&usage("input 1"), &card).unwrap_err().code(), "rate_unsupported");
    card.rates = rates("smells_kcount");
    assert_eq!(rate(&usage("input 1"), &card).unwrap().cost.to_string(), "1.000000000000");
}

#[test]
fn what_cannot_be_written_down_is_refused() {
    let mut card = card("input 1.00");
    card.rates = Rates::new([(UnitClass::Input, Rate::flat(Decimal::MAX))].into(), Vec::new());
    assert_eq!(rate(&usage("input 1"), &card).unwrap_err().code(), "cost_out_of_range");
}

#[test]
fn a_call_of_unknown_price_is_split_with_reasoning_inside_the_output() {
    let exact =
        exact_units(&usage("input 100, cache_read 60, output 9, reasoning 5, unicorns 2"), None).unwrap();
    assert_eq!(exact.units, [(UnitClass::Input, 40), (UnitClass::CacheRead, 60), (UnitClass::Output, 9)]);
    assert_eq!(exact.unknown, [("unicorns".to_string(), 2)]);
}

prop_compose! {
    /// A usage whose parts fit their wholes.
    fn fitting()(input in 0..3_000_000_u64, a in 0..=100_u64, b in 0..=100_u64, c in 0..=100_u64, output in 0..1_000_000_u64, d in 0..=100_u64) -> Usage {
        let read = input * a / 100;
        let write = (input - read) * b / 100;
        Usage::default()
            .with(TokenClass::Input, input)
            .with(TokenClass::CacheRead, read)
            .with(TokenClass::CacheWrite, write)
            .with(TokenClass::CacheWrite1h, write * c / 100)
            .with(TokenClass::Output, output)
            .with(TokenClass::Reasoning, output * d / 100)
    }
}

const FULL: &str =
    "input 3.00, output 15.00, cache_read 0.30, cache_write_5m 3.75, cache_write_1h 6.00, reasoning 4.00";

proptest! {
    #[test]
    fn no_token_is_lost_or_billed_twice(usage in fitting()) {
        let rated = rate(&usage, &card(FULL)).unwrap();
        let sum = |input: bool| -> u64 {
            rated.lines.iter().filter(|line| line.unit.class.is_prompt_token() == input).map(|line| line.quantity).sum()
        };
        prop_assert_eq!(sum(true), usage.count(TokenClass::Input));
        prop_assert_eq!(sum(false), usage.count(TokenClass::Output));
        prop_assert!(rated.lines.iter().all(|line| line.quantity > 0));
        prop_assert!(rated.lines.is_sorted_by_key(|line| line.unit));
    }

    #[test]
    fn two_calls_cost_what_one_call_with_both_usages_costs(one in fitting(), two in fitting()) {
        let mut both = Usage::default();
        for class in TokenClass::ALL.into_iter().filter(|class| one.get(*class).is_some()) {
            both.set(class, Some(one.count(class) + two.count(class)));
        }
        let cost = |usage: &Usage| rate(usage, &card(FULL)).unwrap().cost;
        prop_assert_eq!(cost(&one) + cost(&two), cost(&both));
    }

    /// Each line is rounded once, so that before rounding amounts scale exactly: no line is further off than half of the
    /// last digit, at either price.
    #[test]
    fn prices_times_k_cost_k_times_as_much_before_rounding(
        usage in fitting(), prices in proptest::collection::vec((0..10_i64.pow(9), 8..20_u32), 6), k in 0..10_000_i64, scale in 0..5_u32, tier in 0..3_000_000_u64,
    ) {
        let classes = [UnitClass::Input, UnitClass::Output, UnitClass::CacheRead, UnitClass::CacheWrite5m, UnitClass::CacheWrite1h, UnitClass::Reasoning];
        let factor = Decimal::new(k, scale);
        let of = |factor: Decimal| {
            let tiered = |(mantissa, scale): (i64, u32)| {
                let price = Decimal::new(mantissa, scale) * factor;
                Rate::tiered(price, vec![Tier { above: tier, unit_price: price * Decimal::TWO }])
            };
            let rates = classes.into_iter().zip(prices.iter().copied().map(tiered)).collect();
            let rates = Rates::new(rates, Vec::new());
            let card = RateCard { rates, ..card("") };
            rate(&usage, &card).unwrap()
        };
        let (once, scaled) = (of(Decimal::ONE), of(factor));
        prop_assert_eq!(once.tier, scaled.tier);
        // In units of 10^-24: exact integers, no second implementation of rounding.
        let exact = |rated: &Rated| -> i128 {
            rated.lines.iter().map(|line| i128::from(line.quantity) * line.unit_price.mantissa() * 10_i128.pow(24 - line.unit_price.scale())).sum()
        };
        prop_assert_eq!(exact(&scaled) * 10_i128.pow(scale), exact(&once) * i128::from(k));
        for rated in [&once, &scaled] {
            let off = (rated.cost.picos() * 10_i128.pow(12) - exact(rated)).abs();
            prop_assert!(2 * off <= rated.lines.len() as i128 * 10_i128.pow(12), "{off}");
        }
    }

    #[test]
    fn caching_never_makes_a_call_dearer_than_its_dearest_rate(usage in fitting()) {
        let rated = rate(&usage, &card(FULL)).unwrap();
        let most = Cost::of(usage.count(TokenClass::Input), "0.000006".parse().unwrap()).unwrap()
            + Cost::of(usage.count(TokenClass::Output), "0.000015".parse().unwrap()).unwrap();
        prop_assert!(rated.cost <= most && rated.cost >= Cost::ZERO);
    }

    #[test]
    fn any_usage_is_rated_or_refused_and_never_panics(counts in proptest::collection::vec(proptest::option::of(any::<u64>()), 8), searches in any::<u64>()) {
        let mut usage = Usage::default();
        for (class, count) in TokenClass::ALL.into_iter().zip(counts) {
            usage.set(class, count);
        }
        usage.units.insert("web_searches".into(), searches);
        let _ = rate(&usage, &card("input 3.00, output 15.00, audio_input 1.00, web_searches 10000"));
        let _ = exact_units(&usage, None);
    }
}
