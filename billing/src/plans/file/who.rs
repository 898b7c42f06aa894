//! `[[assign]]`, `[[credit]]` and `[[not_invoiced]]`: whose plan is which, who has money to use up, and what costs nothing.

use domain::money::Cost;
use domain::plan::{Assignment, CreditGrant, Exemption};

use crate::prices::Fault;
use crate::toml_table::{Table, amount, month, name, some_months};

pub(super) fn assignment(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Option<Assignment> {
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

pub(super) fn credit(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Option<CreditGrant> {
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

pub(super) fn exemption(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Option<Exemption> {
    let before = faults.len();
    let mut exemption = Exemption { tenant: None, environment: String::new(), from: None, to: None };
    table.each(faults, |(key, value), _| {
        match key {
            "tenant" => exemption.tenant = Some(name(value)?),
            "environment" => exemption.environment = name(value)?,
            "from" => exemption.from = Some(month(value)?),
            "to" => exemption.to = Some(month(value)?),
            other => {
                return Err(format!("{other} is not known here; expected environment, tenant, from and to"));
            }
        }
        Ok(())
    });
    if exemption.environment.is_empty() {
        table.fault("[[not_invoiced]] states an environment", faults);
    }
    some_months(exemption.from, exemption.to, table, faults);
    exemption.tenant.take_if(|tenant| tenant == "*");
    (faults.len() == before).then_some(exemption)
}
