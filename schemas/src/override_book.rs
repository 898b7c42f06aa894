//! Statements on overrides: which calls a person means, what was decided about them, and what is on record.

use domain::time::BillingPeriod;

use crate::database::{Database, DatabaseError};
use crate::evidence_log::TraceRow;
use crate::literal::{unhex, unhex_list};
use crate::rows::{OverrideCallRow, OverrideRow, StandingReport};

const IDS_A_STATEMENT: usize = 2_000;

/// What a person calls a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallName {
    /// Sixteen bytes that name a trace, a call or an entry.
    Id([u8; 16]),
    /// The provider's name for the answer.
    Response(String),
}

/// Which of the calls that stand a person means: those that meet every condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallFilter {
    /// By name.
    pub name: Option<CallName>,
    /// Column of `ledger_entries` and the value it must have.
    pub equal: Vec<(&'static str, String)>,
    /// Made at or after this moment (nanoseconds since the epoch).
    pub from: Option<i64>,
    /// Made before this moment.
    pub to: Option<i64>,
}

impl CallFilter {
    fn condition(&self) -> (String, Vec<&str>) {
        let mut condition = String::from("entry_type IN ('usage', 'correction')");
        let mut parameters = Vec::new();
        match &self.name {
            Some(CallName::Id(id)) => {
                let id = unhex(*id);
                condition.push_str(&format!(
                    " AND (trace_id = {id} OR call_id = {id} OR call_id IN \
                     (SELECT e.call_id FROM ledger_entries AS e WHERE e.entry_id = {id}))"
                ));
            }
            Some(CallName::Response(id)) => {
                condition.push_str(" AND response_id = ?");
                parameters.push(id.as_str());
            }
            None => {}
        }
        for (column, value) in &self.equal {
            condition.push_str(&format!(" AND {column} = ?"));
            parameters.push(value.as_str());
        }
        for (sign, time) in [(">=", self.from), ("<", self.to)] {
            if let Some(time) = time {
                condition.push_str(&format!(" AND occurred_at {sign} fromUnixTimestamp64Nano({time})"));
            }
        }
        (condition, parameters)
    }
}

impl Database {
    /// The reports that the calls meant stand by, sorted. A call that was moved away meets the condition of neither side
    /// twice: its entries add up by what they say.
    pub async fn standing_reports(&self, filter: &CallFilter) -> Result<Vec<StandingReport>, DatabaseError> {
        let (condition, parameters) = filter.condition();
        let sql = format!(
            "SELECT ?fields FROM (SELECT realm, trace_id, span_id FROM ledger_entries AS e FINAL WHERE {condition} \
             GROUP BY call_id, realm, trace_id, span_id HAVING sum(e.calls) > 0) ORDER BY trace_id, span_id, realm"
        );
        let query = parameters.into_iter().fold(self.client().query(&sql), clickhouse::query::Query::bind);
        query.fetch_all().await.map_err(self.failed("find the calls meant"))
    }

    /// Writes down what was decided about calls.
    pub async fn insert_override_calls(&self, rows: &[OverrideCallRow]) -> Result<(), DatabaseError> {
        self.insert_rows("override_calls", rows).await
    }

    /// Puts an override on record, once it is done.
    pub async fn insert_override(&self, row: &OverrideRow) -> Result<(), DatabaseError> {
        self.insert_rows("overrides", std::slice::from_ref(row)).await
    }

    /// Every override on record, oldest first.
    pub async fn overrides(&self) -> Result<Vec<OverrideRow>, DatabaseError> {
        let query =
            self.client().query("SELECT ?fields FROM overrides FINAL ORDER BY decided_at, override_id");
        query.fetch_all().await.map_err(self.failed("read the overrides"))
    }

    /// What was decided about calls of some traces.
    pub async fn override_calls_of_traces(
        &self,
        traces: &[[u8; 16]],
    ) -> Result<Vec<OverrideCallRow>, DatabaseError> {
        let mut rows = Vec::new();
        for some in traces.chunks(IDS_A_STATEMENT) {
            let sql = format!(
                "SELECT ?fields FROM override_calls FINAL WHERE trace_id IN ({})",
                unhex_list(some.iter().copied())
            );
            let found = self.client().query(&sql).fetch_all::<OverrideCallRow>().await;
            rows.extend(found.map_err(self.failed("read the overrides of traces"))?);
        }
        Ok(rows)
    }

    /// What one override decided, call by call, begun or done.
    pub async fn override_calls_of(&self, override_id: &str) -> Result<Vec<OverrideCallRow>, DatabaseError> {
        let query = self
            .client()
            .query("SELECT ?fields FROM override_calls FINAL WHERE override_id = ? ORDER BY trace_id, span_id, realm")
            .bind(override_id);
        query.fetch_all().await.map_err(self.failed("read the calls of an override"))
    }

    /// A number that differs once something else was decided. Cheap: reads no rows.
    pub async fn override_calls_count(&self) -> Result<u64, DatabaseError> {
        let query = self.client().query("SELECT count() FROM override_calls");
        query.fetch_one().await.map_err(self.failed("look for new overrides"))
    }

    /// Overrides that were begun and are not on record as done.
    pub async fn overrides_begun(&self) -> Result<Vec<String>, DatabaseError> {
        let query = self.client().query(
            "SELECT DISTINCT override_id FROM override_calls \
             WHERE override_id NOT IN (SELECT override_id FROM overrides) ORDER BY override_id",
        );
        query.fetch_all().await.map_err(self.failed("look for overrides that are not done"))
    }

    /// The traces that anything was decided about; with a month, those whose calls have entries in it.
    pub async fn override_traces(
        &self,
        period: Option<BillingPeriod>,
    ) -> Result<Vec<TraceRow>, DatabaseError> {
        let within = period.map_or(String::new(), |month| {
            format!(
                " WHERE trace_id IN (SELECT trace_id FROM ledger_entries WHERE period = toDate('{}'))",
                month.first_day()
            )
        });
        let sql =
            format!("SELECT DISTINCT realm, trace_id FROM override_calls{within} ORDER BY trace_id, realm");
        self.client().query(&sql).fetch_all().await.map_err(self.failed("list the traces of overrides"))
    }
}
