//! What traces that wait would be posted as, if they were settled now: an estimate, by the rules that will settle them.
//!
//! It is the difference to what stands, so it is nothing that the ledger already holds, and it may be negative: late
//! evidence that waits may lower what was posted. Evidence that comes yet, and prices, may change it.

use std::collections::{BTreeMap, HashMap};

use domain::budget::Account;
use domain::ledger::Entry;
use domain::money::Cost;
use domain::time::BillingPeriod;

use super::store::TraceKey;

/// What waits for one account, in one month's bill and hour of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpostedSum {
    /// Whom it is for.
    pub account: Account,
    /// The month that would bill it.
    pub period: BillingPeriod,
    /// Seconds since the epoch at which the hour of the calls begins.
    pub hour: i64,
    /// Net calls.
    pub calls: i64,
    /// What providers will charge.
    pub cost: Cost,
    /// What the tenant will be charged.
    pub charge: Cost,
}

type Key = (Account, BillingPeriod, i64);
type Sums = (i64, Cost, Cost);

/// By the first trace of each set that waits.
#[derive(Debug, Default)]
pub(super) struct Unposted {
    waiting: HashMap<TraceKey, Vec<(Key, Sums)>>,
    changed: bool,
}

impl Unposted {
    /// A set of traces waits with these entries; what was said of any of them before is void.
    pub fn wait(&mut self, component: &[TraceKey], entries: &[Entry]) {
        self.settle(component);
        let Some(first) = component.first().filter(|_| !entries.is_empty()) else { return };
        let sums = entries.iter().map(|entry| {
            let facts = &entry.facts;
            let account = Account {
                tenant: facts.tenant.clone(),
                feature: facts.feature.clone(),
                user: facts.user_id.clone(),
            };
            let hour = facts.occurred_at.nanos().div_euclid(3_600_000_000_000) * 3_600;
            let quantities = &entry.quantities;
            ((account, entry.period, hour), (quantities.calls, quantities.cost, quantities.charge))
        });
        self.waiting.insert(first.clone(), sums.collect());
        self.changed = true;
    }

    /// A set of traces waits no more.
    pub fn settle(&mut self, component: &[TraceKey]) {
        for key in component {
            self.changed |= self.waiting.remove(key).is_some();
        }
    }

    /// Nothing in memory is believed any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.changed = true;
    }

    /// All that waits, where it is other than when this was last asked.
    pub fn take_changed(&mut self) -> Option<Vec<UnpostedSum>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut sums: BTreeMap<&Key, Sums> = BTreeMap::new();
        for (key, (calls, cost, charge)) in self.waiting.values().flatten() {
            let sum = sums.entry(key).or_default();
            *sum = (sum.0 + calls, sum.1 + *cost, sum.2 + *charge);
        }
        let sum = |((account, period, hour), (calls, cost, charge)): (&Key, Sums)| UnpostedSum {
            account: account.clone(),
            period: *period,
            hour: *hour,
            calls,
            cost,
            charge,
        };
        Some(sums.into_iter().map(sum).collect())
    }
}
