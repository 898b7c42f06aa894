//! Who else may be posting: a settler whose heartbeat is recent by the clock, or moves. A clock that jumped, here or there, makes
//! a living one look as if it had not been heard of for a day; its heartbeat moves all the same.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use schemas::rows::CollectorRow;

/// For how long a settler that was heard of may still be posting.
const ALIVE: Duration = Duration::from_secs(120);
const ALIVE_MICROS: i64 = 120_000_000;

/// The heartbeats of settlers, as last seen.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Each with when it was seen to move.
    beats: HashMap<[u8; 16], (i64, Option<Instant>)>,
}

impl Peers {
    /// Takes in what collectors say of themselves; returns whether more than one of them may be posting. `now` is by the clock, in
    /// microseconds since the epoch, `at` by one that does not jump.
    pub fn are_several(&mut self, collectors: &[CollectorRow], now: i64, at: Instant) -> bool {
        for row in collectors.iter().filter(|row| row.settles) {
            let (beat, moved) = self.beats.entry(row.collector_id).or_insert((row.heartbeat_at, None));
            if std::mem::replace(beat, row.heartbeat_at) != row.heartbeat_at {
                *moved = Some(at);
            }
        }
        collectors.iter().filter(|row| self.may_post(row, now, at)).count() > 1
    }

    /// Whether a settler may be posting.
    pub fn may_post(&self, row: &CollectorRow, now: i64, at: Instant) -> bool {
        let moved = self.beats.get(&row.collector_id).and_then(|(_, moved)| *moved);
        let moves = moved.is_some_and(|moved| at.duration_since(moved) <= ALIVE);
        row.settles && (row.heartbeat_at >= now.saturating_sub(ALIVE_MICROS) || moves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    fn settler(id: u8, heartbeat_at: i64) -> CollectorRow {
        CollectorRow {
            collector_id: [id; 16],
            host: String::new(),
            version: String::new(),
            appended_seq: 0,
            shipped_seq: 0,
            settles: true,
            heartbeat_at,
        }
    }

    /// Whether two are taken for alive at each look: the clock, the other's heartbeat, and how many seconds have passed.
    fn check(looks: &[(i64, i64, u64)]) -> Vec<bool> {
        let (mut peers, start) = (Peers::default(), Instant::now());
        let look = |&(now, other, seconds): &(i64, i64, u64)| {
            let rows = [settler(1, now), settler(2, other)];
            peers.are_several(&rows, now, start + Duration::from_secs(seconds))
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_settler_is_alive_while_its_heartbeat_is_recent_or_moves() {
        assert_eq!(check(&[(10 * DAY, 10 * DAY - 1, 0)]), [true]);
        assert_eq!(check(&[(10 * DAY, 9 * DAY, 0), (10 * DAY, 9 * DAY, 10)]), [false, false], "long gone");
        // The clock here goes ahead by a day.
        let ahead = [(10 * DAY, 10 * DAY, 0), (11 * DAY, 10 * DAY + 5, 5), (11 * DAY, 10 * DAY + 5, 100)];
        assert_eq!(check(&ahead), [true, true, true]);
        // And then the other one stops.
        let stops = [ahead[0], ahead[1], (11 * DAY, 10 * DAY + 5, 126)];
        assert_eq!(check(&stops), [true, true, false]);
        // The clock here goes back: the other seems to come from the future, and is alive.
        assert_eq!(check(&[(10 * DAY, 10 * DAY, 0), (9 * DAY, 10 * DAY + 5, 5)]), [true, true]);
    }

    #[test]
    fn a_collector_that_does_not_settle_is_nobody() {
        let mut other = settler(2, 10 * DAY);
        other.settles = false;
        assert!(!Peers::default().are_several(&[settler(1, 10 * DAY), other], 10 * DAY, Instant::now()));
    }
}
