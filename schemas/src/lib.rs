//! Tables and rows: the only place that knows a column's name, and how evidence is written down.
//!
//! Promises: what [`record`] encodes it decodes for ever; migrations are numbered, repeatable and never edited once
//! released; a row type and its table agree (the client checks names and types on every insert and select).
//!
//! Leaves to others: when anything is written, and what it means.

pub mod record;
pub mod migrate;
pub mod database;
pub mod rows;
pub mod reports;
mod evidence_log;
mod refusal;
mod quarantine;
mod ledger_book;
mod voucher_book;
mod duplicate_search;
mod price_shelf;
mod repricing;
mod rereading;
mod retiring;
pub mod rollup;
mod override_book;
mod provider_hours;
mod metering;
mod invoice_sums;
mod budget_sums;
mod inquiries;
mod trace_store;
pub mod progress;
mod literal;
mod picos;

pub use budget_sums::{SpentQuery, SpentRow, Stretch, TouchedHour};
pub use database::{Database, DatabaseError, Target};
pub use duplicate_search::{LinkRow, SplitKey};
pub use evidence_log::{IndexRow, KeyedTraceRow, TraceRow};
pub use inquiries::{Comparison, OddCall, OutcomeCount, SeenRow};
pub use invoice_sums::{AdjustmentSum, CallSum, CreditUse, TenantSum, UnitSum, UnmeteredSum};
pub use metering::MeteredGroup;
pub use override_book::{CallFilter, CallName};
pub use provider_hours::ProviderHour;
pub use refusal::{ABOUT_VALUES, Refusal};
pub use repricing::{RepriceFilter, UnpricedModel};
pub use rereading::{AttributesRow, KeptFilter, KeptRow, SetAsideRow};
pub use retiring::{CollectorEnd, LEDGER, OBSERVATIONS, Retired};
pub use voucher_book::{PostedWithin, VoucherSize};
