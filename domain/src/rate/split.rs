//! From wholes and parts to exact classes: what is left of each whole when its parts are taken out.

use super::ExactUnits;
use crate::price::{RateCard, UnitClass, Unpriced};
use crate::usage::{TokenClass, Usage};

/// What is stated of each class, and later what is left of it.
type Counts = [Option<u64>; UnitClass::COUNT];

pub(super) fn split(usage: &Usage, card: Option<&RateCard>) -> Result<ExactUnits, Unpriced> {
    let mut exact = ExactUnits::default();
    let stated = stated(usage, card, &mut exact.unknown)?;
    let classes: Vec<UnitClass> =
        UnitClass::all().filter(|class| stated[*class as usize].is_some()).collect();
    let mut left = stated;
    // Narrow classes first: what is left of them is what wider ones lose.
    for class in classes.iter().rev() {
        let Some(whole) = stated[*class as usize] else { continue };
        let parts: u64 = UnitClass::all()
            .filter(|part| class.is_ancestor_of(*part))
            .filter_map(|part| left[part as usize])
            .fold(0, u64::saturating_add);
        let missing = parts.saturating_sub(whole);
        let overlap = overlap_in(*class, missing, &classes, &stated, &mut left);
        if overlap < missing {
            return Err(Unpriced::UsageInconsistent { unit: *class, stated: whole });
        }
        exact.assumed_overlap += overlap;
        left[*class as usize] = Some(whole.saturating_sub(parts));
    }
    exact.units = UnitClass::all()
        .filter_map(|class| left[class as usize].filter(|count| *count > 0).map(|count| (class, count)))
        .collect();
    Ok(exact)
}

/// The counts by class. A class stated twice is refused: neither statement is better.
fn stated(
    usage: &Usage,
    card: Option<&RateCard>,
    unknown: &mut Vec<(String, u64)>,
) -> Result<Counts, Unpriced> {
    let mut counts: Counts = [None; UnitClass::COUNT];
    for class in TokenClass::ALL {
        counts[unit_of(class) as usize] = usage.get(class);
    }
    let reasoning_apart = card.is_some_and(|card| card.rates.get(UnitClass::Reasoning).is_some());
    if counts[UnitClass::Output as usize].is_some() && !reasoning_apart {
        counts[UnitClass::Reasoning as usize] = None;
    }
    for (name, quantity) in usage.units.iter().filter(|(_, quantity)| **quantity > 0) {
        let Some(unit) = UnitClass::named(name) else {
            unknown.push((name.clone(), *quantity));
            continue;
        };
        if counts[unit as usize].replace(*quantity).is_some_and(|known| known != *quantity) {
            return Err(Unpriced::UsageInconsistent { unit, stated: *quantity });
        }
    }
    if let Some(card) = card {
        if card.rates.get(UnitClass::Requests).is_some() {
            counts[UnitClass::Requests as usize].get_or_insert(1);
        }
        for (unit, least) in &card.minimums {
            counts[*unit as usize] =
                counts[*unit as usize].map(|count| if count == 0 { 0 } else { count.max(*least) });
        }
    }
    Ok(counts)
}

/// Moves up to `missing` units of `whole` from two overlapping parts to what is both, so that they fit. Returns how many.
fn overlap_in(
    whole: UnitClass,
    missing: u64,
    classes: &[UnitClass],
    stated: &Counts,
    left: &mut Counts,
) -> u64 {
    let mut moved = 0;
    for (at, one) in classes.iter().enumerate() {
        for other in &classes[at + 1..] {
            if moved == missing {
                return moved;
            }
            let within = whole.is_ancestor_of(*one) && whole.is_ancestor_of(*other) && one.overlaps(*other);
            let Some(both) = one.overlap(*other).filter(|both| within && stated[*both as usize].is_none())
            else {
                continue;
            };
            let [of_one, of_other, of_both] =
                [*one, *other, both].map(|class| left[class as usize].unwrap_or(0));
            let share = (missing - moved).min(of_one).min(of_other);
            left[*one as usize] = Some(of_one - share);
            left[*other as usize] = Some(of_other - share);
            left[both as usize] = Some(of_both + share);
            moved += share;
        }
    }
    moved
}

fn unit_of(class: TokenClass) -> UnitClass {
    match class {
        TokenClass::Input => UnitClass::Input,
        TokenClass::CacheRead => UnitClass::CacheRead,
        TokenClass::CacheWrite => UnitClass::CacheWrite5m,
        TokenClass::CacheWrite1h => UnitClass::CacheWrite1h,
        TokenClass::Output => UnitClass::Output,
        TokenClass::Reasoning => UnitClass::Reasoning,
        TokenClass::AudioInput => UnitClass::AudioInput,
        TokenClass::AudioOutput => UnitClass::AudioOutput,
    }
}
