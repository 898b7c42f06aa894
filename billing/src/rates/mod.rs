//! Exchange rates: read from a file as a whole or refused as a whole, kept in the database, found for a month.
//!
//! The newest rate file is in force. Every file is kept, byte for byte: a closed month names the one it was closed with, by
//! its content, and is converted by that one for ever. What a rate does to an invoice is [`crate::invoice`]'s.

mod file;
mod shelf;

pub use file::read;
pub use shelf::{RateShelf, RateShelfError, RateSource, import};
