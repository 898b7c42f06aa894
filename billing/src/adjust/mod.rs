//! Corrections that people order: credits, charges, calls that are not to be billed, calls that are someone else's, and taking
//! such an order back.
//!
//! ```text
//! order ─▶ rows of `override_calls` ─▶ settled anew (difference) ─▶ row of `overrides`
//! ```
//!
//! Promises: what is ordered stands whatever evidence and prices come later, because settlement reads it as it reads
//! evidence; the same order twice is done once, also after a crash in between; a closed month is corrected in the open
//! one; nothing is posted without `apply`.

mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::identity::{CallId, IdHasher};
use domain::ledger::{Entry, EntryType, Quantities, Standing, difference_as};
use domain::money::Cost;
use domain::overrides::{Act, Override, TENANT_SOURCE};
use domain::plan::CreditGrant;
use domain::time::BillingPeriod;
use schemas::rows::{OverrideCallRow, OverrideRow, StandingReport, month_number, month_of};
use schemas::{Database, DatabaseError};

use crate::period::of_no_call;
use crate::settle::{SettleError, Settler};
pub use order::{Asked, Calls, Order, OrderFault};
use order::{Money, Side};

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AdjustError {
    /// It makes no sense.
    #[error(transparent)]
    Order(#[from] OrderFault),
    /// Something else was ordered under its id.
    #[error("override {id} was ordered on {at} by {by} in other words: {asked}; give another --id")]
    Taken {
        /// The id.
        id: String,
        /// When.
        at: String,
        /// By whom.
        by: String,
        /// What.
        asked: String,
    },
    /// No call is meant.
    #[error(
        "no call that stands is meant; `ledgerline explain` shows what became of one, `ledgerline usage` what there is"
    )]
    NoCalls,
    /// Evidence of the calls may be gone, so they cannot be settled anew.
    #[error(
        "{calls} of these calls ended until {until}, and evidence of then has gone by retention: what stands for them stays; \
         leave them out by --from, or give what you mean as `ledgerline adjust credit` or `charge`"
    )]
    Retired {
        /// How many entries.
        calls: usize,
        /// Until when.
        until: String,
    },
    /// Nothing of that id can be revoked.
    #[error("override {id:?} {why}; `ledgerline adjust list` shows what there is")]
    NotRevocable {
        /// The id.
        id: String,
        /// Why not.
        why: &'static str,
    },
    /// Settling by it failed.
    #[error("the order was not carried out to the end; give it again")]
    Settle(#[from] SettleError),
    /// The database failed.
    #[error("the order was not carried out to the end; give it again")]
    Database(#[from] DatabaseError),
}

/// What changes, or would, for one tenant's feature in one month.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Net calls.
    pub calls: i64,
    /// What the provider charges.
    pub cost: Cost,
    /// What the tenant is charged.
    pub charge: Cost,
}

/// What an order came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adjusted {
    /// The order's id.
    pub id: String,
    /// When and by whom it was done before, if it was; then nothing was done now.
    pub before: Option<(i64, String)>,
    /// The calls it is of.
    pub calls: u64,
    /// By tenant, feature, and the month it is posted in.
    pub changes: BTreeMap<(String, String, BillingPeriod), Change>,
    /// Entries posted, or that would be.
    pub entries: u64,
}

impl Adjusted {
    fn take(&mut self, entry: &Entry) {
        let key = (entry.facts.tenant.clone(), entry.facts.feature.clone(), entry.period);
        let change = self.changes.entry(key).or_default();
        change.calls += entry.quantities.calls;
        change.cost += entry.quantities.cost;
        change.charge += entry.quantities.charge;
        self.entries += 1;
    }
}

/// Carries an order out, or, without `apply`, says what it would come to. To be run when everything committed is settled
/// and nothing else posts.
pub async fn adjust(settler: &mut Settler, order: &Order, apply: bool) -> Result<Adjusted, AdjustError> {
    order.check(&settler.config().currency)?;
    let database = settler.database().clone();
    let known = database.overrides().await?;
    let mut adjusted = Adjusted { id: order.id(), ..Adjusted::default() };
    if let Some(row) = known.iter().find(|row| row.override_id == adjusted.id) {
        if row.asked != order.asked() {
            let at = domain::time::EventTime::from_nanos(row.decided_at.saturating_mul(1000)).to_string();
            let (id, by, asked) = (adjusted.id, row.decided_by.clone(), row.asked.clone());
            return Err(AdjustError::Taken { id, at, by, asked });
        }
        (adjusted.before, adjusted.calls) = (Some((row.decided_at, row.decided_by.clone())), row.calls);
        return Ok(adjusted);
    }
    let last = known.iter().map(|row| row.decided_at).max().unwrap_or(0);
    // Later than every order so far, whatever this machine's clock says: the later one counts.
    let mut work = Work { order, apply, decided_at: (settler.now() / 1000).max(last + 1), adjusted };
    match &order.asked {
        Asked::Credit { .. } | Asked::Charge { .. } => {
            work.money(settler, order.asked.money()?.as_ref(), true).await?
        }
        Asked::Reverse { calls } => {
            let reports = database.standing_reports(&calls.filter()).await?;
            work.overrule(settler, reports, Act::Reverse).await?;
        }
        Asked::Reattribute { calls, to } => {
            let reports = database.standing_reports(&calls.filter()).await?;
            work.overrule(settler, reports, Act::Reattribute(to.clone())).await?;
        }
        Asked::Revoke { id } => {
            let row = revocable(&known, id)?;
            if let Some(money) = money_of(row) {
                work.money(settler, Some(&money), false).await?;
            } else {
                let reports = database.override_calls_of(id).await?.into_iter().map(|row| StandingReport {
                    realm: row.realm,
                    trace_id: row.trace_id,
                    span_id: row.span_id,
                });
                work.overrule(settler, reports.collect(), Act::Revoke(id.clone())).await?;
            }
        }
    }
    if apply {
        work.record(&database, &settler.config().currency).await?;
    }
    Ok(work.adjusted)
}

fn revocable<'k>(known: &'k [OverrideRow], id: &str) -> Result<&'k OverrideRow, AdjustError> {
    let refuse = |why| AdjustError::NotRevocable { id: id.to_string(), why };
    let row = known.iter().find(|row| row.override_id == id).ok_or_else(|| refuse("is not on record"))?;
    if row.kind == "revoke" {
        return Err(refuse("revokes another; order that one again under an id of its own"));
    }
    match known.iter().any(|other| other.revokes == id) {
        true => Err(refuse("is revoked already")),
        false => Ok(row),
    }
}

/// Refuses calls of which evidence may have gone by retention.
async fn are_whole(settler: &Settler, reports: &BTreeSet<StandingReport>) -> Result<(), AdjustError> {
    let Some(until) = settler.frozen().until() else { return Ok(()) };
    let traces: BTreeSet<[u8; 16]> = reports.iter().map(|report| report.trace_id).collect();
    let traces: Vec<[u8; 16]> = traces.into_iter().collect();
    let frozen = settler.database().entries_of_traces(&traces, 0..=until).await?;
    let calls: BTreeSet<StandingReport> = frozen
        .into_iter()
        .map(|entry| StandingReport {
            realm: entry.facts.realm.as_str().to_string(),
            trace_id: entry.facts.trace.bytes(),
            span_id: entry.facts.span.bytes(),
        })
        .filter(|report| reports.contains(report))
        .collect();
    if calls.is_empty() {
        return Ok(());
    }
    let until = domain::time::EventTime::from_nanos(until).to_string();
    Err(AdjustError::Retired { calls: calls.len(), until })
}

/// An order on its way.
struct Work<'o> {
    order: &'o Order,
    apply: bool,
    decided_at: i64,
    adjusted: Adjusted,
}

impl Work<'_> {
    /// Has calls settled by a decision about them.
    async fn overrule(
        &mut self,
        settler: &mut Settler,
        reports: Vec<StandingReport>,
        act: Act,
    ) -> Result<(), AdjustError> {
        let database = settler.database().clone();
        // Begun before and not ended: what was written down then counts, with its time.
        let begun = database.override_calls_of(&self.adjusted.id).await?;
        let is_begun = !begun.is_empty();
        if let Some(row) = begun.first() {
            self.decided_at = row.decided_at;
        }
        let decided = Override { decided_at: self.decided_at, id: self.adjusted.id.clone(), act };
        let written = begun.into_iter().map(|row| StandingReport {
            realm: row.realm,
            trace_id: row.trace_id,
            span_id: row.span_id,
        });
        let reports: BTreeSet<StandingReport> = reports.into_iter().chain(written).collect();
        if reports.is_empty() {
            return Err(AdjustError::NoCalls);
        }
        if !is_begun {
            are_whole(settler, &reports).await?;
        }
        self.adjusted.calls = reports.len() as u64;
        let rows: Vec<OverrideCallRow> =
            reports.into_iter().map(|report| OverrideCallRow::of(report, &decided)).collect();
        if self.apply {
            // Before anything is posted by it: whoever settles these calls from now on does so by it.
            for some in rows.chunks(100_000) {
                database.insert_override_calls(some).await?;
            }
        }
        let adjusted = &mut self.adjusted;
        settler.settle_overrides(&rows, self.apply, |entry| adjusted.take(entry)).await?;
        Ok(())
    }

    /// Posts a credit or a charge, or takes it back. A credit that months use up is posted as they do.
    async fn money(
        &mut self,
        settler: &mut Settler,
        money: Option<&Money>,
        given: bool,
    ) -> Result<(), AdjustError> {
        let Some(money) = money.filter(|money| money.expires.is_none()) else { return Ok(()) };
        let id = match &self.order.asked {
            Asked::Revoke { id } => id,
            _ => &self.adjusted.id,
        };
        let entry = posted_money(id, self.reason_of(settler, id).await?, money, &settler.config().currency);
        let mut standing = Standing::default();
        for known in settler.database().entries_of_traces(&[entry.call.bytes()], 0..=i64::MAX).await? {
            standing.add(Arc::new(known));
        }
        let target = given.then_some((&entry.facts, &entry.quantities));
        let posting = difference_as([entry.entry_type; 2], entry.call, &standing, target, settler.periods());
        posting.iter().for_each(|entry| self.adjusted.take(entry));
        if self.apply {
            settler.post_entries(posting).await?;
        }
        Ok(())
    }

    async fn reason_of(&self, settler: &Settler, id: &str) -> Result<String, DatabaseError> {
        let known = settler.database().overrides().await?;
        let row = known.into_iter().find(|row| row.override_id == id);
        Ok(row.map_or_else(|| self.order.reason.clone(), |row| row.reason))
    }

    /// Puts the order on record: from now on it is done.
    async fn record(&self, database: &Database, currency: &str) -> Result<(), AdjustError> {
        let money = self.order.asked.money()?;
        let revokes = match &self.order.asked {
            Asked::Revoke { id } => id.clone(),
            _ => String::new(),
        };
        let row = OverrideRow {
            override_id: self.adjusted.id.clone(),
            kind: self.order.kind().into(),
            decided_at: self.decided_at,
            decided_by: self.order.by.clone(),
            reason: self.order.reason.clone(),
            asked: self.order.asked(),
            revokes,
            tenant: money.as_ref().map(|money| money.tenant.clone()).unwrap_or_default(),
            amount: money.as_ref().map(|money| money.amount).unwrap_or_default(),
            currency: money.as_ref().map(|_| currency.to_string()).unwrap_or_default(),
            period: money.as_ref().map(|money| month_number(money.month)).unwrap_or_default(),
            expires: money.as_ref().and_then(|money| money.expires).map(month_number),
            calls: self.adjusted.calls,
            program: env!("CARGO_PKG_VERSION").to_string(),
        };
        Ok(database.insert_override(&row).await?)
    }
}

fn money_of(row: &OverrideRow) -> Option<Money> {
    Some(Money {
        to: Side::of_kind(&row.kind)?,
        tenant: row.tenant.clone(),
        amount: row.amount,
        month: month_of(row.period),
        expires: row.expires.map(month_of),
    })
}

/// What an invoice says of a credit or charge.
fn money_name(id: &str, reason: &str) -> String {
    format!("{reason} ({id})")
}

/// The entry of a credit or charge that is posted at once; its facts and amount follow from the order alone.
fn posted_money(id: &str, reason: String, money: &Money, currency: &str) -> Entry {
    // Written down when there were only credits; ids of orders are unique.
    let mut hasher = IdHasher::new("override credit");
    hasher.part(id.as_bytes());
    let call = CallId::of_adjustment(&hasher);
    let name = money_name(id, &reason);
    let (entry_type, kind, charge) = match money.to {
        Side::Tenant => (EntryType::Credit, "credit", -money.amount),
        Side::Issuer => (EntryType::Adjustment, "adjustment", money.amount),
    };
    let facts = of_no_call(call, TENANT_SOURCE, &money.tenant, money.month, (kind, &name), currency);
    let quantities = Quantities { charge, ..Quantities::default() };
    Entry::new(entry_type, call, money.month, facts, quantities, None, &[])
}

/// The credits and charges on record that were posted at once: the call id that stands for each, and what it must come to.
pub(crate) fn posted_at_once(known: &[OverrideRow]) -> BTreeMap<CallId, (String, Cost)> {
    let revoked: BTreeSet<&str> = known.iter().map(|row| row.revokes.as_str()).collect();
    let mut posted = BTreeMap::new();
    for row in known {
        let Some(money) = money_of(row).filter(|money| money.expires.is_none()) else { continue };
        let entry = posted_money(&row.override_id, row.reason.clone(), &money, &row.currency);
        let charge =
            if revoked.contains(row.override_id.as_str()) { Cost::ZERO } else { entry.quantities.charge };
        posted.insert(entry.call, (row.override_id.clone(), charge));
    }
    posted
}

/// The credits on record that months use up, as they were at a moment (microseconds since the epoch).
pub async fn grants(database: &Database, at: i64) -> Result<Vec<CreditGrant>, DatabaseError> {
    let known = database.overrides().await?;
    let known: Vec<OverrideRow> = known.into_iter().filter(|row| row.decided_at <= at).collect();
    let revoked: BTreeSet<&str> = known.iter().map(|row| row.revokes.as_str()).collect();
    let counts = known.iter().filter(|row| !revoked.contains(row.override_id.as_str()));
    let granted = counts.filter_map(|row| {
        let credit = money_of(row).filter(|money| money.expires.is_some())?;
        Some(CreditGrant {
            name: money_name(&row.override_id, &row.reason),
            tenant: credit.tenant,
            amount: credit.amount,
            from: Some(credit.month),
            expires: credit.expires,
        })
    });
    Ok(granted.collect())
}
