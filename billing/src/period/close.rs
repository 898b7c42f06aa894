//! Closing a month, step by step. Each step may be repeated, and only the last one closes.

use domain::ledger::{ChainId, Head};
use domain::time::BillingPeriod;
use sabotage::{Bug, Point};
use schemas::rows::PeriodRow;
use schemas::{Database, DatabaseError};

use super::adjustments;
use super::manifest::MadeBy;
use crate::invoice::{DraftError, RateMissing};
use crate::rates::{RateShelf, RateShelfError};
use crate::settle::{SettleError, Settler, nanos};
use crate::verify::{self, Balance, Finding, VerifyError};

/// How a month is closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloseOptions {
    /// Do not wait for late usage.
    pub without_grace: bool,
    /// Close though the balance of all spans does not hold.
    pub unbalanced: bool,
    /// The collector of this process, whose journal was shipped just before; its heartbeat may not say so yet.
    pub own_collector: [u8; 16],
}

/// Why a month is not closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The month is not over.
    #[error(
        "{period} is not over; it can be closed from {end} on, `ledgerline invoice preview` shows it as it stands"
    )]
    NotOver {
        /// The month.
        period: BillingPeriod,
        /// When it is.
        end: String,
    },
    /// Late usage may still come.
    #[error(
        "{period} takes late usage until {until} (billing.grace); close it then, or now with `ledgerline period close --without-grace`"
    )]
    Grace {
        /// The month.
        period: BillingPeriod,
        /// When it no longer does.
        until: String,
    },
    /// Another settler may post into the month while it is closed.
    #[error(
        "another settler runs on {hosts}; stop it or set settle.enabled = false there, and try again two minutes later"
    )]
    OtherSettler {
        /// Where.
        hosts: String,
    },
    /// Collectors hold evidence that is not in the database.
    #[error(
        "collectors hold evidence that was not shipped yet: {collectors}; see that each runs and reaches ClickHouse"
    )]
    Unshipped {
        /// Which, and how much.
        collectors: String,
    },
    /// A call that a span stands for is not in the ledger, or the other way round: of this month or of another.
    #[error(
        "the balance of all spans does not hold: {}; `ledgerline verify` shows it. A call found after the close is billed in a later month; close nevertheless with `ledgerline period close --unbalanced`",
        first(.findings)
    )]
    Unbalanced {
        /// What does not hold.
        findings: Vec<Finding>,
    },
    /// The ledger of the month does not hold.
    #[error("{period} does not verify: {} finding(s), the first: {}; `ledgerline verify` lists them", .findings.len(), first(.findings))]
    Unsound {
        /// The month.
        period: BillingPeriod,
        /// What does not hold.
        findings: Vec<Finding>,
    },
    /// A tenant is invoiced in a currency without a rate.
    #[error(transparent)]
    RateMissing(#[from] RateMissing),
    /// The rates cannot be read.
    #[error("the exchange rates cannot be read")]
    Rates(#[from] RateShelfError),
    /// Settling what is left failed.
    #[error("the month cannot be settled")]
    Settle(#[from] SettleError),
    /// It cannot be verified.
    #[error("the month cannot be verified")]
    Verify(#[from] VerifyError),
    /// Its invoices cannot be drawn up.
    #[error("the invoices of the month cannot be drawn up")]
    Draft(#[from] DraftError),
    /// The database failed.
    #[error("the month cannot be closed")]
    Database(#[from] DatabaseError),
}

/// Closes a month. `now` is in nanoseconds since the epoch. A month that is closed already is answered as it was closed.
pub async fn close(
    settler: &mut Settler,
    period: BillingPeriod,
    options: &CloseOptions,
    now: i64,
) -> Result<PeriodRow, CloseError> {
    let database = settler.database().clone();
    if let Some(row) = closed(&database, period).await? {
        settler.close(period);
        return Ok(row);
    }
    is_over(settler, period, options, now)?;
    is_complete(settler, options, now).await?;

    settler.drain().await?;
    sabotage::reached(Point::CloseDrained);
    settler.settle_late_duplicates(period).await?;
    sabotage::reached(Point::CloseDuplicates);
    is_balanced(&database, options).await?;
    // The file that the month is converted by for ever, whichever is imported meanwhile.
    let rates = RateShelf::of(&database).await?;
    if !sabotage::is_active(Bug::CloseBeforeAdjusting) {
        adjustments::post(settler, period, &rates.rates).await?;
    }
    sabotage::reached(Point::CloseAdjusted);
    let (verification, manifest) = verify::verify_open(&database, period).await?;
    if !verification.findings.is_empty() {
        return Err(CloseError::Unsound { period, findings: verification.findings });
    }
    let made_by = MadeBy {
        price_book: settler.book().version().to_string(),
        plans: settler.plans().version.clone(),
        rates: rates.version.clone(),
        config: settler.config().config_hash.clone(),
        settler: settler.id(),
        chain_heads: chain_heads(&database).await?,
    };
    // After the postings above, whatever the clock does.
    let row = manifest.row(period, settler.stamp(), made_by);
    sabotage::reached(Point::CloseVerified);
    // From here on nothing is posted into the month.
    database.insert_period(&row).await?;
    sabotage::reached(Point::CloseWritten);
    if sabotage::is_active(Bug::CloseBeforeAdjusting) {
        adjustments::post(settler, period, &rates.rates).await?;
    }
    settler.close(period);
    tracing::info!(%period, entries = row.entries, charge = %row.charge, "closed a month");
    Ok(row)
}

/// Where the chains of vouchers are that no other was begun upon: the settler's own, and any of which it saw nothing.
async fn chain_heads(database: &Database) -> Result<Vec<(ChainId, u64, Head)>, DatabaseError> {
    let tips = database.chain_tips().await?;
    Ok(tips.into_iter().map(|tip| (tip.chain, tip.number, tip.head)).collect())
}

/// What a month was closed with, if it was.
pub(super) async fn closed(
    database: &Database,
    period: BillingPeriod,
) -> Result<Option<PeriodRow>, DatabaseError> {
    let months = database.closed_months().await?;
    Ok(months.into_iter().find(|row| schemas::rows::month_of(row.period) == period))
}

fn is_over(
    settler: &Settler,
    period: BillingPeriod,
    options: &CloseOptions,
    now: i64,
) -> Result<(), CloseError> {
    let shown = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let end = period.end();
    let Some(end_nanos) = end.timestamp_nanos_opt().filter(|end| now >= *end) else {
        return Err(CloseError::NotOver { period, end: shown(end) });
    };
    let until = end_nanos.saturating_add(nanos(settler.config().grace));
    if now < until && !options.without_grace {
        let until = shown(chrono::DateTime::from_timestamp_nanos(until));
        return Err(CloseError::Grace { period, until });
    }
    Ok(())
}

/// Everything that collectors acknowledged is in the database, and nobody else posts.
async fn is_complete(settler: &Settler, options: &CloseOptions, now: i64) -> Result<(), CloseError> {
    let others: Vec<_> = settler
        .database()
        .collectors()
        .await?
        .into_iter()
        .filter(|row| row.collector_id != options.own_collector)
        .collect();
    let list = |of: &dyn Fn(&schemas::rows::CollectorRow) -> Option<String>| {
        others.iter().filter_map(of).collect::<Vec<_>>().join(", ")
    };
    let hosts = list(&|row| settler.may_post(row, now).then(|| row.host.clone()));
    if !hosts.is_empty() {
        return Err(CloseError::OtherSettler { hosts });
    }
    let collectors = list(&|row| {
        let unshipped = row.appended_seq.saturating_sub(row.shipped_seq);
        (unshipped > 0).then(|| format!("{} positions on {}", unshipped, row.host))
    });
    if collectors.is_empty() { Ok(()) } else { Err(CloseError::Unshipped { collectors }) }
}

/// Every span came to something. It is drawn of all months: what was lost on the way has none.
async fn is_balanced(database: &Database, options: &CloseOptions) -> Result<(), CloseError> {
    let findings = verify::unbalanced(&Balance::draw(database).await?);
    let Some(finding) = findings.first() else { return Ok(()) };
    if options.unbalanced {
        tracing::warn!(
            invariant = finding.invariant,
            what = finding.what,
            "closing a month though the balance does not hold"
        );
        return Ok(());
    }
    Err(CloseError::Unbalanced { findings })
}

fn first(findings: &[Finding]) -> String {
    findings.first().map(|finding| format!("{}: {}", finding.invariant, finding.what)).unwrap_or_default()
}
