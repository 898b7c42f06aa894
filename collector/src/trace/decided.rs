//! What was decided of traces lately, so that late spans follow the decision of their trace.

use std::collections::HashMap;

use domain::TraceId;

use super::judge::Reason;
use super::sample::Sampler;

/// What becomes of the spans of a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    /// Kept, as this sampler says by this random number.
    Kept { sampler: Sampler, randomness: u64, reason: Reason },
    /// Not kept.
    Left,
}

/// Decisions, the older half of them forgotten at a time. A span later than that is a trace of its own.
#[derive(Debug)]
pub(super) struct Decided {
    young: HashMap<TraceId, Fate>,
    old: HashMap<TraceId, Fate>,
    young_max: usize,
}

impl Decided {
    /// How many decisions are remembered: some 8 MB, and at 1,000 traces a second a minute and a half.
    pub(super) const CAPACITY: usize = 100_000;

    pub(super) fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_max: (capacity / 2).max(1) }
    }

    /// Remembers a decision.
    pub(super) fn insert(&mut self, trace: TraceId, fate: Fate) {
        if self.young.len() >= self.young_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(trace, fate);
    }

    /// What was decided of a trace.
    pub(super) fn get(&self, trace: TraceId) -> Option<Fate> {
        self.young.get(&trace).or_else(|| self.old.get(&trace)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_half_at_least_is_remembered_and_never_more_than_all() {
        let trace = |index: u64| TraceId::from_bytes(u128::from(index + 1).to_be_bytes()).unwrap();
        let mut decided = Decided::new(100);
        for index in 0..1_000 {
            decided.insert(trace(index), Fate::Left);
            assert!(decided.young.len() + decided.old.len() <= 100);
            assert!((index.saturating_sub(49)..=index).all(|near| decided.get(trace(near)).is_some()));
        }
        assert_eq!(decided.get(trace(0)), None);
    }
}
