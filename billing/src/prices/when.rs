//! Days and times in files that people write.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use domain::time::EventTime;

/// A time of RFC 3339, or a day for its midnight UTC.
pub(crate) fn instant(text: &str) -> Result<EventTime, String> {
    let refuse = || {
        let shown: String = text.chars().take(40).collect();
        format!("{shown:?} is no day or time; expected 2026-01-01 (midnight UTC) or 2026-01-01T00:00:00Z")
    };
    let time: DateTime<Utc> = match text.parse::<NaiveDate>() {
        Ok(day) if text.len() == 10 => day.and_time(NaiveTime::MIN).and_utc(),
        _ => DateTime::parse_from_rfc3339(text).map_err(|_| refuse())?.to_utc(),
    };
    time.timestamp_nanos_opt().map(EventTime::from_nanos).ok_or_else(refuse)
}

/// That a stretch of time has some length.
pub(crate) fn stretch((from, to): (Option<EventTime>, Option<EventTime>)) -> Result<(), String> {
    match from.zip(to) {
        Some((from, to)) if from >= to => {
            Err("ends before it holds: valid_to is the first instant it no longer holds".to_string())
        }
        _ => Ok(()),
    }
}
