//! What settlement must not judge again, because evidence or entries of it may be gone.
//!
//! A call that ended before a moment is *frozen*: what stands for it stays, whatever is left of its evidence says. The moment is
//! the end of the last day that went, and as long again as usage may come late: of a call that ended after it every report was
//! received after that day. New evidence of a frozen call is set aside, visibly: whether it is billed cannot be told.

use std::collections::{BTreeSet, HashMap};

use domain::identity::CollectorId;
use domain::ledger::{Facts, Standing};
use domain::resolve::{ResolvedCall, SpanRef};
use domain::time::EventTime;
use schemas::rows::{BatchRow, RetirementRow};

/// What is gone, as settlement needs it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frozen {
    /// Nanoseconds since the epoch; `None` while everything is there.
    until: Option<i64>,
    /// Of days that went, up to where each collector was settled by then.
    settled: HashMap<(u16, [u8; 16]), u64>,
}

impl Frozen {
    /// From what was put down, done or begun.
    pub fn of(rows: &[RetirementRow]) -> Self {
        let mut frozen = Self { until: rows.iter().map(|row| row.frozen_until).max(), ..Self::default() };
        for row in rows.iter().filter(|row| row.class == schemas::OBSERVATIONS) {
            for (collector, seq) in &row.settled {
                let known = frozen.settled.entry((row.partition, *collector)).or_default();
                *known = (*known).max(*seq);
            }
        }
        frozen
    }

    /// Calls that ended until then are not judged again.
    pub fn until(&self) -> Option<i64> {
        self.until
    }

    /// Whether what ended at a moment is not judged again.
    pub fn holds(&self, ended: EventTime) -> bool {
        self.until.is_some_and(|until| ended.nanos() <= until)
    }

    /// Whether anything of evidence that speaks of nothing earlier may be.
    pub fn touches(&self, earliest: i64) -> bool {
        self.until.is_some_and(|until| earliest <= until)
    }

    /// Whether what stands for a call, or ever stood, is not judged again.
    pub fn holds_standing(&self, standing: &Standing) -> bool {
        standing.history().any(|facts| self.holds(facts.occurred_at))
    }

    /// Whether a batch was settled before its day went: then its rows are not missing.
    pub fn has_gone(&self, collector: CollectorId, batch: &BatchRow) -> bool {
        let settled = self.settled.get(&(batch.received_day, collector.bytes()));
        settled.is_some_and(|seq| batch.last_seq <= *seq)
    }

    /// Whether evidence that was received then is gone from the log.
    pub fn has_gone_from_log(&self, (collector, seq): (CollectorId, u64), received_at: i64) -> bool {
        let day = schemas::rows::day_number(received_at);
        self.settled.get(&(day, collector.bytes())).is_some_and(|settled| seq <= *settled)
    }

    /// Whether a call is not judged again: it ended before, or it is what stands frozen.
    pub fn holds_call(
        &self,
        call: &ResolvedCall,
        ended: EventTime,
        own: Option<&Standing>,
        frozen_spans: &BTreeSet<SpanRef>,
    ) -> bool {
        self.holds(ended)
            || own.is_some_and(|stands| self.holds_standing(stands))
            || call.members.iter().any(|member| frozen_spans.contains(member))
    }
}

/// The span that facts were posted for.
pub(crate) fn span_of(facts: &Facts) -> SpanRef {
    SpanRef { trace: facts.trace, span: facts.span }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day_gone(settled: u64) -> RetirementRow {
        RetirementRow {
            class: schemas::OBSERVATIONS.into(),
            partition: 20_000,
            begun_at: 1,
            dropped_at: 0,
            rows: 1,
            calls: 0,
            outcomes: HashMap::new(),
            settled: vec![([1; 16], settled)],
            frozen_until: 77,
            merkle_root: [0; 32],
            retention: 1,
            settler: [0; 16],
            program: String::new(),
        }
    }

    #[test]
    fn a_batch_that_came_after_its_day_went_is_not_gone() {
        let frozen = Frozen::of(&[day_gone(10), day_gone(7)]);
        let batch = |last_seq: u64, received_day: u16| BatchRow {
            collector_id: [1; 16],
            first_seq: 1,
            last_seq,
            received_day,
            rows: 1,
            content_hash: 0,
            committed_at: 0,
            refused: Vec::new(),
        };
        let collector = CollectorId::from_bytes([1; 16]).unwrap();
        assert!(frozen.has_gone(collector, &batch(10, 20_000)));
        assert!(!frozen.has_gone(collector, &batch(11, 20_000)), "it was not settled when the day went");
        assert!(!frozen.has_gone(collector, &batch(10, 20_001)), "another day");
        assert!(!frozen.has_gone(CollectorId::from_bytes([2; 16]).unwrap(), &batch(10, 20_000)));
    }

    #[test]
    fn what_ended_by_the_moment_is_held_and_what_ended_after_is_not() {
        let frozen = Frozen::of(&[day_gone(10)]);
        assert!(frozen.holds(EventTime::from_nanos(77)) && !frozen.holds(EventTime::from_nanos(78)));
        assert!(frozen.touches(-1) && !frozen.touches(78));
        assert!(!Frozen::default().touches(i64::MIN));
    }
}
