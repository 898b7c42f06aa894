//! Durable bytes: what is acknowledged here is on disk, in order, and can be read again from any position.
//!
//! ```text
//! Records ─submit▶ queue ─▶ Writer (one thread) ═write, fdatasync═▶ segment ─▶ completion(Durable)
//!                  bounded    many requests, one sync                  │
//!                                                                      └─▶ Reader ─▶ ReadItem::{Record, Gap}
//! ```
//!
//! # What it promises
//! - **Durable**: a completion receives a [`Durable`] only after an `fdatasync` that covers its records succeeded.
//! - **Atomic**: the records of one [`Records`] become durable together or not at all (one frame, one checksum).
//! - **Ordered**: a record has a sequence number, contiguous for its [`CollectorId`], first 1. A number that was ever
//!   visible is never given to other bytes, whatever the disk did.
//! - **Never silent**: numbers that cannot be read are yielded as a [`Gap`] with its reason.
//! - **Always starts**: damage is isolated and reported in [`Recovered`], it never keeps the journal from opening.
//! - **Bounded**: it refuses ([`AppendError::Full`], [`AppendError::Busy`]) and never drops.
//!
//! # A directory
//! ```text
//! lock                        held (flock) while a journal is open
//! journal.json                who we are: collector id, and the machine and path it belongs to
//! checkpoint.0, checkpoint.1  cursors, two generations
//! 00000000000000000042.seg    frames; see `segment` and `frame` for the bytes
//! ```
//!
//! # How numbers stay unique
//! Every open starts a new segment (or takes over an empty one) whose header states where the segment before it ends
//! and which number comes next; that header is on disk before a frame is written behind it. So whatever an earlier
//! segment shows later (bytes in the page cache that never reached the disk, a tail half written), it is read only up
//! to the end stated by its successor, and numbers in doubt are passed over for good: a [`GapReason::Void`].
//! After an `fdatasync` failed, the segment is abandoned in the same way; the sync is never retried and trusted.
//! The id itself is renewed when machine or path differ from what was recorded (a copied disk must not reuse
//! positions) and when the newest segment's header is unreadable. Records of an earlier id stay readable under it.
//!
//! # What it leaves to others
//! What the bytes mean, when they are shipped, and when they may go: the caller moves the cursors of a
//! [`Checkpoint`]. Time enters only as a segment's age.

mod append;
mod atomic_file;
mod catalog;
mod checkpoint;
mod collector_id;
mod config;
mod error;
mod frame;
mod gap;
mod identity;
mod inspect;
mod journal;
mod reader;
mod record;
mod recovered;
mod scan;
mod segment;
pub mod storage;
mod survey;
mod walk;
mod writer;

pub use append::{Appender, Durable};
pub use catalog::{CollectorRange, ReleasePolicy, Released, Stat};
pub use checkpoint::{Checkpoint, Cursor};
pub use collector_id::CollectorId;
pub use config::{Config, ConfigError, VerifyOnOpen};
pub use error::{AppendError, CheckpointError, Disposition, FileError, FullCause, OpenError, ReadError};
pub use gap::{Gap, GapReason};
pub use identity::{IdentityChange, Place, RenewReason};
pub use inspect::{Inspection, SegmentSummary, inspect, inspect_on};
pub use journal::Journal;
pub use reader::{ReadItem, Reader, Record};
pub use record::{Kind, Records};
pub use recovered::{DamagedPart, DamagedRange, Lost, Recovered, TornTail};
