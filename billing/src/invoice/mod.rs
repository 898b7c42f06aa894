//! Invoices: lines that sum over the ledger, frozen when issued, written as CSV.
//!
//! Every amount is a sum of `charge` over entries of the month, so an invoice agrees with every other figure to the last
//! digit; [`Draft::of`] refuses to make one that does not. Amounts keep twelve decimals: nothing is rounded yet.

mod draft;
mod csv;
mod issue;

pub use csv::{CsvFile, ExportError, files, write};
pub use draft::{Draft, DraftError, Line};
pub use issue::{IssueError, Issued, issue, issued};
