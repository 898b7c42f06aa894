//! What was resolved against what happened.

use std::collections::BTreeSet;

use domain::resolve::{Metering, Outcome, Resolution, ResolvedCall, SpanRef};
use domain::{TokenClass, Usage};

use crate::stage::{Payer, TrueCall, Truth};

/// A call in the words in which both sides are compared.
type Words = ([u64; 8], Vec<(String, u64)>, Metering, Payer);

fn words(usage: &Usage, metering: Metering, payer: Payer) -> Words {
    let units = usage.units.iter().map(|(unit, count)| (unit.clone(), *count)).collect();
    (TokenClass::ALL.map(|class| usage.count(class)), units, metering, payer)
}

fn happened(call: &TrueCall) -> Words {
    words(&call.known, call.metering, call.payer.clone())
}

fn resolved(call: &ResolvedCall) -> Words {
    let dimensions = &call.dimensions;
    let payer = Payer { tenant: dimensions.tenant.clone(), feature: dimensions.feature.clone() };
    words(&call.usage, call.metering, payer)
}

/// The differences, in words; none where there are none.
pub fn differences(truth: &Truth, resolution: &Resolution) -> Result<(), String> {
    let mut wanted: Vec<Words> = truth.calls.iter().map(happened).collect();
    let mut found: Vec<Words> = resolution.calls.iter().map(resolved).collect();
    wanted.sort();
    found.sort();
    same("calls", &wanted, &found)?;
    let outcomes = |outcome: Outcome| -> BTreeSet<SpanRef> {
        let of = resolution.outcomes.iter().filter(|one| one.outcome == outcome);
        of.map(|one| one.span).collect()
    };
    same("wrappers", &truth.wrappers, &outcomes(Outcome::Wrapper))?;
    same("failed attempts", &truth.failed, &outcomes(Outcome::NotBillable))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, found: &T) -> Result<(), String> {
    match wanted == found {
        true => Ok(()),
        false => Err(format!("{what} differ\n  happened {wanted:?}\n  resolved {found:?}")),
    }
}
