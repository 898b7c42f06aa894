//! What budgets sum of the ledger, and which parts of it changed lately.
//!
//! A part is what one month bills of one hour, or one day, of calls: a range of the table's key, so that reading it anew
//! reads no more than it. Copies of an entry are one (`FINAL`), so a part that is read twice comes to the same.

use clickhouse::Row;
use domain::money::Cost;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};

/// An hour of calls that entries were posted of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct TouchedHour {
    /// The month that bills them, as days since the epoch of its first.
    pub period: u16,
    /// Seconds since the epoch at which the hour begins.
    pub hour: i64,
    /// Entries posted since the moment asked for.
    pub entries: u64,
    /// When the last was posted, in microseconds since the epoch.
    pub last: i64,
}

/// Net sums of a part, for one account.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct SpentRow {
    /// The month that bills it.
    pub period: u16,
    /// Seconds since the epoch at which the part begins.
    pub part: i64,
    /// The payer; empty where tenants are not told apart.
    pub tenant: String,
    /// The feature; empty where features are not told apart.
    pub feature: String,
    /// The end user; empty where users are not told apart.
    pub user: String,
    /// What providers charge.
    #[serde(with = "crate::picos")]
    pub cost: Cost,
    /// What the tenant is charged.
    #[serde(with = "crate::picos")]
    pub charge: Cost,
    /// Net calls whose price is not known: they are in neither sum.
    pub unpriced: i64,
}

/// A stretch of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Only what this month bills.
    pub period: Option<u16>,
    /// Calls from then on, in seconds since the epoch.
    pub from: Option<i64>,
    /// Calls before then.
    pub to: Option<i64>,
}

/// What is summed, by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpentQuery {
    /// Which entries: those of any of the stretches.
    pub stretches: Vec<Stretch>,
    /// Calls before this time (seconds since the epoch) are summed by day, later ones by hour.
    pub days_before: i64,
    /// Whether tenants, features and users are told apart.
    pub by: [bool; 3],
    /// Only entries with one of these values, where a list is given: of tenant, feature and user.
    pub only: [Option<Vec<String>>; 3],
    /// Only money of this currency.
    pub currency: String,
    /// How many rows at most.
    pub rows_max: u64,
}

const COLUMNS: [&str; 3] = ["tenant", "feature", "user_id"];

impl Stretch {
    fn condition(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.period.map(|period| format!("e.period = toDate({period})")));
        let instant =
            |seconds: i64| format!("fromUnixTimestamp64Nano({})", seconds.saturating_mul(1_000_000_000));
        parts.extend(self.from.map(|from| format!("e.occurred_at >= {}", instant(from))));
        parts.extend(self.to.map(|to| format!("e.occurred_at < {}", instant(to))));
        format!("({})", parts.join(" AND "))
    }
}

/// The statement and its parameters, in order. Names travel as parameters; only numbers are written into it.
fn statement(query: &SpentQuery) -> (String, Vec<Vec<String>>) {
    let stretches: Vec<String> = query.stretches.iter().map(Stretch::condition).collect();
    let mut condition = format!("({})", stretches.join(" OR "));
    let mut parameters = Vec::new();
    for (column, only) in COLUMNS.iter().zip(&query.only) {
        if let Some(values) = only {
            condition.push_str(&format!(" AND e.{column} IN ?"));
            parameters.push(values.clone());
        }
    }
    // What was rated in another currency has no sum with this one. An entry without money has none.
    condition.push_str(" AND e.currency IN ?");
    parameters.push(vec![query.currency.clone(), String::new()]);
    let dimension =
        |at: usize| if query.by[at] { format!("toString(e.{})", COLUMNS[at]) } else { "''".to_string() };
    let sql = format!(
        "SELECT e.period AS period, \
           toInt64(intDiv(toUnixTimestamp64Nano(e.occurred_at), if(toUnixTimestamp64Nano(e.occurred_at) < {days}, 86400000000000, 3600000000000)) \
             * if(toUnixTimestamp64Nano(e.occurred_at) < {days}, 86400, 3600)) AS part, \
           {} AS tenant, {} AS feature, {} AS user, \
           sum(e.cost) AS cost, sum(e.charge) AS charge, sumIf(e.calls, e.state = 'unpriced') AS unpriced \
         FROM ledger_entries AS e FINAL WHERE {condition} \
         GROUP BY period, part, tenant, feature, user \
         HAVING cost != 0 OR charge != 0 OR unpriced != 0 LIMIT {} \
         SETTINGS do_not_merge_across_partitions_select_final = 1, max_threads = 2",
        dimension(0),
        dimension(1),
        dimension(2),
        query.rows_max,
        days = query.days_before.saturating_mul(1_000_000_000),
    );
    (sql, parameters)
}

impl Database {
    /// The hours that entries were posted of since a moment (microseconds since the epoch).
    ///
    /// # Errors
    /// [`DatabaseError::Statement`] when the database does not answer.
    pub async fn touched_hours(&self, since: i64) -> Result<Vec<TouchedHour>, DatabaseError> {
        // Granules keep the ends of `posted_at`, which follow the order of insertion, so this reads what is new.
        let sql = format!(
            "SELECT period, toInt64(intDiv(toUnixTimestamp64Nano(occurred_at), 3600000000000) * 3600) AS hour, \
               count() AS entries, max(toUnixTimestamp64Micro(posted_at)) AS last \
             FROM ledger_entries WHERE posted_at >= fromUnixTimestamp64Micro({since}) GROUP BY period, hour \
             SETTINGS max_threads = 2"
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("see what was posted lately"))
    }

    /// Net sums by part and account; accounts with nothing in a part are left out.
    ///
    /// # Errors
    /// [`DatabaseError::Statement`] when the database does not answer.
    pub async fn spent(&self, query: &SpentQuery) -> Result<Vec<SpentRow>, DatabaseError> {
        let (sql, parameters) = statement(query);
        let mut statement = self.client().query(&sql);
        for parameter in &parameters {
            statement = statement.bind(parameter);
        }
        statement.fetch_all().await.map_err(self.failed("sum what budgets are of"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parameters_and_stretches_are_ranges_of_the_key() {
        let query = SpentQuery {
            stretches: vec![
                Stretch { period: Some(20_000), from: None, to: None },
                Stretch { period: None, from: Some(1_728_000_000), to: Some(1_728_003_600) },
            ],
            days_before: 1_728_000_000,
            by: [true, false, false],
            only: [Some(vec!["x' OR 1 --".into()]), None, None],
            currency: "USD".into(),
            rows_max: 10,
        };
        let (sql, parameters) = statement(&query);
        assert_eq!(parameters, [vec!["x' OR 1 --".to_string()], vec!["USD".into(), String::new()]]);
        assert_eq!(sql.matches('?').count(), parameters.len());
        assert!(sql.contains("((e.period = toDate(20000)) OR (e.occurred_at >= "), "{sql}");
        assert!(!sql.contains("OR 1"), "{sql}");
    }
}
