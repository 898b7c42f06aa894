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

/// Hours of each UTC day, `22:00-02:00`, in nanoseconds since midnight; over midnight where the second is smaller.
pub(crate) fn hours(text: &str) -> Result<(u64, u64), String> {
    let moment = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let two = |text: &str, most: u64| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u64>().ok().filter(|number| digits && *number <= most)
        };
        let minutes = two(hour, 24)? * 60 + two(minute, 59)?;
        (minutes <= 24 * 60).then_some(minutes * 60_000_000_000)
    };
    let both = text.split_once('-').and_then(|(from, to)| Some((moment(from)?, moment(to)?)));
    both.filter(|(from, to)| from != to).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        format!("{shown:?} are no hours; expected hours of the UTC day, for instance 22:00-02:00")
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_of_the_day_and_some() {
        const MINUTE: u64 = 60_000_000_000;
        assert_eq!(hours("22:00-02:30"), Ok((22 * 60 * MINUTE, 150 * MINUTE)));
        assert_eq!(hours("16:00 - 24:00"), Ok((16 * 60 * MINUTE, 24 * 60 * MINUTE)));
        for bad in [
            "",
            "22-02",
            "22:00",
            "25:00-01:00",
            "22:60-01:00",
            "24:01-01:00",
            "1:00-2:00",
            "08:00-08:00",
            "+1:00-02:00",
        ] {
            assert!(hours(bad).is_err(), "{bad}");
        }
    }
}
