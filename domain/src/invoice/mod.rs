//! What an invoice says besides amounts that are summed: who sends it and to whom.
//!
//! The words only; where they are read is a plan file's business, how they are laid out an export's.

mod parties;

pub use parties::{Customer, Issuer};
