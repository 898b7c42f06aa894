//! A memory of which model a name leads to, so that rating a call compares no rules.

use std::collections::HashMap;
use std::sync::Arc;

use super::Unpriced;
use super::book::{Place, PriceBook};
use super::found::{Context, Found};
use crate::time::EventTime;

/// A price book with a memory. Each settling task holds its own.
#[derive(Debug)]
pub struct PriceIndex {
    book: Arc<PriceBook>,
    /// By provider, then by model, both as calls state them.
    places: HashMap<String, HashMap<String, Result<Vec<Place>, Unpriced>>>,
    names: usize,
}

/// Names come from clients; beyond so many the memory starts anew. Each is some 300 bytes, so it stays below 5 MB.
const NAMES_MAX: usize = 16_384;

impl PriceIndex {
    /// A memory with nothing in it.
    pub fn new(book: Arc<PriceBook>) -> Self {
        Self { book, places: HashMap::new(), names: 0 }
    }

    /// The book.
    pub fn book(&self) -> &Arc<PriceBook> {
        &self.book
    }

    /// What [`PriceBook::find`] finds.
    pub fn find(
        &mut self,
        provider: &str,
        model: &str,
        at: EventTime,
        context: &Context<'_>,
    ) -> Result<Found<'_>, Unpriced> {
        if !self.places.get(provider).is_some_and(|models| models.contains_key(model)) {
            if self.names >= NAMES_MAX {
                self.places.clear();
                self.names = 0;
            }
            let places = self.book.places(provider, model);
            self.places.entry(provider.to_string()).or_default().insert(model.to_string(), places);
            self.names += 1;
        }
        match &self.places[provider][model] {
            Ok(places) => self.book.first_at(places, at, context),
            Err(unpriced) => Err(unpriced.clone()),
        }
    }
}
