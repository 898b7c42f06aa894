//! The costliest traces of each tenant and hour, as far as the hour went.
//!
//! A trace is among them if, when it is judged, fewer than so many of its tenant and hour cost at least as much. That is known at
//! once, waits for nothing, and keeps each true top trace; of those that were top for a while it keeps some more, about
//! `n · ln(N / n)` of N.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use domain::Cost;

/// How many tenants an hour are told apart; the others share a place. A heap of ten takes some 300 bytes, so all stay below 10 MB.
const TENANTS_MAX: usize = 20_000;

/// The places of an hour.
#[derive(Debug)]
pub(super) struct TopCost {
    places: usize,
    hour: i64,
    /// By tenant, the smallest cost first.
    tops: HashMap<String, BinaryHeap<Reverse<Cost>>>,
}

impl TopCost {
    /// So many places a tenant and hour.
    pub(super) fn new(places: usize) -> Self {
        Self { places, hour: i64::MIN, tops: HashMap::new() }
    }

    /// Whether a trace takes a place. One that cost nothing takes none.
    pub(super) fn admits(&mut self, tenant: &str, hour: i64, cost: Cost) -> bool {
        if self.places == 0 || cost <= Cost::ZERO {
            return false;
        }
        if hour != self.hour {
            self.hour = hour;
            self.tops.clear();
        }
        let tenant =
            if self.tops.contains_key(tenant) || self.tops.len() < TENANTS_MAX { tenant } else { "" };
        let top = self.tops.entry(tenant.to_string()).or_default();
        if top.len() < self.places {
            top.push(Reverse(cost));
            return true;
        }
        let takes = top.peek().is_some_and(|Reverse(smallest)| cost > *smallest);
        if takes {
            top.pop();
            top.push(Reverse(cost));
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(picos: i128) -> Cost {
        Cost::from_picos(picos)
    }

    #[test]
    fn the_true_top_is_always_admitted() {
        // A fixed scramble of 1..=1000.
        let costs: Vec<i128> = (1..=1000).map(|index| (index * 617) % 1009).collect();
        let mut top = TopCost::new(10);
        let admitted: Vec<i128> = costs.iter().copied().filter(|c| top.admits("acme", 1, cost(*c))).collect();
        let mut best = costs.clone();
        best.sort_unstable_by(|one, two| two.cmp(one));
        assert!(best[..10].iter().all(|cost| admitted.contains(cost)));
        assert!(admitted.len() < 100, "{} of 1000 were top for a while", admitted.len());
    }

    #[test]
    fn tenants_and_hours_have_places_of_their_own_and_nothing_costs_no_place() {
        let mut top = TopCost::new(1);
        assert!(!top.admits("acme", 1, cost(0)));
        assert!(top.admits("acme", 1, cost(9)) && top.admits("globex", 1, cost(1)));
        assert!(!top.admits("acme", 1, cost(9)));
        assert!(top.admits("acme", 2, cost(1)), "a new hour is empty");
        assert!(!TopCost::new(0).admits("acme", 1, cost(9)));
    }

    #[test]
    fn tenants_beyond_the_bound_share_a_place() {
        let mut top = TopCost::new(1);
        for index in 0..TENANTS_MAX + 10 {
            top.admits(&index.to_string(), 1, cost(5));
        }
        assert_eq!(top.tops.len(), TENANTS_MAX + 1);
    }
}
