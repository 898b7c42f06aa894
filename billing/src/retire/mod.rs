//! Retention: evidence and entries that are old enough go, a whole partition at a time.
//!
//! ```text
//! due? ─▶ needed? ─▶ what goes with it is put down (begun) ─▶ frozen ─▶ dropped ─▶ put down (done)
//! ```
//!
//! Promises: only the settler does it, between passes, and only while no other settles; evidence that is not settled, or of
//! which a call stands in a month that is not closed, stays, and so do entries of a month that is not closed, not issued, or
//! not what it was closed with; a partition goes after all older ones; whoever is killed in between goes on where it stopped.
//! What follows for settlement from what is gone is `Frozen`'s to say.
//!
//! Leaves to others: how long anything is kept, and telling people (`verify`, `explain`, `usage`).

mod frozen;
mod evidence;
mod entries;

use std::time::Duration;

use domain::time::BillingPeriod;
use schemas::LEDGER;
use schemas::rows::{RetirementRow, day_of};

use crate::settle::{SettleError, Settler};
use crate::verify::VerifyError;

pub(crate) use frozen::{Frozen, span_of};

/// How long what is kept; `None`: for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Evidence: `observation_log`.
    pub observations: Option<Duration>,
    /// Entries: `ledger_entries`.
    pub ledger: Option<Duration>,
}

/// Why it stopped. What was put down is gone on with the next time.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// The settler's own state cannot be had.
    #[error("retention stopped")]
    Settle(#[from] SettleError),
    /// The database failed.
    #[error("retention stopped")]
    Database(#[from] schemas::DatabaseError),
    /// What was closed cannot be verified.
    #[error("retention stopped")]
    Verify(#[from] VerifyError),
}

/// What came of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retired {
    /// Nothing is old enough, or another settles.
    Nothing,
    /// A partition went; there may be more.
    Partition(RetirementRow),
    /// The oldest partition is old enough, and something still needs it.
    Held {
        /// Its class and day.
        what: String,
        /// What needs it, and what to do.
        why: String,
    },
}

/// Finishes what was begun, then retires one partition, if one is due. To be called between passes.
pub async fn retire(settler: &mut Settler) -> Result<Retired, RetireError> {
    settler.follow_retirements().await?;
    if settler.is_shared().await? {
        return Ok(Retired::Nothing);
    }
    let database = settler.database().clone();
    for row in database.retirements().await?.into_iter().filter(|row| row.dropped_at == 0) {
        tracing::info!(class = row.class, partition = %day_of(row.partition), "goes on with a partition that was being retired");
        finish(settler, row).await?;
    }
    let retention = settler.config().retention;
    if let Some(kept) = retention.observations {
        match evidence::retire_day(settler, kept).await? {
            Retired::Nothing => {}
            // What holds evidence holds the entries it is of.
            done => return Ok(done),
        }
    }
    match retention.ledger {
        Some(kept) => entries::retire_month(settler, kept).await,
        None => Ok(Retired::Nothing),
    }
}

/// Writes down that a partition goes, has settlement know it, drops it, and writes down that it is gone.
async fn drop_whole(settler: &mut Settler, row: RetirementRow) -> Result<Retired, RetireError> {
    settler.database().insert_retirement(&row).await?;
    // Before anything is gone: from here on nothing is judged by what may be missing.
    settler.follow_retirements().await?;
    finish(settler, row).await.map(Retired::Partition)
}

async fn finish(settler: &Settler, mut row: RetirementRow) -> Result<RetirementRow, RetireError> {
    let database = settler.database();
    database.drop_partition(&row.class, row.partition).await?;
    if row.class == LEDGER {
        // Its days were summed; nothing is left that they are sums of.
        database.forget_retired_days().await?;
    }
    row.dropped_at = (settler.now() / 1000).max(row.begun_at);
    database.insert_retirement(&row).await?;
    tracing::info!(
        class = row.class,
        partition = %day_of(row.partition),
        rows = row.rows,
        "a partition is older than its retention and was dropped; it is put down in the table retirements"
    );
    Ok(row)
}

/// A row for a partition that is about to go.
fn begun(settler: &Settler, class: &str, partition: u16, kept: Duration) -> RetirementRow {
    RetirementRow {
        class: class.into(),
        partition,
        begun_at: settler.now() / 1000,
        dropped_at: 0,
        rows: 0,
        calls: 0,
        outcomes: Default::default(),
        settled: Vec::new(),
        frozen_until: 0,
        merkle_root: [0; 32],
        retention: kept.as_secs(),
        settler: settler.id(),
        program: env!("CARGO_PKG_VERSION").into(),
    }
}

fn held(what: String, why: impl Into<String>) -> Retired {
    Retired::Held { what, why: why.into() }
}

/// Months as people read them.
fn listed(months: &[BillingPeriod]) -> String {
    months.iter().map(BillingPeriod::to_string).collect::<Vec<_>>().join(", ")
}
