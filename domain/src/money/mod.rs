//! Money: what a call costs, exactly, and what is written on an invoice, rounded.
//!
//! [`Cost`] counts 10⁻¹² of a currency's unit in 128-bit integers, so that sums and differences are exact by
//! construction and agree with the `Decimal(38, 12)` of the tables to the last digit. It is rounded in one place only,
//! where a quantity meets a price ([`Cost::of`]): half to even, at the twelfth digit, once per unit class of a call.
//! [`Amount`] is money in a currency's own smallest coin; [`Cost::amount`] is the only way from one to the other, and
//! takes the rounding rule as an argument. [`ExchangeRate`] is the only way from one currency to another, and rounds once.
//!
//! No float touches money. Which price applies is [`crate::price`]'s, what an invoice rounds is the invoice's.

mod amount;
mod cost;
mod currency;
mod exchange;

pub use amount::Amount;
pub use cost::{Cost, ParseCostError};
pub use currency::{Currency, ParseCurrencyError};
pub use exchange::{ExchangeRate, RateTable, StatedRate};

/// How to round an exact cost to a currency's smallest coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rounding {
    /// To the nearest coin; the exact middle to the even one, so that many roundings do not drift.
    HalfEven,
    /// To the nearest coin; the exact middle away from zero, as most tax rules and people do.
    HalfAwayFromZero,
    /// Towards zero: never charges a fraction that was not used up.
    TowardsZero,
}

/// Whole part of `value / divisor`, the rest rounded away by `rounding`. `divisor` is positive.
fn divide(value: i128, divisor: i128, rounding: Rounding) -> i128 {
    let (quotient, rest) = (value / divisor, (value % divisor).abs());
    let away = quotient + value.signum();
    match rounding {
        Rounding::TowardsZero => quotient,
        Rounding::HalfAwayFromZero if rest > 0 && rest >= divisor - rest => away,
        Rounding::HalfEven if rest > divisor - rest || (rest == divisor - rest && quotient % 2 != 0) => away,
        Rounding::HalfAwayFromZero | Rounding::HalfEven => quotient,
    }
}
