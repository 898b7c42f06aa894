//! A clock that jumps: what settlement does when time goes back, and how far it believes a time that is ahead.
//!
//! Promises: a wait lasts as long as it should from the jump on, and the dedupe window is never shorter than it should be, by the
//! times of receipt of its evidence. What is written is stamped by `vouch.rs`, whose stamps never go back.

use super::late_duplicates::LAG_SECS;
use super::{SettleConfig, Settler, nanos};

/// How far a clock may go back without a word: as far as clocks are slewed and stepped in the ordinary.
const CLOCK_SLACK_NANOS: i64 = 10_000_000_000;

/// How much older than the clock the newest evidence may be before the clock is not believed: one that is ahead of collectors' must not
/// make the window short. By as much the window is longer than what the check before a month is closed takes for near.
const LEAD_NANOS: i64 = LAG_SECS as i64 * 1_000_000_000;

/// Since when, by time of receipt, evidence is matched with evidence.
pub(super) fn window_start(now: i64, newest: i64, config: &SettleConfig) -> i64 {
    now.min(newest.saturating_add(LEAD_NANOS)).saturating_sub(nanos(config.dedupe_window))
}

impl Settler {
    /// What waits, waits until a time, and what was forgotten was forgotten at one. When the clock goes back both are wrong, so
    /// everything begins again from the cursor.
    pub(super) fn watch_clock(&mut self) {
        let now = (self.clock)();
        if now < self.latest_pass.saturating_sub(CLOCK_SLACK_NANOS) {
            tracing::warn!("the clock was set back; settlement starts again from the cursor");
            self.stale = true;
        }
        self.latest_pass = now;
    }
}
