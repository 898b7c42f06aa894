//! The rules of a price file: which names a row stands for, and when it applies.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Timelike, Utc};
use domain::price::{Clause, Constraint, Pattern, TextOp};
use domain::time::EventTime;
use serde_json::Value;

use super::fault::chain;
use super::genai::{list, object};
use super::number::brief;

/// Reads a match clause: an object with exactly one operation.
pub(super) fn clause(value: &Value) -> Result<Clause, String> {
    let mut stated = object("a match clause", value)?.iter().filter(|(_, argument)| !argument.is_null());
    let (Some((operation, argument)), None) = (stated.next(), stated.next()) else {
        return Err(format!("a match clause must hold one operation, not {}", brief(value)));
    };
    let text = || {
        let text = super::number::as_text(argument);
        text.ok_or_else(|| format!("{operation} must hold a text, not {}", brief(argument)))
    };
    let clauses = || list(operation, argument)?.iter().map(clause).collect::<Result<Vec<_>, _>>();
    match operation.as_str() {
        "and" => Ok(Clause::All(clauses()?)),
        "or" => Ok(Clause::Any(clauses()?)),
        "equals" => Ok(Clause::text(TextOp::Equals, text()?)),
        "starts_with" => Ok(Clause::text(TextOp::StartsWith, text()?)),
        "ends_with" => Ok(Clause::text(TextOp::EndsWith, text()?)),
        "contains" => Ok(Clause::text(TextOp::Contains, text()?)),
        "regex" => Pattern::new(text()?).map(Clause::Pattern).map_err(|error| chain(&error)),
        other => Err(format!("{other:?} is not an operation of match clauses known here")),
    }
}

/// Reads a constraint: `start_date`, or `start_time` and `end_time`.
pub(super) fn constraint(value: &Value) -> Result<Constraint, String> {
    let fields = object("a constraint", value)?;
    let known = ["start_date", "start_time", "end_time", "type"];
    if let Some(key) = fields.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("{key:?} is not known in a constraint"));
    }
    let field = |key: &str| fields.get(key).and_then(super::number::as_text);
    let constraint = match (field("start_date"), field("start_time"), field("end_time")) {
        (Some(date), None, None) => midnight(date).map(Constraint::From),
        (None, Some(start), Some(end)) => {
            nanos_of_day(start).zip(nanos_of_day(end)).map(|(start, end)| Constraint::Daily(start, end))
        }
        _ => None,
    };
    constraint.ok_or_else(|| {
        let expected = "start_date as YYYY-MM-DD, or start_time and end_time as HH:MM:SSZ";
        format!("{} is not a constraint; expected {expected}", brief(value))
    })
}

/// The first instant of a UTC day.
fn midnight(date: &str) -> Option<EventTime> {
    let day = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok().filter(|_| date.len() == 10)?;
    Utc.from_utc_datetime(&day.and_time(NaiveTime::MIN)).timestamp_nanos_opt().map(EventTime::from_nanos)
}

/// A time of day with its offset, in nanoseconds since midnight UTC.
fn nanos_of_day(time: &str) -> Option<u64> {
    let time = DateTime::parse_from_rfc3339(&format!("2000-01-02T{time}")).ok()?.to_utc().time();
    // A leap second has no place in a daily price.
    let nanos = time.nanosecond();
    (nanos < 1_000_000_000)
        .then(|| u64::from(time.num_seconds_from_midnight()) * 1_000_000_000 + u64::from(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn constraints_name_an_instant_or_hours_of_the_day() {
        const HOUR: u64 = 3_600_000_000_000;
        for (text, expected) in [
            (r#"{"start_date": "1970-01-02"}"#, Constraint::From(EventTime::from_nanos(86_400_000_000_000))),
            (r#"{"start_time": "01:00:00Z", "end_time": "04:00:00Z"}"#, Constraint::Daily(HOUR, 4 * HOUR)),
            (
                r#"{"start_time": "23:00:00+01:00", "end_time": "00:30:00+01:00"}"#,
                Constraint::Daily(22 * HOUR, 47 * HOUR / 2),
            ),
            (
                r#"{"start_date": "1970-01-01", "type": "start_date"}"#,
                Constraint::From(EventTime::from_nanos(0)),
            ),
        ] {
            assert_eq!(constraint(&json(text)), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "{}",
            "null",
            r#"{"start_date": "2026-02-30"}"#,
            r#"{"start_date": "2026-1-1"}"#,
            r#"{"start_date": "9999-01-01"}"#,
            r#"{"start_time": "01:00:00Z"}"#,
            r#"{"start_time": "25:00:00Z", "end_time": "01:00:00Z"}"#,
            r#"{"start_time": "23:59:60Z", "end_time": "01:00:00Z"}"#,
            r#"{"start_date": "2026-01-01", "weekday": "monday"}"#,
        ] {
            assert!(constraint(&json(text)).is_err(), "{text}");
        }
        for text in [
            "{}",
            "[]",
            r#"{"equals": "a", "or": []}"#,
            r#"{"equals": 1}"#,
            r#"{"like": "a"}"#,
            r#"{"regex": "("}"#,
            r#"{"or": [{}]}"#,
        ] {
            assert!(clause(&json(text)).is_err(), "{text}");
        }
    }
}
