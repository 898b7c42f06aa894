//! What looks wrong in a price book: for a person to judge, nothing is refused for it.

use std::collections::BTreeMap;

use domain::price::{Context, PriceBook, RateCard, UnitClass};
use domain::time::EventTime;
use rust_decimal::Decimal;

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `overlap`, `gap`, `jump`, `odd`, `disagreement`, `missing`.
    pub kind: &'static str,
    /// The layer it was found in.
    pub layer: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// What was found.
    pub what: String,
}

/// A price that changes by more than this factor, up or down, from one time or layer to the next is worth a look: the
/// usual mistake is a price for a thousand taken for one of a million. Changes of thirty times have happened.
const JUMP: Decimal = Decimal::from_parts(100, 0, 0, false, 0);

/// A prompt token dearer than this (1,000 dollars a million) is worth a look.
const DEAR: Decimal = Decimal::from_parts(1, 0, 0, false, 3);

/// Overlaps, gaps, jumps and odd prices within a book.
pub fn check(book: &PriceBook) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, layer) in book.layers().iter().enumerate() {
        for list in &layer.providers {
            for (place, model) in list.models.iter().enumerate() {
                let finding = |kind, what| Finding {
                    kind,
                    layer: layer.name.clone(),
                    provider: list.id.clone(),
                    model: model.model().to_string(),
                    what,
                };
                let name = model.model().to_lowercase();
                // The first model of a list that a name matches is the one: a later one of that name is never reached.
                if let Some(first) = list.models[..place].iter().find(|other| other.names().matches(&name)) {
                    let what = format!("its own name leads to {}, which stands before it", first.model());
                    findings.push(finding("overlap", what));
                }
                let mut contexts: BTreeMap<_, Vec<&RateCard>> = BTreeMap::new();
                for card in model.cards() {
                    contexts.entry((&card.context, &card.daily)).or_default().push(card);
                    findings.extend(odd(card).into_iter().map(|what| finding("odd", what)));
                }
                for mut cards in contexts.into_values() {
                    cards.sort_by_key(|card| card.valid_from);
                    for pair in cards.windows(2) {
                        findings.extend(gap(pair[0], pair[1]).map(|what| finding("gap", what)));
                        let jumps = jumps(pair[0], pair[1], "from one day to the next");
                        findings.extend(jumps.into_iter().map(|what| finding("jump", what)));
                    }
                }
                let beneath = book.layers()[at + 1..].iter().flat_map(|layer| &layer.providers);
                let same = beneath
                    .filter(|other| other.id == list.id)
                    .find_map(|other| other.models.iter().find(|other| other.names().matches(&name)));
                let standard = |model: &domain::price::ModelPrices| {
                    model
                        .cards()
                        .filter(|card| card.context.is_empty())
                        .max_by_key(|card| card.valid_from)
                        .cloned()
                };
                if let Some((ours, theirs)) = standard(model).zip(same.and_then(standard)) {
                    let jumps = jumps(&theirs, &ours, "to this from the layer beneath");
                    findings.extend(jumps.into_iter().map(|what| finding("jump", what)));
                }
            }
        }
    }
    findings
}

/// Where a second source states another price than the book for a call at `at`, and what only it knows.
pub fn compare(book: &PriceBook, second: &PriceBook, at: EventTime) -> Vec<Finding> {
    let context = Context::default();
    let mut findings = Vec::new();
    for layer in second.layers() {
        for list in &layer.providers {
            for model in &list.models {
                let Ok(theirs) = second.find(&list.id, model.model(), at, &context) else { continue };
                if theirs.card.model != model.model() {
                    continue;
                }
                let finding = |kind, layer: &str, what| Finding {
                    kind,
                    layer: layer.to_string(),
                    provider: list.id.clone(),
                    model: model.model().to_string(),
                    what,
                };
                match book.find(&list.id, model.model(), at, &context) {
                    Ok(ours) => {
                        let what = disagreements(ours.card, theirs.card);
                        findings
                            .extend(what.into_iter().map(|what| finding("disagreement", ours.layer, what)));
                    }
                    Err(unpriced) => findings.push(finding("missing", "", unpriced.to_string())),
                }
            }
        }
    }
    findings
}

fn gap(earlier: &RateCard, later: &RateCard) -> Option<String> {
    let (end, start) = earlier.valid_to.zip(later.valid_from)?;
    (end < start)
        .then(|| format!("has no price from {end} to {start}; the next layer's holds then, if it has one"))
}

/// Prices of two cards that differ by more than [`JUMP`].
fn jumps(before: &RateCard, after: &RateCard, between: &str) -> Vec<String> {
    let both = after
        .rates
        .iter()
        .filter_map(|(unit, rate)| Some((unit, before.rates.get(unit)?.base(), rate.base())));
    both.filter(|(_, was, is)| !was.is_zero() && !is.is_zero() && (*is > *was * JUMP || *was > *is * JUMP))
        .map(|(unit, was, is)| {
            format!("{unit} changes from {} to {} {between}", shown(unit, was), shown(unit, is))
        })
        .collect()
}

/// Prices that contradict what is usual everywhere.
fn odd(card: &RateCard) -> Vec<String> {
    let base = |unit| card.rates.get(unit).map(domain::price::Rate::base);
    let mut odd = Vec::new();
    if let (Some(read), Some(input)) = (base(UnitClass::CacheRead), base(UnitClass::Input))
        && read > input
    {
        odd.push("a cached read costs more than a prompt token".to_string());
    }
    if let Some(input) = base(UnitClass::Input).filter(|input| *input > DEAR) {
        odd.push(format!("a prompt token costs {input}: is it a price for more than one?"));
    }
    odd
}

fn disagreements(ours: &RateCard, theirs: &RateCard) -> Vec<String> {
    let units = UnitClass::all().filter(|unit| theirs.rates.get(*unit).is_some());
    units
        .filter_map(|unit| {
            let (mine, other) = (ours.rates.covering(unit), theirs.rates.get(unit)?);
            match mine {
                Some(mine) if mine == other => None,
                Some(mine) => Some(format!("{unit} is {mine} here and {other} there")),
                None => Some(format!("{unit} has no price here and is {other} there")),
            }
        })
        .collect()
}

/// A price as price lists write it.
fn shown(unit: UnitClass, unit_price: Decimal) -> String {
    let (key, per) = unit.price_key();
    format!("{key} {}", (unit_price * Decimal::from(per)).normalize())
}
