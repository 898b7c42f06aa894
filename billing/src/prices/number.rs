//! From the digits in a price file to an exact price of one unit.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

/// The largest price that is believed, for whatever quantity it is stated. The dearest in use are some hundreds.
const PRICE_MAX: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

/// Decimals of a unit price where the quotient has no end (an hour has 3600 seconds). A million seconds are then priced
/// right to the twelfth decimal.
const UNIT_PRICE_DECIMALS: u32 = 18;

/// The price of one unit, given the price of `per` units. Exact where `per` is a power of ten, else rounded half to
/// even at eighteen decimals.
pub(super) fn unit_price(value: &Value, per: u32) -> Result<Decimal, String> {
    let price = decimal(value)?;
    if price.is_sign_negative() && !price.is_zero() {
        return Err(format!("{price} is negative; a price is zero or more"));
    }
    if price > PRICE_MAX {
        return Err(format!("{price} is more than any price ({PRICE_MAX})"));
    }
    let unit_price = match power_of_ten(per) {
        Some(digits) => {
            let price = price.normalize();
            let exact = Decimal::try_from_i128_with_scale(price.mantissa(), price.scale() + digits);
            exact.map_err(|_| format!("{price} has more decimals than a price of one unit can hold"))?
        }
        None => (price / Decimal::from(per))
            .round_dp_with_strategy(UNIT_PRICE_DECIMALS, RoundingStrategy::MidpointNearestEven),
    };
    Ok(unit_price.normalize())
}

/// A JSON number by its digits.
fn decimal(value: &Value) -> Result<Decimal, String> {
    let Value::Number(number) = value else {
        return Err(format!("{} is not a number", brief(value)));
    };
    // The digits as they stand in the file: `arbitrary_precision` keeps them.
    let text = number.to_string();
    let exponent = text.contains(['e', 'E']);
    let parsed = if exponent { Decimal::from_scientific(&text) } else { Decimal::from_str_exact(&text) };
    parsed.map_err(|_| format!("{} cannot be held exactly", brief(value)))
}

/// A value for an error message, cut short.
pub(super) fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn power_of_ten(per: u32) -> Option<u32> {
    let digits = per.ilog10();
    (10_u32.pow(digits) == per).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(json: &str, per: u32) -> Result<String, String> {
        unit_price(&serde_json::from_str(json).unwrap(), per).map(|price| price.to_string())
    }

    #[test]
    fn digits_become_a_unit_price_without_loss() {
        for (json, per, expected) in [
            ("2.5", 1_000_000, "0.0000025"),
            ("15", 1_000_000, "0.000015"),
            ("0.0028", 1_000_000, "0.0000000028"),
            ("0.08333333333333334", 1_000_000, "0.00000008333333333333334"),
            ("0.1", 1, "0.1"),
            ("10", 1_000, "0.01"),
            ("1e-1", 1_000_000, "0.0000001"),
            ("2.50E+1", 1_000_000, "0.000025"),
            ("0", 1_000_000, "0"),
            ("-0.0", 1_000_000, "0"),
            ("0.36", 3_600, "0.0001"),
            ("0.111", 3_600, "0.000030833333333333"),
        ] {
            assert_eq!(price(json, per).as_deref(), Ok(expected), "{json} per {per}");
        }
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for (json, reason) in [
            ("-0.1", "negative"),
            ("1e30", "cannot be held"),
            ("1e10", "more than any price"),
            ("1e-40", "cannot be held"),
            ("0.0000000000000000000000000000001", "cannot be held"),
            ("0.00000000000000000000000001", "more decimals"),
            ("\"NaN\"", "not a number"),
            ("\"2.5\"", "not a number"),
            ("true", "not a number"),
            ("[]", "not a number"),
        ] {
            let refused = price(json, 1_000_000).unwrap_err();
            assert!(refused.contains(reason), "{json}: {refused}");
        }
    }
}
