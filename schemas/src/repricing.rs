//! Statements behind `reprice`: which calls to rate again, and their entries, a slice of calls at a time.

use clickhouse::Row;
use domain::ledger::Entry;
use domain::time::BillingPeriod;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};
use crate::rows::LedgerRow;

/// Which calls to rate again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepriceFilter {
    /// Also calls that have a price.
    pub priced: bool,
    /// Only what is billed in this month.
    pub month: Option<BillingPeriod>,
    /// Only this tenant's.
    pub tenant: Option<String>,
    /// Only to this provider.
    pub provider: Option<String>,
    /// Only of this model.
    pub model: Option<String>,
    /// Only calls made then or later, nanoseconds since the epoch: of earlier ones entries may be gone.
    pub made_since: Option<i64>,
}

/// A model that calls without a price name.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct UnpricedModel {
    /// The provider.
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// The model asked for.
    pub request_model: String,
    /// Net calls.
    pub calls: i64,
}

impl RepriceFilter {
    /// The calls that stand in a state and dimensions asked for, as a subquery, and its parameters.
    fn calls(&self) -> (String, Vec<&str>) {
        let states = if self.priced { "'unpriced', 'billed', 'partial'" } else { "'unpriced'" };
        let mut condition = format!("c.state IN ({states}) AND c.entry_type IN ('usage', 'correction')");
        let mut parameters = Vec::new();
        if let Some(month) = self.month {
            condition.push_str(&format!(" AND c.period = toDate('{}')", month.first_day()));
        }
        if let Some(since) = self.made_since {
            condition.push_str(&format!(" AND c.occurred_at >= fromUnixTimestamp64Nano({since})"));
        }
        for (column, value) in
            [("tenant", &self.tenant), ("provider", &self.provider), ("model", &self.model)]
        {
            if let Some(value) = value {
                condition.push_str(&format!(" AND c.{column} = ?"));
                parameters.push(value.as_str());
            }
        }
        let sql = format!(
            "SELECT c.call_id FROM ledger_entries AS c FINAL WHERE {condition} GROUP BY c.call_id HAVING sum(c.calls) != 0"
        );
        (sql, parameters)
    }
}

impl Database {
    /// How many calls a filter leaves.
    pub async fn reprice_count(&self, filter: &RepriceFilter) -> Result<u64, DatabaseError> {
        let (calls, parameters) = filter.calls();
        let sql = format!("SELECT count() FROM ({calls})");
        let query = parameters.into_iter().fold(self.client().query(&sql), clickhouse::query::Query::bind);
        query.fetch_one().await.map_err(self.failed("count the calls to rate again"))
    }

    /// Every entry of one of so many slices of those calls.
    pub async fn reprice_entries(
        &self,
        filter: &RepriceFilter,
        slice: u64,
        slices: u64,
    ) -> Result<Vec<Entry>, DatabaseError> {
        let (calls, parameters) = filter.calls();
        let sql = format!(
            "SELECT ?fields FROM ledger_entries FINAL WHERE cityHash64(call_id) % {slices} = {slice} AND call_id IN ({calls})"
        );
        let query = parameters.into_iter().fold(self.client().query(&sql), clickhouse::query::Query::bind);
        let rows: Vec<LedgerRow> =
            query.fetch_all().await.map_err(self.failed("read the calls to rate again"))?;
        rows.into_iter().map(|row| row.to_entry().map_err(DatabaseError::from)).collect()
    }

    /// The models of calls that have no price.
    pub async fn unpriced_models(&self) -> Result<Vec<UnpricedModel>, DatabaseError> {
        let query = self.client().query(
            "SELECT provider, model, request_model, sum(e.calls) AS calls FROM ledger_entries AS e FINAL \
             WHERE state = 'unpriced' GROUP BY provider, model, request_model HAVING calls != 0 \
             ORDER BY provider, model, request_model",
        );
        query.fetch_all().await.map_err(self.failed("list the models without a price"))
    }
}
