//! Price lists of one's own: negotiated prices, and those of models one runs oneself.
//!
//! [`toml`](super::own_toml) and [`csv`](super::own_csv) read a file into [`OwnPrice`]s, each with its line; this file
//! holds them to their laws all together and makes price lists of them. The order of the file means nothing: an exact
//! name goes before a name with its snapshots, and that before a beginning, the longest first.

use std::collections::{BTreeMap, BTreeSet};

use domain::price::{
    Clause, Constraint, Dated, ModelPrices, ProviderPrices, Rate, Rates, TextOp, UnitClass, Variant,
};
use domain::time::EventTime;

use super::fault::{Fault, chain};

/// The prices of one model over one stretch of time, in one context.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OwnPrice {
    /// Its first line.
    pub line: usize,
    /// The provider, by its well-known name, the price data's, or one of one's own.
    pub provider: String,
    /// The model's name, or its beginning.
    pub model: String,
    /// Which names it stands for.
    pub matching: Matching,
    /// The first instant it holds and the first it no longer does.
    pub valid: (Option<EventTime>, Option<EventTime>),
    /// The hours of each UTC day it holds, in nanoseconds since midnight; `None` for all day, where no other price has hours.
    pub hours: Option<(u64, u64)>,
    /// What must be known of the call; empty for standard prices.
    pub context: BTreeMap<String, String>,
    /// What one unit of each class costs.
    pub rates: BTreeMap<UnitClass, Rate>,
}

/// Which names a price stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Matching {
    /// The name and nothing else.
    Exact,
    /// The name and its dated snapshots.
    Snapshots,
    /// Every name that begins so.
    StartsWith,
}

/// Names longer than this are no names of models.
pub(crate) const NAME_MAX: usize = 200;

impl Matching {
    /// The matching of a word in a file.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        match name {
            "" | "snapshots" => Ok(Self::Snapshots),
            "exact" => Ok(Self::Exact),
            "starts_with" => Ok(Self::StartsWith),
            other => Err(format!("match {other:?} is not known; expected exact, snapshots or starts_with")),
        }
    }

    /// The clause of a name.
    pub(crate) fn clause(self, model: &str) -> Clause {
        match self {
            Self::Exact => Clause::text(TextOp::Equals, model),
            Self::Snapshots => Clause::snapshots(model),
            Self::StartsWith => Clause::text(TextOp::StartsWith, model),
        }
    }

    /// What the model is called in the book.
    fn id(self, model: &str) -> String {
        if self == Self::StartsWith { format!("{model}*") } else { model.to_string() }
    }
}

/// The prices of one model, in the order in which models of a provider are compared.
type ByModel<'p> = BTreeMap<(Matching, std::cmp::Reverse<usize>, &'p str), Vec<&'p OwnPrice>>;

/// Makes price lists of prices. Every fault is added to `faults`.
pub(crate) fn lists(prices: &[OwnPrice], faults: &mut Vec<Fault>) -> Vec<ProviderPrices> {
    let mut providers: BTreeMap<&str, ByModel<'_>> = BTreeMap::new();
    for price in prices {
        let key = (price.matching, std::cmp::Reverse(price.model.len()), price.model.as_str());
        providers.entry(&price.provider).or_default().entry(key).or_default().push(price);
    }
    let claims = |provider: &str| claims(prices, provider);
    providers
        .into_iter()
        .map(|(provider, models)| {
            both_ways(&models, faults);
            let models = models
                .into_iter()
                .filter_map(|((matching, _, name), prices)| model(provider, name, matching, &prices, faults));
            ProviderPrices {
                id: provider.to_string(),
                aliases: None,
                resells: Vec::new(),
                models: models.collect(),
                claims: claims(provider),
            }
        })
        .collect()
}

/// A call whose provider nobody names is priced by the one list that has its model; where two lists do, by neither.
fn claims(prices: &[OwnPrice], provider: &str) -> Option<Clause> {
    let of_others: BTreeSet<&str> =
        prices.iter().filter(|price| price.provider != provider).map(|price| price.model.as_str()).collect();
    let own: BTreeMap<(&str, Matching), ()> = prices
        .iter()
        .filter(|price| price.provider == provider && !of_others.contains(price.model.as_str()))
        .map(|price| ((price.model.as_str(), price.matching), ()))
        .collect();
    let clauses: Vec<Clause> = own.into_keys().map(|(model, matching)| matching.clause(model)).collect();
    (!clauses.is_empty()).then_some(Clause::Any(clauses))
}

/// A name with and without its snapshots would be two models of one name.
fn both_ways(models: &ByModel<'_>, faults: &mut Vec<Fault>) {
    for ((_, _, name), exact) in models.iter().filter(|((matching, ..), _)| *matching == Matching::Exact) {
        let key = (Matching::Snapshots, std::cmp::Reverse(name.len()), *name);
        if let (Some(exact), Some(snapshots)) = (exact.first(), models.get(&key).and_then(|p| p.first())) {
            faults.push(Fault {
                at: format!("line {}", exact.line),
                problem: format!(
                    "{name} is stated as exact, and with its snapshots in line {}; state it one way",
                    snapshots.line
                ),
            });
        }
    }
}

fn model(
    provider: &str,
    name: &str,
    matching: Matching,
    prices: &[&OwnPrice],
    faults: &mut Vec<Fault>,
) -> Option<ModelPrices> {
    let before = faults.len();
    let mut by_context: BTreeMap<&BTreeMap<String, String>, Vec<&OwnPrice>> = BTreeMap::new();
    for price in prices {
        by_context.entry(&price.context).or_default().push(price);
    }
    by_context.values_mut().for_each(|prices| overlaps(prices, faults));
    let (mut standard, mut variants) = (Vec::new(), Vec::new());
    for (context, prices) in by_context {
        for price in prices {
            let rates = Rates::new(price.rates.clone(), Vec::new());
            let constraint = match (price.valid, price.hours) {
                ((None, None), None) => None,
                ((Some(from), None), None) => Some(Constraint::From(from)),
                ((from, Some(to)), None) => Some(Constraint::Until(from, to)),
                (valid, Some(hours)) => Some(Constraint::DailyUntil(valid, hours)),
            };
            if context.is_empty() {
                standard.push(Dated { constraint, rates });
            } else {
                variants.push(Variant { when: context.clone(), constraint, rates });
            }
        }
    }
    // Where two hold, the one that asks for more is meant; of standard prices the last that holds is the one, of variants the
    // first.
    let has_hours = |constraint: &Option<Constraint>| matches!(constraint, Some(Constraint::DailyUntil(..)));
    standard.sort_by_key(|dated: &Dated| has_hours(&dated.constraint));
    variants.sort_by_key(|variant: &Variant| {
        (std::cmp::Reverse(variant.when.len()), !has_hours(&variant.constraint))
    });
    let line = prices.iter().map(|price| price.line).min().unwrap_or_default();
    let at = || format!("line {line}, {provider} {name}");
    if standard.is_empty() {
        let problem = "has prices for special contexts only; state the standard price too".to_string();
        faults.push(Fault { at: at(), problem });
    }
    if faults.len() > before {
        return None;
    }
    let id = matching.id(name);
    match ModelPrices::with_gaps(provider, &id, matching.clause(name), standard, variants, &[]) {
        Ok(prices) => Some(prices),
        Err(error) => {
            faults.push(Fault { at: at(), problem: chain(&error) });
            None
        }
    }
}

/// Whether two prices may hold at the same hour with neither meant before the other: hours go before all day.
fn same_hours(one: Option<(u64, u64)>, other: Option<(u64, u64)>) -> bool {
    let within = |at: u64, (from, to): (u64, u64)| {
        if to < from { at >= from || at < to } else { (from..to).contains(&at) }
    };
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => within(one.0, other) || within(other.0, one),
        _ => false,
    }
}

/// Two prices of one model in one context must not hold at once.
fn overlaps(prices: &mut [&OwnPrice], faults: &mut Vec<Fault>) {
    prices.sort_by_key(|price| (price.valid.0, price.line));
    for (at, one) in prices.iter().enumerate() {
        for other in &prices[at + 1..] {
            // `other` begins with `one` or after it.
            let apart = one.valid.1.is_some_and(|end| other.valid.0.is_some_and(|start| end <= start));
            if !apart && same_hours(one.hours, other.hours) {
                let (first, second) = (one.line.min(other.line), one.line.max(other.line));
                faults.push(Fault {
                    at: format!("line {second}"),
                    problem: format!(
                        "{} {} overlaps with its price in line {first}; end one before the other begins",
                        other.provider, other.model
                    ),
                });
            }
        }
    }
}
