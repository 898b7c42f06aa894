//! What another book changes: price by price, for a person to look at before it is in force.

use std::collections::BTreeMap;

use domain::price::{PriceBook, RateCard, UnitClass};

/// A price that another book adds, changes or takes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The layer, the context and the start, for people.
    pub holds: String,
    /// The unit class.
    pub unit: UnitClass,
    /// The price of one unit before; `None` where there was none.
    pub before: Option<String>,
    /// The price of one unit after; `None` where there is none.
    pub after: Option<String>,
}

/// Who, what, when, for what: what a price is the price of.
type Key = (String, String, String, UnitClass);

/// What differs from one book to the other, sorted.
pub fn changes(before: &PriceBook, after: &PriceBook) -> Vec<Change> {
    let (before, mut after) = (prices(before), prices(after));
    let mut changes = Vec::new();
    for (key, price) in before {
        let now = after.remove(&key);
        if now.as_ref() != Some(&price) {
            changes.push(change(key, Some(price), now));
        }
    }
    changes.extend(after.into_iter().map(|(key, price)| change(key, None, Some(price))));
    changes.sort_by(|a, b| {
        (&a.provider, &a.model, &a.holds, a.unit).cmp(&(&b.provider, &b.model, &b.holds, b.unit))
    });
    changes
}

fn change((provider, model, holds, unit): Key, before: Option<String>, after: Option<String>) -> Change {
    Change { provider, model, holds, unit, before, after }
}

fn prices(book: &PriceBook) -> BTreeMap<Key, String> {
    let mut prices = BTreeMap::new();
    for layer in book.layers() {
        for card in layer.providers.iter().flat_map(|list| &list.models).flat_map(|model| model.cards()) {
            for (unit, rate) in card.rates.iter() {
                let key = (card.provider.clone(), card.model.clone(), holds(&layer.name, card), unit);
                prices.insert(key, rate.to_string());
            }
        }
    }
    prices
}

fn holds(layer: &str, card: &RateCard) -> String {
    let mut holds = layer.to_string();
    for (key, value) in &card.context {
        holds.push_str(&format!(", {key}={value}"));
    }
    if let Some(from) = card.valid_from {
        holds.push_str(&format!(", from {from}"));
    }
    if let Some(to) = card.valid_to {
        holds.push_str(&format!(", to {to}"));
    }
    for (from, to) in &card.daily {
        holds.push_str(&format!(", daily {}..{} min", from / 60_000_000_000, to / 60_000_000_000));
    }
    holds
}
