//! Several readings of one copy of a span: as it came, and read anew later by a decoder that understands more.
//!
//! A *copy* is a span as one request brought it: the same span, received at the same moment with the same key, with as many
//! attributes kept of it. Reading it anew
//! adds evidence and takes none away, so the log holds both. The newest reading decides for its copy, and no other: a copy that
//! tells more, say because it came with a key bound to a tenant, still goes before. Newest is by the decoder's version, then by
//! how often it was read; never by the order of arrival.

use std::collections::HashMap;

use super::SpanRef;
use crate::observation::{Evidence, KeyStamp, Observation};
use crate::time::ReceivedAt;

/// What names a copy of a span.
type CopyName<'a> = (SpanRef, ReceivedAt, &'a KeyStamp, usize);

/// How new a reading is.
type Newness = (u32, u32);

/// The newest reading of each copy that was read anew.
#[derive(Debug, Default)]
pub struct Readings<'a> {
    newest: HashMap<CopyName<'a>, Newness>,
}

impl<'a> Readings<'a> {
    /// Finds what was read anew. Where nothing was, which is nearly always, it costs a look at each piece.
    pub fn of(evidence: &[&'a Evidence]) -> Self {
        let mut newest: HashMap<CopyName<'a>, Newness> = HashMap::new();
        for observation in evidence.iter().filter_map(|evidence| observation(evidence)) {
            if observation.reread > 0 {
                let known = newest.entry(copy_of(observation)).or_default();
                *known = newness(observation).max(*known);
            }
        }
        Self { newest }
    }

    /// Whether a newer reading of the same copy stands in for this one.
    pub fn supersede(&self, evidence: &Evidence) -> bool {
        if self.newest.is_empty() {
            return false;
        }
        observation(evidence).is_some_and(|observation| {
            self.newest.get(&copy_of(observation)).is_some_and(|newest| *newest > newness(observation))
        })
    }
}

fn observation(evidence: &Evidence) -> Option<&Observation> {
    match evidence {
        Evidence::Observation(observation) => Some(observation),
        Evidence::Link(_) => None,
    }
}

fn copy_of(observation: &Observation) -> CopyName<'_> {
    let span = SpanRef { trace: observation.trace, span: observation.span };
    (span, observation.received_at, &observation.key, observation.attributes.len())
}

fn newness(observation: &Observation) -> Newness {
    (observation.decoder_version, observation.reread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::tests::span;
    use crate::resolve::{Outcome, Rules, resolve};

    /// The line's span as read by a decoder version, for the n-th time, of the copy received so much later than another.
    fn reading(line: &str, later: i64, decoder_version: u32, reread: u32) -> Evidence {
        let Evidence::Observation(observation) = span(line) else { panic!("{line} is a link") };
        let received_at = ReceivedAt::from_nanos(observation.received_at.nanos() + later);
        Evidence::Observation(Box::new(Observation { received_at, decoder_version, reread, ..*observation }))
    }

    /// The input that is billed, whatever the order of arrival.
    fn check(readings: &[Evidence], input: Option<u64>) {
        let mut order: Vec<usize> = (0..readings.len()).collect();
        for _ in 0..readings.len() {
            order.rotate_left(1);
            for order in [order.clone(), order.iter().rev().copied().collect()] {
                let resolution = resolve(order.iter().map(|&at| &readings[at]), &Rules::default());
                assert_eq!(resolution.outcomes.len(), 1, "one span, however often it was read");
                let billed =
                    resolution.calls.first().and_then(|call| call.usage.get(crate::usage::TokenClass::Input));
                assert_eq!(billed, input, "in order {order:?}");
                assert_eq!(resolution.outcomes[0].outcome == Outcome::Billed, input.is_some());
            }
        }
    }

    #[test]
    fn of_the_readings_of_one_copy_the_newest_decides_however_little_it_tells() {
        let old = reading("t/a - call i1 0-9 in=90 out=5 cr=4", 100, 1, 0);
        let new = reading("t/a - call i1 0-9 in=10", 100, 2, 1);
        check(&[old.clone(), new.clone()], Some(10));
        check(&[old.clone(), new.clone(), reading("t/a - who i1 0-9", 100, 3, 2)], None);
        check(&[old, new, reading("t/a - call i1 0-9 in=11", 100, 2, 2)], Some(11));
    }

    #[test]
    fn a_reading_stands_in_for_its_own_copy_alone() {
        let old = reading("t/a - call i1 0-9 in=90", 100, 1, 0);
        let new = reading("t/a - call i1 0-9 in=10", 100, 2, 1);
        let keyed = reading("t/a - call i1 0-9 in=70 key=acme", 100, 1, 0);
        let later = reading("t/a - call i1 0-9 in=80 out=5", 200, 1, 0);
        check(&[old.clone(), new.clone(), keyed], Some(70));
        check(&[old, new, later], Some(80));
    }

    #[test]
    fn a_span_that_nobody_read_anew_is_judged_by_what_its_copies_tell() {
        let rich = reading("t/a - call i1 0-9 in=90 out=5", 100, 1, 0);
        let poor = reading("t/a - call i1 0-9 in=10", 100, 2, 0);
        check(&[rich, poor], Some(90));
    }
}
