//! Statements on `quarantine`: what was refused goes in, and comes out to be sent anew.

use crate::database::{Database, DatabaseError};
use crate::inquiries::SeenRow;
use crate::literal::{unhex, unhex_list};
use crate::record;
use crate::rows::{ObservationRow, QuarantineRow};

/// Rows that are held, each span once, of spans that the log does not have: what `observations` shows of the quarantine.
const HELD_ALONE: &str = "FROM quarantine FINAL WHERE kind != 'link' AND redriven_at = toDateTime64(0, 6, 'UTC') \
    AND (realm, trace_id, span_id) NOT IN (SELECT realm, trace_id, span_id FROM observation_log \
        WHERE trace_id IN (SELECT trace_id FROM quarantine))";

impl Database {
    /// Puts refused rows into quarantine, or notes that they were sent anew.
    pub async fn insert_quarantine(&self, rows: &[QuarantineRow]) -> Result<(), DatabaseError> {
        let write = async {
            let mut insert = self.inserting().insert::<QuarantineRow>("quarantine").await?;
            for row in rows {
                insert.write(row).await?;
            }
            insert.end().await
        };
        write.await.map_err(self.failed("put refused rows into quarantine"))
    }

    /// Positions of a collector from one on that are in quarantine, sent anew or not.
    pub async fn quarantined_from(&self, collector: [u8; 16], first: u64) -> Result<Vec<u64>, DatabaseError> {
        let sql = format!(
            "SELECT DISTINCT seq FROM quarantine WHERE collector_id = {} AND seq >= {first} ORDER BY seq",
            unhex(collector)
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read quarantined positions"))
    }

    /// Rows that are held, in order, behind a position, at most so many.
    pub async fn held_in_quarantine(
        &self,
        (collector, seq): ([u8; 16], u64),
        limit: u64,
    ) -> Result<Vec<QuarantineRow>, DatabaseError> {
        let sql = format!(
            "SELECT ?fields FROM quarantine FINAL WHERE redriven_at = toDateTime64(0, 6, 'UTC') \
             AND (collector_id, seq) > ({}, {seq}) ORDER BY collector_id, seq LIMIT {limit}",
            unhex(collector)
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read the quarantine"))
    }

    /// Held rows of traces whose spans the log does not have, each span once.
    pub async fn refused_of_traces(&self, traces: &[[u8; 16]]) -> Result<Vec<QuarantineRow>, DatabaseError> {
        if traces.is_empty() {
            return Ok(Vec::new());
        }
        let list = unhex_list(traces.iter().copied());
        let sql = format!(
            "SELECT ?fields {HELD_ALONE} AND trace_id IN ({list}) \
             ORDER BY collector_id, seq LIMIT 1 BY realm, trace_id, span_id"
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read the quarantine of traces"))
    }

    /// The traces of held rows that name a provider's answer so.
    pub async fn traces_refused_with(&self, response_id: &str) -> Result<Vec<[u8; 16]>, DatabaseError> {
        // The id has no column there: it may be what the database refuses. A record that has the text is read.
        let sql = format!("SELECT ?fields {HELD_ALONE} AND position(record, ?) > 0");
        let query = self.client().query(&sql).bind(response_id);
        let rows: Vec<QuarantineRow> =
            query.fetch_all().await.map_err(self.failed("find a response in the quarantine"))?;
        let names_it = |row: &&QuarantineRow| row.seen().response_id == response_id;
        let mut traces: Vec<_> = rows.iter().filter(names_it).map(|row| row.trace_id).collect();
        traces.sort_unstable();
        traces.dedup();
        Ok(traces)
    }

    /// How many rows are held.
    pub async fn count_held_in_quarantine(&self) -> Result<u64, DatabaseError> {
        let sql = "SELECT count() FROM quarantine FINAL WHERE redriven_at = toDateTime64(0, 6, 'UTC')";
        self.client().query(sql).fetch_one().await.map_err(self.failed("count the quarantine"))
    }

    /// How many positions batches left out that are not in quarantine. None, or evidence is gone.
    pub async fn refused_and_gone(&self) -> Result<u64, DatabaseError> {
        let sql = "SELECT count() FROM (SELECT collector_id, arrayJoin(refused) AS seq FROM batches FINAL WHERE notEmpty(refused)) \
                   WHERE (collector_id, seq) NOT IN (SELECT collector_id, seq FROM quarantine)";
        self.client().query(sql).fetch_one().await.map_err(self.failed("compare batches with the quarantine"))
    }

    /// A row that the log took, of this collector where there is one: what it takes again, it takes at all.
    pub async fn any_row_taken(&self, collector: [u8; 16]) -> Result<Option<ObservationRow>, DatabaseError> {
        let own = format!("WHERE collector_id = {} ORDER BY collector_id DESC, seq DESC ", unhex(collector));
        for choice in [own.as_str(), ""] {
            let sql = format!("SELECT ?fields FROM observation_log {choice}LIMIT 1");
            let found = self.client().query(&sql).fetch_optional().await;
            if let Some(row) = found.map_err(self.failed("read a row of the log"))? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

impl QuarantineRow {
    /// The span as it was seen. A record that cannot be read leaves what the row itself says.
    pub fn seen(&self) -> SeenRow {
        let bare = SeenRow {
            collector_id: self.collector_id,
            seq: self.seq,
            realm: self.realm.clone(),
            trace_id: self.trace_id,
            span_id: self.span_id,
            kind: self.kind.clone(),
            ..SeenRow::default()
        };
        let Ok(evidence) = record::decode(&self.record) else { return bare };
        let row = ObservationRow::new(self.collector_id, self.seq, evidence, &self.record);
        SeenRow {
            parent_span_id: row.parent_span_id,
            started_at: row.started_at,
            ended_at: row.ended_at,
            span_name: row.span_name,
            scope_name: row.scope_name,
            scope_version: row.scope_version,
            provider: row.provider,
            request_model: row.request_model,
            response_model: row.response_model,
            response_id: row.response_id,
            tenant: row.tenant,
            feature: row.feature,
            input_tokens: row.input_tokens,
            cache_read_tokens: row.cache_read_tokens,
            cache_write_tokens: row.cache_write_tokens,
            output_tokens: row.output_tokens,
            reasoning_tokens: row.reasoning_tokens,
            ..bare
        }
    }
}
