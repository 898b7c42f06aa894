//! What must not matter: order, copies, and the portions in which evidence is settled; and that what was posted keeps its id.

use std::collections::BTreeMap;

use domain::resolve::{Resolution, Rules, SpanRef, resolve};
use domain::{CallId, Evidence};

use crate::book::{Book, components, target};
use crate::random::Random;

/// Holds evidence, which resolves to `once`, to all of it.
pub fn hold(
    evidence: &[Evidence],
    once: &Resolution,
    rules: &Rules,
    random: &mut Random,
) -> Result<(), String> {
    any_order(evidence, once, rules, random)?;
    any_portion(evidence, once, rules, random)
}

/// Order and copies change nothing; nor does it whether sets that nothing ties are resolved together.
fn any_order(
    evidence: &[Evidence],
    once: &Resolution,
    rules: &Rules,
    random: &mut Random,
) -> Result<(), String> {
    let mixed = mixed(evidence, random);
    if resolve(&mixed, rules) != *once {
        return Err("another order, or copies, change what is resolved".into());
    }
    let mut calls = Vec::new();
    for component in components(&mixed) {
        calls.extend(resolve(component, rules).calls);
    }
    calls.sort_by_key(|call| call.winner);
    if calls != once.calls {
        return Err("closed sets resolved one by one differ from all resolved together".into());
    }
    Ok(())
}

/// Settled after each of some portions, the ledger ends as if settled once.
fn any_portion(
    evidence: &[Evidence],
    once: &Resolution,
    rules: &Rules,
    random: &mut Random,
) -> Result<(), String> {
    let mixed = mixed(evidence, random);
    let mut book = Book::default();
    let mut known = 0;
    // Mostly a few portions; now and then as small as can be.
    let most = if random.chance(5) { 1 } else { mixed.len() as i64 / 2 + 1 };
    while known < mixed.len() {
        known = (known + random.between(1, most) as usize).min(mixed.len());
        let before = book.ids();
        book.settle(&mixed[..known], rules);
        let after = |wrong: String| format!("after {known} of {}: {wrong}", mixed.len());
        book.lines().map_err(after)?;
        keeps_ids(&before, &book.ids(), &resolve(&mixed[..known], rules)).map_err(after)?;
    }
    let mut wanted: Vec<_> = once.calls.iter().map(target).collect();
    wanted.sort_by(|a, b| a.0.cmp(&b.0));
    if book.lines()? != wanted {
        return Err("settled in portions, the ledger is another than settled once".into());
    }
    match book.settle(&mixed, rules) {
        0 => Ok(()),
        posted => Err(format!("settling again posts {posted} entries")),
    }
}

/// A posted call keeps the id it was first posted under; of posted calls that turn out to be one, the smallest stays.
fn keeps_ids(
    before: &BTreeMap<SpanRef, CallId>,
    after: &BTreeMap<SpanRef, CallId>,
    resolution: &Resolution,
) -> Result<(), String> {
    for call in &resolution.calls {
        let first = call.members.iter().filter_map(|member| before.get(member)).min();
        let stands = after.get(&call.winner);
        if first.is_some() && stands != first {
            return Err(format!("{:?} was posted as {first:?} and stands as {stands:?}", call.winner));
        }
    }
    Ok(())
}

/// The evidence in another order, some of it twice.
fn mixed(evidence: &[Evidence], random: &mut Random) -> Vec<Evidence> {
    let mut mixed: Vec<Evidence> = evidence.to_vec();
    mixed.extend(evidence.iter().filter(|_| random.chance(20)).cloned().collect::<Vec<_>>());
    random.shuffle(&mut mixed);
    mixed
}
