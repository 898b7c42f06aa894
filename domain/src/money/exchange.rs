//! Exchange rates: money of one currency as money of another, by rates that somebody stated.
//!
//! A rate is taken as it is stated, or not at all: none is worked out by turning another round or by going over a third
//! currency, and no rate is not one. What is converted is rounded once, straight from the twelve decimals of a [`Cost`] to
//! the smallest coin of the other currency, by that currency's rule.

use chrono::NaiveDate;
use rust_decimal::{Decimal, RoundingStrategy};

use super::cost::COST_DECIMALS;
use super::{Amount, Cost, Currency, divide};
use crate::time::BillingPeriod;

/// What one unit of a currency is worth in another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeRate {
    /// What is converted.
    pub base: Currency,
    /// What it becomes.
    pub quote: Currency,
    /// How many units of `quote` one unit of `base` is.
    pub rate: Decimal,
    /// The day it is of.
    pub date: NaiveDate,
    /// Who states it.
    pub source: String,
}

/// A rate, and for how long it may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedRate {
    /// The rate.
    pub rate: ExchangeRate,
    /// The first month it may not be used for any more.
    pub until: BillingPeriod,
}

/// Stated rates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RateTable {
    rates: Vec<StatedRate>,
}

/// Decimals of a converted unit price: those that invoices keep.
const PRICE_DECIMALS: u32 = 18;

impl ExchangeRate {
    /// This cost in the other currency: rounded once, to its smallest coin by its rule. `None` beyond all belief.
    pub fn convert(&self, cost: Cost) -> Option<Amount> {
        let rate = self.rate.normalize();
        let exact = cost.picos().checked_mul(rate.mantissa())?;
        let parts_of_a_coin = 10_i128.checked_pow(rate.scale() + COST_DECIMALS - self.quote.decimals())?;
        Some(Amount::of_coins(divide(exact, parts_of_a_coin, self.quote.rounding()), self.quote))
    }

    /// A unit price in the other currency, for people to compare: half to even at the eighteenth decimal. No amount is
    /// worked out from it.
    pub fn price(&self, unit_price: Decimal) -> Option<Decimal> {
        let price = unit_price.checked_mul(self.rate)?;
        Some(price.round_dp_with_strategy(PRICE_DECIMALS, RoundingStrategy::MidpointNearestEven).normalize())
    }

    /// For people: `1 USD = 0.8571 EUR (ECB, 2026-10-30)`.
    pub fn terms(&self) -> String {
        format!("{} ({}, {})", self.equation(), self.source, self.date)
    }

    /// For people: `1 USD = 0.8571 EUR`.
    pub fn equation(&self) -> String {
        format!("1 {} = {} {}", self.base, self.rate.normalize(), self.quote)
    }
}

impl StatedRate {
    /// Whether it may be used for a month: it is of a day in it or before, and is not over.
    pub fn holds_in(&self, month: BillingPeriod) -> bool {
        BillingPeriod::of_day(self.rate.date) <= month && month < self.until
    }
}

impl RateTable {
    /// Rates as they stand; whoever reads them has seen to it that none of a pair are of the same day.
    pub fn new(rates: Vec<StatedRate>) -> Self {
        Self { rates }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &StatedRate> {
        self.rates.iter()
    }

    /// The rate of a month: of those that hold in it, the one of the latest day.
    pub fn rate(&self, base: Currency, quote: Currency, month: BillingPeriod) -> Option<&ExchangeRate> {
        let of_pair = |stated: &&StatedRate| (stated.rate.base, stated.rate.quote) == (base, quote);
        let holding = self.rates.iter().filter(of_pair).filter(|stated| stated.holds_in(month));
        holding.map(|stated| &stated.rate).max_by_key(|rate| rate.date)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(quote: Currency, rate: &str, date: &str) -> ExchangeRate {
        let (rate, date) = (rate.parse().unwrap(), date.parse().unwrap());
        ExchangeRate { base: Currency::Usd, quote, rate, date, source: "ECB".into() }
    }

    #[test]
    fn money_is_converted_and_rounded_once_to_the_other_currencys_coin() {
        use Currency::{Eur, Jpy, Kwd};
        for (dollars, quote, at, expected) in [
            ("100", Eur, "0.8571", "85.71"),
            ("8.5", Eur, "0.8571", "7.29"),
            ("-8.5", Eur, "0.8571", "-7.29"),
            ("0.003527500000", Eur, "0.8571", "0.00"),
            ("1234.56", Jpy, "149.325", "184351"),
            ("1", Jpy, "149.5", "150"),
            ("-1", Jpy, "149.5", "-150"),
            ("1", Jpy, "149.499999999999", "149"),
            ("12.345678", Kwd, "0.3061", "3.779"),
            ("0.01", Kwd, "0.25", "0.003"),
            ("9999999999.99", Jpy, "1000000", "9999999999990000"),
            // By two roundings, first to twelve decimals and then to coins, this would be 0.01.
            ("0.005833333333", Eur, "0.8571428571428", "0.00"),
            ("1", Eur, "1", "1.00"),
        ] {
            let converted = rate(quote, at, "2026-10-30").convert(Cost::parse(dollars).unwrap()).unwrap();
            assert_eq!(
                (converted.to_string().as_str(), converted.currency()),
                (expected, quote),
                "{dollars} at {at}"
            );
        }
        let most = Cost::from_picos(i128::MAX / 2);
        assert_eq!(rate(Eur, "2.5", "2026-10-30").convert(most), None);
    }

    #[test]
    fn a_price_keeps_what_an_invoice_keeps_of_it() {
        let rate = rate(Currency::Eur, "0.8571", "2026-10-30");
        let price = |text: &str| rate.price(text.parse().unwrap()).unwrap().to_string();
        assert_eq!(price("0.0000025"), "0.00000214275");
        assert_eq!(
            price("0.0000000000000005"),
            "0.000000000000000429",
            "half to even at the eighteenth decimal"
        );
        assert_eq!(price("0"), "0");
        assert_eq!(rate.terms(), "1 USD = 0.8571 EUR (ECB, 2026-10-30)");
    }

    #[test]
    fn a_month_has_the_latest_rate_that_holds_in_it_and_no_other() {
        let month = |text: &str| BillingPeriod::parse(text).unwrap();
        let stated = |quote, at, date, until| StatedRate { rate: rate(quote, at, date), until: month(until) };
        let table = RateTable::new(vec![
            stated(Currency::Eur, "0.87", "2026-10-01", "2026-11"),
            stated(Currency::Eur, "0.86", "2026-10-30", "2026-11"),
            stated(Currency::Eur, "0.80", "2026-01-01", "2027-01"),
            stated(Currency::Jpy, "150", "2026-10-31", "2026-11"),
        ]);
        let found =
            |quote, at: &str| table.rate(Currency::Usd, quote, month(at)).map(|rate| rate.rate.to_string());
        for (quote, at, expected) in [
            (Currency::Eur, "2025-12", None),
            (Currency::Eur, "2026-09", Some("0.80")),
            (Currency::Eur, "2026-10", Some("0.86")),
            (Currency::Eur, "2026-11", Some("0.80")),
            (Currency::Eur, "2027-01", None),
            (Currency::Jpy, "2026-10", Some("150")),
            (Currency::Jpy, "2026-11", None),
            (Currency::Gbp, "2026-10", None),
        ] {
            assert_eq!(found(quote, at).as_deref(), expected, "{quote} {at}");
        }
        // A rate is not turned round.
        assert_eq!(table.rate(Currency::Eur, Currency::Usd, month("2026-10")), None);
    }

    proptest! {
        #[test]
        fn a_conversion_is_off_by_half_a_coin_at_most_and_knows_no_sign(
            picos in -10_i128.pow(22)..10_i128.pow(22), mantissa in 1_i64..10_i64.pow(10), scale in 0..=10_u32,
            quote in prop::sample::select(Currency::ALL.to_vec()),
        ) {
            let rate = ExchangeRate { rate: Decimal::new(mantissa, scale), ..rate(quote, "1", "2026-10-30") };
            let cost = Cost::from_picos(picos);
            let coins = rate.convert(cost).unwrap().coins();
            // In parts of 10^-(12 + scale) of a unit, all exact integers.
            let coin = 10_i128.pow(12 + scale - quote.decimals());
            prop_assert!(2 * (coins * coin - picos * i128::from(mantissa)).abs() <= coin);
            prop_assert_eq!(rate.convert(-cost).unwrap().coins(), -coins);
        }
    }
}
