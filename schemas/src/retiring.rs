//! Statements of retention: which partitions there are, whether anything still needs one, what goes with it, and dropping it.
//!
//! Promises: a partition is dropped whole or not at all; dropping one that is not there changes nothing.
//! Leaves to others: what may go, and in which order things are written down (`billing::retire`).

use std::collections::{BTreeMap, HashSet};

use clickhouse::Row;
use domain::time::BillingPeriod;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};
use crate::inquiries::OutcomeCount;
use crate::rows::{RetiredCreditRow, RetirementRow};

/// Rows of the log that are grouped at once.
const ROWS_A_SLICE: u64 = 4_000_000;

/// How far a collector's positions of a day reach.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct CollectorEnd {
    /// The journal.
    pub collector_id: [u8; 16],
    /// The last position received on that day.
    pub last_seq: u64,
}

/// What went by retention, put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retired {
    /// The last day of evidence that went, days since the epoch.
    pub last_day: Option<u16>,
    /// The months whose entries went, in order.
    pub months: Vec<BillingPeriod>,
    /// Calls that ended until then (nanoseconds) are not judged again.
    pub frozen_until: Option<i64>,
    /// Net calls of entries that went.
    pub calls: i64,
    /// Spans of which nothing is left, by what they came to.
    pub outcomes: BTreeMap<String, u64>,
}

impl Retired {
    /// Puts rows together. What was begun and is still there counts as there.
    fn of(rows: &[RetirementRow], still_there: impl Fn(&RetirementRow) -> bool) -> Self {
        let mut retired = Self::default();
        for row in rows {
            retired.frozen_until = retired.frozen_until.max(Some(row.frozen_until));
            if row.dropped_at == 0 && still_there(row) {
                continue;
            }
            if row.class == LEDGER {
                retired.months.push(crate::rows::month_of(row.partition));
            } else {
                retired.last_day = retired.last_day.max(Some(row.partition));
            }
            retired.calls += row.calls;
            for (outcome, spans) in &row.outcomes {
                *retired.outcomes.entry(outcome.clone()).or_default() += spans;
            }
        }
        retired.months.sort_unstable();
        retired.months.dedup();
        retired
    }

    /// The first instant (nanoseconds) after the last month whose entries went: what happened before it may be gone.
    pub fn ledger_from(&self) -> Option<i64> {
        self.months.last().and_then(|month| month.end().timestamp_nanos_opt())
    }

    /// Spans that went.
    pub fn spans(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

/// The class of evidence.
pub const OBSERVATIONS: &str = "observations";
/// The class of entries.
pub const LEDGER: &str = "ledger";

/// The table of a class and the column that is its partition.
fn table_of(class: &str) -> (&'static str, &'static str) {
    if class == LEDGER { ("ledger_entries", "period") } else { ("observation_log", "received_day") }
}

impl Database {
    /// What went by retention, or is about to, oldest first.
    pub async fn retirements(&self) -> Result<Vec<RetirementRow>, DatabaseError> {
        let query =
            self.client().query("SELECT ?fields FROM retirements FINAL ORDER BY class, partition, begun_at");
        query.fetch_all().await.map_err(self.failed("read what was retired"))
    }

    /// When something was last begun to be retired (microseconds since the epoch).
    pub async fn last_retirement(&self) -> Result<i64, DatabaseError> {
        let query = self.client().query("SELECT toUnixTimestamp64Micro(max(begun_at)) FROM retirements");
        query.fetch_one().await.map_err(self.failed("look for what was retired"))
    }

    /// What went by retention, put together.
    pub async fn retired(&self) -> Result<Retired, DatabaseError> {
        let rows = self.retirements().await?;
        let mut there: HashSet<(String, u16)> = HashSet::new();
        for row in rows.iter().filter(|row| row.dropped_at == 0) {
            if self.partition_rows(&row.class, row.partition).await? > 0 {
                there.insert((row.class.clone(), row.partition));
            }
        }
        Ok(Retired::of(&rows, |row| there.contains(&(row.class.clone(), row.partition))))
    }

    /// Writes down that a partition goes, or went.
    pub async fn insert_retirement(&self, row: &RetirementRow) -> Result<(), DatabaseError> {
        self.insert_rows("retirements", std::slice::from_ref(row)).await
    }

    /// Puts down what the entries of a month used of credits, so that it counts without them.
    pub async fn insert_retired_credits(&self, period: BillingPeriod) -> Result<(), DatabaseError> {
        let sql = format!(
            "SELECT period, entry_id, toString(tenant) AS tenant, toString(operation) AS name, posted_at, charge \
             FROM ledger_entries FINAL \
             WHERE entry_type = 'credit' AND tenant_source = 'plan' AND period = toDate('{}') ORDER BY entry_id",
            period.first_day()
        );
        let rows: Vec<RetiredCreditRow> = self
            .client()
            .query(&sql)
            .fetch_all()
            .await
            .map_err(self.failed("read the credits of a month"))?;
        self.insert_rows("retired_credits", &rows).await
    }

    /// The days before a day of which there is evidence, oldest first, at most so many.
    pub async fn evidence_days(&self, before: u16, limit: u64) -> Result<Vec<u16>, DatabaseError> {
        let sql = format!(
            "SELECT DISTINCT received_day FROM observation_log WHERE received_day < toDate({before}) \
             ORDER BY received_day LIMIT {limit}"
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("list the days of evidence"))
    }

    /// How far each collector's positions of a day reach, committed or not.
    pub async fn ends_of_day(&self, day: u16) -> Result<Vec<CollectorEnd>, DatabaseError> {
        let sql = format!(
            "SELECT collector_id, max(seq) AS last_seq FROM (\
               SELECT collector_id, seq FROM observation_log WHERE received_day = toDate({day}) \
               UNION ALL SELECT collector_id, last_seq AS seq FROM batches WHERE received_day = toDate({day})\
             ) GROUP BY collector_id ORDER BY collector_id"
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("look how far a day is settled"))
    }

    /// Rows of a partition.
    pub async fn partition_rows(&self, class: &str, partition: u16) -> Result<u64, DatabaseError> {
        let (table, column) = table_of(class);
        let sql = format!("SELECT count() FROM {table} WHERE {column} = toDate({partition})");
        self.client().query(&sql).fetch_one().await.map_err(self.failed("count the rows of a partition"))
    }

    /// The open months that hold an entry of a trace of which evidence was received on a day.
    pub async fn open_months_of_day(
        &self,
        day: u16,
        closed: &[BillingPeriod],
    ) -> Result<Vec<BillingPeriod>, DatabaseError> {
        let closed: Vec<String> =
            closed.iter().map(|month| format!("toDate('{}')", month.first_day())).collect();
        let open = if closed.is_empty() {
            "1".to_string()
        } else {
            format!("period NOT IN ({})", closed.join(", "))
        };
        let slices = self.partition_rows(OBSERVATIONS, day).await?.div_ceil(ROWS_A_SLICE).max(1);
        let mut months = Vec::new();
        for slice in 0..slices {
            let sql = format!(
                "SELECT DISTINCT period FROM ledger_entries WHERE {open} AND trace_id IN (\
                   SELECT trace_id FROM observation_log \
                   WHERE received_day = toDate({day}) AND cityHash64(trace_id) % {slices} = {slice}) ORDER BY period"
            );
            let found: Vec<u16> =
                self.client().query(&sql).fetch_all().await.map_err(self.failed("look who needs a day"))?;
            months.extend(found.into_iter().map(crate::rows::month_of));
        }
        months.sort_unstable();
        months.dedup();
        Ok(months)
    }

    /// Spans that were reported on a day and on no other, by what they came to; as `observations` has them, for a day of
    /// which everything is settled.
    pub async fn outcomes_of_day(&self, day: u16) -> Result<BTreeMap<String, u64>, DatabaseError> {
        let slices = self.partition_rows(OBSERVATIONS, day).await?.div_ceil(ROWS_A_SLICE).max(1);
        let mut outcomes = BTreeMap::new();
        for slice in 0..slices {
            let own = format!("received_day = toDate({day}) AND cityHash64(trace_id) % {slices} = {slice}");
            let traces = format!("SELECT trace_id FROM observation_log WHERE {own}");
            let sql = format!(
                "SELECT multiIf(d.outcome != '', d.outcome, o.kind IN ('attribution', 'unrecognised'), o.kind, 'billed') AS outcome, \
                   count() AS spans \
                 FROM (SELECT realm, trace_id, span_id, toString(kind) AS kind FROM observation_log \
                   WHERE {own} AND kind != 'link' AND (realm, trace_id, span_id) NOT IN (\
                     SELECT realm, trace_id, span_id FROM observation_log \
                     WHERE received_day != toDate({day}) AND kind != 'link' AND trace_id IN ({traces})) \
                   ORDER BY reread > 0 DESC, if(reread > 0, decoder_version, 0) DESC, reread DESC, collector_id, seq \
                   LIMIT 1 BY realm, trace_id, span_id) AS o \
                 LEFT JOIN (SELECT realm, trace_id, span_id, toString(outcome) AS outcome FROM decisions FINAL WHERE trace_id IN ({traces})) AS d \
                   ON d.realm = o.realm AND d.trace_id = o.trace_id AND d.span_id = o.span_id \
                 GROUP BY outcome ORDER BY outcome"
            );
            let rows = self.client().query(&sql).fetch_all::<OutcomeCount>().await;
            for row in rows.map_err(self.failed("count the spans of a day"))? {
                *outcomes.entry(row.outcome).or_default() += row.spans;
            }
        }
        Ok(outcomes)
    }

    /// Drops a partition, whole.
    pub async fn drop_partition(&self, class: &str, partition: u16) -> Result<(), DatabaseError> {
        let (table, _) = table_of(class);
        let day = crate::rows::day_of(partition);
        // A server's guard against dropping by mistake what is large; this is none.
        let client = self.client().clone().with_setting("max_partition_size_to_drop", "0");
        let sql = format!("ALTER TABLE {table} DROP PARTITION '{day}'");
        client.query(&sql).execute().await.map_err(self.failed(&format!("drop {day} of {table}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(class: &str, partition: u16, dropped_at: i64) -> RetirementRow {
        RetirementRow {
            class: class.into(),
            partition,
            begun_at: 1,
            dropped_at,
            rows: 5,
            calls: i64::from(class == LEDGER) * 3,
            outcomes: [("billed".to_string(), u64::from(class != LEDGER) * 2)].into(),
            settled: Vec::new(),
            frozen_until: i64::from(partition),
            merkle_root: [0; 32],
            retention: 1,
            settler: [0; 16],
            program: String::new(),
        }
    }

    #[test]
    fn what_was_begun_freezes_at_once_and_counts_once_it_is_gone() {
        let day = |nanos: i64| crate::rows::day_number(nanos * 86_400_000_000_000);
        let rows = [row(OBSERVATIONS, day(100), 2), row(OBSERVATIONS, day(101), 0), row(LEDGER, day(31), 2)];
        let there = Retired::of(&rows, |_| true);
        assert_eq!((there.last_day, there.frozen_until), (Some(100), Some(101)));
        assert_eq!((there.spans(), there.calls, there.months.len()), (2, 3, 1));
        let gone = Retired::of(&rows, |_| false);
        assert_eq!((gone.last_day, gone.frozen_until, gone.spans()), (Some(101), Some(101), 4));
        let from = BillingPeriod::parse("1970-02").unwrap().end().timestamp_nanos_opt();
        assert_eq!(gone.ledger_from(), from);
        assert_eq!(Retired::default().ledger_from(), None);
    }
}
