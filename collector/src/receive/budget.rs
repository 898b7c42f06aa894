//! Bounded memory: what requests may hold together, and places for requests in work.
//!
//! A request leases what its body needs before it holds it, waits a short while where there is none, and is refused
//! as busy otherwise. Requests that grow while they are decompressed may wait for each other; the wait ends for all
//! of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::config::{Limits, TimeLimits};
use super::refusal::Refusal;

/// The unit of leases: a request's own small allocations disappear in it, and 32 bits of it are 4 TiB.
const UNIT_BYTES: usize = 1024;

/// Memory and places shared by all requests.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    memory: Arc<Semaphore>,
    places: Arc<Semaphore>,
    total_units: u32,
    patience: Duration,
    retry_after: Duration,
}

/// Memory held by one request; returned when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    budget: Budget,
    permit: Option<OwnedSemaphorePermit>,
}

/// One request's place; returned when dropped.
#[derive(Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Budget {
    pub(super) fn new(limits: &Limits, times: &TimeLimits) -> Self {
        // One more, for the byte by which a body of exactly the largest size is told from a larger one.
        let total_units = units(limits.in_flight_bytes_max).saturating_add(1);
        Self {
            memory: Arc::new(Semaphore::new(total_units as usize)),
            places: Arc::new(Semaphore::new(limits.requests_max)),
            total_units,
            patience: times.patience,
            retry_after: times.retry_after,
        }
    }

    /// Bytes leased now.
    pub(super) fn bytes_leased(&self) -> usize {
        (self.total_units as usize).saturating_sub(self.memory.available_permits()) * UNIT_BYTES
    }

    /// A place for a request, after a short wait at most.
    pub(super) async fn place(&self) -> Result<Place, Refusal> {
        self.acquire(&self.places, 1).await.map(Place).map_err(|_| {
            self.busy("all places for requests are taken; send again, or raise otlp.requests_max")
        })
    }

    /// An empty lease.
    pub(super) fn lease(&self) -> Lease {
        Lease { budget: self.clone(), permit: None }
    }

    async fn acquire(&self, of: &Arc<Semaphore>, permits: u32) -> Result<OwnedSemaphorePermit, Unavailable> {
        if let Ok(permit) = of.clone().try_acquire_many_owned(permits) {
            return Ok(permit);
        }
        match timeout(self.patience, of.clone().acquire_many_owned(permits)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Unavailable),
        }
    }

    fn busy(&self, reason: &str) -> Refusal {
        Refusal::Busy { reason: reason.to_owned(), retry_after: self.retry_after }
    }
}

impl Lease {
    /// Grows the lease until it covers `bytes`, after a short wait at most. A lease never shrinks.
    pub(super) async fn cover(&mut self, bytes: usize) -> Result<(), Refusal> {
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = units(bytes).saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
        if missing == 0 {
            return Ok(());
        }
        let more = self.budget.acquire(&self.budget.memory, missing).await.map_err(|_| {
            self.budget.busy("memory for requests is used up; send again, or raise otlp.in_flight_max")
        })?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

/// Nothing was free in time.
struct Unavailable;

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::refusal::RefusalKind;
    use super::*;

    fn budget(units: usize, patience: Duration) -> Budget {
        let limits =
            Limits { in_flight_bytes_max: (units - 1) * UNIT_BYTES, requests_max: 1, ..Limits::default() };
        Budget::new(&limits, &TimeLimits { patience, ..TimeLimits::default() })
    }

    #[tokio::test]
    async fn a_lease_covers_what_was_asked_and_returns_it() {
        let budget = budget(10, Duration::ZERO);
        let mut lease = budget.lease();
        lease.cover(1).await.unwrap();
        lease.cover(4 * UNIT_BYTES).await.unwrap();
        lease.cover(2 * UNIT_BYTES).await.unwrap();
        assert_eq!(budget.bytes_leased(), 4 * UNIT_BYTES);
        drop(lease);
        assert_eq!(budget.bytes_leased(), 0);
    }

    #[tokio::test]
    async fn what_is_not_there_in_time_is_refused_as_busy() {
        let budget = budget(10, Duration::ZERO);
        let mut first = budget.lease();
        first.cover(8 * UNIT_BYTES).await.unwrap();
        let refused = budget.lease().cover(3 * UNIT_BYTES).await.unwrap_err();
        assert_eq!(refused.kind(), RefusalKind::Busy);
        assert_eq!(refused.retry_after(), Some(TimeLimits::default().retry_after));
        let place = budget.place().await.unwrap();
        assert_eq!(budget.place().await.unwrap_err().kind(), RefusalKind::Busy);
        drop(place);
        budget.place().await.unwrap();
    }

    #[tokio::test]
    async fn a_request_waits_for_what_another_returns() {
        let budget = budget(10, Duration::from_secs(3600));
        let mut first = budget.lease();
        first.cover(10 * UNIT_BYTES).await.unwrap();
        let mut second = budget.lease();
        let (covered, ()) = tokio::join!(second.cover(UNIT_BYTES), async { drop(first) });
        covered.unwrap();
    }
}
