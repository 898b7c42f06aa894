//! Evidence for tests: small, and no two alike.

use domain::identity::{Realm, SpanId, TraceId};
use domain::observation::{Evidence, Link};
use domain::time::{EventTime, ReceivedAt};
use schemas::record;

const NANOS_A_DAY: i64 = 86_400_000_000_000;

/// An encoded link: the `n`th, received on a day since the epoch.
pub(crate) fn link(n: u64, day: u16) -> Vec<u8> {
    record::encode(&Evidence::Link(Link {
        realm: Realm::new("default"),
        trace: TraceId::from_bytes((u128::from(n) + 1).to_be_bytes()).unwrap(),
        span: SpanId::from_bytes((n + 1).to_be_bytes()).unwrap(),
        parent: None,
        start: EventTime::from_nanos(1_000),
        end: EventTime::from_nanos(2_000),
        received_at: ReceivedAt::from_nanos(i64::from(day) * NANOS_A_DAY + i64::try_from(n).unwrap()),
    }))
}
