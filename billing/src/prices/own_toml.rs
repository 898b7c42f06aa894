//! Own prices as TOML: tables `[[price]]`, described in `docs/prices.md`.

use std::collections::BTreeMap;

use domain::price::{Rate, Reach, Tier, UnitClass};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::number::unit_price_of;
use super::own::{Matching, NAME_MAX, OwnPrice};
use super::when::{hours, instant, stretch};

/// A key and its value, each with its place.
type Item<'t, 'i> = (&'t str, &'t Spanned<DeValue<'i>>);

/// Reads the prices of a file in a currency; what cannot be read is added to `faults`.
pub(super) fn read(text: &str, currency: &str, faults: &mut Vec<Fault>) -> Vec<OwnPrice> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let lines = Lines::of(text);
    for error in &errors {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        faults.push(Fault { at: format!("line {line}"), problem: error.message().to_string() });
    }
    if !errors.is_empty() {
        return Vec::new();
    }
    let mut prices = Vec::new();
    for (key, value) in document.get_ref() {
        let line = lines.at(key.span().start);
        let mut fault = |problem: String| faults.push(Fault { at: format!("line {line}"), problem });
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("currency", DeValue::String(stated)) if stated == currency => {}
            ("currency", stated) => fault(format!(
                "currency is {}, the ledger's is {currency} (billing.currency); convert the prices",
                shown(stated)
            )),
            ("price", DeValue::Array(tables)) => {
                for table in tables.iter() {
                    let line = lines.at(table.span().start);
                    match table.get_ref() {
                        DeValue::Table(table) => {
                            prices.extend(price(table, line, "[[price]]", &[], &lines, faults));
                        }
                        other => {
                            let problem = format!("a price is a table [[price]], not {}", shown(other));
                            faults.push(Fault { at: format!("line {line}"), problem });
                        }
                    }
                }
            }
            (key, _) => fault(format!("{key} is not known here; expected currency and tables [[price]]")),
        }
    }
    prices
}

/// One table of a price. `besides` are keys that belong to whoever asks.
pub(crate) fn price(
    table: &DeTable<'_>,
    line: usize,
    what: &str,
    besides: &[&str],
    lines: &Lines,
    faults: &mut Vec<Fault>,
) -> Option<OwnPrice> {
    let before = faults.len();
    let mut price = OwnPrice {
        line,
        provider: String::new(),
        model: String::new(),
        matching: Matching::Snapshots,
        valid: (None, None),
        hours: None,
        context: BTreeMap::new(),
        rates: BTreeMap::new(),
    };
    for (key, value) in table {
        let (line, key) = (lines.at(key.span().start), key.get_ref().as_ref());
        if besides.contains(&key) {
            continue;
        }
        if let Err(problem) = field(&mut price, (key, value)) {
            faults.push(Fault { at: format!("line {line}"), problem });
        }
    }
    let refused = faults.len() > before;
    let mut fault = |problem: &str| {
        faults.push(Fault { at: format!("line {line}"), problem: format!("this {what} {problem}") });
    };
    for (key, text) in [("provider", &price.provider), ("model", &price.model)] {
        let stated = table.iter().any(|(known, _)| known.get_ref() == key);
        if text.is_empty() && !stated && !besides.contains(&key) {
            fault(&format!("lacks {key}"));
        }
    }
    if price.rates.is_empty() && !refused {
        fault("states no price; a free unit is written as 0, for instance input_mtok = \"0\"");
    }
    if let Err(problem) = stretch(price.valid) {
        fault(&problem);
    }
    (faults.len() == before).then_some(price)
}

fn field(price: &mut OwnPrice, (key, value): Item<'_, '_>) -> Result<(), String> {
    let text = || match value.get_ref() {
        DeValue::String(text) if text.is_empty() => Err(format!("{key} is empty")),
        DeValue::String(text) if text.len() > NAME_MAX => {
            Err(format!("{key} is longer than {NAME_MAX} bytes"))
        }
        DeValue::String(text) => Ok(text.trim().to_lowercase()),
        other => Err(format!("{key} must be a text, not {}", shown(other))),
    };
    let time = || match value.get_ref() {
        DeValue::String(text) => instant(text),
        DeValue::Datetime(time) => instant(&time.to_string()),
        other => Err(format!("{key} must be a day or a time, not {}", shown(other))),
    };
    match key {
        "provider" => price.provider = text()?,
        "model" => price.model = text()?,
        "match" => price.matching = Matching::named(&text()?)?,
        "valid_from" => price.valid.0 = Some(time()?),
        "valid_to" => price.valid.1 = Some(time()?),
        "hours" => price.hours = Some(hours(&text()?)?),
        "service_tier" | "region" => {
            price.context.insert(key.to_string(), text()?);
        }
        "batch" => match value.get_ref() {
            DeValue::Boolean(true) => {
                price.context.insert("processing".into(), "batch".into());
            }
            DeValue::Boolean(false) => {}
            other => return Err(format!("batch must be true or false, not {}", shown(other))),
        },
        key => {
            let (class, per) = UnitClass::of_price_key(key).ok_or_else(|| unknown_unit(key))?;
            let rate = rate(value.get_ref(), per).map_err(|problem| format!("{key}: {problem}"))?;
            price.rates.insert(class, rate);
        }
    }
    Ok(())
}

/// What to say of a unit nobody knows.
pub(super) fn unknown_unit(key: &str) -> String {
    let shown: String = key.chars().take(60).collect();
    let known: Vec<&str> = UnitClass::price_keys().collect();
    format!("{shown:?} is no unit known here; expected one of {}", known.join(", "))
}

fn rate(value: &DeValue<'_>, per: u32) -> Result<Rate, String> {
    let DeValue::Table(table) = value else { return Ok(Rate::flat(unit_price_of(&digits(value)?, per)?)) };
    let field = |key: &str| table.iter().find(|(known, _)| known.get_ref() == key).map(|(_, v)| v.get_ref());
    let expected = "a price in tiers holds base and tiers, each with price and either above or beyond";
    let (Some(base), Some(DeValue::Array(tiers)), 2) = (field("base"), field("tiers"), table.len()) else {
        return Err(expected.to_string());
    };
    let mut read: Vec<Tier> = Vec::new();
    let mut reach = None;
    for tier in tiers.iter() {
        let DeValue::Table(tier) = tier.get_ref() else { return Err(expected.to_string()) };
        let field =
            |key: &str| tier.iter().find(|(known, _)| known.get_ref() == key).map(|(_, v)| v.get_ref());
        let (bound, its_reach) = match (field("above"), field("beyond")) {
            (Some(above), None) => (above, Reach::WholeCall),
            (None, Some(beyond)) => (beyond, Reach::UnitsBeyond),
            _ => return Err(expected.to_string()),
        };
        let (Some(price), 2) = (field("price"), tier.len()) else { return Err(expected.to_string()) };
        if *reach.get_or_insert(its_reach) != its_reach {
            return Err(ONE_REACH.to_string());
        }
        let above: u64 = digits(bound)?.parse().map_err(|_| "a bound must be a count".to_string())?;
        if read.iter().any(|tier| tier.above == above) {
            return Err(format!("two tiers begin at {above}"));
        }
        read.push(Tier { above, unit_price: unit_price_of(&digits(price)?, per)? });
    }
    let base = unit_price_of(&digits(base)?, per)?;
    Ok(Rate::with_tiers(base, read, reach.unwrap_or(Reach::WholeCall)))
}

/// A price with tiers of both kinds would depend on which is looked at first.
pub(super) const ONE_REACH: &str = "its tiers hold for the whole call (above) or for the units beyond (beyond), not some for this and some for that";

/// The digits of a number, however it is written: `2.5`, `"2.50"`, `1_000`.
pub(crate) fn digits(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.trim().to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
        DeValue::Float(number) => Ok(number.as_str().replace('_', "")),
        other => Err(format!("{} is not a number", shown(other))),
    }
}

/// A value for a message, cut short.
pub(crate) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
        DeValue::Integer(number) => number.as_str().to_string(),
        DeValue::Float(number) => number.as_str().to_string(),
        other => format!("a value of type {}", other.type_str()),
    }
}

/// Where the lines of a text begin.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    /// The line of a byte, from 1.
    pub(crate) fn at(&self, byte: usize) -> usize {
        1 + self.0.partition_point(|end| *end < byte)
    }
}
