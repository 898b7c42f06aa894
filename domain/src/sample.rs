//! A sample of calls of which only count, sum and sum of squares are known, and what it lets one expect of further calls.
//!
//! Promises: decimals throughout; sums of samples are the sample of all of them; nothing is expected of no calls, and one
//! call alone says nothing of how far others differ.

use rust_decimal::{Decimal, MathematicalOps};

/// One figure (tokens, money) of several calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// How many calls.
    pub calls: u64,
    /// The sum of the figure.
    pub sum: Decimal,
    /// The sum of its squares; `None` where it is beyond a decimal.
    pub squares: Option<Decimal>,
}

/// What some calls would come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// The sum expected of them.
    pub sum: Decimal,
    /// The standard error of that sum, as far as it comes from chance; `None` where it cannot be told.
    pub error: Option<Decimal>,
}

impl Default for Sample {
    /// No calls.
    fn default() -> Self {
        Self { calls: 0, sum: Decimal::ZERO, squares: Some(Decimal::ZERO) }
    }
}

impl Sample {
    /// Takes in the calls of another sample.
    pub fn add(&mut self, other: &Self) {
        let squares = self.squares.zip(other.squares).and_then(|(one, two)| one.checked_add(two));
        *self = Self { calls: self.calls + other.calls, sum: self.sum.saturating_add(other.sum), squares };
    }

    /// What so many further calls come to if they are like these: each the mean. `None` without a call to go by.
    ///
    /// The error is that of a prediction: the mean of `n` calls is uncertain by `s²/n`, and each of `m` further calls
    /// differs from it by `s²`, so the sum of them by `s² · (m²/n + m)`.
    pub fn expect(&self, further: u64) -> Option<Expectation> {
        let (known, further) = (Decimal::from(self.calls), Decimal::from(further));
        let mean = self.sum.checked_div(known)?;
        let error = || {
            let freedom = self.calls.checked_sub(2)? + 1;
            let about_mean = self.squares?.checked_sub(self.sum.checked_mul(mean)?)?;
            // Rounding of the last digit may leave less than nothing.
            let variance = about_mean.max(Decimal::ZERO).checked_div(Decimal::from(freedom))?;
            let uncertain = further.checked_mul(further)?.checked_div(known)?.checked_add(further)?;
            variance.checked_mul(uncertain)?.sqrt()
        };
        Some(Expectation { sum: self.sum.checked_mul(further)?.checked_div(known)?, error: error() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(figures: &[i64]) -> Sample {
        let mut all = Sample::default();
        for figure in figures {
            let figure = Decimal::from(*figure);
            all.add(&Sample { calls: 1, sum: figure, squares: Some(figure * figure) });
        }
        all
    }

    /// Worked by hand. Of 2, 4, 6: mean 4, variance (4 + 0 + 4) / 2 = 4; three further ones: 4 · (9/3 + 3) = 24.
    /// Of 10, 20: mean 15, variance 50; one further: 50 · (1/2 + 1) = 75; four: 50 · (16/2 + 4) = 600.
    #[test]
    fn further_calls_come_to_the_mean_give_or_take_the_error_of_a_prediction() {
        for (figures, further, sum, error) in [
            (&[2, 4, 6][..], 3, "12", Some("4.8989794855663561963945681494")),
            (&[10, 20], 1, "15", Some("8.6602540378443864676372317075")),
            (&[10, 20], 4, "60", Some("24.494897427831780981972840747")),
            (&[7, 7, 7, 7], 2, "14", Some("0")),
            (&[1, 2], 0, "0", Some("0")),
            (&[9], 3, "27", None),
        ] {
            let found = of(figures).expect(further).unwrap();
            let close =
                |one: Decimal, two: &str| (one - two.parse::<Decimal>().unwrap()).abs() < Decimal::new(1, 20);
            assert!(close(found.sum, sum), "{figures:?}: {found:?}");
            match (found.error, error) {
                (Some(found), Some(error)) => assert!(close(found, error), "{figures:?}: {found}"),
                (found, error) => assert_eq!((found, error), (None, None), "{figures:?}"),
            }
        }
        assert_eq!(Sample::default().expect(3), None);
    }

    #[test]
    fn what_is_beyond_a_decimal_has_a_sum_and_no_error() {
        let huge = Sample { calls: 2, sum: Decimal::from(10), squares: None };
        assert_eq!(huge.expect(1), Some(Expectation { sum: Decimal::from(5), error: None }));
        let mut more = of(&[1, 2]);
        more.add(&huge);
        assert_eq!((more.calls, more.squares), (4, None));
    }

    proptest! {
        #[test]
        fn samples_add_up_in_any_portions(figures in prop::collection::vec(0..1_000_000_i64, 2..20), at in 0..20_usize) {
            let (one, two) = figures.split_at(at.min(figures.len()));
            let mut sum = of(one);
            sum.add(&of(two));
            prop_assert_eq!(sum, of(&figures));
        }
    }
}
