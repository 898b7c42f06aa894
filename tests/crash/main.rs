//! Crashes, overload and known bugs: the whole program from outside, killed, filled up and starved.
//!
//! What the figures mean, the argument for each place where a process may die, and which test finds which bug:
//! `docs/correctness.md`.

mod campaign;
#[cfg(feature = "bugs")]
mod bugs;
