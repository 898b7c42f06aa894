//! Generated traces with known truth: every call once, with what it used and whom it is for, whatever the order and
//! the portions in which its evidence comes.
//!
//! One trace of many is one seed. A seed that fails prints the command that plays it again, with the acts left out that
//! it fails without. `LEDGERLINE_SEEDS=FROM..TO` plays other seeds than the first hundred thousand.

mod book;
mod crowds;
mod laws;
mod portions;
mod random;
mod reports;
mod stage;
mod story;
mod truth;
