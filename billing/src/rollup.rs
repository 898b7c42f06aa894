//! The rollup: sums of whole days, so that a month is seen without reading each entry of it.
//!
//! ```text
//! what does the ledger hold of each day? ─▶ sum those that hold something else than they did ─▶ write down how far that is
//! ```
//!
//! Promises: `usage_between` is the same to the last digit with and without it, at every moment; only what a settler posts whose
//! clock is ten minutes behind waits for the next step. Whoever is killed in between goes on where it stopped. A month that nothing
//! is posted to any more is not looked at again.
//! Leaves to others: when it is done (`settle::SettleTask`), and reading it (the view). See `docs/adr/0025-roll-up-whole-days.md`.

use std::collections::HashSet;

use schemas::rollup::RolledUp;
use schemas::rows::{date_number, day_number, month_of};
use schemas::{Database, DatabaseError};

/// Beside what was posted so lately (microseconds), more may come to stand that says it was posted before: another settler's clock
/// may be behind, or its insert under way. What comes later still is found by what its day holds, the next time.
const LATELY: i64 = 600_000_000;

/// Rows that are summed in one step, about.
const ROWS_A_STEP: u64 = 4_000_000;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Step {
    /// Days that were summed.
    pub days: u64,
    /// Whether days are left that hold something else than was summed.
    pub more: bool,
}

/// Sums days before that of `now` (nanoseconds since the epoch) that hold something else than when they were summed, as many as
/// make a step.
pub async fn step(database: &Database, now: i64) -> Result<Step, DatabaseError> {
    let today = day_number(now);
    let known = database.rolled_up().await?;
    // First, so that all of a closed month is among the days; and no day of it is still to come by this clock.
    let mut closed: Vec<u16> = database.closed_months().await?.iter().map(|row| row.period).collect();
    closed.retain(|period| date_number(month_of(*period).end().date_naive()) <= today);
    let mut days = database.ledger_days(&known.closed).await?;
    let newest = days.iter().map(|day| day.newest).max().unwrap_or_default();
    days.retain(|day| day.day < today);

    let summed: HashSet<_> = known.days.iter().collect();
    let mut step = Step::default();
    let (mut rows, mut done) = (0, Vec::new());
    for day in days {
        if !summed.contains(&day.fields()) {
            if rows >= ROWS_A_STEP {
                step.more = true;
                continue;
            }
            database.roll_up_day(day.period, day.day).await?;
            step.days += 1;
            rows += day.rows;
        }
        done.push(day.fields());
    }
    let row = if step.more {
        RolledUp { days: done, ..known.clone() }
    } else {
        let through = known.through.max(newest.min(now / 1_000 - LATELY));
        RolledUp { through, before: today, days: done, closed }
    };
    if row != known {
        database.insert_rolled_up(&row).await?;
    }
    Ok(step)
}
