//! What a client is told: of a journal that does not take its spans, and of spans that cannot be used.

use std::time::Duration;

use journal::AppendError;

use crate::decode::Rejections;
use crate::receive::{Accepted, Refusal};

/// A queue empties in milliseconds; a client that waits a second comes back to an empty one.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);
/// A full or failing journal takes somebody or something else to mend, so there is no hurry.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(10);
/// A collector that stops is back, or replaced, in seconds.
const STOPPING_RETRY_AFTER: Duration = Duration::from_secs(2);

/// The refusal of a request that is not durable.
pub(super) fn refusal(error: &AppendError) -> Refusal {
    let reason = error.to_string();
    match error {
        AppendError::Busy { .. } => Refusal::Busy { reason, retry_after: BUSY_RETRY_AFTER },
        AppendError::Full { .. } => Refusal::Full { reason, retry_after: FULL_RETRY_AFTER },
        AppendError::Storage { .. } => Refusal::Storage { reason, retry_after: FULL_RETRY_AFTER },
        AppendError::Closed => Refusal::Stopping { reason, retry_after: STOPPING_RETRY_AFTER },
        // One span alone is more than a frame may hold: no retry mends that.
        AppendError::TooLarge { .. } => Refusal::TooLarge(reason),
        // A request without evidence is not appended. Should that ever change, the client loses nothing.
        AppendError::Empty => Refusal::Storage { reason, retry_after: BUSY_RETRY_AFTER },
    }
}

/// The acknowledgement, with the spans that were left out.
pub(super) fn partial_success(rejected: &Rejections) -> Accepted {
    let reasons: Vec<_> =
        rejected.iter().map(|(reason, count)| format!("{count} spans: {}", reason.message())).collect();
    Accepted {
        rejected_spans: i64::try_from(rejected.total()).unwrap_or(i64::MAX),
        message: reasons.join("; "),
    }
}
