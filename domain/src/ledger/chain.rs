//! The chain over what is posted: vouchers, each hashed onto the one before it, and what differs between them and the rows
//! that stand.
//!
//! A settler writes a voucher before the entries that it vouches for, so no entry ever stands that none vouches for. Pure:
//! how vouchers are kept and read is for others.

use std::collections::{HashMap, HashSet};

use super::Entry;
use crate::identity::{EntryId, IdHasher};

/// The hash of a voucher over all that it says and the head before it.
pub type Head = [u8; 32];

/// Names a chain: the vouchers that one settler wrote without an interruption. Random.
pub type ChainId = [u8; 16];

/// What stands for an entry in a voucher: the beginning of the hash of everything it says but when it was posted.
pub fn leaf(entry: &Entry) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = entry.content_hash();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// What a settler is about to post, or has seen of others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Voucher {
    /// Whose it is.
    pub chain: ChainId,
    /// From 1, without gaps. The first one of a chain posts nothing.
    pub number: u64,
    /// Microseconds since the epoch, what its entries say; grows along a chain.
    pub posted_at: i64,
    /// The process that wrote it.
    pub settler: [u8; 16],
    /// Of its entries, in the order of their ids.
    pub leaves: Vec<u64>,
    /// Of a first one: the chains that broke off before it.
    pub ends: Vec<End>,
    /// Of the first one of the first chain: how many entries stood before there were chains.
    pub before: u64,
}

/// How a chain was found to end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct End {
    /// Which.
    pub chain: ChainId,
    /// Its last voucher.
    pub number: u64,
    /// The head of it.
    pub head: Head,
    /// The leaves of that last one whose entries stood: nobody had seen it through.
    pub stood: Vec<u64>,
}

impl Voucher {
    /// The head of the chain with this voucher; `previous` is the one before, zeros for the first.
    pub fn head(&self, previous: &Head) -> Head {
        // Taken apart in full, so that a new field cannot be forgotten here.
        let Self { chain, number, posted_at, settler, leaves, ends, before } = self;
        let bytes = |leaves: &[u64]| leaves.iter().flat_map(|leaf| leaf.to_le_bytes()).collect::<Vec<u8>>();
        let mut hasher = IdHasher::new("voucher");
        hasher.part(previous).part(chain).part(&number.to_le_bytes()).part(&posted_at.to_le_bytes());
        hasher.part(settler).part(&before.to_le_bytes()).part(&bytes(leaves));
        for End { chain, number, head, stood } in ends {
            hasher.part(chain).part(&number.to_le_bytes()).part(head).part(&bytes(stood));
        }
        hasher.finish_whole()
    }
}

/// Entries that were vouched for and are not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Which of the vouchers that were compared.
    pub voucher: usize,
    /// Their leaves, which stood next to each other.
    pub leaves: Vec<u64>,
    /// The entries there that they stood between, by id.
    pub between: (Option<EntryId>, Option<EntryId>),
}

/// What differs between vouchers and rows of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences {
    /// Rows that say something else than what was vouched for in their place.
    pub changed: Vec<EntryId>,
    /// Rows that nobody vouched for.
    pub unvouched: Vec<(EntryId, u64)>,
    /// What is not there.
    pub gone: Vec<Gone>,
}

/// Compares the vouchers of one moment with the rows posted then. Several vouchers are several settlers that met in a
/// microsecond. Copies of a row count once.
pub fn compare(vouchers: &[&[u64]], rows: &mut Vec<(EntryId, u64)>) -> Differences {
    rows.sort_unstable();
    rows.dedup();
    if let [leaves] = vouchers
        && leaves.iter().eq(rows.iter().map(|(_, leaf)| leaf))
    {
        return Differences::default();
    }
    let at: HashMap<u64, usize> = rows.iter().enumerate().map(|(at, (_, leaf))| (*leaf, at)).collect();
    let known: HashSet<u64> = vouchers.iter().flat_map(|leaves| leaves.iter().copied()).collect();
    let mut unvouched: Vec<(EntryId, u64)> =
        rows.iter().filter(|(_, leaf)| !known.contains(leaf)).copied().collect();
    let mut differences = Differences::default();
    let mut told = HashSet::new();
    for (voucher, leaves) in vouchers.iter().enumerate() {
        let mut before = None;
        let mut rest = *leaves;
        while let Some(first) = rest.iter().position(|leaf| !at.contains_key(leaf)) {
            if let Some(last) = first.checked_sub(1) {
                before = Some(rows[at[&rest[last]]].0);
            }
            let end = rest[first..].iter().position(|leaf| at.contains_key(leaf)).map(|more| first + more);
            let after = end.map(|end| rows[at[&rest[end]]].0);
            let mut missing: Vec<u64> = rest[first..end.unwrap_or(rest.len())].to_vec();
            missing.retain(|leaf| told.insert(*leaf));
            // A row that nobody vouched for, where one is missing, is that one changed.
            let within =
                |id: EntryId| before.is_none_or(|before| before < id) && after.is_none_or(|after| id < after);
            while !missing.is_empty()
                && let Some(place) = unvouched.iter().position(|(id, _)| within(*id))
            {
                differences.changed.push(unvouched.remove(place).0);
                missing.remove(0);
            }
            if !missing.is_empty() {
                differences.gone.push(Gone { voucher, leaves: missing, between: (before, after) });
            }
            let Some(end) = end else { break };
            rest = &rest[end..];
        }
    }
    differences.unvouched = unvouched;
    differences
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u8) -> EntryId {
        EntryId::from_bytes([n; 16]).unwrap()
    }

    /// Rows of ids whose leaves are a thousand times as much; `altered` ones have other leaves.
    fn rows(ids: &[u8], altered: &[u8]) -> Vec<(EntryId, u64)> {
        let leaf = |n: &u8| u64::from(*n) * 1000 + u64::from(altered.contains(n));
        ids.iter().map(|n| (id(*n), leaf(n))).collect()
    }

    /// What is found where `vouched` were posted, and `there` stand, some of them altered.
    fn check(vouched: &[u8], there: &[u8], altered: &[u8]) -> (Vec<EntryId>, Vec<EntryId>, Vec<Gone>) {
        let leaves: Vec<u64> = rows(vouched, &[]).into_iter().map(|(_, leaf)| leaf).collect();
        let found = compare(&[&leaves], &mut rows(there, altered));
        (found.changed, found.unvouched.into_iter().map(|(id, _)| id).collect(), found.gone)
    }

    fn gone(leaves: &[u64], before: Option<u8>, after: Option<u8>) -> Gone {
        Gone { voucher: 0, leaves: leaves.to_vec(), between: (before.map(id), after.map(id)) }
    }

    #[test]
    fn what_differs_is_told_by_its_place() {
        assert_eq!(check(&[1, 2, 3], &[3, 1, 2, 2], &[]), (vec![], vec![], vec![]), "copies count once");
        assert_eq!(check(&[1, 2, 3], &[1, 2, 3], &[2]), (vec![id(2)], vec![], vec![]));
        assert_eq!(check(&[1, 2, 3], &[1, 2, 3], &[1, 2, 3]).0, [id(1), id(2), id(3)]);
        assert_eq!(check(&[1, 3], &[1, 2, 3], &[]), (vec![], vec![id(2)], vec![]), "one is put in");
        let between = gone(&[2000], Some(1), Some(3));
        assert_eq!(check(&[1, 2, 3], &[1, 3], &[]), (vec![], vec![], vec![between]));
        let ends = vec![gone(&[1000], None, Some(2)), gone(&[3000, 4000], Some(2), None)];
        assert_eq!(check(&[1, 2, 3, 4], &[2], &[]), (vec![], vec![], ends));
        let all = gone(&[1000, 2000], None, None);
        assert_eq!(check(&[1, 2], &[], &[]), (vec![], vec![], vec![all]));
        let elsewhere = gone(&[2000], Some(1), Some(3));
        assert_eq!(check(&[1, 2, 3], &[1, 3, 9], &[]), (vec![], vec![id(9)], vec![elsewhere]));
    }

    #[test]
    fn settlers_that_met_in_a_microsecond_vouch_together() {
        let mut both = rows(&[1, 2, 3], &[]);
        assert_eq!(compare(&[&[1000, 2000], &[2000, 3000]], &mut both), Differences::default());
        let found = compare(&[&[1000, 2000], &[2000, 3000]], &mut rows(&[1, 3], &[]));
        assert_eq!(found.gone, [gone(&[2000], Some(1), None)], "told once");
    }

    #[test]
    fn the_head_depends_on_everything() {
        let end = End { chain: [2; 16], number: 7, head: [3; 32], stood: vec![5] };
        let voucher = Voucher {
            chain: [1; 16],
            number: 1,
            posted_at: 1,
            settler: [4; 16],
            leaves: vec![1, 2],
            ends: vec![end.clone()],
            before: 0,
        };
        let others = [
            Voucher { chain: [9; 16], ..voucher.clone() },
            Voucher { number: 2, ..voucher.clone() },
            Voucher { posted_at: 2, ..voucher.clone() },
            Voucher { settler: [9; 16], ..voucher.clone() },
            Voucher { leaves: vec![2, 1], ..voucher.clone() },
            Voucher { ends: Vec::new(), ..voucher.clone() },
            Voucher { ends: vec![End { number: 8, ..end.clone() }], ..voucher.clone() },
            Voucher { ends: vec![End { stood: Vec::new(), ..end }], ..voucher.clone() },
            Voucher { before: 1, ..voucher.clone() },
        ];
        let head = voucher.head(&[0; 32]);
        assert_ne!(voucher.head(&head), head);
        for other in others {
            assert_ne!(other.head(&[0; 32]), head, "{other:?}");
        }
    }

    proptest! {
        /// Whatever is done to rows shows, and shows as much as was done.
        #[test]
        fn what_is_done_to_rows_shows(there in prop::collection::btree_set(1..60_u8, 1..30), fates in prop::collection::vec(0..4_u8, 60)) {
            let vouched: Vec<u8> = there.iter().copied().collect();
            let of = |fate: u8| vouched.iter().copied().filter(|n| fates[usize::from(*n)] == fate).collect::<Vec<u8>>();
            let (removed, altered) = (of(1), of(2));
            let left: Vec<u8> = vouched.iter().copied().filter(|n| !removed.contains(n)).collect();
            let put_in: Vec<u8> = (100..100 + fates[0]).collect();
            let (changed, unvouched, gone) = check(&vouched, &[left.clone(), put_in.clone()].concat(), &altered);
            // One taken out and one put in behind it look like one changed.
            let lost: usize = gone.iter().map(|gone| gone.leaves.len()).sum();
            prop_assert_eq!(changed.len() + lost, removed.len() + altered.len());
            prop_assert_eq!(changed.len() + unvouched.len(), altered.len() + put_in.len());
            let sound = removed.is_empty() && altered.is_empty() && put_in.is_empty();
            prop_assert_eq!(sound, changed.is_empty() && unvouched.is_empty() && gone.is_empty());
        }
    }
}
