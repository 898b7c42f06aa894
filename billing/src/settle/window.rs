//! What was seen within the dedupe window, in a few bytes a row.
//!
//! Settlement asks it of every new row: may the log hold older evidence of this trace, or of this call in another
//! trace? A wrong yes costs a question to the database; a wrong no would cost a second bill, and does not happen.
//! A trace, a response key and a pair key take 2.4 bytes each; a wrong yes is one in ten thousand a filter asked.

use std::collections::BTreeMap;
use std::time::Duration;

use fastbloom::BloomFilter;

/// How many slots the window is cut into: forgetting happens a slot at a time, asking asks each.
const SLOTS_A_WINDOW: u32 = 4;
/// Instrumentations that a slot tells apart; further ones count as one, and always as another.
const SCOPES_MAX: usize = 32;

/// What was seen.
#[derive(Debug)]
pub(super) struct Window {
    slot_hours: u32,
    slots: BTreeMap<u32, Slot>,
    /// Traces that are asked for whatever their age.
    always: Seen,
}

/// What was received in some hours.
#[derive(Debug, Default)]
struct Slot {
    traces: Seen,
    responses: Seen,
    /// Each pair key mixed with the number of its instrumentation in `scopes`.
    pairs: Seen,
    scopes: Vec<u64>,
}

impl Window {
    /// A window of the given length.
    pub fn new(length: Duration) -> Self {
        let hours = u32::try_from(length.as_secs().div_ceil(3600)).unwrap_or(u32::MAX);
        Self {
            slot_hours: hours.div_ceil(SLOTS_A_WINDOW).max(1),
            slots: BTreeMap::new(),
            always: Seen::default(),
        }
    }

    /// Takes in a trace of which something was received in the given hour since the epoch.
    pub fn note_trace(&mut self, hour: u32, trace: u64) {
        self.slot(hour).traces.insert(trace);
    }

    /// Takes in a trace that is not to be forgotten.
    pub fn note_trace_for_good(&mut self, trace: u64) {
        self.always.insert(trace);
    }

    /// Takes in a response key.
    pub fn note_response(&mut self, hour: u32, response: u64) {
        self.slot(hour).responses.insert(response);
    }

    /// Takes in a pair key that an instrumentation reported.
    pub fn note_pair(&mut self, hour: u32, pair: u64, scope: u64) {
        let slot = self.slot(hour);
        let number = slot.scope_number(scope).unwrap_or_else(|| {
            if slot.scopes.len() < SCOPES_MAX {
                slot.scopes.push(scope);
            }
            slot.scopes.len() - 1
        });
        slot.pairs.insert(of_scope(pair, number));
    }

    /// Whether anything of a trace may have been received.
    pub fn has_trace(&self, trace: u64) -> bool {
        self.always.contains(trace) || self.slots.values().any(|slot| slot.traces.contains(trace))
    }

    /// Whether a response key may have been received.
    pub fn has_response(&self, response: u64) -> bool {
        self.slots.values().any(|slot| slot.responses.contains(response))
    }

    /// Whether a pair key may have been reported by another instrumentation than this.
    pub fn has_pair_of_another(&self, pair: u64, scope: u64) -> bool {
        self.slots.values().any(|slot| {
            let own = slot.scope_number(scope);
            (0..slot.scopes.len())
                .filter(|&number| own != Some(number) || number == SCOPES_MAX - 1)
                .any(|number| slot.pairs.contains(of_scope(pair, number)))
        })
    }

    /// Forgets what was received wholly before the given hour.
    pub fn forget_before(&mut self, hour: u32) {
        self.slots = self.slots.split_off(&(hour / self.slot_hours));
    }

    fn slot(&mut self, hour: u32) -> &mut Slot {
        self.slots.entry(hour / self.slot_hours).or_default()
    }
}

impl Slot {
    fn scope_number(&self, scope: u64) -> Option<usize> {
        self.scopes.iter().position(|known| *known == scope)
    }
}

fn of_scope(pair: u64, number: usize) -> u64 {
    pair.rotate_left(17) ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A set of keys that may say yes wrongly. It grows by further filters, each twice as large as the one before.
#[derive(Debug, Default)]
struct Seen {
    filters: Vec<BloomFilter>,
    room: usize,
}

impl Seen {
    const FIRST_CAPACITY: usize = 1 << 14;
    const WRONG_YES: f64 = 0.0001;

    fn insert(&mut self, key: u64) {
        if self.contains(key) {
            return;
        }
        if self.room == 0 {
            let capacity = Self::FIRST_CAPACITY << self.filters.len();
            self.filters.push(BloomFilter::with_false_pos(Self::WRONG_YES).expected_items(capacity));
            self.room = capacity;
        }
        self.room -= 1;
        let filter = self.filters.last_mut().expect("there is a filter with room");
        filter.insert(&key);
    }

    fn contains(&self, key: u64) -> bool {
        self.filters.iter().rev().any(|filter| filter.contains(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window {
        Window::new(Duration::from_secs(26 * 3600))
    }

    #[test]
    fn what_was_noted_is_never_denied_however_much_it_is() {
        let mut window = window();
        for key in 0..100_000_u64 {
            window.note_trace(1_000, key);
        }
        assert!((0..100_000).all(|key| window.has_trace(key)));
        let wrong = (100_000..200_000).filter(|key| window.has_trace(*key)).count();
        assert!(wrong < 200, "{wrong} of 100,000 strangers are known");
    }

    #[test]
    fn an_hour_is_forgotten_once_its_slot_is_past_and_not_before() {
        let mut window = window();
        window.note_response(700, 7);
        window.note_trace_for_good(8);
        window.forget_before(703);
        assert!(window.has_response(7));
        window.forget_before(707);
        assert!(!window.has_response(7));
        assert!(window.has_trace(8));
    }

    #[test]
    fn a_pair_is_anothers_only_if_another_instrumentation_reported_it() {
        let mut window = window();
        window.note_pair(1, 7, 100);
        assert!(!window.has_pair_of_another(7, 100));
        assert!(window.has_pair_of_another(7, 101));
        assert!(!window.has_pair_of_another(8, 101));
        window.note_pair(1, 7, 101);
        assert!(window.has_pair_of_another(7, 100));
    }

    #[test]
    fn more_instrumentations_than_are_told_apart_count_as_others() {
        let mut window = window();
        for scope in 0..100 {
            window.note_pair(1, scope, scope);
        }
        assert!((0..100).all(|scope| window.has_pair_of_another(scope, 1_000)));
        assert!(!window.has_pair_of_another(3, 3));
        assert!(window.has_pair_of_another(99, 99), "not told apart, so asked for");
    }
}
