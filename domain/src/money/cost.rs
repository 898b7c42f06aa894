//! What something costs, exact to twelve decimals.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use rust_decimal::Decimal;

use super::{Rounding, divide};

/// What something costs, in the price book's currency, exact to twelve decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Cost(i128);

/// Decimals of a [`Cost`]: a millionth of the smallest price of a million tokens that anyone charges (0.000001).
pub(super) const COST_DECIMALS: u32 = 12;

/// 10^12: how many [`Cost::picos`] a unit of currency has.
const PICOS_PER_UNIT: i128 = 10_i128.pow(COST_DECIMALS);

/// The largest cost that is made from outside: ten quadrillion units. A sum overflows only after 10^10 of them.
const COST_MAX: i128 = 10_i128.pow(16) * PICOS_PER_UNIT;

/// A text that is not money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an amount; write digits with at most 12 decimals, for instance 12.50")]
pub struct ParseCostError {
    text: String,
}

impl Cost {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// What `quantity` units cost at `unit_price` each: exact where the product has at most twelve decimals, else
    /// rounded half to even. `None` if the result is beyond ten quadrillion.
    pub fn of(quantity: u64, unit_price: Decimal) -> Option<Self> {
        Self::rescaled(i128::from(quantity).checked_mul(unit_price.mantissa())?, unit_price.scale())
    }

    /// This cost times a factor (a markup, a discount), rounded half to even at the twelfth decimal. `None` if the
    /// result is beyond ten quadrillion.
    pub fn scaled(self, factor: Decimal) -> Option<Self> {
        Self::rescaled(self.0.checked_mul(factor.mantissa())?, factor.scale() + COST_DECIMALS)
    }

    /// The part of this cost that `part` of `whole` things have in it, evenly spread, rounded half to even at the twelfth
    /// decimal; all of it where `part` is the whole or more.
    pub fn share(self, part: u64, whole: u64) -> Self {
        if part >= whole {
            return self;
        }
        let (part, whole) = (i128::from(part), i128::from(whole));
        // The whole things first: no product leaves 128 bits but of quantities beyond 2^63.
        let rest = (self.0 % whole).saturating_mul(part);
        Self(self.0 / whole * part + divide(rest, whole, Rounding::HalfEven))
    }

    /// For people: without the zeros at the end that say nothing.
    pub fn shown(self) -> String {
        let text = self.to_string();
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    }

    /// The cost of so many 10⁻¹² of a unit, as the tables hold it.
    pub fn from_picos(picos: i128) -> Self {
        Self(picos)
    }

    /// This cost in 10⁻¹² of a unit.
    pub fn picos(self) -> i128 {
        self.0
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, `None` where it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Reads what `Display` writes, or fewer decimals: an optional minus, digits, and at most twelve decimals.
    pub fn parse(text: &str) -> Result<Self, ParseCostError> {
        let refuse = || ParseCostError { text: text.chars().take(80).collect() };
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(decimals) || decimals.len() > COST_DECIMALS as usize {
            return Err(refuse());
        }
        let picos = format!("{whole}{decimals:0<width$}", width = COST_DECIMALS as usize);
        let picos: i128 = picos.parse().map_err(|_| refuse())?;
        if picos > COST_MAX {
            return Err(refuse());
        }
        Ok(Self(if negative { -picos } else { picos }))
    }

    /// `mantissa × 10^-scale` at twelve decimals.
    fn rescaled(mantissa: i128, scale: u32) -> Option<Self> {
        let picos = match scale.checked_sub(COST_DECIMALS) {
            None => mantissa.checked_mul(10_i128.pow(COST_DECIMALS - scale))?,
            Some(excess) => match 10_i128.checked_pow(excess) {
                Some(divisor) => divide(mantissa, divisor, Rounding::HalfEven),
                // More decimals than 128 bits hold: less than half of the last digit that is kept.
                None => 0,
            },
        };
        (picos.abs() <= COST_MAX).then_some(Self(picos))
    }
}

// Operators saturate instead of panicking. That is out of reach: every cost enters below `COST_MAX`, and it takes
// 1.7 × 10^10 of the largest to fill 128 bits.
impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Cost {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Cost {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, picos) =
            (self.0.unsigned_abs() / PICOS_PER_UNIT as u128, self.0.unsigned_abs() % PICOS_PER_UNIT as u128);
        f.pad(&format!("{sign}{whole}.{picos:012}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_quantity_times_a_price_is_exact_to_twelve_decimals_and_half_even_beyond() {
        for (quantity, unit_price, expected) in [
            (1_411, "0.0000025", "0.003527500000"),
            (1, "0.000000000001", "0.000000000001"),
            (1, "0.0000000000005", "0.000000000000"),
            (3, "0.0000000000005", "0.000000000002"),
            (1, "0.00000000000050000001", "0.000000000001"),
            (1, "0.00000008333333333333334", "0.000000083333"),
            (u64::MAX, "0", "0.000000000000"),
            (1_000_000, "15", "15000000.000000000000"),
            (1, "0.0000000000000000000000000001", "0.000000000000"),
        ] {
            assert_eq!(
                Cost::of(quantity, decimal(unit_price)).unwrap().to_string(),
                expected,
                "{unit_price}"
            );
        }
        assert_eq!(Cost::of(u64::MAX, decimal("1000")), None);
        assert_eq!(Cost::of(u64::MAX, Decimal::MAX), None);
    }

    #[test]
    fn text_that_is_not_money_is_refused() {
        for bad in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "+1",
            "1e3",
            "NaN",
            "inf",
            "1,5",
            " 1",
            "1.0000000000001",
            "--1",
            "1.2.3",
        ] {
            assert!(Cost::parse(bad).is_err(), "{bad}");
        }
        assert!(Cost::parse("10000000000000001").is_err());
        assert!(Cost::parse(&"9".repeat(60)).is_err());
    }

    proptest! {
        #[test]
        fn shares_are_even_and_add_up(picos in -10_i128.pow(20)..10_i128.pow(20), part in 0..10_u64.pow(9), whole in 1..10_u64.pow(9)) {
            let (cost, part) = (Cost::from_picos(picos), part.min(whole));
            let share = cost.share(part, whole);
            // Twice the error, in parts of the whole.
            let error = share.picos() * i128::from(whole) - picos * i128::from(part);
            prop_assert!(2 * error.abs() <= i128::from(whole));
            prop_assert_eq!((cost.share(0, whole), cost.share(whole, whole)), (Cost::ZERO, cost));
        }

        #[test]
        fn display_writes_what_parse_reads(picos in -COST_MAX..=COST_MAX) {
            let cost = Cost::from_picos(picos);
            prop_assert_eq!(Cost::parse(&cost.to_string()), Ok(cost));
        }

        #[test]
        fn a_price_is_distributed_over_parts_without_loss(one in 0..10_u64.pow(12), two in 0..10_u64.pow(12), price in 0..10_i64.pow(9)) {
            // Prices of at most twelve decimals never round, so parts cost what the whole costs.
            let price = Decimal::new(price, 12);
            prop_assert_eq!(Cost::of(one, price).unwrap() + Cost::of(two, price).unwrap(), Cost::of(one + two, price).unwrap());
        }

        #[test]
        fn rounding_is_never_further_off_than_half_the_last_digit(quantity in 0..10_u64.pow(9), mantissa in 0..10_i64.pow(15), scale in 0..28_u32) {
            let price = Decimal::new(mantissa, scale);
            if let Some(cost) = Cost::of(quantity, price) {
                // Twice the error, in units of 10^-28: exact integers, no second implementation of rounding.
                let exact = i128::from(quantity).checked_mul(i128::from(mantissa)).and_then(|x| x.checked_mul(10_i128.pow(28 - scale)));
                let kept = cost.picos().checked_mul(10_i128.pow(16));
                if let (Some(exact), Some(kept)) = (exact, kept) {
                    prop_assert!(2 * (exact - kept).abs() <= 10_i128.pow(16));
                }
            }
        }
    }
}
