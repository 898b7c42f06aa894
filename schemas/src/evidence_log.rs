//! Statements on `observation_log`, `batches` and `collectors`: evidence in, evidence out.

use std::borrow::Borrow;

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};
use crate::literal::{number_list, unhex, unhex_list};
use crate::rows::{BatchRow, CollectorRow, ObservationRow, RecordRow};

/// How many ids go into one `IN` list: keeps a statement below ClickHouse's default `max_query_size` of 256 KiB.
const IDS_A_STATEMENT: usize = 2_000;

/// What ties a past row to new evidence, for the index that settlement keeps in memory.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct IndexRow {
    /// The journal.
    pub collector_id: [u8; 16],
    /// The position in it.
    pub seq: u64,
    /// Hour of receipt, hours since the epoch.
    pub hour: u32,
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
}

/// A trace within a realm.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct TraceRow {
    /// The account.
    pub realm: String,
    /// The trace.
    pub trace_id: [u8; 16],
}

/// A trace within a realm that a link key led to.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct KeyedTraceRow {
    /// The account.
    pub realm: String,
    /// The trace.
    pub trace_id: [u8; 16],
    /// The earliest that its reports with the key speak of, nanoseconds.
    pub earliest: i64,
}

/// Reads no more than the days, and within them the stretches of a journal, that can hold it.
fn received_since(nanos: i64) -> String {
    let (day, nanos) = (crate::rows::day_number(nanos), nanos.max(0));
    format!("received_day >= toDate({day}) AND received_at >= fromUnixTimestamp64Nano({nanos})")
}

impl Database {
    /// Inserts rows of a sealed batch. The same rows again change nothing.
    pub async fn insert_observations(
        &self,
        rows: &[impl Borrow<ObservationRow> + Sync],
    ) -> Result<(), DatabaseError> {
        let write = async {
            let mut insert = self.inserting().insert::<ObservationRow>("observation_log").await?;
            for row in rows {
                insert.write(row.borrow()).await?;
            }
            insert.end().await
        };
        write.await.map_err(self.failed("insert observations"))
    }

    /// Records that a batch is committed. To be called only after its rows are.
    pub async fn insert_batch(&self, batch: &BatchRow) -> Result<(), DatabaseError> {
        let write = async {
            let mut insert = self.inserting().insert::<BatchRow>("batches").await?;
            insert.write(batch).await?;
            insert.end().await
        };
        write.await.map_err(self.failed("record a committed batch"))
    }

    /// Says that a collector lives and how far it is.
    pub async fn insert_heartbeat(&self, row: &CollectorRow) -> Result<(), DatabaseError> {
        let write = async {
            let mut insert = self.inserting().insert::<CollectorRow>("collectors").await?;
            insert.write(row).await?;
            insert.end().await
        };
        write.await.map_err(self.failed("write a heartbeat"))
    }

    /// Every collector that ever wrote here, with its last heartbeat.
    pub async fn collectors(&self) -> Result<Vec<CollectorRow>, DatabaseError> {
        let query = self.client().query("SELECT ?fields FROM collectors FINAL ORDER BY collector_id");
        query.fetch_all().await.map_err(self.failed("list collectors"))
    }

    /// Committed batches of a collector that reach beyond a position, in order. The first may begin before it: a journal
    /// that lost a seal cuts anew, and not where it had cut.
    pub async fn batches_after(
        &self,
        collector: [u8; 16],
        seq: u64,
        limit: u64,
    ) -> Result<Vec<BatchRow>, DatabaseError> {
        let (collector, next) = (unhex(collector), seq.saturating_add(1));
        // The inner statement reads backwards along the key, so that the outer one does not begin at the first batch ever.
        let sql = format!(
            "SELECT ?fields FROM batches FINAL WHERE collector_id = {collector} AND last_seq > {seq} AND first_seq >= ifNull(\
             (SELECT first_seq FROM batches WHERE collector_id = {collector} AND first_seq <= {next} \
             ORDER BY collector_id DESC, first_seq DESC LIMIT 1), 0) ORDER BY first_seq LIMIT {limit}"
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("list committed batches"))
    }

    /// The records of a range of one day's positions, in order, each position once.
    pub async fn records_between(
        &self,
        collector: [u8; 16],
        day: u16,
        first: u64,
        last: u64,
    ) -> Result<Vec<RecordRow>, DatabaseError> {
        let sql = format!(
            "SELECT ?fields FROM observation_log WHERE received_day = toDate({day}) AND collector_id = {} \
             AND seq BETWEEN {first} AND {last} ORDER BY seq LIMIT 1 BY seq",
            unhex(collector)
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read committed evidence"))
    }

    /// Which of a range of one day's positions are there, in order.
    pub async fn positions_between(
        &self,
        collector: [u8; 16],
        day: u16,
        first: u64,
        last: u64,
    ) -> Result<Vec<u64>, DatabaseError> {
        let sql = format!(
            "SELECT DISTINCT seq FROM observation_log WHERE received_day = toDate({day}) AND collector_id = {} \
             AND seq BETWEEN {first} AND {last} ORDER BY seq",
            unhex(collector)
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read committed positions"))
    }

    /// The evidence of the given traces that was received from a moment on (nanoseconds), whatever the collector.
    pub async fn records_of_traces(
        &self,
        traces: &[[u8; 16]],
        since: i64,
    ) -> Result<Vec<RecordRow>, DatabaseError> {
        let mut records = Vec::new();
        for some in traces.chunks(IDS_A_STATEMENT) {
            let sql = format!(
                "SELECT ?fields FROM observation_log WHERE {} AND trace_id IN ({}) \
                 ORDER BY collector_id, seq LIMIT 1 BY collector_id, seq",
                received_since(since),
                unhex_list(some.iter().copied())
            );
            let rows = self.client().query(&sql).fetch_all::<RecordRow>().await;
            records.extend(rows.map_err(self.failed("read the evidence of traces"))?);
        }
        Ok(records)
    }

    /// The traces in which any of the given link keys occur, among what was received from a moment on (nanoseconds).
    pub async fn traces_of_keys(
        &self,
        responses: &[u64],
        pairs: &[u64],
        since: i64,
    ) -> Result<Vec<KeyedTraceRow>, DatabaseError> {
        let mut traces = Vec::new();
        for (column, keys) in [("response_key", responses), ("pair_key", pairs)] {
            for some in keys.chunks(IDS_A_STATEMENT) {
                let sql = format!(
                    "SELECT realm, trace_id, min(least(started_at, ended_at, received_at)) AS earliest \
                     FROM observation_log WHERE {} AND {column} IN ({}) GROUP BY realm, trace_id",
                    received_since(since),
                    number_list(some.iter().copied())
                );
                let rows = self.client().query(&sql).fetch_all::<KeyedTraceRow>().await;
                traces.extend(rows.map_err(self.failed("find traces that share a call"))?);
            }
        }
        Ok(traces)
    }

    /// When the newest evidence was received, by its collector's clock, in nanoseconds since the epoch; nothing in an empty log.
    pub async fn newest_receipt(&self) -> Result<Option<i64>, DatabaseError> {
        // Of the last day alone: that is a partition.
        let sql = "SELECT toUnixTimestamp64Nano(max(received_at)) AS newest FROM observation_log \
                   WHERE received_day = (SELECT max(received_day) FROM observation_log) HAVING count() > 0";
        let query = self.client().query(sql);
        query.fetch_optional().await.map_err(self.failed("find the newest evidence"))
    }

    /// Streams what the index in memory is rebuilt from: every row received since a moment (nanoseconds).
    pub async fn index_since(
        &self,
        received_at: i64,
        mut each: impl FnMut(IndexRow),
    ) -> Result<(), DatabaseError> {
        let sql = format!(
            "SELECT collector_id, seq, toUInt32(toUnixTimestamp(received_at) / 3600) AS hour, realm, trace_id, response_key, pair_key, scope_name \
             FROM observation_log WHERE {}",
            received_since(received_at)
        );
        let mut cursor = self
            .client()
            .query(&sql)
            .fetch::<IndexRow>()
            .map_err(self.failed("read the index of evidence"))?;
        while let Some(row) = cursor.next().await.map_err(self.failed("read the index of evidence"))? {
            each(row);
        }
        Ok(())
    }
}
