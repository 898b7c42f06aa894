//! From the digits in a price file to an exact price of one unit.
//!
//! A JSON reader makes floats of numbers, so [`keep_digits`] turns each number of a file into a marked text before it is
//! read; [`digits`] tells such a text from one that was a text in the file.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

/// The largest price that is believed, for whatever quantity it is stated. The dearest in use are some hundreds.
const PRICE_MAX: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

/// Decimals of a unit price where the quotient has no end (an hour has 3600 seconds). A million seconds are then priced
/// right to the twelfth decimal.
const UNIT_PRICE_DECIMALS: u32 = 18;

/// What marks a text that was a number in the file. No name or price of a file begins with it.
const MARK: char = '\u{1}';

/// The same JSON with every number as a marked text of its digits.
pub(crate) fn keep_digits(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + json.len() / 8);
    let mut rest = json;
    let (mut in_text, mut escaped) = (false, false);
    while let [byte, after @ ..] = rest {
        if !in_text && (byte.is_ascii_digit() || *byte == b'-') {
            let end =
                rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
            let (number, behind) = rest.split_at(end.unwrap_or(rest.len()));
            out.extend_from_slice(b"\"\\u0001");
            out.extend_from_slice(number);
            out.push(b'"');
            rest = behind;
            continue;
        }
        in_text ^= *byte == b'"' && !escaped;
        escaped = in_text && *byte == b'\\' && !escaped;
        out.push(*byte);
        rest = after;
    }
    out
}

/// The digits of what was a number in the file.
pub(crate) fn digits(value: &Value) -> Option<&str> {
    value.as_str()?.strip_prefix(MARK)
}

/// What was a text in the file.
pub(crate) fn as_text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.starts_with(MARK))
}

/// The price of one unit, given the price of `per` units. Exact where `per` is a power of ten, else rounded half to
/// even at eighteen decimals.
pub(super) fn unit_price(value: &Value, per: u32) -> Result<Decimal, String> {
    let Some(text) = digits(value) else {
        return Err(format!("{} is not a number", brief(value)));
    };
    unit_price_of(text, per)
}

/// The price of one unit, given the digits of the price of `per` units.
pub(crate) fn unit_price_of(digits: &str, per: u32) -> Result<Decimal, String> {
    let price = decimal(digits)?;
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

/// A number by its digits.
fn decimal(text: &str) -> Result<Decimal, String> {
    let shown = || text.chars().take(60).collect::<String>();
    if text.is_empty()
        || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
    {
        return Err(format!("{:?} is not a number", shown()));
    }
    let exponent = text.contains(['e', 'E']);
    let parsed = if exponent { Decimal::from_scientific(text) } else { Decimal::from_str_exact(text) };
    parsed.map_err(|_| format!("{} cannot be held exactly", shown()))
}

/// A value for an error message, cut short.
pub(super) fn brief(value: &Value) -> String {
    let text = digits(value).map_or_else(|| value.to_string(), str::to_string);
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
        unit_price(&serde_json::from_slice(&keep_digits(json.as_bytes())).unwrap(), per)
            .map(|price| price.to_string())
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
