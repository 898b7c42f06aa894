//! What a call would cost in the ledger, asked before it is settled.
//!
//! The same code rates it as settlement will, by the prices that settlement goes by now. It is an estimate: settlement may
//! see more reports of the call, and prices may be imported before it does.

use std::sync::Arc;

use domain::Cost;
use domain::price::PriceIndex;
use domain::resolve::ResolvedCall;
use tokio::sync::watch;

use crate::plans::PlanShelf;
use crate::prices::Shelf;
use crate::settle::{SettleStatus, estimated_cost};

/// Estimates costs, by the settler's prices. Until a settler runs here, and where another server settles, by those that
/// come with this program.
#[derive(Debug)]
pub struct Estimates {
    settler: watch::Receiver<SettleStatus>,
    prices: PriceIndex,
    plans: PlanShelf,
    currency: String,
}

impl Estimates {
    /// Estimates in a currency.
    pub fn new(mut settler: watch::Receiver<SettleStatus>, currency: &str) -> Self {
        settler.mark_changed();
        let prices = PriceIndex::new(Shelf::bundled().book);
        Self { settler, prices, plans: PlanShelf::default(), currency: currency.to_string() }
    }

    /// What the provider will charge for a call; `None` where its usage or its price is unknown.
    pub fn cost(&mut self, call: &ResolvedCall) -> Option<Cost> {
        // A settler that ended leaves its last prices.
        if self.settler.has_changed().unwrap_or(false) {
            let book = self.settler.borrow_and_update().book.clone();
            if let Some(book) = book.filter(|book| !Arc::ptr_eq(book, self.prices.book())) {
                self.prices = PriceIndex::new(book);
            }
        }
        estimated_cost(call, &mut self.prices, &self.plans, &self.currency)
    }
}
