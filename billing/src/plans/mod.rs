//! Plans: read from a file as a whole or refused as a whole, kept in the database, found for a tenant and a month.
//!
//! The newest plan file is in force. Every file is kept, so that the plan of any entry can be had again by its id.

mod file;
mod shelf;

pub use file::{PlanFile, read};
pub use shelf::{PlanShelf, PlanShelfError, PlanSource, import};
