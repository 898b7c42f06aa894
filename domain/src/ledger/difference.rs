//! The one way anything gets into the ledger: post the difference between what stands and what should stand.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::entry::{Entry, EntryType, Facts, Quantities};
use crate::identity::{CallId, EntryId};
use crate::time::BillingPeriod;

/// What stands in the ledger for one call: its entries, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Sorted by id.
    entries: Vec<Arc<Entry>>,
}

/// The sum of the entries of a call that say the same.
struct Net<'e> {
    facts: &'e Facts,
    quantities: Quantities,
    /// The entry a reversal of this sum names: the smallest id, so that two settlers name the same.
    first: EntryId,
    /// The month the sum was billed in first; its reversal goes there while that month is open.
    period: BillingPeriod,
}

impl Standing {
    /// Takes in one entry of the call. The same entry again changes nothing.
    pub fn add(&mut self, entry: Arc<Entry>) {
        if let Err(at) = self.entries.binary_search_by_key(&entry.id, |known| known.id) {
            self.entries.insert(at, entry);
        }
    }

    /// Whether nothing was ever posted for the call.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The net number of calls, 1 where the call stands.
    pub fn calls(&self) -> i64 {
        self.entries.iter().map(|entry| entry.quantities.calls).sum()
    }

    /// The facts of every entry ever posted for the call, reversed or not.
    pub fn history(&self) -> impl Iterator<Item = &Facts> {
        self.entries.iter().map(|entry| &entry.facts)
    }

    /// The facts of what stands and is not reversed.
    pub fn facts(&self) -> Vec<&Facts> {
        match self.entries.as_slice() {
            [] => Vec::new(),
            [one] => vec![&one.facts],
            _ => {
                let standing = self.nets().into_iter().filter(|net| !net.quantities.is_zero());
                standing.map(|net| net.facts).collect()
            }
        }
    }

    /// What stands for the call, where it is one call with one set of facts.
    pub fn net(&self) -> Option<(&Facts, Quantities)> {
        let mut nets = self.nets().into_iter().filter(|net| !net.quantities.is_zero());
        let net = nets.next().filter(|net| net.quantities.calls == 1)?;
        nets.next().is_none().then_some((net.facts, net.quantities))
    }

    /// The month in which facts were billed first.
    pub fn month(&self, facts: &Facts) -> Option<BillingPeriod> {
        self.nets().into_iter().find(|net| net.facts == facts).map(|net| net.period)
    }

    /// The sums by facts, in the order of the facts.
    fn nets(&self) -> Vec<Net<'_>> {
        let mut nets: Vec<Net<'_>> = Vec::with_capacity(1);
        for entry in &self.entries {
            match nets.iter_mut().find(|net| *net.facts == entry.facts) {
                Some(net) => {
                    net.quantities.add(&entry.quantities);
                    net.first = net.first.min(entry.id);
                    net.period = net.period.min(entry.period);
                }
                None => nets.push(Net {
                    facts: &entry.facts,
                    quantities: entry.quantities.clone(),
                    first: entry.id,
                    period: entry.period,
                }),
            }
        }
        nets.sort_by(|a, b| a.facts.cmp(b.facts));
        nets
    }
}

/// Which months are closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Periods {
    closed: BTreeSet<BillingPeriod>,
}

impl Periods {
    /// The given months are closed.
    pub fn closed(months: impl IntoIterator<Item = BillingPeriod>) -> Self {
        Self { closed: months.into_iter().collect() }
    }

    /// Closes one more.
    pub fn close(&mut self, month: BillingPeriod) {
        self.closed.insert(month);
    }

    /// Whether a month is closed.
    pub fn is_closed(&self, month: BillingPeriod) -> bool {
        self.closed.contains(&month)
    }

    /// The month that usage of `month` is billed in: itself while open, else the next open one.
    pub fn billed_in(&self, month: BillingPeriod) -> BillingPeriod {
        let mut month = month;
        while self.is_closed(month) {
            month = month.next();
        }
        month
    }
}

/// The entries that turn what stands into the target, none where nothing differs.
pub type Posting = Vec<Entry>;

/// Posts the difference. `target` is `None` where the call should not stand at all (it was part of another).
pub fn difference(
    call: CallId,
    standing: &Standing,
    target: Option<(&Facts, &Quantities)>,
    periods: &Periods,
) -> Posting {
    difference_as([EntryType::Usage, EntryType::Correction], call, standing, target, periods)
}

/// The same for entries that are of no call: the first type is that of a first posting, the second of its changes.
pub fn difference_as(
    [posted, changed]: [EntryType; 2],
    call: CallId,
    standing: &Standing,
    target: Option<(&Facts, &Quantities)>,
    periods: &Periods,
) -> Posting {
    let seen: Vec<EntryId> = standing.entries.iter().map(|entry| entry.id).collect();
    let mut posting = Vec::new();
    let (mut reversed, mut refined) = (None, None);
    let mut missing = target.map(|(_, quantities)| quantities.clone());

    for net in standing.nets() {
        if target.is_some_and(|(facts, _)| facts == net.facts) {
            let rest = missing.as_mut().expect("a target was given");
            rest.add(&net.quantities.negated());
            refined = Some(net.first);
        } else if !net.quantities.is_zero() {
            reversed = Some(net.first);
            posting.push(Entry::new(
                changed,
                call,
                periods.billed_in(net.period),
                net.facts.clone(),
                net.quantities.negated(),
                Some(net.first),
                &seen,
            ));
        }
    }
    if let (Some((facts, _)), Some(rest)) = (target, missing)
        && !rest.is_zero()
    {
        let entry_type = if standing.is_empty() { posted } else { changed };
        let period = periods.billed_in(BillingPeriod::containing(facts.occurred_at));
        posting.push(Entry::new(entry_type, call, period, facts.clone(), rest, reversed.or(refined), &seen));
    }
    posting
}
