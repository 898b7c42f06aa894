//! Log lines about refused requests: enough for an operator to find a misconfigured client, never a flood.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::refusal::{Refusal, RefusalKind};
use super::stats::Protocol;

/// The least time between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(10);

/// When each kind was last spoken of.
#[derive(Debug)]
pub(super) struct Complaints {
    started: Instant,
    /// By kind: milliseconds after `started` from which the next line may be written.
    next: [AtomicU64; RefusalKind::ALL.len()],
    /// By kind: refusals since the last line.
    unsaid: [AtomicU64; RefusalKind::ALL.len()],
}

impl Complaints {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), next: Default::default(), unsaid: Default::default() }
    }

    /// Writes a line, unless one of the kind was written a moment ago.
    pub(super) fn refused(&self, refusal: &Refusal, protocol: Protocol, peer: SocketAddr) {
        let kind = refusal.kind();
        if let Some(unsaid) = self.may_speak(kind, self.started.elapsed()) {
            tracing::warn!(
                protocol = protocol.label(),
                %peer,
                code = kind.code(),
                refused_since_last_line = unsaid,
                "refused an export: {}",
                refusal.reason(),
            );
        }
    }

    /// How many went unsaid since the last line, this one included, if it is time for another.
    fn may_speak(&self, kind: RefusalKind, now: Duration) -> Option<u64> {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let interval = u64::try_from(INTERVAL.as_millis()).unwrap_or(u64::MAX);
        let index = kind as usize;
        self.unsaid[index].fetch_add(1, Relaxed);
        let next = self.next[index].load(Relaxed);
        let ours =
            now >= next && self.next[index].compare_exchange(next, now + interval, Relaxed, Relaxed).is_ok();
        ours.then(|| self.unsaid[index].swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_and_the_rest_are_summed_up() {
        let complaints = Complaints::new();
        let at = Duration::from_secs;
        assert_eq!(complaints.may_speak(RefusalKind::Busy, at(0)), Some(1));
        assert_eq!(complaints.may_speak(RefusalKind::Busy, at(1)), None);
        assert_eq!(complaints.may_speak(RefusalKind::Full, at(1)), Some(1));
        assert_eq!(complaints.may_speak(RefusalKind::Busy, at(9)), None);
        assert_eq!(complaints.may_speak(RefusalKind::Busy, at(10)), Some(3));
    }
}
