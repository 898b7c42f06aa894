//! `[issuer]` and `[[customer]]`: whose names and addresses stand on an invoice.

use domain::invoice::{Customer, Issuer};
use toml::de::DeValue;

use super::table::{Table, name, text};
use crate::prices::Fault;
use crate::prices::own_file::shown;

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

fn address(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let DeValue::Array(lines) = value else {
        return Err(format!("an address is a list of lines, not {}", shown(value)));
    };
    if lines.len() > ADDRESS_LINES_MAX {
        return Err(format!("an address has at most {ADDRESS_LINES_MAX} lines"));
    }
    lines.iter().map(|line| text(line.get_ref())).collect()
}
