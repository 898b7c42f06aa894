//! A statement made of the ledger itself agrees with it, in every shape that is read; each thing put into it that is not
//! so is found and named; a file that is none is refused with all its faults.

use std::collections::BTreeMap;

use billing::reconcile::{Cause, Class, Comparison, Statement, StatementFormat, Tolerance, compare};
use domain::money::Cost;
use proptest::prelude::*;
use rust_decimal::Decimal;
use schemas::ProviderHour;
use serde_json::{Value, json};

/// 2026-10-10T00:00:00Z.
const START: i64 = 1_791_590_400;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn hour(at: i64, model: &str, calls: i64, input: i64, cached: i64, output: i64) -> ProviderHour {
    ProviderHour {
        hour: START + at * HOUR,
        model: model.into(),
        calls,
        input,
        cache_read: cached,
        output,
        cost: Cost::from_picos(i128::from(input + 4 * output) * 2_500_000),
        ..ProviderHour::default()
    }
}

/// Days of a ledger by model: what a statement of it would say.
fn days(hours: &[ProviderHour], shift: i64) -> BTreeMap<(i64, String), ProviderHour> {
    let mut days: BTreeMap<(i64, String), ProviderHour> = BTreeMap::new();
    for hour in hours {
        let day = (hour.hour - START + shift * HOUR).div_euclid(DAY);
        let sum = days.entry((day, hour.model.clone())).or_default();
        sum.calls += hour.calls;
        sum.input += hour.input;
        sum.cache_read += hour.cache_read;
        sum.cache_write += hour.cache_write;
        sum.cache_write_1h += hour.cache_write_1h;
        sum.output += hour.output;
        sum.cost += hour.cost;
    }
    days
}

fn openai_usage(days: &BTreeMap<(i64, String), ProviderHour>) -> Value {
    let buckets = days.iter().map(|((day, model), sum)| {
        json!({"object": "bucket", "start_time": START + day * DAY, "end_time": START + (day + 1) * DAY, "results": [{
            "object": "organization.usage.completions.result", "model": model, "batch": false,
            "input_tokens": sum.input, "input_cached_tokens": sum.cache_read, "output_tokens": sum.output,
            "num_model_requests": sum.calls,
        }]})
    });
    json!({"object": "page", "data": buckets.collect::<Vec<_>>(), "has_more": false, "next_page": null})
}

fn rfc(seconds: i64) -> String {
    chrono::DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339()
}

fn anthropic_usage(days: &BTreeMap<(i64, String), ProviderHour>) -> Value {
    let buckets = days.iter().map(|((day, model), sum)| {
        json!({"starting_at": rfc(START + day * DAY), "ending_at": rfc(START + (day + 1) * DAY), "results": [{
            "model": model, "uncached_input_tokens": sum.input - sum.cache_read - sum.cache_write,
            "cache_read_input_tokens": sum.cache_read, "output_tokens": sum.output, "service_tier": "standard",
            "cache_creation": {"ephemeral_1h_input_tokens": sum.cache_write_1h,
                               "ephemeral_5m_input_tokens": sum.cache_write - sum.cache_write_1h},
            "server_tool_use": {"web_search_requests": 0},
        }]})
    });
    json!({"data": buckets.collect::<Vec<_>>(), "has_more": false, "next_page": null})
}

fn costs_csv(days: &BTreeMap<(i64, String), ProviderHour>, factor: Decimal) -> String {
    let mut csv = "start_time,end_time,amount_value,amount_currency,line_item\n".to_string();
    for ((day, model), sum) in days {
        let (from, to) = (START + day * DAY, START + (day + 1) * DAY);
        let cost = Decimal::from_i128_with_scale(sum.cost.picos(), 12) * factor;
        csv += &format!("{from},{to},{cost},usd,\"{model}, all\"\n");
    }
    csv
}

fn focus_csv(days: &BTreeMap<(i64, String), ProviderHour>) -> String {
    let mut csv = "ChargePeriodStart,ChargePeriodEnd,ChargeCategory,BilledCost,ConsumedQuantity,ConsumedUnit,SkuMeter,ResourceName\n".to_string();
    for ((day, model), sum) in days {
        let (from, to) = (rfc(START + day * DAY), rfc(START + (day + 1) * DAY));
        let cost = Decimal::from_i128_with_scale(sum.cost.picos(), 12);
        csv += &format!("{from},{to},Usage,{cost},{},Tokens,Output Tokens,{model}\n", sum.output);
        csv += &format!(
            "{from},{to},Usage,0,{},1K Tokens,Cached Input Tokens,{model}\n",
            Decimal::new(sum.cache_read, 3)
        );
        csv += &format!("{from},{to},Usage,0,{},Tokens,Input Tokens,{model}\n", sum.input - sum.cache_read);
        csv += &format!("{from},{to},Tax,1.23,,,,{model}\n");
    }
    csv
}

fn against(text: &str, format: StatementFormat, hours: &[ProviderHour]) -> Comparison {
    let statement =
        Statement::read(text.as_bytes(), format).unwrap_or_else(|error| panic!("{error}: {text}"));
    compare(&statement, hours, Tolerance { share: Decimal::new(1, 6) })
}

fn causes(comparison: &Comparison) -> Vec<(&'static str, &'static str)> {
    let named = comparison.differences.iter().map(|found| (found.class.name(), found.cause.name()));
    named.collect()
}

fn some_hours() -> impl Strategy<Value = Vec<ProviderHour>> {
    let one = (0..72_i64, 0..3_usize, 1..50_i64, 1..100_000_i64, 0..=100_i64, 0..10_000_i64);
    let model = |at: usize| ["gpt-4o-2024-08-06", "gpt-4o-mini", "o3"][at];
    prop::collection::vec(one, 1..40).prop_map(move |found| {
        let hours = found.into_iter().map(|(at, name, calls, input, cached, output)| {
            hour(at, model(name), calls, input, input * cached / 100, output)
        });
        hours.collect()
    })
}

proptest! {
    #[test]
    fn a_statement_made_of_the_ledger_agrees_with_it(hours in some_hours(), written in 0..=100_i64) {
        let sums = days(&hours, 0);
        for (text, format) in [
            (openai_usage(&sums).to_string(), StatementFormat::OpenAi),
            (costs_csv(&sums, Decimal::ONE), StatementFormat::OpenAi),
            (focus_csv(&sums), StatementFormat::Focus),
        ] {
            let comparison = against(&text, format, &hours);
            prop_assert_eq!(&comparison.differences, &[], "{}", text);
            prop_assert!(comparison.figures > 0);
        }
        let mut claude = hours;
        for hour in &mut claude {
            hour.cache_write = (hour.input - hour.cache_read) * written / 100;
            hour.cache_write_1h = hour.cache_write / 3;
        }
        let comparison = against(&anthropic_usage(&days(&claude, 0)).to_string(), StatementFormat::Anthropic, &claude);
        prop_assert_eq!(comparison.differences, []);
    }

    /// Calls that no span shows are found wherever they are, and their share of all output is what was put in.
    #[test]
    fn calls_that_no_span_shows_are_counted(hours in some_hours(), at in any::<prop::sample::Index>(), lost in 1..9_i64) {
        let mut sums = days(&hours, 0);
        let all: i64 = sums.values().map(|sum| sum.output).sum();
        let at = at.index(sums.len());
        let sum = sums.values_mut().nth(at).unwrap();
        (sum.calls, sum.input, sum.output) = (sum.calls + lost, sum.input + 1_000 * lost, sum.output + 100 * lost);
        let comparison = against(&openai_usage(&sums).to_string(), StatementFormat::OpenAi, &hours);
        let found = comparison.differences.iter().find(|found| found.class == Class::Requests).unwrap();
        prop_assert_eq!(&found.cause, &Cause::MissingCalls(Some(Decimal::from(lost))));
        let expected = (Decimal::from(100 * lost) / Decimal::from(all + 100 * lost)).round_dp(6).normalize();
        prop_assert_eq!(comparison.unseen(Class::Output), Some(expected));
    }

    /// Days of another zone are found whichever it is, as long as calls tell them apart.
    #[test]
    fn days_of_another_zone_are_found(shift in prop::sample::select(vec![-8_i64, -5, 1, 2, 9, 13]), calls in 1..9_i64) {
        let hours: Vec<ProviderHour> = (-48..120).map(|at| hour(at, "o3", calls + (at * at).rem_euclid(101), 100, 0, 10)).collect();
        let mut sums = days(&hours, shift);
        // The first and the last day are whole in the statement's zone alone.
        sums.retain(|(day, _), _| (0..3).contains(day));
        let comparison = against(&openai_usage(&sums).to_string(), StatementFormat::OpenAi, &hours);
        prop_assert!(!comparison.differences.is_empty());
        for found in &comparison.differences {
            prop_assert_eq!(&found.cause, &Cause::TimeZone(shift));
        }
    }
}

#[test]
fn each_cause_put_into_a_statement_is_named() {
    let hours = [hour(1, "o3", 10, 10_000, 2_000, 500), hour(30, "o3", 10, 20_000, 2_000, 900)];
    let sums = days(&hours, 0);
    let usage = |change: &dyn Fn(&mut Value)| {
        let mut page = openai_usage(&sums);
        change(&mut page["data"][0]["results"][0]);
        causes(&against(&page.to_string(), StatementFormat::OpenAi, &hours))
    };
    assert_eq!(usage(&|_| {}), []);
    assert_eq!(usage(&|result| result["num_model_requests"] = json!(9)), [("requests", "extra_calls")]);
    assert_eq!(usage(&|result| result["output_tokens"] = json!(600)), [("output", "counts")]);
    let split = usage(&|result| result["input_cached_tokens"] = json!(5_000));
    assert_eq!(split, [("input", "cache_class"), ("cache_read", "cache_class")]);
    let batch = usage(&|result| result["batch"] = json!(true));
    assert!(!batch.is_empty() && batch.iter().all(|(_, cause)| *cause == "service_tier"), "{batch:?}");

    let costs = |factor: &str, hours: &[ProviderHour]| {
        let text = costs_csv(&sums, Decimal::from_str_exact(factor).unwrap());
        causes(&against(&text, StatementFormat::OpenAi, hours))
    };
    assert_eq!(costs("1.2", &hours), [("cost", "rate"); 2]);
    assert_eq!(costs("0.5", &hours), [("cost", "service_tier"); 2]);
    let mut doubtful = hours.clone();
    (doubtful[0].unpriced, doubtful[0].cost) = (4, Cost::ZERO);
    assert_eq!(costs("1", &doubtful), [("cost", "unpriced")]);
    let mut silent = hours.clone();
    (silent[0].unmetered, silent[0].output) = (3, 100);
    let page = openai_usage(&sums).to_string();
    assert_eq!(causes(&against(&page, StatementFormat::OpenAi, &silent)), [("output", "unmetered")]);
    assert_eq!(
        causes(&against(&page, StatementFormat::OpenAi, &hours[1..]))[0],
        ("requests", "missing_calls")
    );
}

#[test]
fn dated_and_displayed_names_of_a_model_are_one() {
    let hours = [hour(1, "claude-sonnet-4-5-20250929", 1, 1_000, 0, 100)];
    let csv = "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,cost_type\n\
               2026-10-10,Claude Sonnet 4.5,Default,key,standard,,input,0.0025,token\n\
               2026-10-10,Claude Sonnet 4.5,Default,key,standard,,output,0.001,token\n";
    let comparison = against(csv, StatementFormat::Anthropic, &hours);
    assert_eq!((comparison.differences.as_slice(), comparison.figures), (&[][..], 1));
    let cents = json!({"data": [{"starting_at": rfc(START), "ending_at": rfc(START + DAY), "results": [
        {"amount": "0.35", "currency": "USD", "model": "claude-sonnet-4-5-20250929", "cost_type": "tokens",
         "token_type": "uncached_input_tokens", "service_tier": "standard"}]}], "has_more": false});
    assert_eq!(against(&cents.to_string(), StatementFormat::Anthropic, &hours).differences, []);
}

#[test]
fn a_file_with_faults_is_refused_with_all_of_them() {
    let check = |text: &[u8], format, parts: &[&str]| {
        let error = Statement::read(text, format).unwrap_err();
        let mut said = error.to_string();
        let source = std::error::Error::source(&error);
        said += &source.map(|source| format!(": {source}")).unwrap_or_default();
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
    };
    let csv = "start_time,end_time,model,input_tokens,input_cached_tokens,output_tokens\n\
               1791590400,1791676800,o3,-5,0,1\nyesterday,,o3,5,0,1\n1791590400,1791676800,o3,5,9,1.5\n\
               1791676800,1791590400,o3,5,0,1\n1791590400\n";
    let faults = [
        "line 2: input_tokens -5",
        "line 3: start_time \"yesterday\"",
        "line 4",
        "more input is cached",
        "output_tokens 1.5",
        "line 5: ends before",
        "line 6",
    ];
    check(csv.as_bytes(), StatementFormat::OpenAi, &faults);
    check(b"a,b\n1,2\n", StatementFormat::OpenAi, &["no known shape", "docs/reconcile.md"]);
    check(b"{\"data\": 5}", StatementFormat::Anthropic, &["no known shape"]);
    check(b"{\"data\": [}", StatementFormat::Anthropic, &["line 1"]);
    check(b"{\"data\": []}", StatementFormat::OpenAi, &["no figures"]);
    check(b"\xff\xfea\0", StatementFormat::Focus, &["UTF-16"]);
    let more = json!({"data": [{"start_time": START, "end_time": START + DAY, "results": [{"input_tokens": "many"}]},
        {"start_time": START + DAY, "end_time": START, "results": []}, {}], "has_more": true});
    let faults = [
        "bucket 0, result 0: input_tokens is no count",
        "bucket 1: ends before",
        "bucket 2: has no times",
        "more pages",
    ];
    check(more.to_string().as_bytes(), StatementFormat::OpenAi, &faults);
}
