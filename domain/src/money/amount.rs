//! Money that can be paid: whole coins of a currency.

use std::fmt;

use super::cost::COST_DECIMALS;
use super::{Cost, Currency, Rounding, divide};

/// Money in a currency's smallest coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amount {
    coins: i128,
    currency: Currency,
}

impl Cost {
    /// This cost as money that can be paid: rounded to the currency's smallest coin by `rounding`.
    pub fn amount(self, currency: Currency, rounding: Rounding) -> Amount {
        let picos_per_coin = 10_i128.pow(COST_DECIMALS - currency.decimals());
        Amount { coins: divide(self.picos(), picos_per_coin, rounding), currency }
    }
}

impl Amount {
    /// So many of a currency's smallest coin.
    pub(super) fn of_coins(coins: i128, currency: Currency) -> Self {
        Self { coins, currency }
    }

    /// Nothing, in a currency.
    pub fn zero(currency: Currency) -> Self {
        Self { coins: 0, currency }
    }

    /// Its currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// How many of the currency's smallest coin.
    pub fn coins(self) -> i128 {
        self.coins
    }

    /// The sum; `None` across currencies, or where it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let coins = self.coins.checked_add(other.coins).filter(|_| self.currency == other.currency)?;
        Some(Self { coins, ..self })
    }

    /// The same money as an exact cost; `None` where it does not fit.
    pub fn cost(self) -> Option<Cost> {
        self.coins.checked_mul(10_i128.pow(COST_DECIMALS - self.currency.decimals())).map(Cost::from_picos)
    }
}

/// Writes the number with the currency's decimals and without its code: `12.50`, `-0.07`, `1250`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.coins < 0 { "-" } else { "" };
        let decimals = self.currency.decimals();
        let coins_per_unit = 10_u128.pow(decimals);
        let (whole, coins) =
            (self.coins.unsigned_abs() / coins_per_unit, self.coins.unsigned_abs() % coins_per_unit);
        match decimals {
            0 => f.pad(&format!("{sign}{whole}")),
            _ => f.pad(&format!("{sign}{whole}.{coins:0width$}", width = decimals as usize)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cost(text: &str) -> Cost {
        Cost::parse(text).unwrap()
    }

    #[test]
    fn an_amount_is_rounded_by_the_rule_it_is_given() {
        use Rounding::{HalfAwayFromZero, HalfEven, TowardsZero};
        for (exact, currency, half_even, away, towards) in [
            ("0.005", Currency::Usd, "0.00", "0.01", "0.00"),
            ("0.015", Currency::Usd, "0.02", "0.02", "0.01"),
            ("-0.005", Currency::Usd, "0.00", "-0.01", "0.00"),
            ("0.004999999999", Currency::Usd, "0.00", "0.00", "0.00"),
            ("0.005000000001", Currency::Usd, "0.01", "0.01", "0.00"),
            ("2.5", Currency::Jpy, "2", "3", "2"),
            ("1.0005", Currency::Kwd, "1.000", "1.001", "1.000"),
            ("-1234.56", Currency::Eur, "-1234.56", "-1234.56", "-1234.56"),
        ] {
            let written = [HalfEven, HalfAwayFromZero, TowardsZero]
                .map(|r| cost(exact).amount(currency, r).to_string());
            assert_eq!(written, [half_even, away, towards], "{exact} {currency}");
        }
    }

    #[test]
    fn money_of_two_currencies_has_no_sum() {
        let (usd, eur) = (Amount::zero(Currency::Usd), Amount::zero(Currency::Eur));
        assert_eq!(usd.checked_add(eur), None);
        assert_eq!(usd.checked_add(usd), Some(usd));
    }

    proptest! {
        #[test]
        fn an_amount_and_its_cost_are_the_same_money(coins in -10_i128.pow(18)..10_i128.pow(18)) {
            for currency in Currency::ALL {
                let amount = Amount { coins, currency };
                let cost = amount.cost().unwrap();
                for rounding in [Rounding::HalfEven, Rounding::HalfAwayFromZero, Rounding::TowardsZero] {
                    prop_assert_eq!(cost.amount(currency, rounding), amount);
                }
            }
        }
    }
}
