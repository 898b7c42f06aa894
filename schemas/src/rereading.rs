//! Statements behind `redecode`: what is kept of spans, with its attributes, a slice at a time.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};
use crate::literal::{unhex, unhex_list};

/// Which evidence to look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptFilter {
    /// Received then or later, nanoseconds since the epoch.
    pub since: Option<i64>,
    /// Received before.
    pub until: Option<i64>,
    /// Only of this kind.
    pub kind: Option<&'static str>,
    /// Only what a decoder of a version before this one read, or did not understand.
    pub read_before: Option<u32>,
    /// Only what states usage that contradicts itself.
    pub faulty: bool,
}

/// What is kept of a span: its record up to the attributes, and them.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct KeptRow {
    /// The journal.
    pub collector_id: [u8; 16],
    /// The position in it.
    pub seq: u64,
    /// The evidence as journaled, up to its attributes.
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
    /// The attributes, where they stand apart.
    pub attributes: String,
}

/// A position's attributes.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct AttributesRow {
    /// The journal.
    pub collector_id: [u8; 16],
    /// The position in it.
    pub seq: u64,
    /// The attributes.
    pub attributes: String,
}

/// A span that stands as quarantined.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct SetAsideRow {
    /// The account.
    pub realm: String,
    /// Its trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
}

/// How many ids go into one statement.
const IDS_A_STATEMENT: usize = 2_000;

impl KeptFilter {
    fn condition(&self) -> String {
        let mut condition = self.received();
        if let Some(kind) = self.kind {
            condition.push_str(&format!(" AND kind = '{kind}'"));
        }
        if let Some(version) = self.read_before {
            condition.push_str(&format!(" AND (decoder_version < {version} OR kind = 'unrecognised')"));
        }
        if self.faulty {
            condition.push_str(" AND fault != ''");
        }
        condition
    }

    fn received(&self) -> String {
        let mut condition = "kind != 'link'".to_string();
        for (time, order) in [(self.since, ">="), (self.until, "<")] {
            if let Some(time) = time {
                let day = crate::rows::day_number(time);
                condition.push_str(&format!(
                    " AND received_day {}= toDate({day}) AND received_at {order} fromUnixTimestamp64Nano({time})",
                    &order[..1]
                ));
            }
        }
        condition
    }
}

impl Database {
    /// The days on which evidence of a filter was received, in order.
    pub async fn kept_days(&self, filter: &KeptFilter) -> Result<Vec<u16>, DatabaseError> {
        let sql = format!(
            "SELECT DISTINCT received_day FROM observation_log WHERE {} ORDER BY received_day",
            filter.condition()
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("list the days of kept spans"))
    }

    /// Kept spans of a day behind a position, in order, at most so many.
    pub async fn kept_after(
        &self,
        filter: &KeptFilter,
        day: u16,
        (collector, seq): ([u8; 16], u64),
        limit: u64,
    ) -> Result<Vec<KeptRow>, DatabaseError> {
        let sql = format!(
            "SELECT ?fields FROM observation_log WHERE {} AND received_day = toDate({day}) \
             AND (collector_id, seq) > ({}, {seq}) ORDER BY collector_id, seq LIMIT {limit}",
            filter.condition(),
            unhex(collector)
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read kept spans"))
    }

    /// The attributes kept of the spans of traces.
    pub async fn attributes_of_traces(
        &self,
        traces: &[[u8; 16]],
    ) -> Result<Vec<AttributesRow>, DatabaseError> {
        let mut found = Vec::new();
        for some in traces.chunks(IDS_A_STATEMENT) {
            let sql = format!(
                "SELECT ?fields FROM observation_log WHERE trace_id IN ({}) AND kind != 'link' \
                 ORDER BY collector_id, seq LIMIT 1 BY collector_id, seq",
                unhex_list(some.iter().copied())
            );
            let rows = self.client().query(&sql).fetch_all::<AttributesRow>().await;
            found.extend(rows.map_err(self.failed("read the attributes of traces"))?);
        }
        Ok(found)
    }

    /// Every span that stands as quarantined, of those received when the filter says.
    pub async fn set_aside(&self, filter: &KeptFilter) -> Result<Vec<SetAsideRow>, DatabaseError> {
        let sql = format!(
            "SELECT ?fields FROM decisions FINAL WHERE outcome = 'quarantined' AND (trace_id, span_id) IN \
             (SELECT trace_id, span_id FROM observation_log WHERE {}) ORDER BY trace_id, span_id",
            filter.received()
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("list what was set aside"))
    }
}
