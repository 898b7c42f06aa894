//! What people ask of the ledger: sums over the view `ledger`, grouped by what they choose.
//!
//! Promises: every figure is a sum over the ledger's own rows, so any two groupings of one window have the same totals;
//! dimensions are a closed list and values travel as bound parameters, so no text of a user becomes SQL.

use chrono::{DateTime, Utc};
use clickhouse::Row;
use domain::money::Cost;
use domain::time::BillingPeriod;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};

/// What sums can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The payer.
    Tenant,
    /// The product feature.
    Feature,
    /// The provider, by its well-known name.
    Provider,
    /// The model, by the provider's own name.
    Model,
    /// The model that was asked for.
    RequestModel,
    /// The UTC day of the call.
    Day,
    /// The billing period, as the first day of the month.
    Period,
    /// The end user.
    User,
    /// The session or conversation.
    Session,
    /// The agent.
    Agent,
    /// The service.
    Service,
    /// The deployment environment.
    Environment,
    /// The account of the API key.
    Realm,
    /// chat, embeddings, …
    Operation,
    /// billed, unpriced, unmetered, partial.
    State,
    /// usage, correction, adjustment, credit.
    EntryType,
    /// The provider's service tier.
    ServiceTier,
    /// The provider's region.
    Region,
}

impl Dimension {
    /// Every dimension, the usual ones first.
    pub const ALL: [Self; 18] = [
        Self::Tenant,
        Self::Feature,
        Self::Provider,
        Self::Model,
        Self::RequestModel,
        Self::Day,
        Self::Period,
        Self::User,
        Self::Session,
        Self::Agent,
        Self::Service,
        Self::Environment,
        Self::Realm,
        Self::Operation,
        Self::State,
        Self::EntryType,
        Self::ServiceTier,
        Self::Region,
    ];

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Feature => "feature",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::RequestModel => "request_model",
            Self::Day => "day",
            Self::Period => "period",
            Self::User => "user",
            Self::Session => "session",
            Self::Agent => "agent",
            Self::Service => "service",
            Self::Environment => "environment",
            Self::Realm => "realm",
            Self::Operation => "operation",
            Self::State => "state",
            Self::EntryType => "entry_type",
            Self::ServiceTier => "service_tier",
            Self::Region => "region",
        }
    }

    /// The dimension of a name; the ledger's own names of columns are understood too.
    pub fn named(name: &str) -> Option<Self> {
        let alias = match name {
            "user_id" => "user",
            "session_id" => "session",
            other => other,
        };
        Self::ALL.into_iter().find(|dimension| dimension.name() == alias)
    }

    fn expression(self) -> &'static str {
        match self {
            Self::Day => "toString(toDate(occurred_at))",
            Self::Period => "toString(period)",
            Self::User => "user_id",
            Self::Session => "session_id",
            other => other.name(),
        }
    }
}

/// Which entries a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// What is billed in a month, whenever it happened.
    Month(BillingPeriod),
    /// What happened from the first instant up to, not including, the second, whenever it is billed.
    Between(DateTime<Utc>, DateTime<Utc>),
}

/// A question about usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// Which entries.
    pub window: Window,
    /// What to group by, in the order of the report's columns.
    pub by: Vec<Dimension>,
    /// Only this tenant's entries.
    pub tenant: Option<String>,
}

/// Net sums over a group of entries. Corrections can make any of them negative in a window that holds the correction and
/// not what it corrects.
#[derive(Debug, Clone, PartialEq, Eq, Default, Row, Serialize, Deserialize)]
pub struct UsageRow {
    /// The values of the dimensions asked for, in that order.
    pub dimensions: Vec<String>,
    /// Net calls.
    pub calls: i64,
    /// The whole prompt; cached reads and cache writes are parts of it.
    pub input_tokens: i64,
    /// The part of the prompt read from the provider's cache.
    pub cache_read_tokens: i64,
    /// The part of the prompt written to it.
    pub cache_write_tokens: i64,
    /// What the model answered, reasoning included.
    pub output_tokens: i64,
    /// The part of the output that is reasoning.
    pub reasoning_tokens: i64,
    /// What the provider charges.
    #[serde(with = "crate::picos")]
    pub cost: Cost,
    /// What the tenant is charged.
    #[serde(with = "crate::picos")]
    pub charge: Cost,
    /// The currencies of its money, sorted. More than one have no sum.
    pub currencies: Vec<String>,
    /// Calls whose usage is known and whose price is not.
    pub unpriced_calls: i64,
    /// Calls whose usage is not known.
    pub unmetered_calls: i64,
}

impl UsageRow {
    /// Adds another group's sums; dimensions stay.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.input_tokens += other.input_tokens;
        self.cache_read_tokens += other.cache_read_tokens;
        self.cache_write_tokens += other.cache_write_tokens;
        self.output_tokens += other.output_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
        self.cost += other.cost;
        self.charge += other.charge;
        self.unpriced_calls += other.unpriced_calls;
        self.unmetered_calls += other.unmetered_calls;
        self.currencies.extend(other.currencies.iter().cloned());
        self.currencies.sort_unstable();
        self.currencies.dedup();
    }
}

/// The statement and its parameters, in order.
fn statement(query: &UsageQuery) -> (String, Vec<String>) {
    let dimensions: Vec<&str> = query.by.iter().map(|dimension| dimension.expression()).collect();
    let (mut condition, mut parameters) = match query.window {
        Window::Month(month) => ("e.period = toDate(?)".to_owned(), vec![month.first_day().to_string()]),
        Window::Between(from, to) => (
            "e.occurred_at >= toDateTime64(?, 9, 'UTC') AND e.occurred_at < toDateTime64(?, 9, 'UTC')"
                .to_owned(),
            [from, to].map(|instant| instant.format("%Y-%m-%d %H:%M:%S%.9f").to_string()).to_vec(),
        ),
    };
    if let Some(tenant) = &query.tenant {
        condition.push_str(" AND e.tenant = ?");
        parameters.push(tenant.clone());
    }
    // A dimension that everything was moved away from (a re-attribution, a reversal) sums to nothing: no row.
    let sql = format!(
        "SELECT CAST([{dimensions}], 'Array(String)') AS dimensions, \
           sum(e.calls) AS calls, \
           sum(e.input_tokens) AS input_tokens, \
           sum(e.cache_read_tokens) AS cache_read_tokens, \
           sum(e.cache_write_tokens) AS cache_write_tokens, \
           sum(e.output_tokens) AS output_tokens, \
           sum(e.reasoning_tokens) AS reasoning_tokens, \
           sum(e.cost) AS cost, \
           sum(e.charge) AS charge, \
           arraySort(groupUniqArrayIf(toString(e.currency), e.cost != 0 OR e.charge != 0)) AS currencies, \
           sumIf(e.calls, e.state = 'unpriced') AS unpriced_calls, \
           sumIf(e.calls, e.state = 'unmetered') AS unmetered_calls \
         FROM ledger AS e \
         WHERE {condition} \
         GROUP BY dimensions \
         HAVING calls != 0 OR input_tokens != 0 OR output_tokens != 0 OR cost != 0 OR charge != 0 \
           OR unpriced_calls != 0 OR unmetered_calls != 0 \
         ORDER BY dimensions",
        dimensions = dimensions.join(", "),
    );
    (sql, parameters)
}

impl Database {
    /// Net usage, a row a group, sorted by the dimensions. Groups in which everything nets to nothing are left out.
    ///
    /// # Errors
    /// [`DatabaseError::Statement`] when the database does not answer.
    pub async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, DatabaseError> {
        let (sql, parameters) = statement(query);
        let mut statement = self.client().query(&sql);
        for parameter in parameters {
            statement = statement.bind(parameter);
        }
        statement.fetch_all().await.map_err(self.failed("sum the ledger"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_one_dimension() {
        for dimension in Dimension::ALL {
            assert_eq!(Dimension::named(dimension.name()), Some(dimension));
        }
        assert_eq!(Dimension::named("user_id"), Some(Dimension::User));
        assert_eq!(Dimension::named("tenant; DROP"), None);
    }

    #[test]
    fn a_users_text_is_never_part_of_the_statement() {
        let window = Window::Month(BillingPeriod::parse("2026-10").unwrap());
        let query = UsageQuery { window, by: vec![Dimension::Tenant], tenant: Some("x' OR 1 --".into()) };
        let (sql, parameters) = statement(&query);
        assert_eq!(parameters, ["2026-10-01", "x' OR 1 --"]);
        assert_eq!(sql.matches('?').count(), parameters.len());
        assert!(!sql.contains("OR 1"), "{sql}");
    }
}
