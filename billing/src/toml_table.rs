//! Tables of the TOML files that people write, plans and exchange rates: walking them key by key, with the line of every
//! fault, and reading the values they hold.

use chrono::NaiveDate;
use domain::money::{Cost, Currency};
use domain::time::BillingPeriod;
use rust_decimal::Decimal;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::prices::Fault;
use crate::prices::own_file::{Lines, digits, shown};

/// A table, and where its keys stand.
pub(crate) struct Table<'t, 'i> {
    pub(crate) table: &'t DeTable<'i>,
    pub(crate) line: usize,
    pub(crate) lines: &'t Lines,
}

pub(crate) type Item<'t, 'i> = (&'t str, &'t DeValue<'i>);

/// Names of plans, tenants and credits are at most so long.
const NAME_MAX: usize = 10_240;

/// Beyond ten thousand percent a percentage is a slip.
const PERCENT_MAX: Decimal = Decimal::from_parts(10_000, 0, 0, false, 0);

pub(crate) fn tables<'t, 'i>(
    value: &'t DeValue<'i>,
    what: &str,
    lines: &'t Lines,
    faults: &mut Vec<Fault>,
    mut each: impl FnMut(Table<'t, 'i>, &mut Vec<Fault>),
) {
    let DeValue::Array(items) = value else {
        let problem = format!("{what} must be tables [[{what}]], not {}", shown(value));
        faults.push(Fault { at: "the file".into(), problem });
        return;
    };
    for item in items.iter() {
        let line = lines.at(item.span().start);
        match item.get_ref() {
            DeValue::Table(table) => each(Table { table, line, lines }, faults),
            other => {
                let problem = format!("expected a table [[{what}]], not {}", shown(other));
                faults.push(Fault { at: format!("line {line}"), problem });
            }
        }
    }
}

impl<'t, 'i> Table<'t, 'i> {
    pub(crate) fn fault(&self, problem: &str, faults: &mut Vec<Fault>) {
        faults.push(Fault { at: format!("line {}", self.line), problem: problem.to_string() });
    }

    pub(crate) fn each(
        &self,
        faults: &mut Vec<Fault>,
        mut take: impl FnMut(Item<'t, 'i>, &mut Vec<Fault>) -> Result<(), String>,
    ) {
        for (key, value) in self.table {
            let (line, value): (usize, &'t Spanned<DeValue<'i>>) = (self.lines.at(key.span().start), value);
            if let Err(problem) = take((key.get_ref(), value.get_ref()), faults) {
                faults.push(Fault { at: format!("line {line}"), problem });
            }
        }
    }
}

pub(crate) fn some_months(
    from: Option<BillingPeriod>,
    to: Option<BillingPeriod>,
    table: &Table<'_, '_>,
    faults: &mut Vec<Fault>,
) {
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        table.fault(
            "it ends before it holds: the second month is the first in which it no longer does",
            faults,
        );
    }
}

pub(crate) fn name(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if text.is_empty() => Err("a name must not be empty".to_string()),
        DeValue::String(text) if text.len() > NAME_MAX => Err(format!("a name is at most {NAME_MAX} bytes")),
        DeValue::String(text) => Ok(text.to_string()),
        other => Err(format!("a name must be a text, not {}", shown(other))),
    }
}

pub(crate) fn amount(value: &DeValue<'_>) -> Result<Cost, String> {
    let amount = Cost::parse(&digits(value)?).map_err(|error| error.to_string())?;
    if amount < Cost::ZERO { Err(format!("{amount} is negative")) } else { Ok(amount) }
}

pub(crate) fn percentage(value: &DeValue<'_>) -> Result<Decimal, String> {
    let text = digits(value)?;
    let percent = Decimal::from_str_exact(&text).map_err(|_| format!("{text:?} is no percentage"))?;
    if percent.is_sign_negative() && !percent.is_zero() || percent > PERCENT_MAX || percent.scale() > 6 {
        return Err(format!(
            "{text} is no percentage; expected 0 to {PERCENT_MAX}, with at most six decimals"
        ));
    }
    Ok(percent)
}

pub(crate) fn up_to_all(percent: Decimal) -> Result<Decimal, String> {
    if percent > Decimal::ONE_HUNDRED {
        return Err(format!("{percent} % is more than everything"));
    }
    Ok(percent)
}

pub(crate) fn currency(value: &DeValue<'_>) -> Result<Currency, String> {
    match value {
        DeValue::String(code) => Currency::parse(code).map_err(|error| error.to_string()),
        other => Err(format!("a currency is written \"EUR\", not {}", shown(other))),
    }
}

/// A day, with quotes or without.
pub(crate) fn day(value: &DeValue<'_>) -> Result<NaiveDate, String> {
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        other => return Err(format!("a day is written 2026-10-30, not {}", shown(other))),
    };
    let day = text.parse().ok().filter(|_| text.len() == 10);
    day.ok_or_else(|| {
        format!("{:?} is no day; it is written 2026-10-30", text.chars().take(40).collect::<String>())
    })
}

pub(crate) fn month(value: &DeValue<'_>) -> Result<BillingPeriod, String> {
    match value {
        DeValue::String(text) => BillingPeriod::parse(text).map_err(|error| error.to_string()),
        other => Err(format!("a month is written \"2026-10\", not {}", shown(other))),
    }
}

/// A text that may be empty.
pub(crate) fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if text.len() > NAME_MAX => Err(format!("a text is at most {NAME_MAX} bytes")),
        DeValue::String(text) => Ok(text.to_string()),
        other => Err(format!("expected a text, not {}", shown(other))),
    }
}
