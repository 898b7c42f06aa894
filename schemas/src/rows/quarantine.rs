//! Rows of `quarantine`: evidence that the database does not take into the log for what is in it.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::observation::ObservationRow;
use crate::refusal::Refusal;

/// A row that was refused. Its key is the position it would have had in the log. Texts and numbers of people's columns are
/// left out: one of them is what the database does not take, and the record has them all.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct QuarantineRow {
    /// The journal.
    pub collector_id: [u8; 16],
    /// The position in it.
    pub seq: u64,
    /// First position of the batch it is of.
    pub first_seq: u64,
    /// Last position of the batch.
    pub last_seq: u64,
    /// Days since the epoch of `received_at`, UTC.
    pub received_day: u16,
    /// Nanoseconds since the epoch.
    pub received_at: i64,
    /// The account.
    pub realm: String,
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
    /// `call`, `possible_wrapper`, `attribution`, `unrecognised`, `link`.
    pub kind: String,
    /// The name of the database's error.
    pub code: String,
    /// What the database said.
    pub reason: String,
    /// The evidence as journaled, up to its attributes.
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
    /// Its attributes, where they stand apart.
    pub attributes: String,
    /// Microseconds since the epoch.
    pub refused_at: i64,
    /// When it was sent anew, under another position; microseconds since the epoch, 0: it is held.
    pub redriven_at: i64,
}

impl QuarantineRow {
    /// A row of the batch `first_seq..=last_seq` that was refused.
    pub fn new(
        row: &ObservationRow,
        (first_seq, last_seq): (u64, u64),
        refusal: &Refusal,
        refused_at: i64,
    ) -> Self {
        Self {
            collector_id: row.collector_id,
            seq: row.seq,
            first_seq,
            last_seq,
            received_day: row.received_day,
            received_at: row.received_at,
            realm: row.realm.clone(),
            trace_id: row.trace_id,
            span_id: row.span_id,
            kind: row.kind.clone(),
            code: refusal.code.to_owned(),
            reason: refusal.text.clone(),
            record: row.record.clone(),
            attributes: row.attributes.clone(),
            refused_at,
            redriven_at: 0,
        }
    }
}
