//! `[[plan]]`: what a tenant is charged, and what is made of its month.

use domain::plan::{DiscountTier, Monthly, Plan};
use domain::price::PriceBook;
use rust_decimal::Decimal;
use toml::de::DeValue;

use super::quantity::quantity;
use crate::prices::Fault;
use crate::prices::own_file::{lists, price, shown};
use crate::toml_table::{Table, amount, currency, name, percentage, tables, up_to_all};

pub(super) fn plan(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Option<Plan> {
    let before = faults.len();
    let mut plan = Plan {
        name: String::new(),
        markup_percent: Decimal::ZERO,
        prices: None,
        monthly: Monthly::default(),
        whole_coins: false,
        invoice_currency: None,
    };
    let (mut prices, mut tiers) = (Vec::new(), Vec::new());
    table.each(faults, |(key, value), faults| {
        let monthly = &mut plan.monthly;
        match key {
            "name" => plan.name = name(value)?,
            "markup_percent" => plan.markup_percent = percentage(value)?,
            "discount_percent" => monthly.discount_percent = up_to_all(percentage(value)?)?,
            "included" => monthly.included = amount(value)?,
            "commitment" => monthly.commitment = amount(value)?,
            "overage_percent" => monthly.overage_percent = percentage(value)?,
            "minimum" => monthly.minimum = amount(value)?,
            "round" => match value {
                DeValue::String(word) if word == "coin" => plan.whole_coins = true,
                other => return Err(format!("round must be coin, not {}", shown(other))),
            },
            "invoice_currency" => plan.invoice_currency = Some(currency(value)?),
            "tiers" => match value {
                DeValue::String(word) if word == "volume" => monthly.volume = true,
                DeValue::String(word) if word == "graduated" => monthly.volume = false,
                other => return Err(format!("tiers must be graduated or volume, not {}", shown(other))),
            },
            "tier" => tables(value, "plan.tier", table.lines, faults, |table, faults| {
                tiers.extend(tier(&table, faults));
            }),
            "quantity" => tables(value, "plan.quantity", table.lines, faults, |table, faults| {
                let Some(rule) = quantity(&table, faults) else { return };
                if monthly.quantities.iter().any(|known| known.name == rule.name) {
                    table.fault("this quantity's name stands twice in its plan", faults);
                }
                monthly.quantities.push(rule);
            }),
            "price" => tables(value, "plan.price", table.lines, faults, |table, faults| {
                let read = price(table.table, table.line, "[[plan.price]]", &[], table.lines, faults);
                if let Some(read) = &read
                    && read.rates.values().any(|rate| !rate.tiers().is_empty())
                {
                    table.fault("a plan's price has no tiers by the length of a prompt", faults);
                }
                if read.as_ref().is_some_and(|read| read.hours.is_some()) {
                    table.fault("a plan's price holds all day; leave hours out", faults);
                }
                prices.extend(read);
            }),
            other => {
                return Err(format!(
                    "{other} is not known in a plan; expected name, markup_percent, discount_percent, included, commitment, overage_percent, minimum, round, invoice_currency, tiers, [[plan.tier]], [[plan.quantity]], [[plan.price]]"
                ));
            }
        }
        Ok(())
    });
    if plan.name.is_empty() {
        table.fault("this plan lacks a name", faults);
    }
    tiers.sort_by_key(|tier: &DiscountTier| tier.above);
    if tiers.windows(2).any(|pair| pair[0].above == pair[1].above) {
        table.fault("two tiers of this plan begin at the same amount", faults);
    }
    plan.monthly.tiers = tiers;
    if !prices.is_empty() {
        let providers = lists(&prices, faults);
        if faults.len() == before {
            match PriceBook::new(providers) {
                Ok(book) => plan.prices = Some(book),
                Err(error) => table.fault(&error.to_string(), faults),
            }
        }
    }
    (faults.len() == before).then_some(plan)
}

fn tier(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Option<DiscountTier> {
    let (mut above, mut percent) = (None, None);
    table.each(faults, |(key, value), _| {
        match key {
            "above" => above = Some(amount(value)?),
            "discount_percent" => percent = Some(up_to_all(percentage(value)?)?),
            other => {
                return Err(format!("{other} is not known in a tier; expected above and discount_percent"));
            }
        }
        Ok(())
    });
    let tier = above.zip(percent).map(|(above, percent)| DiscountTier { above, percent });
    if tier.is_none() {
        table.fault("a tier states above and discount_percent", faults);
    }
    tier
}
