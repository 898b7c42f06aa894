//! Sealed batches into ClickHouse: exactly the same rows however often, and the journal's cursors behind them.
//!
//! ```text
//! SealedBatch ─▶ send ═insert rows, then the batch row═▶ CommittedBatch ─▶ cursor ═fsync═▶ (commits) ─▶ settle
//!                                    settled positions ─▶ release ─▶ segments go
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `config.rs` | limits and times |
//! | `send.rs` | the task that commits one batch after the other |
//! | `commit.rs` | one batch's inserts, and the proof that they succeeded |
//! | `log.rs` | what a commit asks of the database |
//! | `bisect.rs` | which rows of refused ones it is about: a pure search |
//! | `isolate.rs` | a batch that is refused for what is in it: those rows into quarantine, the others into the log |
//! | `cursor.rs` | the journal's cursors, moved one at a time |
//! | `release.rs` | lets segments go when their records are settled |
//! | `heartbeat.rs` | tells the database who is alive and what is not in it yet |
//! | `status.rs` | how far everything is, and what is wrong |
//! | `handle.rs` | what others ask of a running shipper |
//! | `replay.rs` | ships again what the database lost |
//!
//! # What it promises
//! - **Same rows**: a retry sends the same rows under the same keys, after a restart too, so it can be tried for ever.
//!   What a database took in part it is sent the rest of under another token. No error is final: the database may be down,
//!   slow, or answer nonsense for any length of time. Rows that it refuses for what is in them, beside others that it takes,
//!   go into quarantine, and no row is dropped.
//! - **Order**: rows, then the batch row that vouches for them, then the shipped cursor. A crash between any two is
//!   mended by doing them again.
//! - **Nothing waits for it**: a start does not wait for ClickHouse, and appending goes on until the journal is full.
//! - **Bounded**: two batches in memory.
//!
//! Leaves to others: the schema (the caller migrates), and what the rows mean (`billing`).

mod config;
mod send;
mod log;
mod commit;
mod bisect;
mod isolate;
mod cursor;
mod release;
mod heartbeat;
mod status;
mod handle;
mod shipper;
mod replay;

#[cfg(test)]
mod tests;

pub use commit::CommittedBatch;
pub use config::{Config, ConfigError};
pub use handle::{FlushError, ShipHandle};
pub use heartbeat::Host;
pub use replay::{ReplayError, Replayed, Wanted, replay};
pub use shipper::{Shipper, Summary};
pub use status::ShipStatus;
