//! The ledger held against what a provider says it counted or charged.
//!
//! ```text
//! the provider's file ─▶ statement (day × model × class) ─▶ compare with the ledger's hours ─▶ differences, each with its cause
//! ```
//!
//! Promises: quantities and money are decimals from the file on; a file is read whole or refused with all its faults; a
//! file that says what the ledger says has no differences; a difference names the most likely cause, or says that none
//! was found. It reads and never posts: what a provider charges for answers no span shows is a share of the report.

mod statement;
mod read_json;
mod read_csv;
mod compare;

pub use compare::{Cause, Comparison, Difference, Tolerance, ZONE_HOURS, compare};
pub use statement::{Class, Figure, Statement, StatementError, StatementFormat};
