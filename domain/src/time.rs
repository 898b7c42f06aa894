//! Kinds of time that must not be mixed up: what a client said, what our clock said, and the month that is billed.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, Utc};

/// When something happened, by the client's clock: nanoseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

/// When a collector received a request, by the collector's clock: nanoseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceivedAt(i64);

macro_rules! nanos {
    ($name:ident) => {
        impl $name {
            /// From nanoseconds since the Unix epoch.
            pub fn from_nanos(nanos: i64) -> Self {
                Self(nanos)
            }

            /// Nanoseconds since the Unix epoch.
            pub fn nanos(self) -> i64 {
                self.0
            }

            /// As a calendar time.
            pub fn utc(self) -> DateTime<Utc> {
                DateTime::from_timestamp_nanos(self.0)
            }

            /// The UTC day.
            pub fn day(self) -> NaiveDate {
                self.utc().date_naive()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.utc().format("%Y-%m-%dT%H:%M:%S%.fZ"))
            }
        }
    };
}
nanos!(EventTime);
nanos!(ReceivedAt);

/// A UTC calendar month, half-open: from its first instant up to, not including, the next month's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BillingPeriod {
    year: i32,
    month: u32,
}

/// A text that is not a month.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a month; write it as YYYY-MM, for instance 2026-10")]
pub struct ParsePeriodError(String);

impl BillingPeriod {
    /// The month an instant lies in.
    pub fn containing(time: EventTime) -> Self {
        Self::of_day(time.day())
    }

    /// The month a day lies in.
    pub fn of_day(day: NaiveDate) -> Self {
        Self { year: day.year(), month: day.month() }
    }

    /// Reads `YYYY-MM`.
    pub fn parse(text: &str) -> Result<Self, ParsePeriodError> {
        let refuse = || ParsePeriodError(text.chars().take(40).collect());
        if text.len() != 7 {
            return Err(refuse());
        }
        let day = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").map_err(|_| refuse())?;
        Ok(Self::of_day(day))
    }

    /// The first day of the month.
    pub fn first_day(self) -> NaiveDate {
        NaiveDate::from_ymd_opt(self.year, self.month, 1).expect("year and month came from a valid date")
    }

    /// The following month.
    pub fn next(self) -> Self {
        if self.month == 12 {
            Self { year: self.year + 1, month: 1 }
        } else {
            Self { month: self.month + 1, ..self }
        }
    }

    /// The month before.
    pub fn previous(self) -> Self {
        if self.month == 1 {
            Self { year: self.year - 1, month: 12 }
        } else {
            Self { month: self.month - 1, ..self }
        }
    }

    /// The first instant of the month, at midnight UTC.
    pub fn start(self) -> DateTime<Utc> {
        self.first_day().and_time(chrono::NaiveTime::MIN).and_utc()
    }

    /// The first instant after the month.
    pub fn end(self) -> DateTime<Utc> {
        self.next().start()
    }
}

impl fmt::Display for BillingPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let december = BillingPeriod::parse("2026-12").unwrap();
        assert_eq!(december.next().to_string(), "2027-01");
        assert_eq!(december.end(), december.next().start());
        assert_eq!((december.next().previous(), december.previous().next()), (december, december));
        assert!(BillingPeriod::parse("2026-13").is_err());
        assert!(BillingPeriod::parse("2026-1").is_err());
    }

    #[test]
    fn the_last_nanosecond_belongs_to_the_month_it_is_in() {
        let november = BillingPeriod::parse("2026-11").unwrap();
        let last = november.end().timestamp_nanos_opt().unwrap() - 1;
        assert_eq!(BillingPeriod::containing(EventTime::from_nanos(last)), november);
        assert_eq!(BillingPeriod::containing(EventTime::from_nanos(last + 1)), november.next());
    }
}
