//! Following chains from voucher to voucher: that none is missing, none was changed, and each goes as far as others say.

use std::collections::{HashMap, HashSet};

use domain::ledger::{ChainId, End, Head, Voucher};
use schemas::rows::VoucherRow;
use schemas::{Database, DatabaseError};

use super::{Found, Missing, time};
use crate::settle::hex;

/// Where a chain is.
#[derive(Debug, Clone, Copy)]
struct Last {
    number: u64,
    head: Head,
    posted_at: i64,
}

/// How far a chain went, as somebody else noted it.
#[derive(Debug)]
struct Noted {
    /// When, in words.
    when: String,
    chain: ChainId,
    number: u64,
    head: Head,
}

/// The chains, as far as they were followed.
#[derive(Debug)]
pub(super) struct Chains {
    last: HashMap<ChainId, Last>,
    /// The last voucher of each when reading began. Those before it must stand.
    furthest: HashMap<ChainId, u64>,
    /// What is missing of last vouchers, until somebody says whether it stood.
    in_doubt: HashMap<(ChainId, u64), Vec<Missing>>,
    broken_off: u64,
    noted: Vec<Noted>,
    /// By when they began: first vouchers, and how many entries stood before.
    before: HashMap<i64, u64>,
    vouchers: u64,
    /// Whether chains are followed from their beginning.
    from_the_first: bool,
    /// What does not hold of the chains themselves.
    pub(super) findings: Vec<String>,
}

impl Chains {
    /// Nothing is followed yet.
    pub(super) fn new(furthest: HashMap<ChainId, u64>, from_the_first: bool) -> Self {
        Self {
            last: HashMap::new(),
            furthest,
            in_doubt: HashMap::new(),
            broken_off: 0,
            noted: Vec::new(),
            before: HashMap::new(),
            vouchers: 0,
            from_the_first,
            findings: Vec::new(),
        }
    }

    /// Takes note of heads that must be found.
    pub(super) fn note(&mut self, when: &str, heads: &[(ChainId, u64, Head)]) {
        self.noted.extend(heads.iter().map(|&(chain, number, head)| Noted {
            when: when.to_owned(),
            chain,
            number,
            head,
        }));
    }

    /// Follows a chain by its next voucher, in order of time.
    pub(super) fn follow(&mut self, row: VoucherRow, found: &mut Found) -> Voucher {
        self.vouchers += 1;
        let head = row.head;
        let voucher = row.into_voucher();
        let (chain, number, posted_at) = (voucher.chain, voucher.number, voucher.posted_at);
        let last = self.last.insert(chain, Last { number, head, posted_at });
        let name = || format!("voucher {number} of chain {}, of {},", hex(&chain), time(posted_at));
        let previous = match last {
            Some(last) if number == last.number + 1 => Some(last.head),
            Some(last) if number > last.number => {
                self.findings.push(format!(
                    "{} {}, between {} and {}",
                    numbers(last.number + 1, number - 1),
                    hex(&chain),
                    time(last.posted_at),
                    time(posted_at)
                ));
                None
            }
            Some(last) => {
                self.findings.push(format!("{} comes after number {}", name(), last.number));
                None
            }
            None if number == 1 => Some([0; 32]),
            None if self.from_the_first => {
                let numbers = numbers(1, number - 1);
                self.findings.push(format!("{numbers} {}, before {}", hex(&chain), time(posted_at)));
                None
            }
            None => None,
        };
        if previous.is_some_and(|previous| voucher.head(&previous) != head) {
            self.findings.push(format!("{} was changed: its hash is not that of what it says", name()));
        }
        if number == 1 {
            self.before.insert(posted_at, voucher.before);
        }
        for end in &voucher.ends {
            found.missing.extend(self.end(end));
            let when = format!("chain {} began", hex(&chain));
            self.note(&when, &[(end.chain, end.number, end.head)]);
        }
        voucher
    }

    /// What of the missing was seen to stand by who begins upon a chain that broke off.
    fn end(&mut self, end: &End) -> Vec<Missing> {
        let stood: HashSet<u64> = end.stood.iter().copied().collect();
        let mut must_stand = Vec::new();
        for mut missing in self.in_doubt.remove(&(end.chain, end.number)).unwrap_or_default() {
            let before = missing.leaves.len();
            missing.leaves.retain(|leaf| stood.contains(leaf));
            self.broken_off += (before - missing.leaves.len()) as u64;
            if !missing.leaves.is_empty() {
                must_stand.push(missing);
            }
        }
        must_stand
    }

    /// Gives back what is missing of a voucher that was seen through; keeps the rest until more is known.
    pub(super) fn must_stand(&mut self, missing: Missing) -> Option<Missing> {
        let name = (missing.chain, missing.number);
        if self.furthest.get(&missing.chain).is_some_and(|furthest| missing.number < *furthest) {
            return Some(missing);
        }
        self.in_doubt.entry(name).or_default().push(missing);
        None
    }

    /// How many entries stood when the first chain began.
    pub(super) fn before(&self, since: i64) -> u64 {
        self.before.get(&since).copied().unwrap_or(0)
    }

    /// All was followed. Returns chains, vouchers, and entries that never came to stand.
    pub(super) fn finish(&mut self) -> (u64, u64, u64) {
        let left = self.in_doubt.values().flatten().map(|missing| missing.leaves.len() as u64).sum::<u64>();
        (self.last.len() as u64, self.vouchers, self.broken_off + left)
    }

    /// Whatever others noted of chains is there.
    pub(super) async fn check_noted(&mut self, database: &Database) -> Result<(), DatabaseError> {
        let names: Vec<(ChainId, u64)> = self.noted.iter().map(|noted| (noted.chain, noted.number)).collect();
        let there: HashSet<(ChainId, u64, Head)> = database.heads_of(&names).await?.into_iter().collect();
        let numbered: HashSet<(ChainId, u64)> =
            there.iter().map(|(chain, number, _)| (*chain, *number)).collect();
        for Noted { when, chain, number, head } in &self.noted {
            if there.contains(&(*chain, *number, *head)) {
                continue;
            }
            let how = match numbered.contains(&(*chain, *number)) {
                true => "it is another now",
                false => "it is gone",
            };
            self.findings
                .push(format!("voucher {number} of chain {} was there when {when}; {how}", hex(chain)));
        }
        Ok(())
    }
}

fn numbers(first: u64, last: u64) -> String {
    match first == last {
        true => format!("voucher {first} is gone from chain"),
        false => format!("vouchers {first} to {last} are gone from chain"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: ChainId = [7; 16];

    /// A chain of so many vouchers, each with the leaves of its number.
    fn chain(length: u64) -> Vec<VoucherRow> {
        let mut head = [0; 32];
        let mut rows = Vec::new();
        for number in 1..=length {
            let leaves = vec![number * 10, number * 10 + 1];
            let posted_at = i64::try_from(number).unwrap() * 1_000_000;
            let voucher = Voucher { chain: CHAIN, number, posted_at, leaves, ..Voucher::default() };
            head = voucher.head(&head);
            rows.push(VoucherRow::of(voucher, head));
        }
        rows
    }

    /// What is found by following some rows.
    fn check(rows: Vec<VoucherRow>) -> Vec<String> {
        let mut chains = Chains::new(HashMap::from([(CHAIN, 9)]), true);
        let mut found = Found::default();
        for row in rows {
            chains.follow(row, &mut found);
        }
        chains.findings
    }

    #[test]
    fn a_chain_that_is_whole_says_nothing_and_one_that_is_not_says_where() {
        assert_eq!(check(chain(5)), [""; 0]);
        let mut rows = chain(5);
        rows.remove(2);
        let found = check(rows);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("voucher 3 is gone from chain 0707"), "{found:?}");
        let found = check(chain(5).split_off(2));
        assert!(found[0].starts_with("vouchers 1 to 2 are gone from chain 0707"), "{found:?}");
    }

    #[test]
    fn a_voucher_that_was_changed_is_named() {
        for change in [
            |voucher: &mut Voucher| voucher.leaves[0] += 1,
            |voucher: &mut Voucher| voucher.posted_at += 1,
            |voucher: &mut Voucher| voucher.before = 5,
        ] {
            let mut rows = chain(4);
            let head = rows[1].head;
            let mut voucher = rows[1].clone().into_voucher();
            change(&mut voucher);
            rows[1] = VoucherRow::of(voucher, head);
            let found = check(rows);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with("voucher 2 ") && found[0].contains("was changed"), "{found:?}");
        }
        // With a hash that suits it, it is the next that does not follow.
        let mut rows = chain(4);
        let mut voucher = rows[1].clone().into_voucher();
        voucher.leaves[0] += 1;
        let head = voucher.head(&rows[0].head);
        rows[1] = VoucherRow::of(voucher, head);
        let found = check(rows);
        assert!(found.len() == 1 && found[0].starts_with("voucher 3 "), "{found:?}");
    }

    #[test]
    fn what_is_missing_of_a_last_voucher_is_doubtful_until_somebody_says_that_it_stood() {
        let mut chains = Chains::new(HashMap::from([(CHAIN, 3)]), true);
        let mut found = Found::default();
        let missing = |number| Missing {
            chain: CHAIN,
            number,
            posted_at: 0,
            leaves: vec![number * 10, number * 10 + 1],
            between: (None, None),
        };
        assert_eq!(chains.must_stand(missing(2)).map(|missing| missing.leaves), Some(vec![20, 21]));
        assert!(chains.must_stand(missing(3)).is_none());
        let end = End { chain: CHAIN, number: 3, head: [0; 32], stood: vec![31] };
        let next = Voucher { chain: [8; 16], number: 1, posted_at: 9, ends: vec![end], ..Voucher::default() };
        let head = next.head(&[0; 32]);
        chains.follow(VoucherRow::of(next, head), &mut found);
        let leaves: Vec<_> = found.missing.iter().flat_map(|missing| missing.leaves.clone()).collect();
        assert_eq!((leaves, chains.finish().2), (vec![31], 1));
    }
}
