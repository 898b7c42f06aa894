//! Rate files: TOML, described in `docs/exchange-rates.md`.

use chrono::{Datelike, NaiveDate};
use domain::money::{Currency, ExchangeRate, RateTable, StatedRate};
use domain::time::BillingPeriod;
use rust_decimal::Decimal;
use toml::de::{DeTable, DeValue};

use crate::prices::own_file::{Lines, digits};
use crate::prices::{Fault, PriceFileError, utf8};
use crate::toml_table::{Table, currency, day, month, name, tables};

/// A unit of no currency known here is worth more than some thousands of another's.
const RATE_MAX: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

/// Decimals of a rate; central banks state four to six.
const RATE_DECIMALS_MAX: u32 = 12;

/// A table `[[rate]]` as far as it was read.
#[derive(Default)]
struct Read {
    base: Option<Currency>,
    quote: Option<Currency>,
    rate: Option<Decimal>,
    date: Option<NaiveDate>,
    until: Option<BillingPeriod>,
    source: Option<String>,
}

/// Reads a rate file; a rate of another currency than the ledger's is refused, where that is given. Every fault is named,
/// with its line.
pub fn read(bytes: &[u8], ledger: Option<&str>) -> Result<RateTable, PriceFileError> {
    let text = utf8(bytes)?;
    let lines = Lines::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let at = |line: usize| format!("line {line}");
    if !errors.is_empty() {
        let fault = |error: &toml::de::Error| Fault {
            at: at(error.span().map_or(1, |span| lines.at(span.start))),
            problem: error.message().to_string(),
        };
        return Err(PriceFileError::Faults(errors.iter().map(fault).collect()));
    }
    let mut faults = Vec::new();
    let mut everywhere = None;
    let mut read: Vec<(usize, Read)> = Vec::new();
    for (key, value) in document.get_ref() {
        let line = lines.at(key.span().start);
        let mut fault = |problem: String| faults.push(Fault { at: at(line), problem });
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("source", value) => match name(value) {
                Ok(source) => everywhere = Some(source),
                Err(problem) => fault(problem),
            },
            ("rate", value) => tables(value, "rate", &lines, &mut faults, |table, faults| {
                read.extend(rate(&table, ledger, faults).map(|rate| (table.line, rate)));
            }),
            (key, _) => {
                fault(format!("{key} is not known here; expected source and tables [[rate]]"));
            }
        }
    }
    let rates = stated(read, everywhere.as_deref(), &mut faults);
    // In the order of the file, in which people go through them.
    faults.sort_by_key(|fault| fault.at.strip_prefix("line ").and_then(|line| line.parse::<usize>().ok()));
    if faults.is_empty() { Ok(RateTable::new(rates)) } else { Err(PriceFileError::Faults(faults)) }
}

/// One table, each key by itself; `None` where one of them says nothing that can be used.
fn rate(table: &Table<'_, '_>, ledger: Option<&str>, faults: &mut Vec<Fault>) -> Option<Read> {
    let before = faults.len();
    let mut read = Read::default();
    table.each(faults, |(key, value), _| {
        match key {
            "base" => {
                let base = currency(value)?;
                if let Some(ledger) = ledger.filter(|ledger| *ledger != base.code()) {
                    return Err(format!(
                        "base is {base}, the ledger's currency is {ledger} (billing.currency); a rate is not turned round, state how much one {ledger} is"
                    ));
                }
                read.base = Some(base);
            }
            "quote" => read.quote = Some(currency(value)?),
            "rate" => read.rate = Some(positive(value)?),
            "date" => read.date = Some(day(value)?),
            "until" => read.until = Some(month(value)?),
            "source" => read.source = Some(name(value)?),
            other => {
                return Err(format!(
                    "{other} is not known here; expected base, quote, rate, date, until and source"
                ));
            }
        }
        Ok(())
    });
    (faults.len() == before).then_some(read)
}

fn positive(value: &DeValue<'_>) -> Result<Decimal, String> {
    let text = digits(value)?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let rate = Decimal::from_str_exact(&text).ok().filter(|_| plain && !text.is_empty());
    match rate.map(|rate| rate.normalize()) {
        Some(rate) if rate > Decimal::ZERO && rate <= RATE_MAX && rate.scale() <= RATE_DECIMALS_MAX => {
            Ok(rate)
        }
        _ => Err(format!(
            "{:?} is no rate; expected a number above 0, at most {RATE_MAX}, with at most {RATE_DECIMALS_MAX} decimals",
            text.chars().take(60).collect::<String>()
        )),
    }
}

/// What holds of whole tables and between them.
fn stated(read: Vec<(usize, Read)>, everywhere: Option<&str>, faults: &mut Vec<Fault>) -> Vec<StatedRate> {
    let mut rates: Vec<(usize, StatedRate)> = Vec::new();
    for (line, read) in read {
        let mut fault = |problem: String| faults.push(Fault { at: format!("line {line}"), problem });
        let Read { base: Some(base), quote: Some(quote), rate: Some(rate), date: Some(date), .. } = read
        else {
            fault("a rate states base, quote, rate and date".into());
            continue;
        };
        let Some(source) = read.source.or_else(|| everywhere.map(str::to_string)) else {
            fault("nobody states this rate; name a source here, or once at the top of the file".into());
            continue;
        };
        // What a table can hold of days.
        if !(1970..2149).contains(&date.year()) {
            fault(format!("{date} is no day that a rate is of"));
            continue;
        }
        if base == quote {
            fault(format!("{base} in {quote} needs no rate"));
            continue;
        }
        let until = read.until.unwrap_or(BillingPeriod::of_day(date).next());
        let rate = StatedRate { rate: ExchangeRate { base, quote, rate, date, source }, until };
        if until <= BillingPeriod::of_day(date) {
            fault("it ends before it holds: until is the first month it is not used for any more".into());
            continue;
        }
        let same = |known: &&(usize, StatedRate)| {
            let (one, other) = (&known.1.rate, &rate.rate);
            (one.base, one.quote, one.date) == (other.base, other.quote, other.date)
        };
        match rates.iter().find(same) {
            Some((first, _)) => {
                fault(format!("{base} in {quote} has a rate of {date} in line {first}; which one is meant?"));
            }
            None => rates.push((line, rate)),
        }
    }
    rates.into_iter().map(|(_, rate)| rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
source = "ECB euro reference rates"
[[rate]]
base = "USD"
quote = "EUR"
rate = 0.857_1
date = 2026-10-30
[[rate]]
base = "USD"
quote = "JPY"
rate = "149.50"
date = "2026-10-01"
until = "2027-01"
source = "contract 7"
"#;

    #[test]
    fn a_file_states_rates_their_days_and_who_says_so() {
        let table = read(TWO.as_bytes(), Some("USD")).unwrap();
        let shown: Vec<String> =
            table.iter().map(|stated| format!("{} until {}", stated.rate.terms(), stated.until)).collect();
        assert_eq!(
            shown,
            [
                "1 USD = 0.8571 EUR (ECB euro reference rates, 2026-10-30) until 2026-11",
                "1 USD = 149.5 JPY (contract 7, 2026-10-01) until 2027-01"
            ]
        );
        assert_eq!(read(b"source = \"nobody\"\n", None).unwrap(), RateTable::default(), "rates taken back");
    }

    #[test]
    fn what_is_no_rate_is_refused_with_its_line() {
        let good = "base = \"USD\"\nquote = \"EUR\"\nrate = 0.9\ndate = 2026-10-30\nsource = \"x\"\n";
        let faults = |text: &str| match read(text.as_bytes(), Some("USD")) {
            Err(PriceFileError::Faults(faults)) => faults,
            other => panic!("{text}: {other:?}"),
        };
        // Lines are counted from the header of the table, which is line 1.
        for (from, to, line, problem) in [
            ("rate = 0.9", "rate = 0", 4, "is no rate"),
            ("rate = 0.9", "rate = -0.9", 4, "is no rate"),
            ("rate = 0.9", "rate = 1e30", 4, "is no rate"),
            ("rate = 0.9", "rate = nan", 4, "is no rate"),
            ("rate = 0.9", "rate = inf", 4, "is no rate"),
            ("rate = 0.9", "rate = \"0,9\"", 4, "is no rate"),
            ("rate = 0.9", "rate = \"\"", 4, "is no rate"),
            ("rate = 0.9", "rate = 0.0000000000001", 4, "is no rate"),
            ("rate = 0.9", "rate = 1000001", 4, "is no rate"),
            ("rate = 0.9", "rate = true", 4, "is not a number"),
            ("rate = 0.9", "rate = 0x10", 4, "is not a number"),
            ("rate = 0.9\n", "", 1, "states base, quote, rate and date"),
            ("quote = \"EUR\"", "quote = \"eur\"", 3, "is not a currency"),
            ("quote = \"EUR\"", "quote = \"XAU\"", 3, "is not a currency"),
            ("quote = \"EUR\"", "quote = 978", 3, "a currency is written"),
            ("quote = \"EUR\"", "quote = \"USD\"", 1, "needs no rate"),
            ("base = \"USD\"", "base = \"GBP\"", 2, "is not turned round"),
            ("date = 2026-10-30", "date = 2026-02-30", 5, "day"),
            ("date = 2026-10-30", "date = 1923-11-20", 1, "no day that a rate is of"),
            ("date = 2026-10-30", "date = \"30.10.2026\"", 5, "is no day"),
            ("date = 2026-10-30", "date = 2026-10-30T12:00:00Z", 5, "is no day"),
            ("date = 2026-10-30", "date = 2026-10-30\nuntil = \"2026-10\"", 1, "ends before it holds"),
            ("date = 2026-10-30", "date = 2026-10-30\nuntil = \"2026\"", 6, "is not a month"),
            ("source = \"x\"\n", "", 1, "nobody states this rate"),
            ("source = \"x\"", "source = \"\"", 6, "must not be empty"),
            ("source = \"x\"", "smell = \"x\"", 6, "smell is not known here"),
        ] {
            let found = faults(&format!("[[rate]]\n{}", good.replace(from, to)));
            let named = found
                .iter()
                .any(|fault| fault.at == format!("line {line}") && fault.problem.contains(problem));
            assert!(named, "{to}: {found:?}");
        }
        assert!(faults("rate = 0.9\n")[0].problem.contains("must be tables [[rate]]"));
        assert!(faults("rates = 0.9\n")[0].problem.contains("expected source and tables [[rate]]"));
        assert!(faults("[[rate]\n")[0].at.contains("line 1"));
        let twice = format!("[[rate]]\n{good}[[rate]]\n{}", good.replace("0.9", "0.8"));
        assert_eq!(
            faults(&twice)[0].to_string(),
            "line 7: USD in EUR has a rate of 2026-10-30 in line 1; which one is meant?"
        );
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let text = "sauce = 1\n[[rate]]\nbase = \"US\"\nrate = -1\n[[rate]]\nquote = \"EUR\"\n";
        let Err(PriceFileError::Faults(faults)) = read(text.as_bytes(), Some("USD")) else { panic!("read") };
        let lines: Vec<&str> = faults.iter().map(|fault| fault.at.as_str()).collect();
        assert_eq!(lines, ["line 1", "line 3", "line 4", "line 5"], "{faults:?}");
    }
}
