//! Ledger entries: what stands for a call, what should stand, and the entries that make up the difference.
//!
//! The ledger is only appended to. A call's truth is the sum of its entries, and every reason to change it (first
//! posting, late evidence, a new price, a better attribution) is the same act: [`difference`] between what stands and
//! the target. No difference, no entry, so settling again changes nothing.

mod assign;
mod difference;
mod entry;
mod merkle;
mod chain;

pub use assign::{assign, call_ids, standing_of};
pub use chain::{ChainId, Differences, End, Gone, Head, Voucher, compare, leaf};
pub use difference::{Periods, Posting, Standing, difference, difference_as};
pub use entry::{Entry, EntryType, Facts, Quantities, State};
pub use merkle::MerkleTree;
