//! What there is to say of a budget, under an id that follows from what it says: whoever says it, after whatever restart,
//! gives it the same id, and who hears it twice can tell.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};

use super::{Account, Budget, BudgetWindow};
use crate::identity::IdHasher;

/// What was crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// So many percent of the limit are spent. Said once a window: a correction may take spending below it and later usage
    /// above it again, which is no news.
    Percent(u16),
    /// At this rate the budget will not last. Said once a day of a window at most.
    Burn {
        /// The day on which it is said.
        day: NaiveDate,
        /// When the budget is used up.
        used_up_at: DateTime<Utc>,
    },
}

impl Threshold {
    /// What kind of alert it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Percent(_) => "budget.threshold",
            Self::Burn { .. } => "budget.burn_rate",
        }
    }

    /// Its id: of the budget's name and terms, the account, the window and what was crossed. Other terms (a raised limit)
    /// are another id, since what was said of the old ones is no answer about the new.
    pub fn id(&self, budget: &Budget, account: &Account, window: BudgetWindow) -> String {
        let mut hasher = IdHasher::new("budget/alert");
        hasher.part(budget.name.as_bytes());
        hasher.part(budget.of.name().as_bytes());
        hasher.part(&budget.limit.picos().to_le_bytes());
        for text in [&account.tenant, &account.feature, &account.user] {
            hasher.part(text.as_bytes());
        }
        hasher.part(budget.per.name().as_bytes()).part(window.from().to_rfc3339().as_bytes());
        match self {
            Self::Percent(percent) => hasher.part(b"percent").part(&percent.to_le_bytes()),
            Self::Burn { day, .. } => hasher.part(b"burn").part(day.to_string().as_bytes()),
        };
        hasher.finish().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent} % spent"),
            Self::Burn { used_up_at, .. } => {
                write!(f, "used up at {} at this rate", used_up_at.format("%Y-%m-%dT%H:%MZ"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Measure, Per, Scope};
    use crate::money::Cost;

    #[test]
    fn the_same_news_has_the_same_id_and_other_news_another() {
        let budget = Budget {
            name: "b".into(),
            scope: Scope::default(),
            per: Per::Month,
            of: Measure::Charge,
            limit: Cost::parse("10").unwrap(),
            thresholds: vec![50],
            burn: None,
        };
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let november = BudgetWindow::containing(Per::Month, at("2026-11-03T00:00:00Z"));
        let acme = Account { tenant: "acme".into(), ..Account::default() };
        let burn = |text: &str| Threshold::Burn { day: at(text).date_naive(), used_up_at: at(text) };
        let half = Threshold::Percent(50).id(&budget, &acme, november);
        assert_eq!(half, Threshold::Percent(50).id(&budget.clone(), &acme.clone(), november));
        let morning = burn("2026-11-03T08:00:00Z").id(&budget, &acme, november);
        assert_eq!(morning, burn("2026-11-03T20:00:00Z").id(&budget, &acme, november), "once a day");
        let raised = Budget { limit: Cost::parse("20").unwrap(), ..budget.clone() };
        let others = [
            Threshold::Percent(80).id(&budget, &acme, november),
            Threshold::Percent(50).id(&budget, &acme, november.previous()),
            Threshold::Percent(50).id(&budget, &Account::default(), november),
            Threshold::Percent(50).id(&raised, &acme, november),
            burn("2026-11-04T08:00:00Z").id(&budget, &acme, november),
            morning,
        ];
        assert!(!others.contains(&half));
        let mut distinct = others.to_vec();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), others.len());
    }
}
