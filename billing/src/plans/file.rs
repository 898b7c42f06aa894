//! Plan files: TOML, described in `docs/plans.md`.

use std::collections::BTreeMap;

use domain::money::Cost;
use domain::plan::{Assignment, Assignments, CreditGrant, DiscountTier, Monthly, Plan};
use domain::price::PriceBook;
use domain::time::BillingPeriod;
use rust_decimal::Decimal;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::prices::own_file::{Lines, digits, lists, price, shown};
use crate::prices::{Fault, PriceFileError, utf8};

/// What a plan file says.
#[derive(Debug, Clone, Default)]
pub struct PlanFile {
    /// By name.
    pub plans: BTreeMap<String, Plan>,
    /// Whose plan is which.
    pub assignments: Assignments,
    /// Credits given.
    pub credits: Vec<CreditGrant>,
}

/// A table, and where its keys stand.
struct Table<'t, 'i> {
    table: &'t DeTable<'i>,
    line: usize,
    lines: &'t Lines,
}

type Item<'t, 'i> = (&'t str, &'t DeValue<'i>);

/// Names of plans, tenants and credits are at most so long.
const NAME_MAX: usize = 10_240;

/// Beyond ten thousand percent a percentage is a slip.
const PERCENT_MAX: Decimal = Decimal::from_parts(10_000, 0, 0, false, 0);

/// Reads a plan file; one that states another currency than the ledger's is refused, where that is given. Every fault is
/// named, with its line.
pub fn read(bytes: &[u8], currency: Option<&str>) -> Result<PlanFile, PriceFileError> {
    let text = utf8(bytes)?;
    let lines = Lines::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut faults: Vec<Fault> = errors
        .iter()
        .map(|error| Fault {
            at: format!("line {}", error.span().map_or(1, |span| lines.at(span.start))),
            problem: error.message().to_string(),
        })
        .collect();
    if !faults.is_empty() {
        return Err(PriceFileError::Faults(faults));
    }
    let mut file = PlanFile::default();
    let mut assignments: Vec<(usize, Assignment)> = Vec::new();
    for (key, value) in document.get_ref() {
        let line = lines.at(key.span().start);
        let mut fault = |problem: String| faults.push(Fault { at: format!("line {line}"), problem });
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("currency", DeValue::String(stated)) if currency.is_none_or(|ledger| stated == ledger) => {}
            ("currency", stated) => {
                let ledger = currency.unwrap_or("another");
                fault(format!(
                    "currency is {}, the ledger's is {ledger}; convert the amounts",
                    shown(stated)
                ));
            }
            ("plan", value) => tables(value, "plan", &lines, &mut faults, |table, faults| {
                if let Some(plan) = plan(&table, faults)
                    && file.plans.insert(plan.name.clone(), plan).is_some()
                {
                    table.fault("this plan's name stands twice", faults);
                }
            }),
            ("assign", value) => tables(value, "assign", &lines, &mut faults, |table, faults| {
                assignments.extend(assignment(&table, faults).map(|assignment| (table.line, assignment)));
            }),
            ("credit", value) => tables(value, "credit", &lines, &mut faults, |table, faults| {
                let Some(credit) = credit(&table, faults) else { return };
                if file
                    .credits
                    .iter()
                    .any(|known| (&known.tenant, &known.name) == (&credit.tenant, &credit.name))
                {
                    table.fault("this credit's name stands twice for its tenant", faults);
                }
                file.credits.push(credit);
            }),
            (key, _) => fault(format!(
                "{key} is not known here; expected currency and tables [[plan]], [[assign]], [[credit]]"
            )),
        }
    }
    check(&file, &assignments, &mut faults);
    file.assignments = Assignments::new(assignments.into_iter().map(|(_, assignment)| assignment).collect());
    if faults.is_empty() { Ok(file) } else { Err(PriceFileError::Faults(faults)) }
}

/// What holds between tables: every plan that is assigned exists, no tenant has two at once.
fn check(file: &PlanFile, assignments: &[(usize, Assignment)], faults: &mut Vec<Fault>) {
    for (at, (line, one)) in assignments.iter().enumerate() {
        if !file.plans.contains_key(&one.plan) {
            let problem = format!("there is no plan {:?} in this file", one.plan);
            faults.push(Fault { at: format!("line {line}"), problem });
        }
        for (earlier, other) in assignments[..at].iter().filter(|(_, other)| other.tenant == one.tenant) {
            let apart =
                |a: &Assignment, b: &Assignment| a.to.is_some_and(|to| b.from.is_some_and(|from| to <= from));
            if !apart(one, other) && !apart(other, one) {
                let whose = one.tenant.as_deref().unwrap_or("every tenant");
                let problem =
                    format!("{whose:?} has a plan for the same months in line {earlier}; end one first");
                faults.push(Fault { at: format!("line {line}"), problem });
            }
        }
    }
}

fn tables<'t, 'i>(
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

fn plan(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Option<Plan> {
    let before = faults.len();
    let mut plan = Plan {
        name: String::new(),
        markup_percent: Decimal::ZERO,
        prices: None,
        monthly: Monthly::default(),
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
            "tiers" => match value {
                DeValue::String(word) if word == "volume" => monthly.volume = true,
                DeValue::String(word) if word == "graduated" => monthly.volume = false,
                other => return Err(format!("tiers must be graduated or volume, not {}", shown(other))),
            },
            "tier" => tables(value, "plan.tier", table.lines, faults, |table, faults| {
                tiers.extend(tier(&table, faults));
            }),
            "price" => tables(value, "plan.price", table.lines, faults, |table, faults| {
                let read = price(table.table, table.line, "[[plan.price]]", &[], table.lines, faults);
                if let Some(read) = &read
                    && read.rates.values().any(|rate| !rate.tiers().is_empty())
                {
                    table.fault("a plan's price has no tiers by the length of a prompt", faults);
                }
                prices.extend(read);
            }),
            other => {
                return Err(format!(
                    "{other} is not known in a plan; expected name, markup_percent, discount_percent, included, commitment, overage_percent, minimum, tiers, [[plan.tier]], [[plan.price]]"
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

fn assignment(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Option<Assignment> {
    let before = faults.len();
    let (mut tenant, mut plan) = (None, String::new());
    let (mut from, mut to) = (None, None);
    table.each(faults, |(key, value), _| {
        match key {
            "tenant" => tenant = Some(name(value)?),
            "plan" => plan = name(value)?,
            "from" => from = Some(month(value)?),
            "to" => to = Some(month(value)?),
            other => return Err(format!("{other} is not known here; expected tenant, plan, from and to")),
        }
        Ok(())
    });
    let everyone = table.table.iter().any(|(key, _)| key.get_ref() == "tenant");
    if plan.is_empty() || !everyone {
        table.fault("an assignment states tenant (\"*\" for every other) and plan", faults);
    }
    some_months(from, to, table, faults);
    let tenant = tenant.filter(|tenant| tenant != "*");
    (faults.len() == before).then_some(Assignment { tenant, plan, from, to })
}

fn credit(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Option<CreditGrant> {
    let before = faults.len();
    let mut credit = CreditGrant {
        tenant: String::new(),
        name: String::new(),
        amount: Cost::ZERO,
        from: None,
        expires: None,
    };
    table.each(faults, |(key, value), _| {
        match key {
            "tenant" => credit.tenant = name(value)?,
            "name" => credit.name = name(value)?,
            "amount" => credit.amount = amount(value)?,
            "from" => credit.from = Some(month(value)?),
            "expires" => credit.expires = Some(month(value)?),
            other => {
                return Err(format!(
                    "{other} is not known here; expected tenant, name, amount, from and expires"
                ));
            }
        }
        Ok(())
    });
    if credit.tenant.is_empty() || credit.name.is_empty() || credit.amount <= Cost::ZERO {
        table.fault("a credit states tenant, name and an amount above zero", faults);
    }
    some_months(credit.from, credit.expires, table, faults);
    (faults.len() == before).then_some(credit)
}

fn some_months(
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

impl<'t, 'i> Table<'t, 'i> {
    fn fault(&self, problem: &str, faults: &mut Vec<Fault>) {
        faults.push(Fault { at: format!("line {}", self.line), problem: problem.to_string() });
    }

    fn each(
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

fn name(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if text.is_empty() => Err("a name must not be empty".to_string()),
        DeValue::String(text) if text.len() > NAME_MAX => Err(format!("a name is at most {NAME_MAX} bytes")),
        DeValue::String(text) => Ok(text.to_string()),
        other => Err(format!("a name must be a text, not {}", shown(other))),
    }
}

fn amount(value: &DeValue<'_>) -> Result<Cost, String> {
    let amount = Cost::parse(&digits(value)?).map_err(|error| error.to_string())?;
    if amount < Cost::ZERO { Err(format!("{amount} is negative")) } else { Ok(amount) }
}

fn percentage(value: &DeValue<'_>) -> Result<Decimal, String> {
    let text = digits(value)?;
    let percent = Decimal::from_str_exact(&text).map_err(|_| format!("{text:?} is no percentage"))?;
    if percent.is_sign_negative() && !percent.is_zero() || percent > PERCENT_MAX || percent.scale() > 6 {
        return Err(format!(
            "{text} is no percentage; expected 0 to {PERCENT_MAX}, with at most six decimals"
        ));
    }
    Ok(percent)
}

fn up_to_all(percent: Decimal) -> Result<Decimal, String> {
    if percent > Decimal::ONE_HUNDRED {
        return Err(format!("a discount of {percent} % is more than everything"));
    }
    Ok(percent)
}

fn month(value: &DeValue<'_>) -> Result<BillingPeriod, String> {
    match value {
        DeValue::String(text) => BillingPeriod::parse(text).map_err(|error| error.to_string()),
        other => Err(format!("a month is written \"2026-10\", not {}", shown(other))),
    }
}
