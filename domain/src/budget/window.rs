//! The stretch of time a budget holds for: a UTC day or a UTC month.
//!
//! A month's spending is what is *billed* in it (`period`), which is what its invoice sums. A day's is what *happened* on
//! it, whichever month bills it.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use crate::time::BillingPeriod;

/// How often a budget begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// At midnight UTC.
    Day,
    /// At midnight UTC of the first of a month.
    Month,
}

/// A day or a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BudgetWindow {
    /// A UTC day.
    Day(NaiveDate),
    /// A UTC month.
    Month(BillingPeriod),
}

impl Per {
    /// Its name in configurations and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

impl BudgetWindow {
    /// The window an instant lies in.
    pub fn containing(per: Per, at: DateTime<Utc>) -> Self {
        match per {
            Per::Day => Self::Day(at.date_naive()),
            Per::Month => Self::Month(BillingPeriod::of_day(at.date_naive())),
        }
    }

    /// The window before.
    pub fn previous(self) -> Self {
        match self {
            Self::Day(day) => Self::Day(day.checked_sub_days(Days::new(1)).unwrap_or(day)),
            Self::Month(month) => Self::Month(month.previous()),
        }
    }

    /// Its first instant.
    pub fn from(self) -> DateTime<Utc> {
        match self {
            Self::Day(day) => day.and_time(NaiveTime::MIN).and_utc(),
            Self::Month(month) => month.start(),
        }
    }

    /// The first instant after it.
    pub fn to(self) -> DateTime<Utc> {
        match self {
            Self::Day(day) => {
                day.checked_add_days(Days::new(1)).unwrap_or(day).and_time(NaiveTime::MIN).and_utc()
            }
            Self::Month(month) => month.end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn days_and_months_are_those_of_utc_whatever_zone_a_time_is_written_in() {
        let evening_in_new_york = at("2026-10-31T23:30:00-04:00");
        let day = BudgetWindow::containing(Per::Day, evening_in_new_york);
        assert_eq!((day.from(), day.to()), (at("2026-11-01T00:00:00Z"), at("2026-11-02T00:00:00Z")));
        let month = BudgetWindow::containing(Per::Month, evening_in_new_york);
        assert_eq!((month.from(), month.to()), (at("2026-11-01T00:00:00Z"), at("2026-12-01T00:00:00Z")));
        let last = at("2026-10-31T23:59:59.999999999Z");
        assert_eq!(BudgetWindow::containing(Per::Month, last), month.previous());
        assert_eq!(BudgetWindow::containing(Per::Day, last), day.previous());
    }
}
