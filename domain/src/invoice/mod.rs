//! What an invoice says besides amounts that are summed: who sends it and to whom, and
//! the taxes it ends with.
//!
//! The words only; where they are read is a plan file's business, how they are laid out an export's.

mod parties;
mod tax;

pub use parties::{Customer, Issuer};
pub use tax::TaxRate;
