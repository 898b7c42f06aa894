//! What people download: the CSV of OpenAI's dashboard and of Anthropic's console, and FOCUS files.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use csv::StringRecord;
use rust_decimal::Decimal;

use super::read_json::{model_of_line, prompt};
use super::statement::{Class, Place, Statement, StatementError, tier};
use crate::prices::Fault;

const DAY_SECS: i64 = 86_400;

/// A table with a header, row by row.
struct Table {
    columns: Vec<String>,
    rows: Vec<(u64, StringRecord)>,
}

impl Table {
    fn read(text: &str, faults: &mut Vec<Fault>) -> Self {
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let columns =
            reader.headers().map(|header| header.iter().map(|name| name.trim().to_string()).collect());
        let mut rows = Vec::new();
        for record in reader.records() {
            match record {
                Ok(record) => rows.push((record.position().map_or(0, csv::Position::line), record)),
                Err(error) => {
                    let at = format!("line {}", error.position().map_or(0, csv::Position::line));
                    faults.push(Fault { at, problem: "not a row like its header".into() });
                }
            }
        }
        Self { columns: columns.unwrap_or_default(), rows }
    }

    fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column == name)
    }
}

/// One row of a table.
struct Row<'t> {
    table: &'t Table,
    line: u64,
    record: &'t StringRecord,
}

impl<'t> Row<'t> {
    /// The text of a column; empty where there is no such column.
    fn text(&self, name: &str) -> &'t str {
        let at = self.table.columns.iter().position(|column| column == name);
        at.and_then(|at| self.record.get(at)).map_or("", str::trim)
    }

    /// The first of some columns that says something.
    fn first(&self, names: &[&str]) -> &'t str {
        names.iter().map(|name| self.text(name)).find(|text| !text.is_empty()).unwrap_or("")
    }

    fn fault(&self, problem: String) -> Fault {
        Fault { at: format!("line {}", self.line), problem }
    }

    fn number(&self, name: &str, faults: &mut Vec<Fault>) -> Option<Decimal> {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        let read = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
        if read.is_err() {
            faults.push(self.fault(format!("{name} {text:?} is no number")));
        }
        read.ok()
    }

    fn count(&self, name: &str, faults: &mut Vec<Fault>) -> Option<Decimal> {
        let number = self.number(name, faults)?;
        if number.is_sign_negative() || !number.fract().is_zero() {
            faults.push(self.fault(format!("{name} {number} is no count")));
            return None;
        }
        Some(number)
    }

    /// When it begins and ends, by the first columns that say so.
    fn stretch(&self, from: &[&str], to: &[&str], faults: &mut Vec<Fault>) -> Option<(i64, i64)> {
        let Some(begin) = moment(self.first(from)) else {
            faults.push(self.fault(format!("{} {:?} is no time", from[0], self.first(from))));
            return None;
        };
        let end = moment(self.first(to)).unwrap_or(begin + DAY_SECS);
        if end <= begin {
            faults.push(self.fault("ends before it begins".into()));
            return None;
        }
        Some((begin, end))
    }
}

/// Seconds since the epoch of a time as such files write it: seconds, RFC 3339, a time without a zone (UTC), or a day.
fn moment(text: &str) -> Option<i64> {
    let utc = |time: NaiveDateTime| time.and_utc().timestamp();
    text.parse::<i64>()
        .ok()
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp()))
        .or_else(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok().map(utc))
        .or_else(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").ok().map(utc))
        .or_else(|| text.parse::<NaiveDate>().ok().map(|day| utc(day.into())))
}

/// Reads a table and each of its rows; `expected` says what a file without these columns should have been.
fn rows(
    text: &str,
    needed: &[&[&str]],
    expected: &'static str,
    faults: &mut Vec<Fault>,
    mut each: impl FnMut(&Row<'_>, &mut Statement, &mut Vec<Fault>),
) -> Result<Statement, StatementError> {
    let table = Table::read(text, faults);
    if !needed.iter().all(|any| any.iter().any(|name| table.has(name))) {
        return Err(StatementError::Shape { expected });
    }
    let mut statement = Statement::default();
    for (line, record) in &table.rows {
        each(&Row { table: &table, line: *line, record }, &mut statement, faults);
    }
    Ok(statement)
}

/// Reads what OpenAI's dashboard exports as usage (`…_usage_….csv`) or as costs (`cost_….csv`).
pub(super) fn openai(text: &str, faults: &mut Vec<Fault>) -> Result<Statement, StatementError> {
    let expected = "expected a CSV of OpenAI's dashboard with start_time, and input_tokens or amount_value";
    let needed: [&[&str]; 2] =
        [&["start_time", "start_time_iso"], &["input_tokens", "amount_value", "num_model_requests"]];
    rows(text, &needed, expected, faults, |row, statement, faults| {
        let times = row.stretch(&["start_time", "start_time_iso"], &["end_time", "end_time_iso"], faults);
        let Some((from, to)) = times else { return };
        let batch = row.text("batch").eq_ignore_ascii_case("true");
        let tier = if batch { "batch" } else { tier(row.text("service_tier")) };
        statement.tells_tiers |= !row.first(&["batch", "service_tier"]).is_empty();
        if let Some(amount) = row.number("amount_value", faults) {
            let place = Place { from, to, model: model_of_line(row.text("line_item")), tier };
            statement.push(&place, Class::Cost, amount);
            return;
        }
        let place = Place { from, to, model: row.text("model"), tier };
        let (input, cached) = (row.count("input_tokens", faults), row.count("input_cached_tokens", faults));
        prompt(statement, &place, input, cached, &format!("line {}", row.line), faults);
        for (class, name) in [
            (Class::Requests, "num_model_requests"),
            (Class::Output, "output_tokens"),
            (Class::AudioInput, "input_audio_tokens"),
            (Class::AudioOutput, "output_audio_tokens"),
        ] {
            if let Some(counted) = row.count(name, faults) {
                statement.push(&place, class, counted);
            }
        }
    })
}

/// Reads what Anthropic's console exports as usage or as cost.
pub(super) fn anthropic(text: &str, faults: &mut Vec<Fault>) -> Result<Statement, StatementError> {
    let expected =
        "expected a CSV of Anthropic's console with usage_date_utc, and usage_output_tokens or cost_usd";
    let needed: [&[&str]; 2] = [&["usage_date_utc"], &["usage_output_tokens", "cost_usd"]];
    rows(text, &needed, expected, faults, |row, statement, faults| {
        let Some((from, to)) = row.stretch(&["usage_date_utc"], &[], faults) else { return };
        let tier = tier(row.text("usage_type"));
        statement.tells_tiers |= !row.text("usage_type").is_empty();
        let place = Place { from, to, model: row.first(&["model_version", "model"]), tier };
        for (class, name) in [
            (Class::Input, "usage_input_tokens_no_cache"),
            (Class::CacheWrite5m, "usage_input_tokens_cache_write_5m"),
            (Class::CacheWrite1h, "usage_input_tokens_cache_write_1h"),
            (Class::CacheRead, "usage_input_tokens_cache_read"),
            (Class::Output, "usage_output_tokens"),
            (Class::WebSearches, "web_search_count"),
        ] {
            if let Some(counted) = row.count(name, faults) {
                statement.push(&place, class, counted);
            }
        }
        if let Some(amount) = row.number("cost_usd", faults) {
            statement.push(&place, Class::Cost, amount);
        }
    })
}

/// Reads a FOCUS file: what was billed for usage, and what was consumed where it is of tokens or requests.
pub(super) fn focus(text: &str, faults: &mut Vec<Fault>) -> Result<Statement, StatementError> {
    let expected = "expected a FOCUS 1.x CSV with ChargePeriodStart, ChargePeriodEnd and BilledCost";
    let needed: [&[&str]; 3] =
        [&["ChargePeriodStart"], &["ChargePeriodEnd"], &["BilledCost", "EffectiveCost"]];
    rows(text, &needed, expected, faults, |row, statement, faults| {
        if !matches!(row.text("ChargeCategory"), "" | "Usage") {
            return;
        }
        let Some((from, to)) = row.stretch(&["ChargePeriodStart"], &["ChargePeriodEnd"], faults) else {
            return;
        };
        let model = row.first(&["x_Model", "x_model", "ResourceName", "ResourceId", "SkuMeter", "SkuId"]);
        let place = Place { from, to, model, tier: "" };
        let billed = if row.text("BilledCost").is_empty() { "EffectiveCost" } else { "BilledCost" };
        match row.number(billed, faults) {
            Some(amount) => statement.push(&place, Class::Cost, amount),
            None if row.text(billed).is_empty() => faults.push(row.fault(format!("{billed} is missing"))),
            None => {}
        }
        let meter = [row.text("x_Unit"), row.text("SkuMeter"), row.text("ChargeDescription")].join(" ");
        if let (Some(class), Some(quantity)) =
            (class_of(&meter, row.text("ConsumedUnit")), row.number("ConsumedQuantity", faults))
        {
            statement.push(&place, class, quantity * factor(row.text("ConsumedUnit")));
        }
    })
}

/// The class that a meter counts, by its words; tokens alone are read.
fn class_of(meter: &str, unit: &str) -> Option<Class> {
    let (meter, unit) = (meter.to_ascii_lowercase(), unit.to_ascii_lowercase());
    let has = |words: &[&str]| words.iter().any(|word| meter.contains(word));
    if unit.contains("request") {
        return Some(Class::Requests);
    }
    if !unit.contains("token") {
        return None;
    }
    Some(match () {
        () if has(&["cache_write_1h", "1h cache write", "cache write 1h"]) => Class::CacheWrite1h,
        () if has(&["cache_write", "cache write", "cachewrite"]) => Class::CacheWrite5m,
        () if has(&["cache", "cached"]) => Class::CacheRead,
        () if has(&["output", "reasoning", "completion"]) => Class::Output,
        () if has(&["input", "prompt"]) => Class::Input,
        () => return None,
    })
}

/// How many of a class a consumed unit is: `1K Tokens`, `Million Tokens`.
fn factor(unit: &str) -> Decimal {
    let unit = unit.to_ascii_lowercase();
    if unit.contains("million") || unit.starts_with("1m ") || unit.contains("1,000,000") {
        Decimal::from(1_000_000)
    } else if unit.contains("thousand") || unit.starts_with("1k ") || unit.contains("1,000") {
        Decimal::from(1_000)
    } else {
        Decimal::ONE
    }
}
