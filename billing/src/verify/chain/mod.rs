//! What stands is what was vouched for before it was posted (`docs/adr/0023-vouch-before-posting.md`).
//!
//! ```text
//! vouchers of a stretch of time ─▶ follow (each upon the one before) ─┐
//! entries posted in it ─▶ leaves ─────────────────────────────────────┴▶ compare ─▶ reposted? ─▶ findings
//! ```
//!
//! Promises: a changed entry and one that was put in are named, of one that is gone is said where it stood, and a voucher
//! that is gone or changed is named. While settlers post, nothing is found that is not so: entries are read after the list of
//! vouchers that must stand, and before the vouchers that may. Memory follows a stretch of time, not the ledger.
//! Leaves to others: what a call that lost an entry adds up to, and whether spans and ledger balance.

mod found;
mod follow;
mod reposted;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::identity::EntryId;
use domain::ledger::{ChainId, Gone, compare};
use domain::time::BillingPeriod;
use schemas::rows::{PeriodRow, VoucherRow};
use schemas::{Database, DatabaseError, PostedWithin};

use self::follow::Chains;
use self::found::{Found, Missing, of_chain, time};
use super::Finding;
use crate::settle::ChainHead;

/// Entries that are compared at once, about: some thirty bytes each.
const ENTRIES_A_STRETCH: u64 = 1_000_000;
/// Leaves that are gone from where they were posted, before it is looked whether they were posted again.
const GONE_MAX: usize = 1_000_000;

/// What the chains cover.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vouched {
    /// When the first of them began, microseconds since the epoch; nothing: nobody ever vouched for anything.
    pub since: Option<i64>,
    /// Chains that were looked at.
    pub chains: u64,
    /// Vouchers that were looked at.
    pub vouchers: u64,
    /// Entries that were compared with them.
    pub entries: u64,
    /// Entries from before there were chains, which nobody vouches for.
    pub before: u64,
    /// Entries that were vouched for, by a settler that broke off, and never came to stand.
    pub broken_off: u64,
    /// Where the chains are that none was begun upon. Whoever noted earlier ones elsewhere can compare.
    pub heads: Vec<ChainHead>,
}

/// Checks what was posted in a stretch of time, both ends in it, or everything. What was posted until `gone_until` may be gone by
/// retention, so it is not missed.
pub(super) async fn check_chains(
    database: &Database,
    within: Option<(i64, i64)>,
    closed: &BTreeMap<BillingPeriod, PeriodRow>,
    gone_until: Option<i64>,
    findings: &mut Vec<Finding>,
) -> Result<Vouched, DatabaseError> {
    let mut vouched = Vouched { heads: heads(database).await?, ..Vouched::default() };
    let mut plan = Plan::default();
    database
        .each_voucher_size(|size| plan.add(size.posted_at, size.entries, (size.chain, size.number)))
        .await?;
    let mut chains = Chains::new(plan.furthest, within.is_none());
    for (month, row) in closed {
        chains.note(&format!("{month} was closed"), &row.chain_heads);
    }
    let mut found = Found::default();
    vouched.since = plan.stretches.first().map(|(since, _)| *since);
    let asked = |(from, until): &PostedWithin| {
        within.is_none_or(|(first, last)| *from <= last && until.is_none_or(|until| first < until))
    };
    for stretch in plan.stretches.into_iter().filter(asked) {
        vouched.entries += check_stretch(database, stretch, gone_until, &mut chains, &mut found).await?;
        if found.missing.iter().map(|missing| missing.leaves.len()).sum::<usize>() > GONE_MAX {
            found.missing = reposted::without_reposted(database, found.missing).await?;
        }
    }
    if within.is_none() {
        check_before(database, vouched.since, &mut chains, &mut vouched, &mut found).await?;
    }
    (vouched.chains, vouched.vouchers, vouched.broken_off) = chains.finish();
    chains.check_noted(database).await?;
    findings.extend(chains.findings.into_iter().map(of_chain));
    found.missing = reposted::without_reposted(database, found.missing).await?;
    found.tell(database, findings).await?;
    Ok(vouched)
}

async fn heads(database: &Database) -> Result<Vec<ChainHead>, DatabaseError> {
    let head =
        |tip: schemas::rows::TipRow| ChainHead { chain: tip.chain, number: tip.number, head: tip.head };
    Ok(database.chain_tips().await?.into_iter().map(head).collect())
}

/// In which stretches of time to look, by how much is vouched for in each; and how far each chain goes.
#[derive(Debug, Default)]
struct Plan {
    /// Without holes, from the first voucher on; the last has no end.
    stretches: Vec<PostedWithin>,
    in_last: u64,
    last: i64,
    furthest: HashMap<ChainId, u64>,
}

impl Plan {
    /// Takes the next voucher, in order of time.
    fn add(&mut self, posted_at: i64, entries: u64, (chain, number): (ChainId, u64)) {
        let furthest = self.furthest.entry(chain).or_default();
        *furthest = number.max(*furthest);
        match self.stretches.last_mut() {
            Some((_, until)) if self.in_last >= ENTRIES_A_STRETCH && posted_at > self.last => {
                *until = Some(posted_at);
                self.stretches.push((posted_at, None));
                self.in_last = 0;
            }
            Some(_) => {}
            None => self.stretches.push((posted_at, None)),
        }
        self.in_last += entries;
        self.last = posted_at;
    }
}

/// Compares the entries of a stretch with its vouchers; says how many entries there are.
async fn check_stretch(
    database: &Database,
    stretch: PostedWithin,
    gone_until: Option<i64>,
    chains: &mut Chains,
    found: &mut Found,
) -> Result<u64, DatabaseError> {
    let mut rows: BTreeMap<i64, Vec<(EntryId, u64)>> = BTreeMap::new();
    let note = |at, id, leaf| rows.entry(at).or_default().push((id, leaf));
    // Before the vouchers: an entry that is there then has its voucher there, too.
    database.each_leaf_within(stretch, note).await?;
    let mut vouchers: BTreeMap<i64, Vec<VoucherRow>> = BTreeMap::new();
    for row in database.vouchers_within(stretch).await? {
        let known = vouchers.entry(row.posted_at).or_default();
        // The same row once more says nothing more.
        if !known.contains(&row) {
            known.push(row);
        }
    }
    let mut entries = 0;
    let moments: BTreeSet<i64> = rows.keys().chain(vouchers.keys()).copied().collect();
    for at in moments {
        let mut rows = rows.remove(&at).unwrap_or_default();
        let vouchers = vouchers.remove(&at).unwrap_or_default();
        let vouchers: Vec<_> = vouchers.into_iter().map(|row| chains.follow(row, found)).collect();
        if vouchers.is_empty() {
            entries += rows.len() as u64;
            found.strangers(at, rows);
            continue;
        }
        let leaves: Vec<&[u64]> = vouchers.iter().map(|voucher| voucher.leaves.as_slice()).collect();
        let differences = compare(&leaves, &mut rows);
        entries += rows.len() as u64;
        found.changed(at, differences.changed);
        differences.unvouched.into_iter().for_each(|(id, leaf)| found.unvouched((at, id, leaf)));
        let missed = differences.gone.into_iter().filter(|_| Some(at) > gone_until);
        for Gone { voucher, leaves, between } in missed {
            let (chain, number) = (vouchers[voucher].chain, vouchers[voucher].number);
            let missing = Missing { chain, number, posted_at: at, leaves, between };
            found.missing.extend(chains.must_stand(missing));
        }
    }
    Ok(entries)
}

/// Entries that say they are older than the first chain: no more of them than there were then.
async fn check_before(
    database: &Database,
    since: Option<i64>,
    chains: &mut Chains,
    vouched: &mut Vouched,
    found: &mut Found,
) -> Result<(), DatabaseError> {
    vouched.before = database.count_posted_before(since).await?;
    let Some(since) = since else { return Ok(()) };
    let stood = chains.before(since);
    if stood == 0 && vouched.before > 0 {
        return database
            .each_leaf_within((0, Some(since)), |at, id, leaf| found.unvouched((at, id, leaf)))
            .await;
    }
    if vouched.before > stood {
        let (at, now) = (time(since), vouched.before);
        chains.findings.push(format!(
            "{now} entries say that they were posted before {at}, when the first chain began; there were {stood} then"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_have_no_holes_and_part_no_moment() {
        let mut plan = Plan::default();
        let (one, other) = ([1; 16], [2; 16]);
        plan.add(5, ENTRIES_A_STRETCH, (one, 1));
        plan.add(5, 3, (other, 1));
        plan.add(7, 3, (one, 2));
        plan.add(9, ENTRIES_A_STRETCH, (one, 3));
        plan.add(10, 0, (other, 2));
        assert_eq!(plan.stretches, [(5, Some(7)), (7, Some(10)), (10, None)]);
        assert_eq!(plan.furthest, HashMap::from([(one, 3), (other, 2)]));
    }
}
