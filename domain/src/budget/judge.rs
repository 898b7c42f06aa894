//! What spending means for a budget: which thresholds it reached, whether its rate outruns the window, and a hint.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Budget, BudgetWindow};
use crate::money::Cost;

/// A hint for who is about to spend. What is done about it is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Below every threshold.
    Allow,
    /// A threshold below the limit is reached.
    Warn,
    /// The limit is reached.
    Deny,
}

/// Over which times the rate of spending is watched, in whole hours. Both must outrun the window: the long one, so that a
/// busy hour alone is no alarm; the short one, so that the alarm ends when the spending does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burn {
    /// Hours; at least one.
    pub short_hours: u32,
    /// Hours; more than the short ones.
    pub long_hours: u32,
}

/// What was spent over how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// How much.
    pub spent: Cost,
    /// Over so many seconds.
    pub seconds: i64,
}

impl Decision {
    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

impl Budget {
    /// The thresholds that so much spending has reached, ascending.
    pub fn reached(&self, spent: Cost) -> impl Iterator<Item = u16> + '_ {
        let spent = spent.picos().saturating_mul(100);
        let limit = self.limit.picos();
        self.thresholds
            .iter()
            .copied()
            .filter(move |percent| spent >= limit.saturating_mul(i128::from(*percent)))
    }

    /// What to tell who is about to spend.
    pub fn decide(&self, spent: Cost) -> Decision {
        if spent >= self.limit {
            Decision::Deny
        } else if self.reached(spent).next().is_some() {
            Decision::Warn
        } else {
            Decision::Allow
        }
    }

    /// When the budget is used up if spending goes on at this rate: `None` for no spending, or beyond a thousand years.
    pub fn used_up_at(&self, spent: Cost, rate: Rate, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let left = (self.limit - spent).picos().max(0);
        if rate.spent.picos() <= 0 || rate.seconds <= 0 {
            return None;
        }
        let seconds = left.checked_mul(i128::from(rate.seconds))? / rate.spent.picos();
        let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds < 1_000 * 366 * 86_400)?;
        now.checked_add_signed(TimeDelta::seconds(seconds))
    }

    /// The later of two moments at which the budget is used up by either rate, where both lie in the window and something
    /// is left of it.
    pub fn burning(
        &self,
        window: BudgetWindow,
        spent: Cost,
        [short, long]: [Rate; 2],
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        if spent >= self.limit {
            return None;
        }
        let used_up = self.used_up_at(spent, short, now)?.max(self.used_up_at(spent, long, now)?);
        (used_up < window.to()).then_some(used_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Measure, Per, Scope};

    fn cost(text: &str) -> Cost {
        Cost::parse(text).unwrap()
    }

    fn budget(limit: &str) -> Budget {
        Budget {
            name: "b".into(),
            scope: Scope::default(),
            per: Per::Day,
            of: Measure::Charge,
            limit: cost(limit),
            thresholds: vec![50, 80, 100],
            burn: None,
        }
    }

    #[test]
    fn a_threshold_is_reached_by_the_last_digit_and_not_before() {
        let budget = budget("0.01");
        for (spent, reached, decision) in [
            ("0", vec![], Decision::Allow),
            ("-5", vec![], Decision::Allow),
            ("0.004999999999", vec![], Decision::Allow),
            ("0.005", vec![50], Decision::Warn),
            ("0.008", vec![50, 80], Decision::Warn),
            ("0.009999999999", vec![50, 80], Decision::Warn),
            ("0.01", vec![50, 80, 100], Decision::Deny),
            ("9000000000000000", vec![50, 80, 100], Decision::Deny),
        ] {
            assert_eq!(budget.reached(cost(spent)).collect::<Vec<_>>(), reached, "{spent}");
            assert_eq!(budget.decide(cost(spent)), decision, "{spent}");
        }
    }

    #[test]
    fn a_rate_is_an_alarm_only_if_both_times_outrun_the_window() {
        let budget = budget("24");
        let noon = DateTime::parse_from_rfc3339("2026-11-10T12:00:00Z").unwrap().to_utc();
        let day = BudgetWindow::containing(Per::Day, noon);
        let rate = |spent: &str, hours: i64| Rate { spent: cost(spent), seconds: hours * 3600 };
        let burning = |spent, short, long| {
            budget.burning(day, cost(spent), [short, long], noon).map(|at| at.format("%H:%M").to_string())
        };
        // Twelve are left for twelve hours.
        assert_eq!(
            burning("12", rate("2", 1), rate("9", 6)),
            Some("20:00".into()),
            "the slower of both says when"
        );
        assert_eq!(burning("12", rate("1", 1), rate("9", 6)), None, "exactly enough is enough");
        assert_eq!(burning("12", rate("9", 1), rate("6", 6)), None, "a busy hour");
        assert_eq!(burning("12", rate("0", 1), rate("9", 6)), None, "it is over");
        assert_eq!(
            burning("24", rate("9", 1), rate("30", 6)),
            None,
            "nothing is left; that is a threshold's to say"
        );
        assert_eq!(burning("0", rate("-1", 1), rate("9", 6)), None);
        assert_eq!(burning("0", Rate::default(), Rate::default()), None);
    }
}
