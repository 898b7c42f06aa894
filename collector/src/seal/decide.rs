//! When to cut: a pure function of what waits and what time it is.

use std::time::{Duration, Instant};

/// What waits to be cut into a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Durable positions behind the last cut that may hold evidence.
    pub positions: u64,
    /// Since when the oldest of them is known to wait.
    pub since: Instant,
    /// Somebody waits for one of them to be committed.
    pub flush: bool,
    /// Nothing more will come.
    pub ended: bool,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing until something changes.
    Rest,
    /// Nothing until something changes, or it is this late.
    Until(Instant),
    /// Cut now. How far is for [`OpenBatch`](super::OpenBatch) to say: a backlog takes several cuts.
    Cut,
}

/// Decides. `rows_max` is how many rows fill a batch (a position holds at most one), `interval` how long one may wait.
pub fn decide(waiting: &Waiting, now: Instant, rows_max: u64, interval: Duration) -> Action {
    let due = waiting.since + interval;
    if waiting.positions == 0 {
        Action::Rest
    } else if waiting.flush || waiting.ended || waiting.positions >= rows_max || now >= due {
        Action::Cut
    } else {
        Action::Until(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS_MAX: u64 = 10;
    const INTERVAL: Duration = Duration::from_secs(1);

    /// `age` in milliseconds; returns the action with its moment as milliseconds from now.
    fn check(positions: u64, age: u64, flush: bool, ended: bool) -> &'static str {
        let since = Instant::now();
        let waiting = Waiting { positions, since, flush, ended };
        match decide(&waiting, since + Duration::from_millis(age), ROWS_MAX, INTERVAL) {
            Action::Rest => "rest",
            Action::Cut => "cut",
            Action::Until(due) if due == since + INTERVAL => "at its second",
            Action::Until(_) => "at some other time",
        }
    }

    #[test]
    fn a_batch_is_cut_when_full_old_wanted_or_last_and_never_empty() {
        let table = [
            // positions, age, flush, ended
            ((0, 0, false, false), "rest"),
            ((0, 5_000, true, true), "rest"),
            ((1, 0, false, false), "at its second"),
            ((9, 999, false, false), "at its second"),
            ((1, 1_000, false, false), "cut"),
            ((10, 0, false, false), "cut"),
            ((1_000_000, 0, false, false), "cut"),
            ((1, 0, true, false), "cut"),
            ((1, 0, false, true), "cut"),
        ];
        for ((positions, age, flush, ended), expected) in table {
            assert_eq!(check(positions, age, flush, ended), expected, "{positions} {age} {flush} {ended}");
        }
    }
}
