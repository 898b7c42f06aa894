//! What is said of a month whose entries have gone by retention: never that it was nothing.

use anyhow::bail;
use domain::time::BillingPeriod;
use schemas::Database;

/// Refuses a month whose entries are gone: sums of them would be zero.
pub async fn has_entries(database: &Database, month: BillingPeriod) -> anyhow::Result<()> {
    if is_gone(database, month).await? {
        bail!(
            "the entries of {month} have gone by retention (retention.ledger); what it was closed with is shown by `ledgerline period status --month {month}`, \
             what was issued by `ledgerline invoice export --month {month}`"
        );
    }
    Ok(())
}

/// Whether the entries of a month are gone.
pub async fn is_gone(database: &Database, month: BillingPeriod) -> anyhow::Result<bool> {
    Ok(database.retired().await?.months.contains(&month))
}
