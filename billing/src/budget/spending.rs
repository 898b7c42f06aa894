//! Sums by account and part. A part is replaced as a whole, so reading it again changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::budget::{Account, Measure};
use domain::money::Cost;
use schemas::SpentRow;

pub(super) const HOUR: i64 = 3_600;
pub(super) const DAY: i64 = 86_400;

/// What one month bills of an hour, or a day, of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Part {
    /// Seconds since the epoch at which it begins.
    pub start: i64,
    /// How many seconds of calls.
    pub length: i64,
    /// The month that bills it, as days since the epoch of its first.
    pub period: u16,
}

/// Net sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    pub cost: Cost,
    pub charge: Cost,
    /// Calls without a price.
    pub unpriced: i64,
}

/// What one account spent, by part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Spent {
    parts: BTreeMap<Part, Sum>,
}

/// What every account spent. Cheap to clone: clones share what is not changed since.
#[derive(Debug, Clone, Default)]
pub(super) struct Spending {
    accounts: HashMap<Arc<Account>, Arc<Spent>>,
}

impl Part {
    /// The part that an hour lies in, where days before `days_before` are parts.
    pub fn of_hour(period: u16, hour: i64, days_before: i64) -> Self {
        if hour < days_before {
            Self { start: hour.div_euclid(DAY) * DAY, length: DAY, period }
        } else {
            Self { start: hour, length: HOUR, period }
        }
    }
}

impl Sum {
    pub fn of(&self, measure: Measure) -> Cost {
        match measure {
            Measure::Charge => self.charge,
            Measure::Cost => self.cost,
        }
    }

    fn add(&mut self, other: Self) {
        self.cost += other.cost;
        self.charge += other.charge;
        self.unpriced += other.unpriced;
    }
}

impl Spent {
    /// What a month bills.
    pub fn billed_in(&self, period: u16) -> Sum {
        self.sum(|part| part.period == period)
    }

    /// What calls of a time came to, whichever month bills them. The time must begin and end with parts.
    pub fn between(&self, from: i64, to: i64) -> Sum {
        self.sum(|part| part.start >= from && part.start < to)
    }

    fn sum(&self, counts: impl Fn(&Part) -> bool) -> Sum {
        let mut sum = Sum::default();
        self.parts.iter().filter(|(part, _)| counts(part)).for_each(|(_, other)| sum.add(*other));
        sum
    }
}

impl Spending {
    /// What an account spent; `None`: nothing.
    pub fn of(&self, account: &Account) -> Option<&Spent> {
        self.accounts.get(account).map(Arc::as_ref)
    }

    /// Every account that spent anything.
    pub fn accounts(&self) -> impl Iterator<Item = (&Account, &Spent)> {
        self.accounts.iter().map(|(account, spent)| (account.as_ref(), spent.as_ref()))
    }

    /// Puts rows in the place of what these parts came to before.
    pub fn replace(&mut self, parts: &[Part], rows: Vec<SpentRow>, days_before: i64) {
        for spent in self.accounts.values_mut() {
            if parts.iter().any(|part| spent.parts.contains_key(part)) {
                let spent = Arc::make_mut(spent);
                parts.iter().for_each(|part| {
                    spent.parts.remove(part);
                });
            }
        }
        for row in rows {
            let part = Part::of_hour(row.period, row.part, days_before);
            let account = Account { tenant: row.tenant, feature: row.feature, user: row.user };
            let spent = self.accounts.entry(Arc::new(account)).or_default();
            let sum = Sum { cost: row.cost, charge: row.charge, unpriced: row.unpriced };
            Arc::make_mut(spent).parts.entry(part).or_default().add(sum);
        }
        self.accounts.retain(|_, spent| !spent.parts.is_empty());
    }

    /// Makes days of the hours before a time, and drops what no window asks for any more.
    pub fn fold(&mut self, days_before: i64, wanted: impl Fn(&Part) -> bool) {
        for spent in self.accounts.values_mut() {
            let stays = |part: &Part| wanted(part) && (part.length == DAY || part.start >= days_before);
            if spent.parts.keys().all(stays) {
                continue;
            }
            let parts = std::mem::take(&mut Arc::make_mut(spent).parts);
            let folded = &mut Arc::make_mut(spent).parts;
            for (part, sum) in parts.into_iter().filter(|(part, _)| wanted(part)) {
                let part = if part.length == DAY {
                    part
                } else {
                    Part::of_hour(part.period, part.start, days_before)
                };
                folded.entry(part).or_default().add(sum);
            }
        }
        self.accounts.retain(|_, spent| !spent.parts.is_empty());
    }
}
