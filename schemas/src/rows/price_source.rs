//! Rows of `price_sources`, `price_books`, `plan_sources` and `rate_sources`.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

/// A price file as it was imported.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct PriceSourceRow {
    /// `own`, `imported`, `bundled`.
    pub origin: String,
    /// Microseconds since the epoch.
    pub known_from: i64,
    /// Hash of what decides its prices.
    pub source_id: String,
    /// How to read it.
    pub format: String,
    /// The file's name.
    pub name: String,
    /// Nanoseconds since the epoch: from when prices without a date of their own hold.
    pub since: Option<i64>,
    /// The file.
    #[serde(with = "serde_bytes")]
    pub content: Vec<u8>,
    /// The program's version.
    pub program: String,
}

/// What is said of an import without its content.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct PriceImportRow {
    /// `own`, `imported`, `bundled`.
    pub origin: String,
    /// Microseconds since the epoch.
    pub known_from: i64,
    /// Hash of what decides its prices.
    pub source_id: String,
    /// How it is read.
    pub format: String,
    /// The file's name.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// The program's version.
    pub program: String,
}

/// A book that a settler began to rate with.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct PriceBookRow {
    /// Content hash.
    pub book: String,
    /// Microseconds since the epoch.
    pub adopted_at: i64,
    /// Who.
    pub settler: [u8; 16],
    /// Its sources, in order of precedence.
    pub sources: Vec<String>,
    /// The program's version.
    pub program: String,
}

/// A plan file as it was imported.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct PlanSourceRow {
    /// Microseconds since the epoch.
    pub known_from: i64,
    /// Hash of the content.
    pub source_id: String,
    /// The file's name.
    pub name: String,
    /// The file.
    #[serde(with = "serde_bytes")]
    pub content: Vec<u8>,
    /// The program's version.
    pub program: String,
}

/// A file of exchange rates as it was imported.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct RateSourceRow {
    /// Microseconds since the epoch.
    pub known_from: i64,
    /// Hash of the content.
    pub source_id: String,
    /// The file's name.
    pub name: String,
    /// The file.
    #[serde(with = "serde_bytes")]
    pub content: Vec<u8>,
    /// The program's version.
    pub program: String,
}
