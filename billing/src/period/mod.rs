//! Months: closing them, and what they were closed with.
//!
//! A month is closed once, by the settler between passes: everything committed is settled, the full duplicate check is
//! made, the ledger of the month is verified, and a manifest is written. From then on nothing is posted into it; late
//! usage goes to the open month. The manifest is one row, so a month is closed or it is not, and closing again answers
//! with what was closed.

mod close;
mod adjustments;
mod manifest;

pub(crate) use adjustments::of_no_call;
pub use adjustments::{Due, due, finish};
pub use close::{CloseError, CloseOptions, close};
pub use manifest::Manifest;
