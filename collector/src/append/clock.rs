//! The collector's clock, handed in so that tests decide what time it is.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::time::ReceivedAt;

/// Tells the time. Clones are the same clock.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::new(SystemTime::now)
    }

    /// Any other.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }

    /// The time as it is stamped on evidence.
    pub fn received_at(&self) -> ReceivedAt {
        ReceivedAt::from_nanos(since_epoch(self.now()).as_nanos().try_into().unwrap_or(i64::MAX))
    }

    /// Microseconds since the Unix epoch, as rows of progress state it.
    pub fn unix_micros(&self) -> i64 {
        since_epoch(self.now()).as_micros().try_into().unwrap_or(i64::MAX)
    }
}

/// A clock set before 1970 is as wrong as one that shows 1970.
fn since_epoch(time: SystemTime) -> std::time::Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}
