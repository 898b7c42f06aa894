//! Cutting the journal into batches whose bounds never change.
//!
//! ```text
//! journal ─▶ gather (rows of a range) ─▶ decide (now, or later) ─▶ SEAL record ═fsync═▶ SealedBatch ─▶ ship
//!            recall (seals of an earlier run) ──────────────────────────────────┘
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `decide.rs` | when to cut: a pure function |
//! | `open_batch.rs` | how far to cut: limits of rows and bytes, and one received day; a pure value |
//! | `bounds.rs` | [`Seal`]: what a cut fixes, its bytes in the journal, and the insert token made of it |
//! | `gather.rs` | reads a range of the journal into rows |
//! | `recall.rs` | finds the seals that an earlier run wrote and did not ship |
//! | `held.rs` | the batches that were shipped and are still held |
//! | `retry.rs` | how long to wait after a failure, and what is told of it |
//! | `sealer.rs` | the task: every collector id of the journal in order of use, one batch at a time |
//!
//! # What it promises
//! - **Contiguous**: a batch of a collector begins right behind the one before; together they cover every position.
//!   Positions that hold no evidence (seals, gaps) belong to the batch of the evidence behind them.
//! - **Fixed**: the bounds are durable before the batch is handed on, so a restart makes exactly the same batches. In a
//!   full journal, which takes no record, a batch that ended at a limit goes unsealed: the same limits cut the same
//!   records the same way, and shipping is what makes room.
//! - **One day**: a batch's rows were received on one UTC day, the partition they go to.
//! - **Quiet**: without new evidence there is no new batch. A seal alone makes none, or each would make the next.
//! - **Bounded**: a batch is gathered only when the one before it was taken; two exist at a time.
//!
//! Leaves to others: where batches go, and what was shipped (`ship`).

mod bounds;
mod decide;
mod gather;
mod open_batch;
mod recall;
mod held;
mod retry;
mod sealer;

#[cfg(test)]
mod laws;

pub use bounds::Seal;
pub use decide::{Action, Waiting, decide};
pub use gather::GatherError;
#[cfg(test)]
pub(crate) use gather::{Gathered, Gatherer};
pub(crate) use held::HeldBatches;
pub use open_batch::{Limits, OpenBatch, Taken};
#[cfg(test)]
pub(crate) use recall::Recalled;
pub(crate) use retry::Attempts;
pub use retry::{RetryPolicy, Trouble};
pub(crate) use sealer::{SealedBatch, Sealer, SealerReport};
