//! Entries that are not where they were posted because they were posted again: two settlers may post the same, or one that
//! was told of a failure what had succeeded. Copies are one row, which says one of the times.

use std::collections::{HashMap, HashSet};

use schemas::{Database, DatabaseError};

use super::Missing;

/// Leaves out what was vouched for at another time, too, and stands there.
pub(super) async fn without_reposted(
    database: &Database,
    mut missing: Vec<Missing>,
) -> Result<Vec<Missing>, DatabaseError> {
    let mut posted: HashMap<u64, i64> = HashMap::new();
    for missing in &missing {
        posted.extend(missing.leaves.iter().map(|leaf| (*leaf, missing.posted_at)));
    }
    let leaves: Vec<u64> = posted.keys().copied().collect();
    let mut elsewhere: HashSet<(i64, u64)> = HashSet::new();
    let note = |row: schemas::rows::VoucherRow| {
        let at = row.posted_at;
        let again = row.into_voucher().leaves.into_iter();
        elsewhere.extend(
            again.filter(|leaf| posted.get(leaf).is_some_and(|first| *first != at)).map(|leaf| (at, leaf)),
        );
    };
    database.each_voucher_with(&leaves, note).await?;
    let times: HashSet<i64> = elsewhere.iter().map(|(at, _)| *at).collect();
    let times: Vec<i64> = times.into_iter().collect();
    let mut stands: HashSet<u64> = HashSet::new();
    let note = |at, _, leaf| {
        if elsewhere.contains(&(at, leaf)) {
            stands.insert(leaf);
        }
    };
    database.each_leaf_at(&times, note).await?;
    for missing in &mut missing {
        missing.leaves.retain(|leaf| !stands.contains(leaf));
    }
    missing.retain(|missing| !missing.leaves.is_empty());
    Ok(missing)
}
