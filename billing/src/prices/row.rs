//! Rate cards as rows of the table `prices`, and back: what a ledger entry's `price_id` points to.
//!
//! A row says everything its card says, in texts, so that an entry can be recomputed from the tables alone, long after
//! the book it was priced by is gone.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::price::{ParseRateError, PriceBook, Rate, RateCard, Rates, UnitClass};
use domain::time::EventTime;

/// One rate card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceRow {
    /// The layer of the book it stands in; empty for a row of the table.
    pub layer: String,
    /// The card's id, 32 hexadecimal digits.
    pub price_id: String,
    /// The version of the book it stands in.
    pub book_version: String,
    /// The book's name of the provider.
    pub provider: String,
    /// The book's name of the model.
    pub model: String,
    /// The first instant it holds; `None` for ever before.
    pub valid_from: Option<DateTime<Utc>>,
    /// The first instant it no longer holds; `None` for ever after.
    pub valid_to: Option<DateTime<Utc>>,
    /// The hours of each UTC day it holds, as nanoseconds since midnight; empty for all day.
    pub daily: Vec<(u64, u64)>,
    /// What must be known of the call (`service_tier`, `processing`, …); empty for standard rates.
    pub context: BTreeMap<String, String>,
    /// By unit class, the price of one unit: `0.000003`, or `0.000003; 0.000006 above 200000`.
    pub rates: BTreeMap<String, String>,
    /// Price keys of the source that are not understood.
    pub unsupported: Vec<String>,
    /// By unit class, the least that is billed once anything is used.
    pub minimums: BTreeMap<String, u64>,
}

/// Why a row makes no card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceRowError {
    /// A class that is not known.
    #[error("price {price_id}: {unit:?} is not a unit class known here")]
    Unit {
        /// The row.
        price_id: String,
        /// The text that should name a class.
        unit: String,
    },
    /// A rate that is not one.
    #[error("price {price_id}: the rate of {unit} cannot be read")]
    Rate {
        /// The row.
        price_id: String,
        /// The class.
        unit: String,
        /// What is wrong with it.
        #[source]
        cause: ParseRateError,
    },
    /// The row was changed: its id is another.
    #[error(
        "price {price_id} was altered: what it says now has the id {derived}; restore it from the price file"
    )]
    Altered {
        /// The row.
        price_id: String,
        /// The id that follows from its content.
        derived: String,
    },
}

impl PriceRow {
    /// Every card of a book, in the book's order.
    pub fn of_book(book: &PriceBook) -> Vec<Self> {
        let version = book.version().to_string();
        let mut rows = Vec::new();
        for layer in book.layers() {
            let cards = layer.providers.iter().flat_map(|list| &list.models).flat_map(|model| model.cards());
            rows.extend(cards.map(|card| Self::of_card(card, &layer.name, &version)));
        }
        rows
    }

    fn of_card(card: &RateCard, layer: &str, version: &str) -> Self {
        Self {
            layer: layer.to_string(),
            price_id: card.price_id.to_string(),
            book_version: version.to_string(),
            provider: card.provider.clone(),
            model: card.model.clone(),
            valid_from: card.valid_from.map(EventTime::utc),
            valid_to: card.valid_to.map(EventTime::utc),
            daily: card.daily.clone(),
            context: card.context.clone(),
            rates: card.rates.iter().map(|(class, rate)| (class.to_string(), rate.to_string())).collect(),
            unsupported: card.rates.unsupported().to_vec(),
            minimums: card.minimums.iter().map(|(class, least)| (class.to_string(), *least)).collect(),
        }
    }

    /// The card that the row was made of. Refuses a row whose content does not give its id.
    pub fn card(&self) -> Result<RateCard, PriceRowError> {
        let price_id = || self.price_id.clone();
        let class = |unit: &String| {
            UnitClass::named(unit)
                .ok_or_else(|| PriceRowError::Unit { price_id: price_id(), unit: unit.clone() })
        };
        let mut rates = BTreeMap::new();
        for (unit, rate) in &self.rates {
            let refuse = |cause| PriceRowError::Rate { price_id: price_id(), unit: unit.clone(), cause };
            rates.insert(class(unit)?, Rate::parse(rate).map_err(refuse)?);
        }
        let mut minimums = Vec::new();
        for (unit, least) in &self.minimums {
            minimums.push((class(unit)?, *least));
        }
        let instant = |time: DateTime<Utc>| time.timestamp_nanos_opt().map(EventTime::from_nanos);
        let card = RateCard::new(
            self.provider.clone(),
            self.model.clone(),
            (self.valid_from.and_then(instant), self.valid_to.and_then(instant)),
            self.daily.clone(),
            self.context.clone(),
            Rates::new(rates, self.unsupported.clone()),
            minimums,
        );
        let derived = card.price_id.to_string();
        if derived != self.price_id {
            return Err(PriceRowError::Altered { price_id: price_id(), derived });
        }
        Ok(card)
    }
}
