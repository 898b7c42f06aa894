//! Invoices: lines that sum over the ledger, frozen when issued, written to files.
//!
//! Every amount is a sum of `charge` over entries of the month, so an invoice agrees with every other figure to the last
//! digit; [`Draft::of`] refuses to make one that does not. Amounts keep twelve decimals, unless a tenant's plan wants coins, or
//! another currency, into which lines are converted last of all.

mod line;
mod finish;
mod convert;
mod draft;
mod foresee;
mod issue;
mod csv;
mod json;
mod focus;
mod html;
mod files;
#[cfg(test)]
mod sample;

pub use convert::RateMissing;
pub(crate) use convert::check as check_rates;
pub use draft::{Draft, DraftError, Kind};
pub use files::{ExportError, ExportFile, Format, files, write};
pub(crate) use finish::due as finish_due;
pub use issue::{Invoice, Issue, IssueError, invoices, issue, issued};
pub use line::Line;
