//! What was seen within the dedupe window, in a few bytes a row.
//!
//! Settlement asks it of every new row: since when may the log hold older evidence of this trace, or of this call in another
//! trace? A wrong answer too early costs the database a look at what it need not; one too late would cost a second bill, and
//! does not happen. A trace, a response key and a pair key take 3.5 bytes each, up to twice that while a slot outgrows the one
//! before it; of a million strangers one or two are known to a full filter.

use std::collections::BTreeMap;
use std::time::Duration;

use fastbloom::BloomFilter;

/// How many slots the window is cut into: forgetting happens a slot at a time, asking asks each, and an answer is as exact
/// as a slot is long.
const SLOTS_A_WINDOW: u32 = 13;
/// Instrumentations that a slot tells apart; further ones count as one, and always as another.
const SCOPES_MAX: usize = 32;

/// What was seen.
#[derive(Debug)]
pub(super) struct Window {
    slot_hours: u32,
    slots: BTreeMap<u32, Slot>,
    /// Traces that are known for good, since when is not.
    always: Seen,
    /// The first hour of which all is known.
    from: u32,
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
    /// A window of the given length, that will be told all that was received from an hour on.
    pub fn new(length: Duration, from: u32) -> Self {
        let hours = u32::try_from(length.as_secs().div_ceil(3600)).unwrap_or(u32::MAX);
        Self {
            slot_hours: hours.div_ceil(SLOTS_A_WINDOW).max(1),
            slots: BTreeMap::new(),
            always: Seen::default(),
            from,
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

    /// The first hour of which all is known.
    pub fn from(&self) -> u32 {
        self.from
    }

    /// From which hour on something of a trace may have been received; `None`: nothing was.
    pub fn trace_since(&self, trace: u64) -> Option<u32> {
        if self.always.contains(trace) {
            return Some(self.from);
        }
        self.since(|slot| slot.traces.contains(trace))
    }

    /// From which hour on a response key may have been received.
    pub fn response_since(&self, response: u64) -> Option<u32> {
        self.since(|slot| slot.responses.contains(response))
    }

    /// From which hour on a pair key may have been reported by another instrumentation than this.
    pub fn pair_of_another_since(&self, pair: u64, scope: u64) -> Option<u32> {
        self.since(|slot| {
            let own = slot.scope_number(scope);
            (0..slot.scopes.len())
                .filter(|&number| own != Some(number) || number == SCOPES_MAX - 1)
                .any(|number| slot.pairs.contains(of_scope(pair, number)))
        })
    }

    /// Forgets what was received wholly before the given hour.
    pub fn forget_before(&mut self, hour: u32) {
        let slot = hour / self.slot_hours;
        self.slots = self.slots.split_off(&slot);
        self.from = self.from.max(slot * self.slot_hours);
    }

    fn since(&self, holds: impl Fn(&Slot) -> bool) -> Option<u32> {
        self.slots.iter().find(|(_, slot)| holds(slot)).map(|(number, _)| number * self.slot_hours)
    }

    fn slot(&mut self, hour: u32) -> &mut Slot {
        let number = hour / self.slot_hours;
        if !self.slots.contains_key(&number) {
            let before = self.slots.range(..number).next_back().map(|(_, slot)| slot);
            let slot = before.map(Slot::like).unwrap_or_default();
            self.slots.insert(number, slot);
        }
        self.slots.get_mut(&number).expect("it was put there")
    }
}

impl Slot {
    /// An empty slot with room for as much as another took.
    fn like(other: &Self) -> Self {
        Self {
            traces: Seen::with_room(other.traces.taken),
            responses: Seen::with_room(other.responses.taken),
            pairs: Seen::with_room(other.pairs.taken),
            scopes: Vec::new(),
        }
    }

    fn scope_number(&self, scope: u64) -> Option<usize> {
        self.scopes.iter().position(|known| *known == scope)
    }
}

fn of_scope(pair: u64, number: usize) -> u64 {
    pair.rotate_left(17) ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A set of keys that may say yes wrongly. It grows by further filters, each twice as large as the one before; asking it
/// costs a look into each, so a set that can tell begins with the room it will need.
#[derive(Debug)]
struct Seen {
    filters: Vec<BloomFilter>,
    /// For how many keys the next filter is made.
    next_capacity: usize,
    room: usize,
    taken: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self::with_room(0)
    }
}

impl Seen {
    const CAPACITY_MIN: usize = 1 << 14;
    /// Twenty-eight bits a key: one or two wrong yeses in a million.
    const BITS_A_KEY: usize = 28;

    fn with_room(keys: usize) -> Self {
        Self { filters: Vec::new(), next_capacity: keys.max(Self::CAPACITY_MIN), room: 0, taken: 0 }
    }

    fn insert(&mut self, key: u64) {
        if self.contains(key) {
            return;
        }
        if self.room == 0 {
            let capacity = self.next_capacity;
            let bits = capacity * Self::BITS_A_KEY;
            self.filters.push(BloomFilter::with_num_bits(bits).expected_items(capacity));
            self.room = capacity;
            self.next_capacity = capacity * 2;
        }
        self.room -= 1;
        self.taken += 1;
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
        Window::new(Duration::from_secs(26 * 3600), 0)
    }

    #[test]
    fn what_was_noted_is_never_denied_however_much_it_is() {
        let mut window = window();
        for key in 0..100_000_u64 {
            window.note_trace(1_000, key);
        }
        assert!((0..100_000).all(|key| window.trace_since(key) == Some(1_000)));
        let wrong = (100_000..200_000).filter(|key| window.trace_since(*key).is_some()).count();
        assert!(wrong < 5, "{wrong} of 100,000 strangers are known");
    }

    #[test]
    fn the_answer_is_the_first_hour_of_the_first_slot_that_may_hold_it() {
        let mut window = window();
        window.note_response(705, 7);
        window.note_response(711, 7);
        assert_eq!(window.response_since(7), Some(704));
        window.forget_before(706);
        assert_eq!(window.response_since(7), Some(710));
    }

    #[test]
    fn an_hour_is_forgotten_once_its_slot_is_past_and_not_before() {
        let mut window = window();
        window.note_response(700, 7);
        window.note_trace_for_good(8);
        window.forget_before(701);
        assert_eq!((window.response_since(7), window.from()), (Some(700), 700));
        window.forget_before(702);
        assert_eq!((window.response_since(7), window.from()), (None, 702));
        assert_eq!(window.trace_since(8), Some(702), "all that is known is known from there");
    }

    #[test]
    fn a_slot_has_room_for_what_the_one_before_took() {
        let mut window = window();
        for key in 0..40_000 {
            window.note_trace(700, key);
        }
        // A few keys less: each slot may take some for known that are not.
        for key in 0..39_900 {
            window.note_trace(702, key);
        }
        let filters: Vec<usize> = window.slots.values().map(|slot| slot.traces.filters.len()).collect();
        assert_eq!(filters, [2, 1]);
    }

    #[test]
    fn a_pair_is_anothers_only_if_another_instrumentation_reported_it() {
        let mut window = window();
        window.note_pair(1, 7, 100);
        assert_eq!(window.pair_of_another_since(7, 100), None);
        assert_eq!(window.pair_of_another_since(7, 101), Some(0));
        assert_eq!(window.pair_of_another_since(8, 101), None);
        window.note_pair(1, 7, 101);
        assert_eq!(window.pair_of_another_since(7, 100), Some(0));
    }

    #[test]
    fn more_instrumentations_than_are_told_apart_count_as_others() {
        let mut window = window();
        for scope in 0..100 {
            window.note_pair(1, scope, scope);
        }
        assert!((0..100).all(|scope| window.pair_of_another_since(scope, 1_000).is_some()));
        assert_eq!(window.pair_of_another_since(3, 3), None);
        assert!(window.pair_of_another_since(99, 99).is_some(), "not told apart, so asked for");
    }
}
