//! The prices of one model: what holds when, and in which context, spelled out as rate cards.
//!
//! The source states prices as a list of which the last that applies wins, and variants of which the first that applies
//! wins, rate by rate. [`ModelPrices`] keeps those rules to choose by, and works out beforehand every card they can
//! choose, so that each has an id, a stretch of validity, and a row that people can look at.

use std::collections::{BTreeMap, BTreeSet};

use super::card::{DailyHours, NANOS_PER_DAY, RateCard, Rates, RatesError, nanos_of_day};
use super::clause::Clause;
use super::unit::UnitClass;
use crate::time::EventTime;

/// When a price applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// From this instant on.
    From(EventTime),
    /// From the first instant (`None`: ever before) up to, not including, the second.
    Until(Option<EventTime>, EventTime),
    /// Each UTC day from the first up to the second, in nanoseconds since midnight; over midnight where the second is
    /// smaller.
    Daily(u64, u64),
    /// The hours of `Daily` on the days of `Until`, without an end where there is none.
    DailyUntil((Option<EventTime>, Option<EventTime>), (u64, u64)),
}

/// Standard rates and when they apply.
#[derive(Debug, Clone, PartialEq)]
pub struct Dated {
    /// `None`: whenever nothing later in the list applies.
    pub constraint: Option<Constraint>,
    /// The rates.
    pub rates: Rates,
}

/// Rates that replace standard ones, class by class, in a context.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// What must all be known of the call.
    pub when: BTreeMap<String, String>,
    /// When it applies; `None` for always.
    pub constraint: Option<Constraint>,
    /// The rates it replaces.
    pub rates: Rates,
}

/// The prices of one model of one provider.
#[derive(Debug, Clone)]
pub struct ModelPrices {
    model: String,
    names: Clause,
    standard: Vec<Dated>,
    variants: Vec<Variant>,
    cards: Vec<(Choice, RateCard)>,
}

/// What makes a model's prices unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// No price for the time when no other applies, or several. Price lists of one's own may leave gaps.
    #[error("{count} of its prices have no constraint; exactly one must apply when no other does")]
    Unconstrained {
        /// How many have none.
        count: usize,
    },
    /// More than is worked out beforehand.
    #[error("its variants combine to more than {max} contexts; state fewer")]
    TooManyContexts {
        /// The most there may be.
        max: usize,
    },
    /// Rates that break a law, as they stand in some context.
    #[error("its rates with context {context:?} cannot be used")]
    Rates {
        /// The context.
        context: BTreeMap<String, String>,
        /// The law.
        #[source]
        cause: RatesError,
    },
}

/// Which standard rates and which variants make up a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Choice {
    standard: usize,
    /// One bit a variant.
    variants: u64,
}

/// Contexts worked out for one model. The richest in the bundled data have ten.
const CONTEXTS_MAX: usize = 256;

/// Variants of one model fit the bits of [`Choice::variants`].
const VARIANTS_MAX: usize = 64;

// The classes that variants claim are bits of a word too.
const _: () = assert!(UnitClass::COUNT <= 64);

impl ModelPrices {
    /// Works out the cards of a model from a price list that has a price for every time.
    pub fn new(
        provider: &str,
        model: &str,
        names: Clause,
        standard: Vec<Dated>,
        variants: Vec<Variant>,
        minimums: &[(UnitClass, u64)],
    ) -> Result<Self, ScheduleError> {
        let count = standard.iter().filter(|dated| dated.constraint.is_none()).count();
        if count != 1 {
            return Err(ScheduleError::Unconstrained { count });
        }
        Self::with_gaps(provider, model, names, standard, variants, minimums)
    }

    /// Works out the cards of a model from a price list that may have none for some times. While no standard price
    /// holds, no variant does either.
    pub fn with_gaps(
        provider: &str,
        model: &str,
        names: Clause,
        standard: Vec<Dated>,
        variants: Vec<Variant>,
        minimums: &[(UnitClass, u64)],
    ) -> Result<Self, ScheduleError> {
        let contexts = contexts(&variants)?;
        let mut prices = Self { model: model.to_string(), names, standard, variants, cards: Vec::new() };
        for (choice, stretch, context) in prices.stretches(contexts) {
            let rates = prices.rates(choice);
            rates.check().map_err(|cause| ScheduleError::Rates { context: context.clone(), cause })?;
            let (valid_from, valid_to) = (stretch.from, stretch.to);
            let (provider, model, minimums) = (provider.to_string(), model.to_string(), minimums.to_vec());
            let card = RateCard::new(
                provider,
                model,
                (valid_from, valid_to),
                stretch.daily,
                context,
                rates,
                minimums,
            );
            prices.cards.push((choice, card));
        }
        Ok(prices)
    }

    /// The book's name of the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Which spellings it goes by.
    pub fn names(&self) -> &Clause {
        &self.names
    }

    /// Every card there can be.
    pub fn cards(&self) -> impl Iterator<Item = &RateCard> {
        self.cards.iter().map(|(_, card)| card)
    }

    /// The card for a call at this time of which `is` tells what is known; `None` in a gap.
    pub fn card(&self, at: EventTime, is: impl Fn(&str, &str) -> bool) -> Option<&RateCard> {
        let choice = self.choose(Some(at), nanos_of_day(at), is)?;
        let held = self.cards.iter().find(|(known, card)| *known == choice && card.holds_at(at));
        Some(&held.expect("cards were made for every choice, over all the time it can be made").1)
    }

    /// The last standard price that applies, and the variants that give a rate: for each class the first that applies.
    fn choose(
        &self,
        since: Option<EventTime>,
        of_day: u64,
        is: impl Fn(&str, &str) -> bool,
    ) -> Option<Choice> {
        let applies = |constraint: &Option<Constraint>| constraint.is_none_or(|c| c.applies(since, of_day));
        let standard = self.standard.iter().rposition(|dated| applies(&dated.constraint))?;
        let (mut variants, mut claimed) = (0, 0_u64);
        for (at, variant) in self.variants.iter().enumerate() {
            if applies(&variant.constraint) && variant.when.iter().all(|(key, value)| is(key, value)) {
                let classes = variant.rates.iter().fold(0_u64, |bits, (class, _)| bits | 1 << class as u8);
                variants |= u64::from(classes & !claimed != 0) << at;
                claimed |= classes;
            }
        }
        Some(Choice { standard, variants })
    }

    /// The rates of a choice.
    fn rates(&self, choice: Choice) -> Rates {
        let mut rates = self.standard[choice.standard].rates.clone();
        let mut claimed = 0_u64;
        for (_, variant) in self.chosen(choice) {
            rates.overlay(&variant.rates, |class| claimed & (1 << class as u8) == 0);
            claimed = variant.rates.iter().fold(claimed, |bits, (class, _)| bits | 1 << class as u8);
        }
        rates
    }

    fn chosen(&self, choice: Choice) -> impl Iterator<Item = (usize, &Variant)> {
        self.variants.iter().enumerate().filter(move |(at, _)| choice.variants & (1 << at) != 0)
    }

    /// Every choice there can be, with the stretches of time it is made over and the least context that leads to it.
    fn stretches(
        &self,
        contexts: Vec<BTreeMap<String, String>>,
    ) -> Vec<(Choice, Stretch, BTreeMap<String, String>)> {
        let constraints = || {
            let standard = self.standard.iter().filter_map(|dated| dated.constraint);
            standard.chain(self.variants.iter().filter_map(|variant| variant.constraint))
        };
        let starts: BTreeSet<EventTime> = constraints().flat_map(Constraint::edges).collect();
        let hours: BTreeSet<u64> = constraints().flat_map(Constraint::turns).collect();
        let mut found = Vec::new();
        for context in contexts {
            let mut open: Vec<(Choice, Stretch)> = Vec::new();
            for since in std::iter::once(None).chain(starts.iter().copied().map(Some)) {
                let mut day: BTreeMap<Choice, Vec<DailyHours>> = BTreeMap::new();
                for (from, to) in cells(&hours) {
                    let is = |key: &str, value: &str| context.get(key).is_some_and(|known| known == value);
                    let Some(choice) = self.choose(since, from, is) else { continue };
                    // A choice that a part of this context leads to as well is found there.
                    let when: BTreeMap<_, _> =
                        self.chosen(choice).flat_map(|(_, v)| v.when.clone()).collect();
                    if when == context {
                        add_hours(day.entry(choice).or_default(), (from, to));
                    }
                }
                let now: Vec<_> =
                    day.into_iter().map(|(choice, hours)| (choice, without_whole_day(hours))).collect();
                let (kept, closed): (Vec<_>, Vec<_>) = open.into_iter().partition(|(choice, stretch)| {
                    now.iter().any(|(other, daily)| other == choice && *daily == stretch.daily)
                });
                found.extend(
                    closed.into_iter().map(|(c, s)| (c, Stretch { to: since, ..s }, context.clone())),
                );
                open = kept;
                for (choice, daily) in now {
                    if !open.iter().any(|(other, _)| *other == choice) {
                        open.push((choice, Stretch { from: since, to: None, daily }));
                    }
                }
            }
            found.extend(open.into_iter().map(|(choice, stretch)| (choice, stretch, context.clone())));
        }
        found
    }
}

/// A stretch of time, and the hours of each of its days; empty for all day.
struct Stretch {
    from: Option<EventTime>,
    to: Option<EventTime>,
    daily: Vec<DailyHours>,
}

impl Constraint {
    /// Whether it applies at an hour of a day in the stretch that begins at `since` (`None`: before all others).
    fn applies(self, since: Option<EventTime>, of_day: u64) -> bool {
        match self {
            Self::From(start) => since.is_some_and(|since| since >= start),
            Self::Until(start, end) => {
                start.is_none_or(|start| since.is_some_and(|since| since >= start))
                    && since.is_none_or(|since| since < end)
            }
            Self::Daily(start, end) if end < start => of_day >= start || of_day < end,
            Self::Daily(start, end) => (start..end).contains(&of_day),
            Self::DailyUntil((start, stop), (from, to)) => {
                let begun = start.is_none_or(|start| Self::From(start).applies(since, of_day));
                let stopped = stop.is_some_and(|stop| Self::From(stop).applies(since, of_day));
                begun && !stopped && Self::Daily(from, to).applies(since, of_day)
            }
        }
    }

    /// The instants at which it begins or ceases to apply.
    fn edges(self) -> Vec<EventTime> {
        match self {
            Self::From(start) => vec![start],
            Self::Until(start, end) => start.into_iter().chain([end]).collect(),
            Self::Daily(..) => Vec::new(),
            Self::DailyUntil((start, stop), _) => start.into_iter().chain(stop).collect(),
        }
    }

    fn turns(self) -> Vec<u64> {
        match self {
            Self::From(_) | Self::Until(..) => Vec::new(),
            Self::Daily(start, end) | Self::DailyUntil(_, (start, end)) => vec![start, end],
        }
    }
}

/// Every combination of what the variants ask for, each key with one of its values or unknown.
fn contexts(variants: &[Variant]) -> Result<Vec<BTreeMap<String, String>>, ScheduleError> {
    let mut values: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for (key, value) in variants.iter().flat_map(|variant| &variant.when) {
        values.entry(key).or_default().insert(value);
    }
    let mut contexts = vec![BTreeMap::new()];
    for (key, values) in values {
        for context in contexts.clone() {
            contexts.extend(values.iter().map(|value| {
                let mut context = context.clone();
                context.insert(key.clone(), (*value).clone());
                context
            }));
            if contexts.len() > CONTEXTS_MAX || variants.len() > VARIANTS_MAX {
                return Err(ScheduleError::TooManyContexts { max: CONTEXTS_MAX });
            }
        }
    }
    Ok(contexts)
}

/// The day, cut where a price turns.
fn cells(hours: &BTreeSet<u64>) -> Vec<DailyHours> {
    let day = NANOS_PER_DAY.unsigned_abs();
    let inner = hours.iter().copied().filter(|at| (1..day).contains(at));
    let cuts: Vec<u64> = std::iter::once(0).chain(inner).chain([day]).collect();
    cuts.windows(2).map(|cut| (cut[0], cut[1])).collect()
}

/// Adds hours that begin where the last ended, or later.
fn add_hours(hours: &mut Vec<DailyHours>, (from, to): DailyHours) {
    match hours.last_mut() {
        Some(last) if last.1 == from => last.1 = to,
        _ => hours.push((from, to)),
    }
}

fn without_whole_day(hours: Vec<DailyHours>) -> Vec<DailyHours> {
    if hours == [(0, NANOS_PER_DAY.unsigned_abs())] { Vec::new() } else { hours }
}
