//! A rate card: what one model's units cost, over one stretch of time, in one context.

use std::collections::BTreeMap;
use std::fmt;

use rust_decimal::Decimal;

use super::id::PriceId;
use super::unit::UnitClass;
use super::unit_part::UnitPart;
use crate::identity::IdHasher;
use crate::time::EventTime;

/// What one unit of a class costs, in the book's currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    base: Decimal,
    /// By `above`, ascending.
    tiers: Vec<Tier>,
    reach: Reach,
}

/// Another price than the base price, from a size on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// The size that must be exceeded, in units.
    pub above: u64,
    /// What one unit costs then.
    pub unit_price: Decimal,
}

/// What the tiers of a rate hold for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The whole call, when its prompt is longer than the tier's bound.
    WholeCall,
    /// The units beyond the bound, and no others: the rest keeps the price below. Units of the prompt are counted from
    /// its beginning, all others by themselves.
    UnitsBeyond,
}

/// Rates by class, and the keys of the price data that no class here stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rates {
    /// Sorted by class, each once.
    rates: Vec<(UnitClass, Rate)>,
    /// Keys of the price data that are not understood, sorted.
    unsupported: Vec<String>,
}

/// A text that is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a rate; expected a price and its tiers, for instance 0.000003; 0.000006 above 200000"
)]
pub struct ParseRateError {
    text: String,
}

/// What makes a set of rates unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RatesError {
    /// A rate for a part, none for the whole: the rest of the whole would cost nothing.
    #[error("there is a rate for {part} but none for {whole}; state both")]
    WholeMissing {
        /// The class with a rate.
        part: UnitClass,
        /// The wider class without.
        whole: UnitClass,
    },
    /// Rates for two overlapping classes, none for what is of both kinds: its price would be a guess.
    #[error("there are rates for {one} and {other} but none for what is both; state it too")]
    OverlapMissing {
        /// One class with a rate.
        one: UnitClass,
        /// The other.
        other: UnitClass,
    },
    /// A rate below zero.
    #[error("the rate for {unit} is negative")]
    Negative {
        /// Its class.
        unit: UnitClass,
    },
}

/// Hours of each UTC day, in nanoseconds since midnight: from the first up to, not including, the second.
pub type DailyHours = (u64, u64);

/// What one model's units cost, over one stretch of time, in one context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateCard {
    /// Its name on ledger entries.
    pub price_id: PriceId,
    /// The book's name of the provider that publishes these rates.
    pub provider: String,
    /// The book's name of the model.
    pub model: String,
    /// The first instant it holds; `None` for ever before.
    pub valid_from: Option<EventTime>,
    /// The first instant it no longer holds; `None` for ever after.
    pub valid_to: Option<EventTime>,
    /// The hours of the day it holds; empty for all day.
    pub daily: Vec<DailyHours>,
    /// What must be known of the call for it to hold (`service_tier`, `processing`, …); empty for standard rates.
    pub context: BTreeMap<String, String>,
    /// What a unit of each class costs.
    pub rates: Rates,
    /// The least that is billed of a class once anything of it is used.
    pub minimums: Vec<(UnitClass, u64)>,
}

impl Rate {
    /// One price whatever the size of the call.
    pub fn flat(unit_price: Decimal) -> Self {
        Self { base: unit_price, tiers: Vec::new(), reach: Reach::WholeCall }
    }

    /// A base price and the tiers that replace it for the whole call, in any order.
    pub fn tiered(base: Decimal, tiers: Vec<Tier>) -> Self {
        Self::with_tiers(base, tiers, Reach::WholeCall)
    }

    /// A base price and tiers of this reach, in any order.
    pub fn with_tiers(base: Decimal, mut tiers: Vec<Tier>, reach: Reach) -> Self {
        tiers.sort_by_key(|tier| tier.above);
        // Without tiers there is nothing to reach: equal rates are written alike.
        let reach = if tiers.is_empty() { Reach::WholeCall } else { reach };
        Self { base, tiers, reach }
    }

    /// What its tiers hold for.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// The price of one unit in a call with a prompt of so many tokens, and the tier where that is chosen for the whole
    /// call. Units beyond a bound have prices of their own: [`Rate::parts`].
    pub fn unit_price(&self, prompt_tokens: u64) -> (Decimal, Option<u64>) {
        let chosen = self.tiers.iter().rev().find(|tier| prompt_tokens > tier.above);
        match chosen.filter(|_| self.reach == Reach::WholeCall) {
            Some(tier) => (tier.unit_price, Some(tier.above)),
            None => (self.base, None),
        }
    }

    /// The price of one unit beyond a bound; `None` where no tier begins there.
    pub fn price_beyond(&self, bound: u64) -> Option<Decimal> {
        let begins = |tier: &&Tier| tier.above == bound && self.reach == Reach::UnitsBeyond;
        self.tiers.iter().find(begins).map(|tier| tier.unit_price)
    }

    /// So many units, of which `before` others come first, by the bound that they lie beyond. No part is empty.
    pub fn parts(&self, before: u64, quantity: u64) -> Vec<(Option<u64>, u64)> {
        if self.reach == Reach::WholeCall {
            return vec![(None, quantity)];
        }
        let end = before.saturating_add(quantity);
        let starts = std::iter::once((None, 0)).chain(self.tiers.iter().map(|t| (Some(t.above), t.above)));
        let ends = self.tiers.iter().map(|tier| tier.above).chain([u64::MAX]);
        let part = |((bound, start), stop): ((Option<u64>, u64), u64)| {
            (bound, stop.min(end).saturating_sub(start.max(before)))
        };
        starts.zip(ends).map(part).filter(|(_, quantity)| *quantity > 0).collect()
    }

    /// The price of one unit in a small call.
    pub fn base(&self) -> Decimal {
        self.base
    }

    /// The tiers, by size.
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Result<Self, ParseRateError> {
        let refuse = || ParseRateError { text: text.chars().take(120).collect() };
        let price = |digits: &str| Decimal::from_str_exact(digits).map_err(|_| refuse());
        let mut parts = text.split("; ");
        let base = price(parts.next().unwrap_or_default())?;
        let reach = if text.contains(BEYOND) { Reach::UnitsBeyond } else { Reach::WholeCall };
        let tier = |part: &str| {
            let (digits, above) = part.split_once(reach.word()).ok_or_else(refuse)?;
            Ok(Tier { above: above.parse().map_err(|_| refuse())?, unit_price: price(digits)? })
        };
        Ok(Self::with_tiers(base, parts.map(tier).collect::<Result<_, _>>()?, reach))
    }

    fn is_negative(&self) -> bool {
        self.base < Decimal::ZERO || self.tiers.iter().any(|tier| tier.unit_price < Decimal::ZERO)
    }
}

const BEYOND: &str = " beyond ";

impl Reach {
    /// What stands between a price and its bound.
    fn word(self) -> &'static str {
        match self {
            Self::WholeCall => " above ",
            Self::UnitsBeyond => BEYOND,
        }
    }
}

/// `0.000003`, and with tiers `0.000003; 0.000006 above 200000`; `beyond` where they hold for the units beyond alone.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.base.normalize())?;
        self.tiers.iter().try_for_each(|tier| {
            write!(f, "; {}{}{}", tier.unit_price.normalize(), self.reach.word(), tier.above)
        })
    }
}

impl Rates {
    /// Takes rates as they stand; [`Rates::check`] judges them, since a variant alone may be a part of a set.
    pub fn new(rates: BTreeMap<UnitClass, Rate>, mut unsupported: Vec<String>) -> Self {
        unsupported.sort_unstable();
        Self { rates: rates.into_iter().collect(), unsupported }
    }

    /// Holds a full set to its laws: nothing negative, wholes have rates where parts do, overlaps where both sides do.
    pub fn check(&self) -> Result<(), RatesError> {
        if let Some((unit, _)) = self.rates.iter().find(|(_, rate)| rate.is_negative()) {
            return Err(RatesError::Negative { unit: *unit });
        }
        for (at, (part, _)) in self.rates.iter().enumerate() {
            if let Some(whole) = UnitClass::all().find(|c| c.is_ancestor_of(*part) && self.get(*c).is_none())
            {
                return Err(RatesError::WholeMissing { part: *part, whole });
            }
            for (other, _) in &self.rates[at + 1..] {
                let priced = || part.overlap(*other).is_some_and(|both| self.get(both).is_some());
                if part.overlaps(*other) && !priced() {
                    return Err(RatesError::OverlapMissing { one: *part, other: *other });
                }
            }
        }
        Ok(())
    }

    /// The rate of exactly this class.
    pub fn get(&self, class: UnitClass) -> Option<&Rate> {
        self.rates.iter().find(|(known, _)| *known == class).map(|(_, rate)| rate)
    }

    /// The rate that covers this class: its own, else its nearest ancestor's. The laws of [`Rates::check`] make the
    /// nearest unique.
    pub fn covering(&self, class: UnitClass) -> Option<&Rate> {
        self.rates
            .iter()
            .filter(|(known, _)| *known == class || known.is_ancestor_of(class))
            .max_by_key(|(known, _)| known.narrowness())
            .map(|(_, rate)| rate)
    }

    /// All rates, by class.
    pub fn iter(&self) -> impl Iterator<Item = (UnitClass, &Rate)> {
        self.rates.iter().map(|(class, rate)| (*class, rate))
    }

    /// Whether nothing has a rate.
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty()
    }

    /// Keys of the price data that are not understood.
    pub fn unsupported(&self) -> &[String] {
        &self.unsupported
    }

    /// A rate for tokens that is not understood. It takes its tokens out of a class that is, so pricing without it
    /// would be wrong; a fee for something else is merely not charged, and cannot have been used unnoticed.
    pub fn unsupported_tokens(&self) -> Option<&str> {
        self.unsupported.iter().find(|key| key.ends_with("_mtok")).map(String::as_str)
    }

    /// These rates with those of `other` instead, for the classes in `only`.
    pub(super) fn overlay(&mut self, other: &Self, only: impl Fn(UnitClass) -> bool) {
        for (class, rate) in other.rates.iter().filter(|(class, _)| only(*class)) {
            match self.rates.binary_search_by_key(class, |(known, _)| *known) {
                Ok(at) => self.rates[at].1 = rate.clone(),
                Err(at) => self.rates.insert(at, (*class, rate.clone())),
            }
        }
        self.unsupported.extend(other.unsupported.iter().cloned());
        self.unsupported.sort_unstable();
        self.unsupported.dedup();
    }
}

impl RateCard {
    /// A card and the id that follows from it.
    pub fn new(
        provider: String,
        model: String,
        (valid_from, valid_to): (Option<EventTime>, Option<EventTime>),
        daily: Vec<DailyHours>,
        context: BTreeMap<String, String>,
        rates: Rates,
        mut minimums: Vec<(UnitClass, u64)>,
    ) -> Self {
        minimums.sort_unstable();
        let price_id = price_id(&provider, &model, valid_from, &daily, &context, &rates, &minimums);
        Self { price_id, provider, model, valid_from, valid_to, daily, context, rates, minimums }
    }

    /// Whether it holds at this time.
    pub fn holds_at(&self, at: EventTime) -> bool {
        self.valid_from.is_none_or(|from| from <= at)
            && self.valid_to.is_none_or(|to| at < to)
            && (self.daily.is_empty()
                || self.daily.iter().any(|(from, to)| (*from..*to).contains(&nanos_of_day(at))))
    }

    /// What one unit of a line costs, in a call whose size chose this tier; `None` where there is no such rate.
    pub fn unit_price(&self, unit: UnitPart, tier: Option<u64>) -> Option<Decimal> {
        let rate = self.rates.covering(unit.class)?;
        match unit.beyond {
            Some(bound) => rate.price_beyond(bound),
            // A tier holds above its bound: the price of a prompt one token longer.
            None => Some(rate.unit_price(tier.map_or(0, |above| above.saturating_add(1))).0),
        }
    }

    /// Whether the call's size can choose between tiers.
    pub fn has_tiers(&self) -> bool {
        self.rates.iter().any(|(_, rate)| !rate.tiers.is_empty())
    }
}

/// The id that follows from everything in a card but its end.
fn price_id(
    provider: &str,
    model: &str,
    valid_from: Option<EventTime>,
    daily: &[DailyHours],
    context: &BTreeMap<String, String>,
    rates: &Rates,
    minimums: &[(UnitClass, u64)],
) -> PriceId {
    let mut hasher = IdHasher::new("price");
    hasher.part(provider.as_bytes()).part(model.as_bytes());
    let mut list = |parts: Vec<String>| {
        hasher.part(&(parts.len() as u64).to_le_bytes());
        for part in parts {
            hasher.part(part.as_bytes());
        }
    };
    list(valid_from.iter().map(|from| from.nanos().to_string()).collect());
    list(daily.iter().map(|(from, to)| format!("{from}-{to}")).collect());
    list(context.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect());
    list(rates.iter().flat_map(|(class, rate)| [class.to_string(), rate.to_string()]).collect());
    list(rates.unsupported.clone());
    list(minimums.iter().map(|(class, least)| format!("{class} {least}")).collect());
    PriceId::of(&hasher)
}

/// Nanoseconds since midnight UTC.
pub(super) fn nanos_of_day(at: EventTime) -> u64 {
    at.nanos().rem_euclid(NANOS_PER_DAY).unsigned_abs()
}

/// 24 hours.
pub(super) const NANOS_PER_DAY: i64 = 86_400 * 1_000_000_000;
