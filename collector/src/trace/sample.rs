//! Head sampling by trace id: OpenTelemetry's consistent probability sampling.
//!
//! A trace has 56 random bits, the last seven bytes of its id (or `rv` in its trace state, where an application chose
//! them). A sampler has a threshold, and keeps the traces whose number is not below it. So all spans of a trace share
//! one fate, whichever collector they reach and whenever, and what a collector with a lower ratio keeps, one with a
//! higher ratio keeps too.
//!
//! A trace may have been sampled before it came here. Its `th` says how; what is kept of it then stands for as many
//! traces as the higher of both thresholds says.
//!
//! The rules of the tail give each trace a probability of its own ([`super::judge`]); a [`Sampler`] of that probability
//! then decides by the same random number, so a trace that one probability keeps is kept by every higher one.

use std::borrow::Cow;

use domain::TraceId;

use super::trace_state::{OtelMember, with_threshold};

/// One above the largest random number.
const RANGE: u64 = 1 << 56;

/// The number from which on traces are kept, of 56 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Threshold(u64);

impl Threshold {
    /// Every trace is kept.
    const NONE: Self = Self(0);

    /// The low 56 bits of a number.
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits & (RANGE - 1))
    }

    /// The number.
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    fn keeps(self, randomness: u64) -> bool {
        randomness >= self.0
    }

    fn probability(self) -> f64 {
        (RANGE - self.0) as f64 / RANGE as f64
    }
}

/// Decides which traces are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sampler {
    threshold: Threshold,
    /// What the threshold stands for, as it was configured.
    ratio: f64,
}

/// How a kept span was sampled.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept<'a> {
    /// How likely a trace like this one was to be kept, by the samplers before us and by us together. What was kept
    /// stands for `1 / probability` of its like.
    pub(super) probability: f64,
    /// The trace state, with our threshold where it is the one that counts.
    pub(super) trace_state: Cow<'a, str>,
}

impl Sampler {
    /// A sampler that keeps this share of traces; `None` where it would keep none.
    pub(super) fn new(ratio: f64) -> Option<Self> {
        // The product is exact, and a cast of a float saturates; a ratio that is no number keeps nothing.
        let kept = (ratio * RANGE as f64).round() as u64;
        (kept > 0).then(|| Self { threshold: Threshold(RANGE - kept.min(RANGE)), ratio: ratio.min(1.0) })
    }

    /// Whether a trace of this random number is kept.
    pub(super) fn keeps(&self, randomness: u64) -> bool {
        self.threshold.keeps(randomness)
    }

    /// How a span of a trace that is kept was sampled, by others before us and by us.
    pub(super) fn mark<'a>(&self, randomness: u64, trace_state: &'a str) -> Kept<'a> {
        let stated = OtelMember::read(trace_state).threshold;
        // A threshold above the trace's own number cannot be true: that sampler would have left the trace out.
        let before = stated.filter(|threshold| threshold.keeps(randomness)).unwrap_or(Threshold::NONE);
        if self.threshold > before {
            Kept {
                probability: self.ratio,
                trace_state: Cow::Owned(with_threshold(trace_state, self.threshold)),
            }
        } else {
            Kept { probability: before.probability(), trace_state: Cow::Borrowed(trace_state) }
        }
    }

    /// Whether the spans of this trace are kept, and as what.
    #[cfg(test)]
    pub(super) fn sample<'a>(&self, trace: TraceId, trace_state: &'a str) -> Option<Kept<'a>> {
        let randomness = stated_randomness(trace_state).unwrap_or_else(|| randomness(trace));
        self.keeps(randomness).then(|| self.mark(randomness, trace_state))
    }
}

/// The random number that an application chose for a trace, as a span's trace state tells it.
pub(super) fn stated_randomness(trace_state: &str) -> Option<u64> {
    if trace_state.is_empty() { None } else { OtelMember::read(trace_state).randomness }
}

/// The 56 bits that W3C's trace context level 2 asks to be random.
pub(super) fn randomness(trace: TraceId) -> u64 {
    u128::from_be_bytes(trace.bytes()) as u64 & (RANGE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trace ids as an SDK makes them, the same in every run.
    fn traces(count: u64) -> impl Iterator<Item = TraceId> {
        (0..count).map(|index| {
            let hash = xxhash_rust::xxh3::xxh3_128(&index.to_le_bytes());
            TraceId::from_bytes(hash.to_be_bytes()).unwrap()
        })
    }

    fn sampler(ratio: f64) -> Sampler {
        Sampler::new(ratio).unwrap()
    }

    #[test]
    fn the_share_of_kept_traces_is_the_ratio() {
        const COUNT: u64 = 100_000;
        for ratio in [0.001, 0.01, 0.1, 0.25, 0.5, 0.9] {
            let kept =
                traces(COUNT).filter(|trace| sampler(ratio).sample(*trace, "").is_some()).count() as f64;
            let (mean, deviation) = (COUNT as f64 * ratio, (COUNT as f64 * ratio * (1.0 - ratio)).sqrt());
            assert!((kept - mean).abs() < 4.0 * deviation, "{kept} of {COUNT} at {ratio}");
        }
    }

    #[test]
    fn one_keeps_all_and_zero_is_off() {
        assert!(traces(1_000).all(|trace| sampler(1.0).sample(trace, "").is_some()));
        for off in [0.0, -1.0, 1e-30, f64::NAN] {
            assert!(Sampler::new(off).is_none(), "{off}");
        }
        assert_eq!(sampler(7.0).threshold, Threshold::NONE);
    }

    #[test]
    fn what_a_lower_ratio_keeps_a_higher_ratio_keeps_too() {
        let (low, high) = (sampler(0.05), sampler(0.3));
        for trace in traces(10_000) {
            assert!(low.sample(trace, "").is_none() || high.sample(trace, "").is_some(), "{trace}");
        }
    }

    #[test]
    fn the_decision_looks_at_the_last_seven_bytes_alone() {
        for (id, kept) in [
            ("00000000000000000080000000000000", true),
            ("ffffffffffffffffff80000000000000", true),
            ("ffffffffffffffffff7fffffffffffff", false),
            ("00000000000000010000000000000000", false),
            ("000000000000000000ffffffffffffff", true),
        ] {
            let trace = TraceId::parse(id).unwrap();
            assert_eq!(sampler(0.5).sample(trace, "").is_some(), kept, "{id}");
        }
    }

    #[test]
    fn trace_state_overrides_randomness_and_carries_the_probability() {
        // The trace's own number is just above one half.
        let trace = TraceId::parse("4bf92f3577b34da6a390ce929d0e0e47").unwrap();
        let kept = |probability: f64, state: &str| Some((probability, state.to_string()));
        for (ratio, state, expected) in [
            (0.5, "", kept(0.5, "ot=th:8")),
            (0.25, "", None),
            (1.0, "", kept(1.0, "")),
            (0.5, "congo=t61", kept(0.5, "ot=th:8,congo=t61")),
            // rv stands in for the id.
            (0.25, "ot=rv:ffffffffffffff", kept(0.25, "ot=th:c;rv:ffffffffffffff")),
            (0.5, "ot=rv:7fffffffffffff", None),
            (1.0, "ot=rv:00000000000000", kept(1.0, "ot=rv:00000000000000")),
            // Sampled before: the higher threshold counts.
            (1.0, "ot=th:8", kept(0.5, "ot=th:8")),
            (0.5, "ot=th:0", kept(0.5, "ot=th:8")),
            (0.5, "ot=th:4", kept(0.5, "ot=th:8")),
            (0.5, "ot=th:e;rv:f0000000000000", kept(0.125, "ot=th:e;rv:f0000000000000")),
            (0.5, "ot=th:8", kept(0.5, "ot=th:8")),
            // A threshold that this trace cannot have passed says nothing.
            (0.5, "ot=th:c", kept(0.5, "ot=th:8")),
            (1.0, "ot=th:c", kept(1.0, "ot=th:c")),
            // Nor do values that break the rules.
            (0.5, "ot=th:xyz;rv:12", kept(0.5, "ot=th:8;rv:12")),
        ] {
            let found = sampler(ratio)
                .sample(trace, state)
                .map(|kept| (kept.probability, kept.trace_state.into_owned()));
            assert_eq!(found, expected, "{ratio} {state:?}");
        }
    }

    #[test]
    fn kept_spans_stand_for_all_of_their_like() {
        const COUNT: u64 = 100_000;
        let adjusted: f64 = traces(COUNT)
            .filter_map(|trace| sampler(0.1).sample(trace, ""))
            .map(|kept| 1.0 / kept.probability)
            .sum();
        assert!((adjusted / COUNT as f64 - 1.0).abs() < 0.04, "{adjusted} for {COUNT}");
    }

    #[test]
    fn the_stated_probability_reads_as_it_was_configured() {
        let trace = TraceId::parse("0000000000000000ffffffffffffffff").unwrap();
        for ratio in [0.1, 0.25, 0.3, 0.001, 1.0] {
            let kept = sampler(ratio).sample(trace, "").unwrap();
            assert_eq!(kept.probability.to_string(), ratio.to_string());
            assert!((sampler(ratio).threshold.probability() - ratio).abs() < 1e-16);
        }
    }
}
