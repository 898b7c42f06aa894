//! What is measured: each file runs one experiment and makes its tables.

mod arrival;
pub mod acknowledge;
pub mod end_to_end;
pub mod isolation;
pub mod dashboards;
pub mod lag;
pub mod ledger_size;
pub mod month;
