//! Rows of `batches`, `collectors` and `settle_cursors`: who has written what, and what is settled.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

/// A committed batch.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct BatchRow {
    /// The journal.
    pub collector_id: [u8; 16],
    /// First position.
    pub first_seq: u64,
    /// Last position.
    pub last_seq: u64,
    /// Days since the epoch: the partition of its rows.
    pub received_day: u16,
    /// How many rows of the range hold evidence (positions between them hold the journal's own records), but for `refused`.
    pub rows: u64,
    /// The records' hashes folded in order of position.
    pub content_hash: u64,
    /// Microseconds since the epoch.
    pub committed_at: i64,
    /// Positions that it does not vouch for, in order: they are in quarantine, and not evidence even where the log has them.
    pub refused: Vec<u64>,
}

/// What a collector says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct CollectorRow {
    /// The journal.
    pub collector_id: [u8; 16],
    /// Where it runs.
    pub host: String,
    /// The program's version.
    pub version: String,
    /// Last durable position.
    pub appended_seq: u64,
    /// Last position committed here.
    pub shipped_seq: u64,
    /// Whether it settles.
    pub settles: bool,
    /// Microseconds since the epoch.
    pub heartbeat_at: i64,
}

/// Up to where a collector's evidence is settled.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct CursorRow {
    /// The journal.
    pub collector_id: [u8; 16],
    /// Last position settled for good.
    pub seq: u64,
    /// Who settled it.
    pub settler: [u8; 16],
    /// Microseconds since the epoch.
    pub at: i64,
}
