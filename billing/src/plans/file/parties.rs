//! `[issuer]`, `[[customer]]` and `[[tax]]`: whose names and addresses stand on an invoice, and what it ends with.

use domain::invoice::{Customer, Issuer, TaxRate};
use rust_decimal::Decimal;
use toml::de::DeValue;

use crate::prices::Fault;
use crate::prices::own_file::shown;
use crate::toml_table::{Table, month, name, percentage, some_months, text, up_to_all};

/// An address has at most so many lines.
const ADDRESS_LINES_MAX: usize = 10;

pub(super) fn issuer(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Issuer {
    let mut issuer = Issuer::default();
    table.each(faults, |(key, value), _| {
        match key {
            "name" => issuer.name = name(value)?,
            "address" => issuer.address = address(value)?,
            "tax_id" => issuer.tax_id = text(value)?,
            "terms" => issuer.terms = text(value)?,
            other => {
                return Err(format!("{other} is not known here; expected name, address, tax_id and terms"));
            }
        }
        Ok(())
    });
    if issuer.name.is_empty() {
        table.fault("[issuer] states a name", faults);
    }
    issuer
}

pub(super) fn customer(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Option<(String, Customer)> {
    let before = faults.len();
    let mut tenant = String::new();
    let mut customer = Customer::default();
    table.each(faults, |(key, value), _| {
        match key {
            "tenant" => tenant = name(value)?,
            "name" => customer.name = name(value)?,
            "address" => customer.address = address(value)?,
            "tax_id" => customer.tax_id = text(value)?,
            other => {
                return Err(format!("{other} is not known here; expected tenant, name, address and tax_id"));
            }
        }
        Ok(())
    });
    if tenant.is_empty() {
        table.fault("a customer states its tenant", faults);
    }
    (faults.len() == before).then_some((tenant, customer))
}

pub(super) fn tax(table: &Table<'_, '_>, faults: &mut Vec<Fault>) -> Option<TaxRate> {
    let before = faults.len();
    let mut percent = None;
    let mut tax = TaxRate { tenant: None, name: String::new(), percent: Decimal::ZERO, from: None, to: None };
    table.each(faults, |(key, value), _| {
        match key {
            "tenant" => tax.tenant = Some(name(value)?),
            "name" => tax.name = name(value)?,
            "percent" => percent = Some(up_to_all(percentage(value)?)?),
            "from" => tax.from = Some(month(value)?),
            "to" => tax.to = Some(month(value)?),
            other => {
                return Err(format!(
                    "{other} is not known here; expected tenant, name, percent, from and to"
                ));
            }
        }
        Ok(())
    });
    let everyone = table.table.iter().any(|(key, _)| key.get_ref() == "tenant");
    if tax.name.is_empty() || percent.is_none() || !everyone {
        table.fault("a tax states tenant (\"*\" for every other), name and percent", faults);
    }
    some_months(tax.from, tax.to, table, faults);
    tax.tenant.take_if(|tenant| tenant == "*");
    tax.percent = percent.unwrap_or_default();
    (faults.len() == before).then_some(tax)
}

fn address(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let DeValue::Array(lines) = value else {
        return Err(format!("an address is a list of lines, not {}", shown(value)));
    };
    if lines.len() > ADDRESS_LINES_MAX {
        return Err(format!("an address has at most {ADDRESS_LINES_MAX} lines"));
    }
    lines.iter().map(|line| text(line.get_ref())).collect()
}
