//! Budgets against the ledger: sums in memory, followed part by part, and what they mean.
//!
//! ```text
//! ledger_entries ─▶ follow (what changed since) ─▶ spending (parts of accounts) ─▶ View ─▶ Standing, occasions
//! settler (what waits) ────────────────────────────────────────────────────────────┘
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `spending.rs` | sums by account and part: an hour of calls of today and yesterday, a day of older ones |
//! | `follow.rs` | reads what changed, and nothing else |
//! | `view.rs` | what was known at one moment: an answer about any account, and everything there is to say |
//!
//! Promises: what is spent is a sum over the ledger, corrections, credits and adjustments included (I6), read by part, so
//! that an entry counts once however often it is read; what waits stands apart and is an estimate; a view answers from
//! memory, whatever the ledger does, and says of when it is. Memory follows accounts that spend, bounded; beyond the bound
//! it is an error, never a sum that leaves something out.

mod spending;
mod follow;
mod view;
#[cfg(test)]
mod tests;

pub use follow::{FollowError, Follower};
pub use view::{News, Pending, Standing, View};
