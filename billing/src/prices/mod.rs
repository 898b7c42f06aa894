//! The price book: read from a file, bundled with the program, shown as rows.
//!
//! [`read`] turns price data in the format of genai-prices into a [`PriceBook`]; [`bundled`] is the book that comes
//! with the program. Numbers go from their digits in the file to decimals and never through a float. A file with a
//! fault is refused as a whole, and all its faults are named at once.
//!
//! Which card holds for a call is `domain::price`'s, what it costs `domain::rate`'s, where rows are kept `schemas`'.

mod file;
mod number;
mod quote;
mod row;
mod rule;

use std::sync::{Arc, LazyLock};

use domain::price::PriceBook;

pub use file::{Fault, PriceFileError, read};
pub use quote::{Quote, quotes};
pub use row::{PriceRow, PriceRowError};

/// Where the bundled data comes from; see `data/README.md`.
pub const BUNDLED_SOURCE: &str = "genai-prices 0.2.1";

static BUNDLED: LazyLock<Arc<PriceBook>> = LazyLock::new(|| {
    let book = read(include_bytes!("../../data/genai-prices.json"));
    Arc::new(book.expect("the bundled price data is read by this crate's tests"))
});

/// The price book that comes with the program. Built at the first call, which takes some ten milliseconds.
pub fn bundled() -> Arc<PriceBook> {
    Arc::clone(&BUNDLED)
}
