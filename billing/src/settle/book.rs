//! What a settler goes by that others may change: it follows the newest price files, and the closed months, between
//! passes. Each book it rates with is noted in `price_books`.
//!
//! A new book prices what had no price. What has one keeps it: the cards that entries name are kept in memory, so that
//! late evidence of a priced call is rated by the price that stands, whatever was imported meanwhile.

use std::collections::HashMap;
use std::sync::Arc;

use domain::ledger::{Periods, Standing};
use domain::price::{PriceBook, PriceIndex, RateCard};
use schemas::{Database, rows};

use super::reprice::{Scope, reprice};
use super::target::{Pinned, split_price_id};
use super::{PassSummary, SettleError, Settler};
use crate::plans::PlanShelf;
use crate::prices::{PriceRow, Shelf, ShelfError, Source};

/// How often new price files are looked for: an import is in force this long after it, at the latest.
const LOOK_INTERVAL_NANOS: i64 = 2_000_000_000;

/// Prices in use, besides the book.
#[derive(Debug)]
pub(super) struct KeptPrices {
    /// The files the book is made of.
    shelf: Shelf,
    /// The cards that entries name, by id.
    cards: HashMap<String, RateCard>,
    /// When the newest file came, as last seen (microseconds since the epoch).
    changed: i64,
    /// When it was last looked for newer ones (nanoseconds since the epoch).
    looked: i64,
    /// Whether the book is not noted in `price_books` yet.
    fresh: bool,
}

/// The book in force and what belongs to it. The first time, the bundled prices are put on the shelf.
pub(super) async fn open(
    database: &Database,
    currency: &str,
    now_micros: i64,
) -> Result<(Arc<PriceBook>, KeptPrices), SettleError> {
    let shelf = Shelf::stocked(database, currency, now_micros).await?;
    let changed = database.price_sources_changed().await?;
    let book = Arc::clone(&shelf.book);
    let fresh = database.last_price_book().await? != Some(book.version().to_string());
    if shelf.sources.iter().all(|(source, _)| source.id() != Source::bundled().id()) {
        tracing::info!(
            "this version brings other bundled prices than those in force; `ledgerline prices import --bundled` takes them"
        );
    }
    Ok((book, KeptPrices { shelf, cards: HashMap::new(), changed, looked: 0, fresh }))
}

impl KeptPrices {
    /// Keeps cards that entries name.
    pub fn keep(&mut self, rows: Vec<rows::PriceRow>) {
        for row in rows {
            let id = row.price_id.clone();
            match PriceRow::from_table(row).card() {
                Ok(card) => {
                    self.cards.insert(id, card);
                }
                // `verify` lists it; whatever it priced is rated anew when evidence of it comes.
                Err(error) => tracing::warn!(%error, "a kept price cannot be read"),
            }
        }
    }

    /// Has newer files looked for in the next pass, whatever the clock says.
    pub fn look_now(&mut self) {
        self.looked = 0;
    }

    /// Whether a card is kept.
    pub fn is_kept(&self, card: &str) -> bool {
        self.cards.contains_key(card)
    }

    /// The name of the file that a layer of the book comes from.
    pub fn source_name(&self, layer: &str) -> String {
        self.shelf.source(layer).map_or_else(|| layer.to_string(), |source| source.name.clone())
    }

    /// The price that stands for a call.
    pub fn pinned<'s>(&'s self, standing: &'s Standing) -> Option<Pinned<'s>> {
        let facts = standing.facts().into_iter().find(|facts| !facts.price_id.is_empty())?;
        let card = self.cards.get(split_price_id(&facts.price_id).0)?;
        Some(Pinned { facts, card })
    }
}

impl Settler {
    /// Rates by the newest prices from now on, and prices what had none. Files that cannot be read change nothing.
    /// With `at_once`, they are looked for however short ago that was done.
    pub(super) async fn follow(
        &mut self,
        at_once: bool,
        summary: &mut PassSummary,
    ) -> Result<(), SettleError> {
        let now = (self.clock)();
        if at_once || now - self.shelf.looked >= LOOK_INTERVAL_NANOS {
            self.shelf.looked = now;
            // Another process may have closed a month, or this one may have restarted in between.
            self.periods = Periods::closed(self.database.closed_periods().await?);
            let changed = self.database.plan_sources_changed().await?;
            if changed != self.plans_changed {
                self.plans = PlanShelf::of(&self.database).await?;
                self.plans_changed = changed;
                tracing::info!(plans = %self.plans.version, "charging by new plans from now on");
            }
            self.follow_overrides().await?;
            self.follow_retirements().await?;
            let changed = self.database.price_sources_changed().await?;
            if changed != self.shelf.changed {
                self.shelf.changed = changed;
                self.adopt().await?;
            }
        }
        if self.shelf.fresh {
            let repriced = reprice(self, &Scope::default(), true).await?;
            summary.entries += repriced.entries;
            // Noted last: whoever stops before it does this again, which posts nothing twice.
            let row = self.shelf.shelf.adopted(self.id, now / 1000);
            self.database.insert_price_book(&row).await?;
            self.shelf.fresh = false;
        }
        Ok(())
    }

    async fn adopt(&mut self) -> Result<(), SettleError> {
        let shelf = match Shelf::in_force(&self.database, &self.config.currency).await {
            Ok(shelf) => shelf,
            Err(ShelfError::Database(error)) => return Err(error.into()),
            Err(error) => {
                let text = crate::prices::chain(&error);
                tracing::error!(error = %text, "the newest price files cannot be used; settling goes on with the earlier ones");
                return Ok(());
            }
        };
        if shelf.book.version() != self.shelf.shelf.book.version() {
            tracing::info!(book = %shelf.book.version(), "rating with new prices from now on");
            self.prices = PriceIndex::new(Arc::clone(&shelf.book));
            self.shelf.fresh = true;
        }
        self.shelf.shelf = shelf;
        Ok(())
    }
}
