//! Following the ledger: all of it once, then the hours that something was posted of.
//!
//! Which hours those are is asked by `posted_at`, over a stretch that overlaps the last: an entry is stamped before its
//! insert ends, by the settler's clock. An hour is read again only if what was posted of it lately is other than it was.
//! What no overlap can promise (a replica that lagged for long, a clock that was set) does not last: everything is read
//! anew now and then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use domain::budget::{Budget, Shape, Whose};
use domain::time::BillingPeriod;
use schemas::rows::month_number;
use schemas::{Database, DatabaseError, SpentQuery, SpentRow, Stretch, TouchedHour};

use super::spending::{DAY, HOUR, Part, Spending};
use super::view::View;
use crate::settle::UnpostedSum;

/// By how much what is asked for overlaps what was asked for, at least; in microseconds.
const OVERLAP: i64 = 600_000_000;
/// After so long everything is read anew.
const RELOAD_AFTER: TimeDelta = TimeDelta::hours(6);
/// How long after its end a month is still looked at, in days: calls of its last minutes are settled after it.
pub(super) const DAYS_LOOKED_BACK: u32 = 2;
/// Sums held at most: accounts times parts. A hundred bytes each.
const SUMS_MAX: u64 = 2_000_000;

/// Why nothing newer is known.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The ledger does not answer.
    #[error("the ledger cannot be read")]
    Database(#[from] DatabaseError),
    /// Too many accounts spend.
    #[error(
        "budgets of {dimensions} have more than {SUMS_MAX} sums of accounts, which are not held; name fewer of them instead of \"*\""
    )]
    TooMany {
        /// What they tell apart.
        dimensions: String,
    },
}

/// Sums of the ledger, for budgets.
#[derive(Debug)]
pub struct Follower {
    budgets: Arc<Vec<Budget>>,
    currency: String,
    /// By shape, which values count; `None`: all.
    shapes: BTreeMap<Shape, [Option<Vec<String>>; 3]>,
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    spending: BTreeMap<Shape, Spending>,
    /// What was posted lately, by month and hour.
    touched: HashMap<(u16, i64), TouchedHour>,
    days_before: i64,
    loaded_at: DateTime<Utc>,
}

impl Follower {
    /// Follows what these budgets need, in a currency.
    pub fn new(budgets: Vec<Budget>, currency: &str) -> Self {
        let mut shapes: BTreeMap<Shape, [Option<Vec<String>>; 3]> = BTreeMap::new();
        for budget in &budgets {
            let scope = &budget.scope;
            let only = shapes.entry(scope.shape()).or_insert_with(|| [(); 3].map(|()| Some(Vec::new())));
            for (whose, only) in [&scope.tenant, &scope.feature, &scope.user].into_iter().zip(only) {
                match (whose, only.as_mut()) {
                    (Whose::One(value), Some(values)) if values.contains(value) => {}
                    (Whose::One(value), Some(values)) => values.push(value.clone()),
                    _ => *only = None,
                }
            }
        }
        Self { budgets: Arc::new(budgets), currency: currency.to_string(), shapes, known: None }
    }

    /// The budgets, in the order given.
    pub fn budgets(&self) -> &Arc<Vec<Budget>> {
        &self.budgets
    }

    /// What is known now. `unposted` is what the settler said before, so that what it posts meanwhile is in one of the two,
    /// for a moment in both, and never in none.
    ///
    /// # Errors
    /// [`FollowError`]; what was known stays known.
    pub async fn follow(
        &mut self,
        database: &Database,
        now: DateTime<Utc>,
        unposted: Option<Arc<Vec<UnpostedSum>>>,
    ) -> Result<View, FollowError> {
        let days_before = now.timestamp().div_euclid(DAY) * DAY - DAY;
        // In steps, so that an hour's count of what was posted lately seldom changes without something posted.
        let since = (now.timestamp_micros().div_euclid(OVERLAP) - 1) * OVERLAP;
        let touched: HashMap<(u16, i64), TouchedHour> = database
            .touched_hours(since)
            .await?
            .into_iter()
            .map(|hour| ((hour.period, hour.hour), hour))
            .collect();
        let mut known = match self.known.take_if(|known| now < known.loaded_at + RELOAD_AFTER) {
            Some(known) => known,
            None => self.load(database, now, days_before).await?,
        };
        let read = self.read_touched(database, &mut known, &touched, now, days_before).await;
        if read.is_ok() {
            known.touched = touched;
        }
        let spending = known.spending.clone();
        self.known = Some(known);
        read?;
        Ok(View::new(Arc::clone(&self.budgets), spending, unposted, now))
    }

    async fn load(
        &self,
        database: &Database,
        now: DateTime<Utc>,
        days_before: i64,
    ) -> Result<Known, FollowError> {
        let months =
            looked_at(now).into_iter().map(|period| Stretch { period: Some(period), from: None, to: None });
        let recent = Stretch { period: None, from: Some(days_before), to: None };
        let stretches: Vec<Stretch> = months.chain([recent]).collect();
        let mut spending = BTreeMap::new();
        for shape in self.shapes.keys() {
            let rows = self.sums(database, *shape, stretches.clone(), days_before).await?;
            let mut of_shape = Spending::default();
            of_shape.replace(&[], rows, days_before);
            spending.insert(*shape, of_shape);
        }
        Ok(Known { spending, touched: HashMap::new(), days_before, loaded_at: now })
    }

    async fn read_touched(
        &self,
        database: &Database,
        known: &mut Known,
        touched: &HashMap<(u16, i64), TouchedHour>,
        now: DateTime<Utc>,
        days_before: i64,
    ) -> Result<(), FollowError> {
        let looked_at = looked_at(now);
        let newest = looked_at[0];
        let wanted = |part: &Part| {
            part.start >= days_before || part.period >= newest || looked_at.contains(&part.period)
        };
        if known.days_before != days_before {
            known.spending.values_mut().for_each(|spending| spending.fold(days_before, wanted));
            known.days_before = days_before;
        }
        let mut parts: Vec<Part> = touched
            .iter()
            .filter(|(hour, lately)| known.touched.get(*hour) != Some(*lately))
            .map(|((period, hour), _)| Part::of_hour(*period, *hour, days_before))
            .filter(wanted)
            .collect();
        parts.sort_unstable();
        parts.dedup();
        if parts.is_empty() {
            return Ok(());
        }
        let stretch = |part: &Part| Stretch {
            period: Some(part.period),
            from: Some(part.start),
            to: Some(part.start + part.length),
        };
        // All are read before any is replaced, so that one that cannot be read leaves what was known.
        let mut read = Vec::new();
        for shape in self.shapes.keys() {
            let stretches = parts.iter().map(stretch).collect();
            read.push((*shape, self.sums(database, *shape, stretches, days_before).await?));
        }
        for (shape, rows) in read {
            known.spending.entry(shape).or_default().replace(&parts, rows, days_before);
        }
        Ok(())
    }

    async fn sums(
        &self,
        database: &Database,
        shape: Shape,
        stretches: Vec<Stretch>,
        days_before: i64,
    ) -> Result<Vec<SpentRow>, FollowError> {
        let query = SpentQuery {
            stretches,
            days_before,
            by: shape.0,
            only: self.shapes.get(&shape).cloned().unwrap_or_default(),
            currency: self.currency.clone(),
            rows_max: SUMS_MAX + 1,
        };
        let rows = database.spent(&query).await?;
        if rows.len() as u64 > SUMS_MAX {
            return Err(FollowError::TooMany { dimensions: named(shape) });
        }
        Ok(rows)
    }
}

/// The months that windows may ask for: the running one first.
fn looked_at(now: DateTime<Utc>) -> Vec<u16> {
    let month = BillingPeriod::of_day(now.date_naive());
    let mut months = vec![month_number(month)];
    if now.day() <= DAYS_LOOKED_BACK {
        months.push(month_number(month.previous()));
    }
    months
}

fn named(shape: Shape) -> String {
    let names = ["tenant", "feature", "user"].into_iter().zip(shape.0).filter(|(_, told)| *told);
    names.map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}

/// The start of the hour that lies so many hours before a moment.
pub(super) fn hours_before(now: i64, hours: u32) -> i64 {
    (now - i64::from(hours) * HOUR).div_euclid(HOUR) * HOUR
}
