//! Answers of the providers' own APIs: `GET /v1/organization/usage/…` and `…/costs` of OpenAI, `…/usage_report/messages`
//! and `…/cost_report` of Anthropic. One page, several one after the other, or an array of pages.

use chrono::DateTime;
use rust_decimal::Decimal;
use serde_json::Value;

use super::statement::{Class, Place, Statement, StatementError, tier};
use crate::prices::{Fault, as_text, digits, keep_digits};

/// One result of a bucket, and where it stands.
struct Found<'v> {
    from: i64,
    to: i64,
    value: &'v Value,
    at: String,
}

/// Pages to results; `bounds` reads when a bucket begins and ends.
fn results<'v>(
    pages: &'v [Value],
    bounds: impl Fn(&Value) -> Option<(i64, i64)>,
    faults: &mut Vec<Fault>,
) -> Vec<Found<'v>> {
    let mut found = Vec::new();
    let mut bucket_number = 0;
    for page in pages {
        for bucket in page["data"].as_array().into_iter().flatten() {
            let at = format!("bucket {bucket_number}");
            bucket_number += 1;
            let (Some((from, to)), Some(results)) = (bounds(bucket), bucket["results"].as_array()) else {
                faults.push(Fault { at, problem: "has no times or no results".into() });
                continue;
            };
            if from >= to {
                faults.push(Fault { at, problem: "ends before it begins".into() });
                continue;
            }
            found.extend(results.iter().enumerate().map(|(number, value)| Found {
                from,
                to,
                value,
                at: format!("{at}, result {number}"),
            }));
        }
    }
    if pages.last().is_some_and(|page| page["has_more"] == true) {
        let problem = "there are more pages; ask for them with `page` and put them into the file, too";
        faults.push(Fault { at: "the last page".into(), problem: problem.into() });
    }
    found
}

fn pages(text: &str, expected: &'static str) -> Result<Vec<Value>, StatementError> {
    let json = keep_digits(text.as_bytes());
    let mut pages = Vec::new();
    for value in serde_json::Deserializer::from_slice(&json).into_iter::<Value>() {
        match value {
            Ok(Value::Array(several)) => pages.extend(several),
            Ok(page) => pages.push(page),
            Err(error) => {
                let at = format!("line {}", error.line());
                return Err(StatementError::Faults(vec![Fault { at, problem: "not JSON".into() }]));
            }
        }
    }
    if pages.is_empty() || pages.iter().any(|page| !page["data"].is_array()) {
        return Err(StatementError::Shape { expected });
    }
    Ok(pages)
}

/// A number of tokens or requests; nothing where it is not stated.
fn count(found: &Found<'_>, value: &Value, name: &str, faults: &mut Vec<Fault>) -> Option<Decimal> {
    if value.is_null() {
        return None;
    }
    let read = digits(value).and_then(|digits| digits.parse::<u64>().ok());
    if read.is_none() {
        faults.push(Fault { at: found.at.clone(), problem: format!("{name} is no count") });
    }
    read.map(Decimal::from)
}

/// An amount, written as a number or as a text.
fn amount(found: &Found<'_>, value: &Value, faults: &mut Vec<Fault>) -> Option<Decimal> {
    let text = digits(value).or_else(|| as_text(value))?;
    let read = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
    match read {
        Ok(amount) => Some(amount),
        Err(_) => {
            faults.push(Fault { at: found.at.clone(), problem: format!("{text:?} is no amount") });
            None
        }
    }
}

/// Reads answers of OpenAI's usage and costs API.
pub(super) fn openai(text: &str, faults: &mut Vec<Fault>) -> Result<Statement, StatementError> {
    let expected = "expected pages of OpenAI's organization usage or costs API, or the dashboard's CSV";
    let pages = pages(text, expected)?;
    let seconds = |value: &Value| digits(value)?.parse::<i64>().ok();
    let mut statement = Statement::default();
    for found in results(
        &pages,
        |bucket| Some((seconds(&bucket["start_time"])?, seconds(&bucket["end_time"])?)),
        faults,
    ) {
        let value = found.value;
        let stated_tier = match (&value["batch"], as_text(&value["service_tier"])) {
            (Value::Bool(true), _) => "batch",
            (_, Some(stated)) => tier(stated),
            _ => "",
        };
        statement.tells_tiers |= value["batch"].is_boolean() || value["service_tier"].is_string();
        let is_cost = !value["amount"].is_null();
        let line_item = as_text(&value["line_item"]).unwrap_or("");
        let model = if is_cost { model_of_line(line_item) } else { as_text(&value["model"]).unwrap_or("") };
        let place = Place { from: found.from, to: found.to, model, tier: stated_tier };
        if is_cost {
            match amount(&found, &value["amount"]["value"], faults) {
                Some(amount) => statement.push(&place, Class::Cost, amount),
                None => faults.push(Fault { at: found.at, problem: "amount.value is missing".into() }),
            }
            continue;
        }
        let counted = |name: &str, faults: &mut Vec<Fault>| count(&found, &value[name], name, faults);
        let (input, cached) = (counted("input_tokens", faults), counted("input_cached_tokens", faults));
        let (output, requests) = (counted("output_tokens", faults), counted("num_model_requests", faults));
        let audio = [counted("input_audio_tokens", faults), counted("output_audio_tokens", faults)];
        if input.is_none() && output.is_none() && requests.is_none() {
            let problem = "states neither usage nor an amount; give the usage of completions, embeddings or moderations, or costs";
            faults.push(Fault { at: found.at, problem: problem.into() });
            continue;
        }
        prompt(&mut statement, &place, input, cached, &found.at, faults);
        for (class, counted) in [
            (Class::Requests, requests),
            (Class::Output, output),
            (Class::AudioInput, audio[0]),
            (Class::AudioOutput, audio[1]),
        ] {
            if let Some(counted) = counted {
                statement.push(&place, class, counted);
            }
        }
    }
    Ok(statement)
}

/// The prompt of a statement whose input includes what was cached.
pub(super) fn prompt(
    statement: &mut Statement,
    place: &Place<'_>,
    input: Option<Decimal>,
    cached: Option<Decimal>,
    at: &str,
    faults: &mut Vec<Fault>,
) {
    match (input, cached) {
        (Some(input), Some(cached)) if cached <= input => {
            statement.push(place, Class::Input, input - cached);
            statement.push(place, Class::CacheRead, cached);
        }
        (Some(_), Some(_)) => {
            faults.push(Fault { at: at.to_string(), problem: "more input is cached than there is".into() });
        }
        (Some(input), None) => statement.push(place, Class::Prompt, input),
        (None, _) => {}
    }
}

/// The model of a line of a bill: `gpt-4o-2024-08-06, cached input` is of `gpt-4o-2024-08-06`.
pub(super) fn model_of_line(line_item: &str) -> &str {
    line_item.split_once(", ").map_or(line_item, |(model, _)| model)
}

/// Reads answers of Anthropic's usage and cost report API.
pub(super) fn anthropic(text: &str, faults: &mut Vec<Fault>) -> Result<Statement, StatementError> {
    let expected =
        "expected pages of Anthropic's usage_report/messages or cost_report API, or the console's CSV";
    let pages = pages(text, expected)?;
    let seconds = |value: &Value| Some(DateTime::parse_from_rfc3339(as_text(value)?).ok()?.timestamp());
    let mut statement = Statement::default();
    for found in results(
        &pages,
        |bucket| Some((seconds(&bucket["starting_at"])?, seconds(&bucket["ending_at"])?)),
        faults,
    ) {
        let value = found.value;
        let model = as_text(&value["model"]).unwrap_or("");
        let stated_tier = tier(as_text(&value["service_tier"]).unwrap_or(""));
        statement.tells_tiers |= value["service_tier"].is_string();
        let place = Place { from: found.from, to: found.to, model, tier: stated_tier };
        if !value["amount"].is_null() {
            // In the smallest unit of the currency: cents.
            if let Some(amount) = amount(&found, &value["amount"], faults) {
                statement.push(&place, Class::Cost, amount / Decimal::ONE_HUNDRED);
            }
            continue;
        }
        let mut stated = false;
        for (class, name, value) in [
            (Class::Input, "uncached_input_tokens", &value["uncached_input_tokens"]),
            (Class::CacheRead, "cache_read_input_tokens", &value["cache_read_input_tokens"]),
            (
                Class::CacheWrite5m,
                "ephemeral_5m_input_tokens",
                &value["cache_creation"]["ephemeral_5m_input_tokens"],
            ),
            (
                Class::CacheWrite1h,
                "ephemeral_1h_input_tokens",
                &value["cache_creation"]["ephemeral_1h_input_tokens"],
            ),
            (Class::Output, "output_tokens", &value["output_tokens"]),
            (Class::WebSearches, "web_search_requests", &value["server_tool_use"]["web_search_requests"]),
        ] {
            if let Some(counted) = count(&found, value, name, faults) {
                stated = true;
                statement.push(&place, class, counted);
            }
        }
        if !stated {
            faults.push(Fault { at: found.at, problem: "states neither usage nor an amount".into() });
        }
    }
    Ok(statement)
}
