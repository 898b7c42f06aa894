//! Statements behind `explain` and `verify`: what was seen of a trace, and sums that must agree.

use clickhouse::Row;
use domain::money::Cost;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};
use crate::literal::{unhex, unhex_list};

/// A span as it was seen, without what became of it.
#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
pub struct SeenRow {
    /// The journal.
    pub collector_id: [u8; 16],
    /// The position in it.
    pub seq: u64,
    /// The account.
    pub realm: String,
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
    /// Zeros: none.
    pub parent_span_id: [u8; 8],
    /// What it is in the eyes of billing.
    pub kind: String,
    /// Nanoseconds since the epoch.
    pub started_at: i64,
    /// Nanoseconds since the epoch.
    pub ended_at: i64,
    /// Its name.
    pub span_name: String,
    /// The instrumentation.
    pub scope_name: String,
    /// Its version.
    pub scope_version: String,
    /// The provider.
    pub provider: String,
    /// The model asked for.
    pub request_model: String,
    /// The model that answered.
    pub response_model: String,
    /// The provider's name for the answer.
    pub response_id: String,
    /// As stated on the span.
    pub tenant: String,
    /// As stated on the span.
    pub feature: String,
    /// Whole prompt.
    pub input_tokens: Option<u64>,
    /// Part of input.
    pub cache_read_tokens: Option<u64>,
    /// Part of input.
    pub cache_write_tokens: Option<u64>,
    /// Everything generated.
    pub output_tokens: Option<u64>,
    /// Part of output.
    pub reasoning_tokens: Option<u64>,
}

/// How many distinct spans came to what.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct OutcomeCount {
    /// The outcome.
    pub outcome: String,
    /// Distinct spans.
    pub spans: u64,
}

/// Two sums that must be equal, and a name for what they are of.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct Comparison {
    /// What is compared.
    pub what: String,
    /// One side.
    pub left: String,
    /// The other.
    pub right: String,
}

/// A closed month and what its entries come to now.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct ClosedSum {
    /// Days since the epoch of its first day.
    pub period: u16,
    /// Entries when it was closed.
    pub entries_then: u64,
    /// Entries now.
    pub entries_now: u64,
    /// Charge when it was closed.
    #[serde(with = "crate::picos")]
    pub charge_then: Cost,
    /// Charge now.
    #[serde(with = "crate::picos")]
    pub charge_now: Cost,
}

#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
struct TraceId {
    trace_id: [u8; 16],
}

impl Database {
    async fn trace_ids(&self, sql: &str) -> Result<Vec<[u8; 16]>, DatabaseError> {
        let rows: Vec<TraceId> =
            self.client().query(sql).fetch_all().await.map_err(self.failed("find traces"))?;
        Ok(rows.into_iter().map(|row| row.trace_id).collect())
    }

    /// The traces in which an answer of this id was reported or posted.
    pub async fn traces_of_response(&self, response_id: &str) -> Result<Vec<[u8; 16]>, DatabaseError> {
        let sql = "SELECT DISTINCT trace_id FROM observation_log WHERE response_id = ? \
                   UNION DISTINCT SELECT DISTINCT trace_id FROM ledger_entries WHERE response_id = ?";
        let query = self.client().query(sql).bind(response_id).bind(response_id);
        let rows: Vec<TraceId> =
            query.fetch_all().await.map_err(self.failed("find the traces of a response"))?;
        Ok(rows.into_iter().map(|row| row.trace_id).collect())
    }

    /// The traces of the calls that an entry or a call of this id belongs to.
    pub async fn traces_of_entry(&self, id: [u8; 16]) -> Result<Vec<[u8; 16]>, DatabaseError> {
        let id = unhex(id);
        self.trace_ids(&format!(
            "SELECT DISTINCT trace_id FROM ledger_entries WHERE call_id IN \
             (SELECT call_id FROM ledger_entries WHERE entry_id = {id} OR call_id = {id})"
        ))
        .await
    }

    /// The given traces and those of reports that were merged with theirs.
    pub async fn traces_beside(&self, traces: &[[u8; 16]]) -> Result<Vec<[u8; 16]>, DatabaseError> {
        if traces.is_empty() {
            return Ok(Vec::new());
        }
        let list = unhex_list(traces.iter().copied());
        self.trace_ids(&format!(
            "SELECT DISTINCT trace_id FROM decisions FINAL WHERE call_id IN \
               (SELECT call_id FROM ledger_entries WHERE trace_id IN ({list}) \
                UNION ALL SELECT call_id FROM decisions FINAL WHERE trace_id IN ({list}) AND call_id != toFixedString('', 16)) \
             UNION DISTINCT SELECT DISTINCT winner_trace_id AS trace_id FROM decisions FINAL \
               WHERE trace_id IN ({list}) AND winner_trace_id != toFixedString('', 16) \
             UNION DISTINCT SELECT DISTINCT trace_id FROM observation_log WHERE trace_id IN ({list})"
        ))
        .await
    }

    /// The spans seen of traces, links too, each once, in order of start.
    pub async fn seen_of_traces(&self, traces: &[[u8; 16]]) -> Result<Vec<SeenRow>, DatabaseError> {
        if traces.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT ?fields FROM (SELECT * FROM observation_log WHERE trace_id IN ({}) \
             ORDER BY kind = 'link', collector_id, seq LIMIT 1 BY realm, trace_id, span_id) ORDER BY started_at, span_id",
            unhex_list(traces.iter().copied())
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read the spans of traces"))
    }

    /// How many distinct spans came to what: the balance of observations.
    pub async fn outcome_counts(&self) -> Result<Vec<OutcomeCount>, DatabaseError> {
        let query = self
            .client()
            .query("SELECT outcome, count() AS spans FROM observations GROUP BY outcome ORDER BY outcome");
        query.fetch_all().await.map_err(self.failed("count outcomes"))
    }

    /// Net calls in the ledger, over everything.
    pub async fn net_calls(&self) -> Result<i64, DatabaseError> {
        let query = self.client().query("SELECT sum(e.calls) FROM ledger_entries AS e FINAL");
        query.fetch_one().await.map_err(self.failed("sum calls"))
    }

    /// Sums of the ledger beside the same sums of its rollup.
    pub async fn rollup_comparisons(&self) -> Result<Vec<Comparison>, DatabaseError> {
        let columns = [
            "calls",
            "input_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "cache_write_1h_tokens",
            "output_tokens",
            "reasoning_tokens",
            "cost",
            "charge",
        ];
        let mut compared = Vec::new();
        for column in columns {
            let sql = format!(
                "SELECT '{column}' AS what, toString(assumeNotNull((SELECT sum(l.{column}) FROM ledger AS l))) AS left, \
                 toString(assumeNotNull((SELECT sum(u.{column}) FROM usage_hourly AS u))) AS right"
            );
            let row = self.client().query(&sql).fetch_one::<Comparison>().await;
            compared.push(row.map_err(self.failed("compare the ledger with its rollup"))?);
        }
        Ok(compared)
    }

    /// Closed months, as they were closed and as they are.
    pub async fn closed_sums(&self) -> Result<Vec<ClosedSum>, DatabaseError> {
        let query = self.client().query(
            "SELECT p.period AS period, p.entries AS entries_then, e.entries AS entries_now, p.charge AS charge_then, \
               e.charge AS charge_now \
             FROM (SELECT * FROM periods FINAL) AS p \
             LEFT JOIN (SELECT period, count() AS entries, sum(l.charge) AS charge FROM ledger_entries AS l FINAL GROUP BY period) AS e \
               ON e.period = p.period ORDER BY period",
        );
        query.fetch_all().await.map_err(self.failed("sum closed months"))
    }

    /// The months that have entries.
    pub async fn months(&self) -> Result<Vec<u16>, DatabaseError> {
        let query = self.client().query("SELECT DISTINCT period FROM ledger_entries ORDER BY period");
        query.fetch_all().await.map_err(self.failed("list the months of the ledger"))
    }
}
