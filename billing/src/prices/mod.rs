//! The price book: read from a file, bundled with the program, shown as rows.
//!
//! [`read`] turns price data in the format of genai-prices into a [`PriceBook`]; [`bundled`] is the book that comes
//! with the program. A [`Source`] is a price file of any format; [`Shelf`] holds those in force, as the database keeps
//! them, and the book they make. Numbers go from their digits in the file to decimals and never through a float. A file
//! with a fault is refused as a whole, and all its faults are named at once.
//!
//! Which card holds for a call is `domain::price`'s, what it costs `domain::rate`'s, where rows are kept `schemas`'.

mod fault;
mod duplicates;
mod number;
mod rule;
mod when;
mod genai;
mod litellm;
mod own;
mod own_toml;
mod own_csv;
mod source;
mod shelf;
mod changes;
mod check;
mod quote;
mod row;

/// What plan files have in common with own price files.
pub(crate) mod own_file {
    pub(crate) use super::number::unit_price_of;
    pub(crate) use super::own::lists;
    pub(crate) use super::own_toml::{Lines, digits, price, shown};
}

use std::sync::{Arc, LazyLock};

use domain::price::PriceBook;

pub use changes::{Change, changes};
pub use check::{Finding, check, compare};
pub use fault::{FILE_MAX, Fault, PriceFileError};
pub(crate) use fault::{chain, importable, utf8};
pub use genai::read;
pub(crate) use number::{as_text, digits, keep_digits};
pub use quote::{Quote, quotes};
pub use row::{PriceRow, PriceRowError};
pub use shelf::{Import, Shelf, ShelfError, import};
pub use source::{Format, Lists, Origin, Source};

/// Where the bundled data comes from; see `data/README.md`.
pub const BUNDLED_SOURCE: &str = "genai-prices 0.2.1";

/// The bundled data as it was released.
const BUNDLED_JSON: &[u8] = include_bytes!("../../data/genai-prices.json");

static BUNDLED: LazyLock<Arc<PriceBook>> = LazyLock::new(|| {
    let book = read(BUNDLED_JSON);
    Arc::new(book.expect("the bundled price data is read by this crate's tests"))
});

/// The price book that comes with the program. Built at the first call, which takes some ten milliseconds.
pub fn bundled() -> Arc<PriceBook> {
    Arc::clone(&BUNDLED)
}
