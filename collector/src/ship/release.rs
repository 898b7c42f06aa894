//! Lets segments go when their records are settled and old enough.
//!
//! Nothing depends on it but disk space, so what fails is logged and tried again at the next turn.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::cursor::{Cursors, Settled};
use crate::append::{Clock, blocking};

/// How often segments are looked at that only had to grow old.
const TURN: Duration = Duration::from_secs(60);

/// The task. It goes on until it is dropped.
pub(super) struct Release {
    pub cursors: Cursors,
    pub settled: watch::Receiver<Settled>,
    pub keep: Duration,
    pub clock: Clock,
}

impl Release {
    pub async fn run(mut self) {
        let mut turn = tokio::time::interval(TURN);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut settles = true;
        loop {
            tokio::select! {
                changed = self.settled.changed(), if settles => settles = changed.is_ok(),
                _ = turn.tick() => {}
            }
            let settled = self.settled.borrow_and_update().clone();
            let (cursors, keep, now) = (self.cursors.clone(), self.keep, self.clock.now());
            blocking(move || release(&cursors, &settled, keep, now)).await;
        }
    }
}

fn release(cursors: &Cursors, settled: &Settled, keep: Duration, now: std::time::SystemTime) {
    if let Err(error) = cursors.settled(settled) {
        tracing::warn!(%error, "journal cursor of settled records was not stored; their segments stay for now");
        return;
    }
    match cursors.release(keep, now) {
        Ok(released) if released.segments > 0 => {
            tracing::info!(segments = released.segments, bytes = released.bytes, "journal segments released");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "journal segments were not unlinked and stay for now"),
    }
}
