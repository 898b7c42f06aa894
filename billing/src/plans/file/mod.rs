//! Plan files: TOML, described in `docs/plans.md`.

mod plan;
mod quantity;
mod who;
mod parties;

use std::collections::BTreeMap;

use domain::invoice::{Customer, Issuer, TaxRate};
use domain::plan::{Assignment, Assignments, CreditGrant, Exemption, Plan};
use toml::de::{DeTable, DeValue};

use crate::prices::own_file::{Lines, shown};
use crate::prices::{Fault, PriceFileError, utf8};
use crate::toml_table::{Table, tables};
use parties::{customer, issuer, tax};
use plan::plan;
use who::{assignment, credit, exemption};

/// What a plan file says.
#[derive(Debug, Clone, Default)]
pub struct PlanFile {
    /// By name.
    pub plans: BTreeMap<String, Plan>,
    /// Whose plan is which.
    pub assignments: Assignments,
    /// Credits given.
    pub credits: Vec<CreditGrant>,
    /// Environments that are not invoiced.
    pub exemptions: Vec<Exemption>,
    /// Taxes that invoices end with.
    pub taxes: Vec<TaxRate>,
    /// Who sends the invoices.
    pub issuer: Issuer,
    /// To whom they are addressed, by tenant.
    pub customers: BTreeMap<String, Customer>,
}

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
            ("issuer", DeValue::Table(table)) => {
                file.issuer = issuer(&Table { table, line, lines: &lines }, &mut faults);
            }
            ("customer", value) => tables(value, "customer", &lines, &mut faults, |table, faults| {
                if let Some((tenant, customer)) = customer(&table, faults)
                    && file.customers.insert(tenant, customer).is_some()
                {
                    table.fault("this tenant is a customer already", faults);
                }
            }),
            ("not_invoiced", value) => tables(value, "not_invoiced", &lines, &mut faults, |table, faults| {
                file.exemptions.extend(exemption(&table, faults));
            }),
            ("tax", value) => tables(value, "tax", &lines, &mut faults, |table, faults| {
                let Some(tax) = tax(&table, faults) else { return };
                if file.taxes.contains(&tax) {
                    table.fault("this tax stands twice", faults);
                }
                file.taxes.push(tax);
            }),
            (key, _) => fault(format!(
                "{key} is not known here; expected currency, [issuer] and tables [[plan]], [[assign]], [[credit]], [[not_invoiced]], [[tax]], [[customer]]"
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
