//! Evidence in, ledger entries and invoices out.
//!
//! ```text
//! observation_log ─▶ settle (gather ─▶ resolve ─▶ rate ─▶ post) ─▶ ledger ─▶ invoice
//! ```
//!
//! Promises: what is posted is a function of the evidence and of what stands; money is decimal; a closed month never
//! changes. The laws are in `domain`, the statements in `schemas`; this room decides when and in which order.

pub mod prices;
mod toml_table;
pub mod plans;
pub mod rates;
pub mod settle;
pub mod estimate;
pub mod period;
pub mod retire;
pub mod rollup;
pub mod adjust;
pub mod invoice;
pub mod explain;
pub mod verify;
pub mod reconcile;
pub mod unmetered;
pub mod budget;
