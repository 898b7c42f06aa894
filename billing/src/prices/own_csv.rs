//! Own prices as CSV: a row a rate, described in `docs/prices.md`.

use std::collections::BTreeMap;

use csv::StringRecord;
use domain::price::{Rate, Reach, Tier, UnitClass};
use domain::time::EventTime;
use rust_decimal::Decimal;

use super::fault::Fault;
use super::number::unit_price_of;
use super::own::{Matching, NAME_MAX, OwnPrice};
use super::own_toml::{ONE_REACH, unknown_unit};
use super::when::{hours, instant, stretch};

/// The columns that must be there, then those that may be.
const COLUMNS: [&str; 14] = [
    "provider",
    "model",
    "unit",
    "price",
    "match",
    "above",
    "beyond",
    "valid_from",
    "valid_to",
    "hours",
    "service_tier",
    "region",
    "batch",
    "currency",
];
const REQUIRED: usize = 4;

/// From, to, and the hours of the day.
type When = ((Option<EventTime>, Option<EventTime>), Option<(u64, u64)>);

/// What makes rows one price: who, what, when and in which context.
type Key = (String, String, Matching, When, BTreeMap<String, String>);

/// The rates of a price as they are found, the base price apart from the tiers.
#[derive(Debug, Default)]
struct Found {
    line: usize,
    base: BTreeMap<UnitClass, Decimal>,
    tiers: BTreeMap<UnitClass, (Reach, Vec<Tier>)>,
}

/// Reads the prices of a file in a currency; what cannot be read is added to `faults`.
pub(super) fn read(text: &str, currency: &str, faults: &mut Vec<Fault>) -> Vec<OwnPrice> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let Some(header) = header(&mut reader, faults) else { return Vec::new() };
    let mut prices: BTreeMap<Key, Found> = BTreeMap::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(1, csv::Position::line);
                faults
                    .push(Fault { at: format!("line {line}"), problem: "not a row like its header".into() });
                continue;
            }
        };
        let line = record.position().map_or(1, |at| usize::try_from(at.line()).unwrap_or(usize::MAX));
        let row = Row { header: &header, record: &record };
        if let Err(problem) = row.take(line, currency, &mut prices) {
            faults.push(Fault { at: format!("line {line}"), problem });
        }
    }
    let mut read = Vec::new();
    for ((provider, model, matching, (valid, hours), context), found) in prices {
        let mut rates = BTreeMap::new();
        for (class, base) in &found.base {
            let rate = match found.tiers.get(class) {
                Some((reach, tiers)) => Rate::with_tiers(*base, tiers.clone(), *reach),
                None => Rate::flat(*base),
            };
            rates.insert(*class, rate);
        }
        for class in found.tiers.keys().filter(|class| !found.base.contains_key(class)) {
            let problem = format!("{class} of {model} has tiers and no price below them");
            faults.push(Fault { at: format!("line {}", found.line), problem });
        }
        read.push(OwnPrice { line: found.line, provider, model, matching, valid, hours, context, rates });
    }
    read
}

fn header(reader: &mut csv::Reader<&[u8]>, faults: &mut Vec<Fault>) -> Option<Vec<String>> {
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(|name| name.trim().to_lowercase()).collect(),
        Err(error) => {
            faults.push(Fault { at: "line 1".into(), problem: error.to_string() });
            return None;
        }
    };
    let before = faults.len();
    let mut fault = |problem: String| faults.push(Fault { at: "line 1".into(), problem });
    for (at, name) in header.iter().enumerate() {
        if !COLUMNS.contains(&name.as_str()) {
            fault(format!("column {name:?} is not known here; expected some of {}", COLUMNS.join(", ")));
        }
        if header[..at].contains(name) {
            fault(format!("column {name:?} stands twice"));
        }
    }
    for name in COLUMNS[..REQUIRED].iter().filter(|name| !header.iter().any(|known| known == *name)) {
        fault(format!("column {name:?} is missing"));
    }
    (faults.len() == before).then_some(header)
}

struct Row<'r> {
    header: &'r [String],
    record: &'r StringRecord,
}

impl Row<'_> {
    fn cell(&self, column: &str) -> &str {
        let at = self.header.iter().position(|name| name == column);
        at.and_then(|at| self.record.get(at)).unwrap_or_default().trim()
    }

    fn name(&self, column: &str) -> Result<String, String> {
        let text = self.cell(column);
        if text.len() > NAME_MAX {
            return Err(format!("{column} is longer than {NAME_MAX} bytes"));
        }
        Ok(text.to_lowercase())
    }

    fn take(&self, line: usize, currency: &str, prices: &mut BTreeMap<Key, Found>) -> Result<(), String> {
        let required = |column: &str| {
            let name = self.name(column)?;
            if name.is_empty() { Err(format!("{column} is empty")) } else { Ok(name) }
        };
        let (provider, model) = (required("provider")?, required("model")?);
        if ![currency, ""].contains(&self.cell("currency")) {
            let stated = self.name("currency")?;
            return Err(format!("currency is {stated:?}, the ledger's is {currency}; convert the price"));
        }
        let matching = Matching::named(self.cell("match"))?;
        let time = |column: &str| match self.cell(column) {
            "" => Ok(None),
            text => instant(text).map(Some),
        };
        let valid = (time("valid_from")?, time("valid_to")?);
        stretch(valid).map_err(|problem| format!("the price {problem}"))?;
        let daily = match self.cell("hours") {
            "" => None,
            text => Some(hours(text)?),
        };
        let mut context = BTreeMap::new();
        for column in ["service_tier", "region"] {
            let stated = self.name(column)?;
            if !stated.is_empty() {
                context.insert(column.to_string(), stated);
            }
        }
        match self.cell("batch") {
            "true" => drop(context.insert("processing".into(), "batch".into())),
            "" | "false" => {}
            other => return Err(format!("batch must be true or false, not {other:?}")),
        }
        let unit = self.cell("unit");
        let (class, per) = UnitClass::of_price_key(unit).ok_or_else(|| unknown_unit(unit))?;
        let unit_price = unit_price_of(self.cell("price"), per)?;
        let found = prices
            .entry((provider, model, matching, (valid, daily), context))
            .or_insert_with(|| Found { line, ..Found::default() });
        let twice = || {
            format!(
                "{unit} of this price stands in an earlier line too (the price begins in line {})",
                found.line
            )
        };
        let (bound, reach) = match (self.cell("above"), self.cell("beyond")) {
            ("", "") => {
                let twice = twice();
                return match found.base.insert(class, unit_price) {
                    Some(_) => Err(twice),
                    None => Ok(()),
                };
            }
            (above, "") => (above, Reach::WholeCall),
            ("", beyond) => (beyond, Reach::UnitsBeyond),
            _ => return Err(ONE_REACH.to_string()),
        };
        let above: u64 = bound.parse().map_err(|_| format!("a bound must be a count, not {bound:?}"))?;
        let twice = twice();
        let (known, tiers) = found.tiers.entry(class).or_insert((reach, Vec::new()));
        if *known != reach {
            return Err(ONE_REACH.to_string());
        }
        if tiers.iter().any(|tier| tier.above == above) {
            return Err(twice);
        }
        tiers.push(Tier { above, unit_price });
        Ok(())
    }
}
