//! The currencies that invoices may be written in.

use std::fmt;

use super::Rounding;

/// A currency that invoices may be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Currency {
    /// Australian dollar.
    Aud,
    /// Brazilian real.
    Brl,
    /// Canadian dollar.
    Cad,
    /// Swiss franc.
    Chf,
    /// Chinese yuan.
    Cny,
    /// Euro.
    Eur,
    /// Pound sterling.
    Gbp,
    /// Indian rupee.
    Inr,
    /// Japanese yen.
    Jpy,
    /// South Korean won.
    Krw,
    /// Kuwaiti dinar.
    Kwd,
    /// Swedish krona.
    Sek,
    /// United States dollar: what the bundled prices are in.
    Usd,
}

/// A text that is not a known currency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a currency known here; expected one of {known}", known = Currency::codes())]
pub struct ParseCurrencyError {
    text: String,
}

impl Currency {
    /// Every currency, by code.
    pub const ALL: [Self; 13] = [
        Self::Aud,
        Self::Brl,
        Self::Cad,
        Self::Chf,
        Self::Cny,
        Self::Eur,
        Self::Gbp,
        Self::Inr,
        Self::Jpy,
        Self::Krw,
        Self::Kwd,
        Self::Sek,
        Self::Usd,
    ];

    /// The ISO 4217 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Aud => "AUD",
            Self::Brl => "BRL",
            Self::Cad => "CAD",
            Self::Chf => "CHF",
            Self::Cny => "CNY",
            Self::Eur => "EUR",
            Self::Gbp => "GBP",
            Self::Inr => "INR",
            Self::Jpy => "JPY",
            Self::Krw => "KRW",
            Self::Kwd => "KWD",
            Self::Sek => "SEK",
            Self::Usd => "USD",
        }
    }

    /// Decimals of the smallest coin, by ISO 4217.
    pub fn decimals(self) -> u32 {
        match self {
            Self::Jpy | Self::Krw => 0,
            Self::Kwd => 3,
            _ => 2,
        }
    }

    /// How what is written on an invoice is rounded to the smallest coin: to the nearest, the exact middle away from
    /// zero, as tax offices and spreadsheets round. The same for every currency known here.
    pub fn rounding(self) -> Rounding {
        Rounding::HalfAwayFromZero
    }

    /// Reads an ISO 4217 code in upper case.
    pub fn parse(code: &str) -> Result<Self, ParseCurrencyError> {
        Self::ALL
            .into_iter()
            .find(|known| known.code() == code)
            .ok_or_else(|| ParseCurrencyError { text: code.chars().take(20).collect() })
    }

    fn codes() -> String {
        Self::ALL.map(Self::code).join(", ")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_is_known_by_its_code_in_upper_case() {
        for currency in Currency::ALL {
            assert_eq!(Currency::parse(currency.code()), Ok(currency));
        }
        assert!(Currency::parse("usd").unwrap_err().to_string().contains("USD"));
    }
}
