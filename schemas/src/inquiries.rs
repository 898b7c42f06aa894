//! Statements behind `explain` and `verify`: what was seen of a trace, and sums that must agree.

use clickhouse::Row;
use domain::money::Cost;
use domain::time::BillingPeriod;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};
use crate::literal::{unhex, unhex_list};
use crate::rollup::SUMS;

/// A span as it was seen, without what became of it.
#[derive(Debug, Clone, Default, PartialEq, Row, Serialize, Deserialize)]
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

/// A call whose entries add up to something other than one call or none.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct OddCall {
    /// The call.
    pub call_id: [u8; 16],
    /// Net calls.
    pub calls: i64,
    /// Net tokens of all classes.
    pub tokens: i64,
    /// Net cost.
    #[serde(with = "crate::picos")]
    pub cost: Cost,
    /// Net charge.
    #[serde(with = "crate::picos")]
    pub charge: Cost,
}

/// What adding up a slice of calls came to.
#[derive(Debug, Row, Deserialize)]
struct AddedUp {
    looked_at: u64,
    odd: u64,
}

/// Calls whose entries are added up at once.
const CALLS_A_SLICE: u64 = 4_000_000;

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
             UNION DISTINCT SELECT DISTINCT trace_id FROM observation_log WHERE trace_id IN ({list}) \
             UNION DISTINCT SELECT DISTINCT trace_id FROM ledger_entries WHERE trace_id IN ({list})"
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
             ORDER BY kind = 'link', if(reread > 0, decoder_version, 0) DESC, reread DESC, collector_id, seq \
             LIMIT 1 BY realm, trace_id, span_id) ORDER BY started_at, span_id",
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
        let mut compared = Vec::new();
        for column in SUMS {
            let sql = format!(
                "SELECT '{column}' AS what, toString(assumeNotNull((SELECT sum(l.{column}) FROM ledger AS l))) AS left, \
                 toString(assumeNotNull((SELECT sum(u.{column}) FROM usage_hourly AS u))) AS right"
            );
            let row = self.client().query(&sql).fetch_one::<Comparison>().await;
            compared.push(row.map_err(self.failed("compare the ledger with its rollup"))?);
        }
        Ok(compared)
    }

    /// How many distinct calls have entries, in a month or at all. Counted to within some percent.
    async fn calls_about(&self, entries: &str) -> Result<u64, DatabaseError> {
        let sql = format!("SELECT uniq(call_id) FROM ledger_entries {entries}");
        self.client().query(&sql).fetch_one().await.map_err(self.failed("count calls"))
    }

    /// Calls that do not add up to one or nothing, at most a hundred, and how many calls were looked at. With a month,
    /// only calls that have entries in it; all their entries count, whatever the month. Calls made before `since`
    /// (nanoseconds) are left out: entries of theirs may be gone.
    pub async fn odd_calls(
        &self,
        period: Option<BillingPeriod>,
        since: Option<i64>,
    ) -> Result<(Vec<OddCall>, u64), DatabaseError> {
        let of = |prefix: &str| {
            period.map_or(String::new(), |month| format!("{prefix} period = toDate('{}')", month.first_day()))
        };
        let whole = since.map_or(String::new(), |since| {
            format!(" HAVING min(e.occurred_at) >= fromUnixTimestamp64Nano({since})")
        });
        let slices = self.calls_about(&of("WHERE")).await?.div_ceil(CALLS_A_SLICE).max(1);
        let (mut odd, mut looked_at) = (Vec::new(), 0);
        let mut progress = self.progress().begin("parts of all calls added up", slices);
        for slice in 0..slices {
            let part = format!("cityHash64(call_id) % {slices} = {slice}");
            let beside = match period {
                None => String::new(),
                Some(_) => {
                    format!(" AND call_id IN (SELECT call_id FROM ledger_entries WHERE {part}{})", of(" AND"))
                }
            };
            let sums = format!(
                "SELECT call_id, sum(e.calls) AS calls, \
                   sum(e.input_tokens + e.cache_read_tokens + e.cache_write_tokens + e.output_tokens + e.reasoning_tokens) AS tokens, \
                   sum(e.cost) AS cost, sum(e.charge) AS charge \
                 FROM ledger_entries AS e FINAL \
                 WHERE {part} AND entry_type IN ('usage', 'correction'){beside} GROUP BY call_id{whole}"
            );
            let is_odd = "NOT (calls = 0 AND tokens = 0 AND cost = 0 AND charge = 0) \
                          AND NOT (calls = 1 AND tokens >= 0 AND cost >= 0)";
            let sql = format!("SELECT count() AS looked_at, countIf({is_odd}) AS odd FROM ({sums})");
            let slice: AddedUp =
                self.client().query(&sql).fetch_one().await.map_err(self.failed("add up calls"))?;
            looked_at += slice.looked_at;
            // Adding up is what takes long: it is done again only where there is something to show.
            if slice.odd > 0 {
                let sql = format!("SELECT ?fields FROM ({sums}) WHERE {is_odd} ORDER BY call_id LIMIT 100");
                let rows = self.client().query(&sql).fetch_all::<OddCall>().await;
                odd.extend(rows.map_err(self.failed("add up calls"))?);
            }
            progress.advance();
        }
        odd.truncate(100);
        Ok((odd, looked_at))
    }

    /// The months that have entries.
    pub async fn months(&self) -> Result<Vec<u16>, DatabaseError> {
        let query = self.client().query("SELECT DISTINCT period FROM ledger_entries ORDER BY period");
        query.fetch_all().await.map_err(self.failed("list the months of the ledger"))
    }
}
