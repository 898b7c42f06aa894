//! Which month of entries may go: the oldest, once it is closed and issued, and is still what it was closed with.

use std::time::Duration;

use schemas::rows::{month_number, month_of};

use super::{RetireError, Retired, begun, drop_whole, held};
use crate::period::Manifest;
use crate::settle::{Settler, nanos};

/// Retires the oldest month of entries, if it is due.
pub(super) async fn retire_month(settler: &mut Settler, kept: Duration) -> Result<Retired, RetireError> {
    let now = settler.now();
    let database = settler.database().clone();
    let Some(month) = database.months().await?.first().copied().map(month_of) else {
        return Ok(Retired::Nothing);
    };
    let end = month.end().timestamp_nanos_opt().unwrap_or(i64::MAX);
    if now < end.saturating_add(nanos(kept)) {
        return Ok(Retired::Nothing);
    }
    let what = format!("the entries of {month}");
    let closed = database.closed_months().await?;
    let Some(closed) = closed.into_iter().find(|row| month_of(row.period) == month) else {
        return Ok(held(what, format!("it is not closed; `ledgerline period close --month {month}`")));
    };
    let sums = database.tenant_sums(month).await?;
    let invoiced = database.invoices_of(month).await?;
    if sums.iter().any(|sum| !sum.tenant.is_empty()) && invoiced.is_empty() {
        return Ok(held(what, format!("it has no invoices yet; `ledgerline invoice issue --month {month}`")));
    }
    // Evidence without the entries that it led to would be judged as if it were new.
    if let Some(day) = database.evidence_days(month_number(month.next()), 1).await?.first() {
        let day = schemas::rows::day_of(*day);
        let why =
            format!("evidence received on {day} is still kept; see retention.observations and what holds it");
        return Ok(held(what, why));
    }
    let mut manifest = Manifest::default();
    database.each_entry(month, |entry, _| manifest.add(&entry)).await?;
    if let Some(difference) = manifest.differs(&closed) {
        return Ok(held(what, format!("{difference}; `ledgerline verify --month {month}`")));
    }

    let mut row = begun(settler, schemas::LEDGER, month_number(month), kept);
    row.rows = database.partition_rows(schemas::LEDGER, row.partition).await?;
    row.calls = manifest.calls;
    row.merkle_root = manifest.root();
    row.frozen_until = end;
    database.insert_retired_credits(month).await?;
    drop_whole(settler, row).await
}
