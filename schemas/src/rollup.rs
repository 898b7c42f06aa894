//! Statements of the rollup: what the days of the ledger hold, summing one, and how far the sums may be believed.
//!
//! Promises: a day is summed from the ledger as a whole, each entry once; summing it again changes nothing.
//! Leaves to others: when, and which (`billing::rollup`).

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};
use crate::rows::day_of;

/// A day of a period and what the ledger holds of it. Of a ledger that is only appended to, equal ones hold the same entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Row, Serialize, Deserialize)]
pub struct LedgerDay {
    /// Days since the epoch: the first of the month it is billed in.
    pub period: u16,
    /// Days since the epoch.
    pub day: u16,
    /// Rows, copies included.
    pub rows: u64,
    /// When the newest was posted, microseconds since the epoch.
    pub newest: i64,
}

impl LedgerDay {
    /// As [`RolledUp`] holds it.
    pub fn fields(self) -> (u16, u16, u64, i64) {
        (self.period, self.day, self.rows, self.newest)
    }
}

/// How far `usage_days` may be believed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct RolledUp {
    /// What was posted until then (microseconds since the epoch), of days before `before`, is in it.
    pub through: i64,
    /// Days since the epoch.
    pub before: u16,
    /// The days of periods that were open, as they were summed: the fields of [`LedgerDay`].
    pub days: Vec<(u16, u16, u64, i64)>,
    /// The periods that were closed, by their first days. Nothing is posted to them any more.
    pub closed: Vec<u16>,
}

/// A day and a tenant of which the rollup says something else than the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct RolledDifference {
    /// Days since the epoch.
    pub day: u16,
    /// Whose.
    pub tenant: String,
    /// Calls by which the rollup has more.
    pub calls: i64,
    /// Cost by which the rollup has more.
    pub cost: String,
}

/// What of an entry adds up: the columns that every sum of usage has.
pub(crate) const SUMS: [&str; 9] = [
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

impl Database {
    /// How far the rollup may be believed; not at all, where it was never made.
    pub async fn rolled_up(&self) -> Result<RolledUp, DatabaseError> {
        let query = self.client().query("SELECT ?fields FROM rolled_up FINAL");
        let row = query.fetch_optional().await.map_err(self.failed("read how far days are rolled up"))?;
        Ok(row.unwrap_or_default())
    }

    /// Writes down how far it may be believed. What is written with the greatest `through` counts.
    pub async fn insert_rolled_up(&self, row: &RolledUp) -> Result<(), DatabaseError> {
        self.insert_rows("rolled_up", std::slice::from_ref(row)).await
    }

    /// What the ledger holds of each day, but for some periods; in order.
    pub async fn ledger_days(&self, but: &[u16]) -> Result<Vec<LedgerDay>, DatabaseError> {
        let but: Vec<String> = but.iter().map(|period| format!("toDate({period})")).collect();
        let of =
            if but.is_empty() { String::new() } else { format!("WHERE period NOT IN ({})", but.join(", ")) };
        let sql = format!(
            "SELECT period, toDate(occurred_at) AS day, count() AS rows, toUnixTimestamp64Micro(max(posted_at)) AS newest \
             FROM ledger_entries {of} GROUP BY period, day ORDER BY day, period"
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("look which days the ledger has"))
    }

    /// Sums a day of a period from the ledger.
    pub async fn roll_up_day(&self, period: u16, day: u16) -> Result<(), DatabaseError> {
        let keys =
            "period, toDate(e.occurred_at) AS day, tenant, feature, provider, model, entry_type, state";
        let sums: Vec<String> = SUMS.iter().map(|column| format!("sum(e.{column})")).collect();
        let sql = format!(
            "INSERT INTO usage_days \
             SELECT {keys}, count() AS entries, {} FROM ledger_entries AS e FINAL \
             WHERE period = toDate({period}) AND e.occurred_at >= toDateTime64(toDate({day}), 9, 'UTC') \
               AND e.occurred_at < toDateTime64(toDate({day} + 1), 9, 'UTC') \
             GROUP BY period, day, tenant, feature, provider, model, entry_type, state",
            sums.join(", ")
        );
        self.inserting().query(&sql).execute().await.map_err(self.failed(&format!("roll up {}", day_of(day))))
    }

    /// Drops the sums of periods that the ledger has no entry of: they went by retention. Returns how many.
    pub async fn forget_retired_days(&self) -> Result<usize, DatabaseError> {
        let sql = "SELECT DISTINCT period FROM usage_days WHERE period NOT IN (SELECT DISTINCT period FROM ledger_entries)";
        let gone: Vec<u16> =
            self.client().query(sql).fetch_all().await.map_err(self.failed("look for retired periods"))?;
        for period in &gone {
            let sql = format!("ALTER TABLE usage_days DROP PARTITION '{}'", day_of(*period));
            self.client()
                .query(&sql)
                .execute()
                .await
                .map_err(self.failed("drop the sums of a retired period"))?;
        }
        Ok(gone.len())
    }

    /// Days and tenants of which the rolled days, as `usage_between` reads them, say something else than the ledger; at most
    /// twenty.
    pub async fn rolled_differences(&self) -> Result<Vec<RolledDifference>, DatabaseError> {
        let before = format!("toDateTime64(toDate({}), 9, 'UTC')", self.rolled_up().await?.before);
        let less: Vec<String> = SUMS.iter().map(|column| format!("-{column} AS {column}")).collect();
        let differs: Vec<String> = SUMS.iter().map(|column| format!("sum(s.{column}) != 0")).collect();
        let sql = format!(
            "SELECT toDate(s.at) AS day, toString(s.tenant) AS tenant, sum(s.calls) AS calls, toString(sum(s.cost)) AS cost FROM (\
               SELECT at, tenant, {} FROM usage_between(from = toDateTime(0, 'UTC'), to = {before} - toIntervalNanosecond(1)) \
               UNION ALL SELECT occurred_at AS at, tenant, {} FROM ledger WHERE occurred_at < {before}\
             ) AS s GROUP BY day, s.tenant HAVING {} ORDER BY day, tenant LIMIT 20",
            SUMS.join(", "),
            less.join(", "),
            differs.join(" OR ")
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("compare the ledger with its days"))
    }
}
