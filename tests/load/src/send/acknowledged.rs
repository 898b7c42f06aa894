//! When each request was acknowledged, for whoever wants to know what the ledger owes.

use std::cell::RefCell;
use std::time::{Duration, Instant};

/// The times of acknowledgements, in their order. One thread sends and looks.
#[derive(Debug, Default)]
pub struct Acknowledged {
    times: RefCell<Vec<Instant>>,
}

impl Acknowledged {
    /// Notes one, now.
    pub fn note(&self) {
        self.times.borrow_mut().push(Instant::now());
    }

    /// How long ago the oldest request was acknowledged that is not among the first `settled` ones; zero if all are.
    pub fn oldest_beyond(&self, settled: u64) -> Duration {
        let times = self.times.borrow();
        let oldest = usize::try_from(settled).ok().and_then(|settled| times.get(settled));
        oldest.map_or(Duration::ZERO, Instant::elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_is_not_settled_has_the_age() {
        let acknowledged = Acknowledged::default();
        assert_eq!(acknowledged.oldest_beyond(0), Duration::ZERO);
        acknowledged.note();
        acknowledged.note();
        assert!(acknowledged.oldest_beyond(0) >= acknowledged.oldest_beyond(1));
        assert_eq!(acknowledged.oldest_beyond(2), Duration::ZERO);
        assert_eq!(acknowledged.oldest_beyond(3), Duration::ZERO);
    }
}
