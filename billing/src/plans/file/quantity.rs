//! `[[plan.quantity]]`: units that are included, and tiers by how many were used.

use domain::plan::{Counted, QuantityRule, QuantityTier, Terms};
use rust_decimal::Decimal;
use toml::de::DeValue;

use crate::prices::Fault;
use crate::prices::own_file::{digits, shown, unit_price_of};
use crate::toml_table::{Table, name, percentage, tables, up_to_all};

/// More units than anybody uses in a month; sums stay far inside their types.
const QUANTITY_MAX: u64 = 1_000_000_000_000_000;

pub(super) fn quantity(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Option<QuantityRule> {
    let before = faults.len();
    let mut rule = QuantityRule {
        name: String::new(),
        counts: Counted::Tokens,
        provider: None,
        model: None,
        included: 0,
        tiers: Vec::new(),
        volume: false,
    };
    let mut counts = None;
    table.each(faults, |(key, value), faults| {
        match key {
            "name" => rule.name = name(value)?,
            "unit" => {
                let stated = name(value)?;
                counts = Some(Counted::named(&stated).ok_or_else(|| unknown_unit(&stated))?);
            }
            "provider" => rule.provider = Some(name(value)?.to_lowercase()),
            "model" => rule.model = Some(name(value)?.to_lowercase()),
            "included" => rule.included = count(value)?,
            "tiers" => match value {
                DeValue::String(word) if word == "volume" => rule.volume = true,
                DeValue::String(word) if word == "graduated" => rule.volume = false,
                other => return Err(format!("tiers must be graduated or volume, not {}", shown(other))),
            },
            "tier" => tables(value, "plan.quantity.tier", table.lines, faults, |table, faults| {
                rule.tiers.extend(tier(&table, faults));
            }),
            other => {
                return Err(format!(
                    "{other} is not known here; expected name, unit, provider, model, included, tiers, [[plan.quantity.tier]]"
                ));
            }
        }
        Ok(())
    });
    if rule.name.is_empty() || (counts.is_none() && faults.len() == before) {
        table.fault("[[plan.quantity]] states a name and a unit", faults);
    }
    rule.tiers.sort_by_key(|tier| tier.above);
    if rule.tiers.windows(2).any(|pair| pair[0].above == pair[1].above) {
        table.fault("two tiers begin at the same quantity", faults);
    }
    if rule.included == 0 && rule.tiers.is_empty() && faults.len() == before {
        table.fault("it includes nothing and has no tiers", faults);
    }
    rule.counts = counts.unwrap_or(rule.counts);
    (faults.len() == before).then_some(rule)
}

fn tier(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Option<QuantityTier> {
    let before = faults.len();
    let (mut above, mut discount, mut price, mut per) = (None, None, None, 1_u32);
    table.each(faults, |(key, value), _| {
        match key {
            "above" => above = Some(count(value)?),
            "discount_percent" => discount = Some(up_to_all(percentage(value)?)?),
            "price" => price = Some(digits(value)?),
            "per" => {
                per = u32::try_from(count(value)?)
                    .ok()
                    .filter(|per| *per > 0)
                    .ok_or("per must be 1 or more")?;
            }
            other => {
                return Err(format!(
                    "{other} is not known in a tier; expected above, and discount_percent or price and per"
                ));
            }
        }
        Ok(())
    });
    let terms: Option<Result<Terms, String>> = match (discount, price) {
        (Some(percent), None) => Some(Ok(Terms::Discount(percent))),
        (None, Some(price)) => Some(unit_price_of(&price, per).map(|price: Decimal| Terms::Price(price))),
        _ => None,
    };
    match (above, terms) {
        (Some(above), Some(Ok(terms))) if faults.len() == before => Some(QuantityTier { above, terms }),
        (_, Some(Err(problem))) => {
            table.fault(&problem, faults);
            None
        }
        _ => {
            if faults.len() == before {
                table.fault("a tier states above, and either discount_percent or price", faults);
            }
            None
        }
    }
}

fn count(value: &DeValue<'_>) -> Result<u64, String> {
    let text = digits(value)?;
    let count = text.parse().ok().filter(|count| *count <= QUANTITY_MAX);
    count.ok_or_else(|| format!("{text:?} is no quantity; expected a whole number up to {QUANTITY_MAX}"))
}

fn unknown_unit(stated: &str) -> String {
    let stated: String = stated.chars().take(60).collect();
    let classes: Vec<&str> = domain::price::UnitClass::all().map(domain::price::UnitClass::name).collect();
    format!(
        "{stated:?} is no unit known here; expected tokens, input_tokens, output_tokens, calls, or one of {}",
        classes.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    const PLAN: &str = "[[plan]]\nname = \"p\"\n[[plan.quantity]]\n";

    #[test]
    fn a_rule_says_what_is_counted_and_what_it_does() {
        let text = format!(
            "{PLAN}name = \"free\"\nunit = \"requests\"\nmodel = \"GPT-4o*\"\nincluded = 1_000\ntiers = \"volume\"\n\
             [[plan.quantity.tier]]\nabove = 5000\nprice = \"2.50\"\nper = 1_000_000\n[[plan.quantity.tier]]\nabove = 2000\ndiscount_percent = 5\n"
        );
        let file = read(text.as_bytes(), Some("USD")).unwrap();
        let rule = &file.plans["p"].monthly.quantities[0];
        assert_eq!((rule.counts, rule.included, rule.volume), (Counted::Calls, 1_000, true));
        assert_eq!(rule.model.as_deref(), Some("gpt-4o*"));
        let terms: Vec<Terms> = rule.tiers.iter().map(|tier| tier.terms).collect();
        assert_eq!(terms, [Terms::Discount(Decimal::from(5)), Terms::Price("0.0000025".parse().unwrap())]);
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_line() {
        for (text, line, problem) in [
            ("name = \"a\"\nincluded = 1\n", 3, "states a name and a unit"),
            ("unit = \"tokens\"\nincluded = 1\n", 3, "states a name and a unit"),
            ("name = \"a\"\nunit = \"smells\"\n", 5, "is no unit known here"),
            ("name = \"a\"\nunit = \"tokens\"\n", 3, "includes nothing and has no tiers"),
            ("name = \"a\"\nunit = \"tokens\"\nincluded = -1\n", 6, "is no quantity"),
            ("name = \"a\"\nunit = \"tokens\"\nincluded = 1e30\n", 6, "is no quantity"),
            (
                "name = \"a\"\nunit = \"tokens\"\n[[plan.quantity.tier]]\nabove = 1\n",
                6,
                "either discount_percent or price",
            ),
            (
                "name = \"a\"\nunit = \"tokens\"\n[[plan.quantity.tier]]\nabove = 1\nprice = -1\n",
                6,
                "is negative",
            ),
        ] {
            let refused = read(format!("{PLAN}{text}").as_bytes(), Some("USD")).unwrap_err();
            let crate::prices::PriceFileError::Faults(faults) = refused else { panic!("{refused}") };
            let found = faults
                .iter()
                .any(|fault| fault.at == format!("line {line}") && fault.problem.contains(problem));
            assert!(found, "{text}: {faults:?}");
        }
    }
}
