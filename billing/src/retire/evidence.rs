//! Which day of evidence may go: the oldest, once nothing is judged by it any more.
//!
//! A day goes when it is over for as long as is kept, every position of it is settled, every month that holds an entry of one
//! of its traces is closed, and it lies before all that closing the next month looks through for late duplicates.

use std::time::Duration;

use domain::identity::CollectorId;
use domain::time::{BillingPeriod, EventTime};
use schemas::rows::{day_of, month_number, month_of};

use super::{RetireError, Retired, begun, drop_whole, held, listed};
use crate::settle::{Settler, nanos};

const NANOS_A_DAY: i64 = 86_400_000_000_000;

/// Retires the oldest day of evidence, if it is due.
pub(super) async fn retire_day(settler: &mut Settler, kept: Duration) -> Result<Retired, RetireError> {
    let now = settler.now();
    // A day that was over when what is kept began.
    let due = schemas::rows::day_number(now.saturating_sub(nanos(kept)));
    let database = settler.database().clone();
    let Some(day) = database.evidence_days(due, 1).await?.first().copied() else {
        return Ok(Retired::Nothing);
    };
    let what = format!("the evidence received on {}", day_of(day));

    let open = first_open_month(settler, now).await?;
    if day >= month_number(open.previous()) {
        return Ok(held(what, format!("{open} is not closed; `ledgerline period close --month {open}`")));
    }
    let ends = database.ends_of_day(day).await?;
    let settled = |collector: [u8; 16]| {
        CollectorId::from_bytes(collector).and_then(|id| settler.settled().get(&id).copied()).unwrap_or(0)
    };
    if let Some(end) = ends.iter().find(|end| end.last_seq > settled(end.collector_id)) {
        let why = format!(
            "positions up to {} of a collector are not settled; see `ledgerline settle --all-collectors`",
            end.last_seq
        );
        return Ok(held(what, why));
    }
    let closed = database.closed_periods().await?;
    let months = database.open_months_of_day(day, &closed).await?;
    if !months.is_empty() {
        let months = listed(&months);
        return Ok(held(what, format!("its calls have entries in {months}, not closed; close it")));
    }

    let rules = settler.config().rules;
    let end = (i64::from(day) + 1) * NANOS_A_DAY;
    let mut row = begun(settler, schemas::OBSERVATIONS, day, kept);
    row.rows = database.partition_rows(schemas::OBSERVATIONS, day).await?;
    row.outcomes = database.outcomes_of_day(day).await?.into_iter().collect();
    row.settled = ends.into_iter().map(|end| (end.collector_id, settled(end.collector_id))).collect();
    // Any report of a call that ended later was received later: what is left of such a call is all there is.
    row.frozen_until = end.saturating_add(rules.late_limit_nanos).saturating_add(rules.future_limit_nanos);
    drop_whole(settler, row).await
}

/// The first month that has entries and is not closed, or the month of now.
async fn first_open_month(settler: &Settler, now: i64) -> Result<BillingPeriod, RetireError> {
    let database = settler.database();
    let closed = database.closed_periods().await?;
    let months = database.months().await?.into_iter().map(month_of);
    let this = BillingPeriod::containing(EventTime::from_nanos(now));
    Ok(months.filter(|month| !closed.contains(month)).fold(this, BillingPeriod::min))
}
