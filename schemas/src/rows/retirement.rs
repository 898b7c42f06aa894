//! Rows of `retirements` and `retired_credits`: what went by retention, and what of it still counts.

use std::collections::HashMap;

use clickhouse::Row;
use domain::money::Cost;
use serde::{Deserialize, Serialize};

/// A partition that went by retention, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct RetirementRow {
    /// `observations` or `ledger`.
    pub class: String,
    /// Days since the epoch: the received day, or the first day of the period.
    pub partition: u16,
    /// Microseconds since the epoch.
    pub begun_at: i64,
    /// Microseconds since the epoch; 0: perhaps not yet.
    pub dropped_at: i64,
    /// Rows of the partition.
    pub rows: u64,
    /// Of a period: net calls of its entries.
    pub calls: i64,
    /// Of a day: spans of which nothing is left, by what they came to.
    pub outcomes: HashMap<String, u64>,
    /// Of a day: up to where each collector of it was settled.
    pub settled: Vec<([u8; 16], u64)>,
    /// Nanoseconds since the epoch: calls that ended until then are not judged again.
    pub frozen_until: i64,
    /// Of a period: over its entries.
    pub merkle_root: [u8; 32],
    /// Seconds.
    pub retention: u64,
    /// Who did it.
    pub settler: [u8; 16],
    /// The program's version.
    pub program: String,
}

/// What an entry of a retired period used of a credit.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct RetiredCreditRow {
    /// Days since the epoch, first day of the month.
    pub period: u16,
    /// The entry.
    pub entry_id: [u8; 16],
    /// Whose credit.
    pub tenant: String,
    /// The credit.
    pub name: String,
    /// Microseconds since the epoch.
    pub posted_at: i64,
    /// Below zero.
    #[serde(with = "crate::picos")]
    pub charge: Cost,
}
