//! Statements of the full duplicate check: reports of one call that came further apart than settlement remembers.

use clickhouse::Row;
use domain::time::BillingPeriod;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};
use crate::literal::number_list;

/// A link key that reports in several traces share, received further apart than the window.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct SplitKey {
    /// The key.
    pub key: u64,
}

/// A report, by what ties it to others.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct LinkRow {
    /// The account.
    pub realm: String,
    /// The trace.
    pub trace_id: [u8; 16],
    /// 0: none.
    pub response_key: u64,
    /// 0: none.
    pub pair_key: u64,
    /// The instrumentation.
    pub scope_name: String,
    /// Nanoseconds since the epoch.
    pub started_at: i64,
    /// Nanoseconds since the epoch.
    pub ended_at: i64,
}

/// Rows of the log whose keys are grouped at once.
const ROWS_A_SLICE: u64 = 8_000_000;

/// Keys a statement: each is twenty digits at most.
const KEYS_A_STATEMENT: usize = 2_000;

impl Database {
    /// Keys of reports in more than one trace that were received more than `apart_secs` from each other, among all that
    /// was received since a month began: first those of responses, then those of pairs.
    pub async fn split_keys(
        &self,
        since: BillingPeriod,
        apart_secs: u64,
    ) -> Result<[Vec<u64>; 2], DatabaseError> {
        let since = format!("received_day >= toDate('{}')", since.first_day());
        let sql = format!("SELECT count() FROM observation_log WHERE {since}");
        let rows: u64 = self
            .client()
            .query(&sql)
            .fetch_one()
            .await
            .map_err(self.failed("count the evidence of a month"))?;
        let slices = rows.div_ceil(ROWS_A_SLICE).max(1);
        let mut found = [Vec::new(), Vec::new()];
        // Reports without an id are of one call only where two instrumentations made them.
        let columns = [("response_key", ""), ("pair_key", " AND min(scope_name) != max(scope_name)")];
        for (found, (column, besides)) in found.iter_mut().zip(columns) {
            for slice in 0..slices {
                let sql = format!(
                    "SELECT {column} AS key FROM observation_log \
                     WHERE {since} AND {column} != 0 AND {column} % {slices} = {slice} GROUP BY key \
                     HAVING min(trace_id) != max(trace_id) \
                       AND dateDiff('second', min(received_at), max(received_at)) >= {apart_secs}{besides} ORDER BY key"
                );
                let keys = self.client().query(&sql).fetch_all::<SplitKey>().await;
                found.extend(
                    keys.map_err(self.failed("look for late duplicates"))?.into_iter().map(|row| row.key),
                );
            }
        }
        Ok(found)
    }

    /// Every report that has one of the keys.
    pub async fn link_rows(&self, responses: &[u64], pairs: &[u64]) -> Result<Vec<LinkRow>, DatabaseError> {
        let mut rows = Vec::new();
        for (column, keys) in [("response_key", responses), ("pair_key", pairs)] {
            for some in keys.chunks(KEYS_A_STATEMENT) {
                let sql = format!(
                    "SELECT DISTINCT ?fields FROM observation_log WHERE {column} IN ({})",
                    number_list(some.iter().copied())
                );
                let found = self.client().query(&sql).fetch_all::<LinkRow>().await;
                rows.extend(found.map_err(self.failed("find reports that share a call"))?);
            }
        }
        Ok(rows)
    }
}
