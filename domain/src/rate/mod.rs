//! Rating: a usage and a rate card in, money out, line by line.
//!
//! A usage states wholes and parts (`input` includes what was cached); a bill needs each unit once. [`exact_units`]
//! splits the one into the other, [`rate`] prices it. Both are pure: `verify` recomputes any entry from its usage and
//! its price id.
//!
//! The rules, which are those of the price data:
//! - each unit is priced by the rate of its narrowest class, where there is none by the nearest wider class's: cached
//!   tokens without a price of their own are prompt tokens;
//! - reasoning is part of the output and a line of its own only where the card prices it apart;
//! - a tier for the whole call is chosen by the length of the whole prompt and holds for all units of the call;
//! - a tier for the units beyond it makes two lines of a class: the prompt is counted from its beginning, where what the
//!   cache held stands first, then what was written to it, then the rest; every other class is counted by itself;
//! - a class that was used and that no rate covers makes the call unpriced: a missing price is not zero;
//! - each line is rounded once, to twelve decimals (see [`Cost::of`]); the call costs the sum of its lines.
//!
//! One rule is ours: where audio and cached tokens are both stated, and nobody says how many are both, as few are as
//! the whole prompt allows. What is assumed so is counted in [`Rated::assumed_overlap`].

mod split;

use rust_decimal::Decimal;

use crate::money::Cost;
use crate::price::{RateCard, UnitClass, UnitPart, Unpriced};
use crate::usage::Usage;

/// What a call costs, and how that came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rated {
    /// One line for each exact class that was used, or part of it beyond a bound, wider classes first; no line has
    /// quantity zero.
    pub lines: Vec<RatedUnit>,
    /// The sum of the lines.
    pub cost: Cost,
    /// The prompt length that the call exceeds, where that changed a price.
    pub tier: Option<u64>,
    /// Units counted as two kinds at once because the prompt is too short for them to be apart.
    pub assumed_overlap: u64,
}

/// One line of a rated call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatedUnit {
    /// The exact class, or its part.
    pub unit: UnitPart,
    /// How many.
    pub quantity: u64,
    /// What one costs.
    pub unit_price: Decimal,
    /// What they cost.
    pub cost: Cost,
}

/// A usage with each unit in exactly one class.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExactUnits {
    /// Class and quantity, wider classes first; never a zero.
    pub units: Vec<(UnitClass, u64)>,
    /// Units that no class here stands for, by the name they came with; never a zero.
    pub unknown: Vec<(String, u64)>,
    /// Units counted as two kinds at once because the whole is too small for them to be apart.
    pub assumed_overlap: u64,
}

/// Splits a usage into exact classes, as `card` prices it; without a card as calls of unknown price are recorded, with
/// reasoning inside the output.
pub fn exact_units(usage: &Usage, card: Option<&RateCard>) -> Result<ExactUnits, Unpriced> {
    split::split(usage, card)
}

/// What a call with this usage costs by this card.
pub fn rate(usage: &Usage, card: &RateCard) -> Result<Rated, Unpriced> {
    if let Some(price_key) = card.rates.unsupported_tokens() {
        let (provider, model) = (card.provider.clone(), card.model.clone());
        return Err(Unpriced::RateUnsupported { provider, model, price_key: price_key.to_string() });
    }
    let no_rate = |unit: &str| Unpriced::NoRate {
        provider: card.provider.clone(),
        model: card.model.clone(),
        unit: unit.to_string(),
    };
    let exact = exact_units(usage, Some(card))?;
    if let Some((unit, _)) = exact.unknown.first() {
        return Err(no_rate(unit));
    }
    let in_prompt = |(unit, quantity): &(UnitClass, u64)| if unit.is_prompt_token() { *quantity } else { 0 };
    let prompt_tokens = exact.units.iter().map(in_prompt).fold(0, u64::saturating_add);
    let mut rated = Rated {
        lines: Vec::with_capacity(exact.units.len()),
        cost: Cost::ZERO,
        tier: None,
        assumed_overlap: exact.assumed_overlap,
    };
    for (unit, quantity) in &exact.units {
        let (unit, rate) = (*unit, card.rates.covering(*unit).ok_or_else(|| no_rate(unit.name()))?);
        let (price, tier) = rate.unit_price(prompt_tokens);
        rated.tier = rated.tier.max(tier);
        for (beyond, quantity) in rate.parts(before(unit, &exact.units), *quantity) {
            let unit_price = beyond.and_then(|bound| rate.price_beyond(bound)).unwrap_or(price);
            let cost = Cost::of(quantity, unit_price).ok_or(Unpriced::OutOfRange { unit, quantity })?;
            rated.cost = rated.cost.checked_add(cost).ok_or(Unpriced::OutOfRange { unit, quantity })?;
            rated.lines.push(RatedUnit {
                unit: UnitPart { class: unit, beyond },
                quantity,
                unit_price,
                cost,
            });
        }
    }
    Ok(rated)
}

/// How much of the prompt stands before the units of a class; nothing for what is not of the prompt.
fn before(unit: UnitClass, units: &[(UnitClass, u64)]) -> u64 {
    let Some(place) = unit.place_in_prompt() else { return 0 };
    let stands_before = |(other, _): &&(UnitClass, u64)| {
        other.place_in_prompt().is_some_and(|others| (others, *other) < (place, unit))
    };
    units.iter().filter(stands_before).map(|(_, quantity)| *quantity).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests;
