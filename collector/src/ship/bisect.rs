//! Finds the rows that are refused among rows that were refused together: a pure course of halves.
//!
//! Promises: a row is named only after it stood alone and was refused; each other row is in some part that was taken. With
//! `k` such rows among `n` it asks at most `2k·log2(n) + 1` times.
//! Leaves to others: sending the parts, and whether being refused means anything.

use std::ops::Range;

use schemas::Refusal;

/// The search. See the module.
#[derive(Debug)]
pub(super) struct Bisection {
    /// Parts to be tried, the next one last.
    open: Vec<Range<usize>>,
    alone: Vec<(usize, Refusal)>,
    taken: usize,
}

impl Bisection {
    /// Of so many rows that were refused together, at least one.
    pub fn of(rows: usize, refusal: Refusal) -> Self {
        assert!(rows > 0, "what was refused has rows");
        let mut bisection = Self { open: Vec::new(), alone: Vec::new(), taken: 0 };
        bisection.split(0..rows, refusal);
        bisection
    }

    /// The part to try next; `None` when every row is accounted for.
    pub fn next(&self) -> Option<Range<usize>> {
        self.open.last().cloned()
    }

    /// It was taken.
    pub fn taken(&mut self) {
        let part = self.open.pop().expect("a part was tried");
        self.taken += part.len();
    }

    /// It was refused.
    pub fn refused(&mut self, refusal: Refusal) {
        let part = self.open.pop().expect("a part was tried");
        self.split(part, refusal);
    }

    fn split(&mut self, part: Range<usize>, refusal: Refusal) {
        if part.len() == 1 {
            self.alone.push((part.start, refusal));
            return;
        }
        let middle = part.start + part.len() / 2;
        self.open.extend([middle..part.end, part.start..middle]);
    }

    /// The rows that were refused alone so far, in order.
    pub fn alone(&self) -> &[(usize, Refusal)] {
        &self.alone
    }

    /// How many rows were taken.
    pub fn rows_taken(&self) -> usize {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn refusal() -> Refusal {
        Refusal { code: "VIOLATED_CONSTRAINT", text: String::new() }
    }

    /// Runs a search; returns the rows named, how many were taken, and how often it asked.
    fn check(rows: usize, poison: &BTreeSet<usize>) -> (Vec<usize>, usize, usize) {
        let mut bisection = Bisection::of(rows, refusal());
        let mut asked = 0;
        while let Some(part) = bisection.next() {
            asked += 1;
            if part.clone().any(|row| poison.contains(&row)) {
                bisection.refused(refusal());
            } else {
                bisection.taken();
            }
        }
        (bisection.alone().iter().map(|(row, _)| *row).collect(), bisection.rows_taken(), asked)
    }

    #[test]
    fn a_row_that_was_sent_alone_is_named_without_asking_again() {
        assert_eq!(check(1, &BTreeSet::from([0])), (vec![0], 0, 0));
    }

    proptest! {
        #[test]
        fn exactly_the_refused_rows_are_named_in_order_and_soon(
            rows in 1usize..3_000, picks in prop::collection::vec(any::<prop::sample::Index>(), 1..12)
        ) {
            let poison: BTreeSet<usize> = picks.iter().map(|pick| pick.index(rows)).collect();
            let (named, taken, asked) = check(rows, &poison);
            prop_assert_eq!(named, poison.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(taken, rows - poison.len());
            let halvings = rows.next_power_of_two().ilog2() as usize;
            prop_assert!(asked <= 2 * poison.len() * halvings + 1, "{asked} for {} of {rows}", poison.len());
        }
    }
}
