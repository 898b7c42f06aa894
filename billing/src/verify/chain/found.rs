//! What was found of rows that are not what was vouched for, and how it is said.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::identity::{CallId, EntryId};
use domain::ledger::ChainId;
use domain::time::EventTime;
use schemas::rows::NamedEntryRow;
use schemas::{Database, DatabaseError};

use crate::settle::hex;
use crate::verify::Finding;

/// Rows that are named, of each kind of finding.
const NAMED_MAX: usize = 100;
/// Rows that nobody vouched for, which are looked for among what is gone.
const UNVOUCHED_MAX: usize = 100_000;

/// Entries that were vouched for and are not where they were posted.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    pub chain: ChainId,
    pub number: u64,
    pub posted_at: i64,
    pub leaves: Vec<u64>,
    pub between: (Option<EntryId>, Option<EntryId>),
}

/// When a row says it was posted, its id, its leaf.
pub(super) type Posted = (i64, EntryId, u64);

/// What was found so far. Of each kind so much is kept as can be named; the rest is counted.
#[derive(Debug, Default)]
pub(super) struct Found {
    changed: Vec<(i64, EntryId)>,
    unvouched: Vec<Posted>,
    /// Entries of moments that no voucher is of.
    strangers: BTreeMap<i64, Vec<(EntryId, u64)>>,
    pub missing: Vec<Missing>,
    /// Found, and too many to keep.
    more: u64,
}

/// A finding of this kind.
pub(super) fn of_chain(what: String) -> Finding {
    Finding { invariant: "I4 append-only", what }
}

impl Found {
    /// Rows that say something else than was vouched for.
    pub fn changed(&mut self, at: i64, ids: Vec<EntryId>) {
        for id in ids {
            if self.changed.len() < NAMED_MAX {
                self.changed.push((at, id));
            } else {
                self.more += 1;
            }
        }
    }

    /// A row that nobody vouched for.
    pub fn unvouched(&mut self, posted: Posted) {
        if self.unvouched.len() < UNVOUCHED_MAX {
            self.unvouched.push(posted);
        } else {
            self.more += 1;
        }
    }

    /// Rows of a moment that no voucher is of.
    pub fn strangers(&mut self, at: i64, rows: Vec<(EntryId, u64)>) {
        let kept: usize = self.strangers.values().map(Vec::len).sum();
        if kept + rows.len() < UNVOUCHED_MAX {
            self.strangers.insert(at, rows);
        } else {
            self.more += rows.len() as u64;
        }
    }

    /// Puts what was found into words.
    pub async fn tell(
        mut self,
        database: &Database,
        findings: &mut Vec<Finding>,
    ) -> Result<(), DatabaseError> {
        let moved = self.take_moved();
        self.more += self.unvouched.len().saturating_sub(NAMED_MAX) as u64;
        self.unvouched.truncate(NAMED_MAX);
        let mut asked: Vec<(i64, EntryId)> = self.changed.clone();
        asked.extend(self.unvouched.iter().map(|(at, id, _)| (*at, *id)));
        let unnamed = self.strangers.values().skip(NAMED_MAX).map(|rows| rows.len() as u64);
        self.more += unnamed.sum::<u64>();
        let groups = self.strangers.iter().filter_map(|(at, rows)| Some((*at, rows.first()?.0)));
        let groups = groups.take(NAMED_MAX);
        asked.extend(groups);
        asked.extend(moved.iter().take(NAMED_MAX).map(|((at, id, _), _)| (*at, *id)));
        let named = database.named_entries(&asked).await?;
        let name = |at: i64, id: EntryId| name(&named, at, id);
        let mut tell = |what: String| findings.push(of_chain(what));
        for (at, id) in &self.changed {
            tell(format!("{} was changed after it was posted at {}", name(*at, *id), time(*at)));
        }
        for (at, id, _) in &self.unvouched {
            tell(format!("{} was put in: no settler vouched for it at {}", name(*at, *id), time(*at)));
        }
        for (at, rows) in self.strangers.iter().take(NAMED_MAX) {
            let more = match rows.len() {
                1 => " was".to_owned(),
                entries => format!(" and {} more were", entries - 1),
            };
            tell(format!("{}{more} put in: no voucher is of {}", name(*at, rows[0].0), time(*at)));
        }
        for ((at, id, _), was) in moved.iter().take(NAMED_MAX) {
            let (says, was) = (time(*at), time(*was));
            tell(format!("{} says that it was posted at {says}, it was posted at {was}", name(*at, *id)));
        }
        self.more += moved.len().saturating_sub(NAMED_MAX) as u64;
        for missing in self.missing.iter().take(NAMED_MAX) {
            tell(missing.to_string());
        }
        self.more +=
            self.missing.iter().skip(NAMED_MAX).map(|missing| missing.leaves.len() as u64).sum::<u64>();
        if self.more > 0 {
            tell(format!("{} more entries are not what was vouched for", self.more));
        }
        Ok(())
    }

    /// Takes out those that are gone where they were posted and are there at another time: each with when it was posted.
    fn take_moved(&mut self) -> Vec<(Posted, i64)> {
        let posted = self
            .missing
            .iter()
            .flat_map(|missing| missing.leaves.iter().map(|leaf| (*leaf, missing.posted_at)));
        let posted: HashMap<u64, i64> = posted.collect();
        let mut moved: Vec<(Posted, i64)> = Vec::new();
        let mut is_moved = |at: i64, id: EntryId, leaf: u64| {
            let was = posted.get(&leaf);
            moved.extend(was.map(|was| ((at, id, leaf), *was)));
            was.is_some()
        };
        self.unvouched.retain(|(at, id, leaf)| !is_moved(*at, *id, *leaf));
        for (at, rows) in &mut self.strangers {
            rows.retain(|(id, leaf)| !is_moved(*at, *id, *leaf));
        }
        self.strangers.retain(|_, rows| !rows.is_empty());
        let leaves: HashSet<u64> = moved.iter().map(|((_, _, leaf), _)| *leaf).collect();
        for missing in &mut self.missing {
            missing.leaves.retain(|leaf| !leaves.contains(leaf));
        }
        self.missing.retain(|missing| !missing.leaves.is_empty());
        moved
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (number, chain, at) = (self.number, hex(&self.chain), time(self.posted_at));
        let (what, is, stood) = match self.leaves.len() {
            1 => ("an entry".to_owned(), "is", "it stood"),
            entries => (format!("{entries} entries"), "are", "they stood"),
        };
        write!(f, "{what} that voucher {number} of chain {chain} vouched for at {at} {is} gone; {stood} ")?;
        match self.between {
            (Some(before), Some(after)) => write!(f, "between the entries {before} and {after}"),
            (Some(before), None) => write!(f, "behind the entry {before}"),
            (None, Some(after)) => write!(f, "before the entry {after}"),
            (None, None) => write!(f, "with all others of that time"),
        }
    }
}

/// An entry as a person finds it.
fn name(named: &[NamedEntryRow], at: i64, id: EntryId) -> String {
    match named.iter().find(|row| row.entry_id == id.bytes() && row.posted_at == at) {
        None => format!("entry {id}"),
        Some(row) => {
            let call = CallId::from_bytes(row.call_id).map(|call| call.to_string()).unwrap_or_default();
            format!("entry {id} of call {call}, tenant {:?},", row.tenant)
        }
    }
}

pub(super) fn time(micros: i64) -> String {
    EventTime::from_nanos(micros.saturating_mul(1000)).to_string()
}
