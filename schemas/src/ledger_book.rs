//! Statements on the ledger and what belongs to it: entries, decisions, cursors, periods, prices.

use std::ops::RangeInclusive;

use clickhouse::{RowOwned, RowWrite};
use domain::ledger::Entry;
use domain::time::BillingPeriod;
use serde::Serialize;

use crate::database::{Database, DatabaseError};
use crate::evidence_log::TraceRow;
use crate::literal::unhex_list;
use crate::rows::{
    CursorRow, DecisionRow, InvoiceLineRow, InvoiceRow, LedgerRow, PeriodRow, PriceRow, month_of,
};

const IDS_A_STATEMENT: usize = 2_000;

impl Database {
    /// Inserts rows of one table synchronously.
    pub(crate) async fn insert_rows<R>(&self, table: &str, rows: &[R]) -> Result<(), DatabaseError>
    where
        R: RowOwned + RowWrite + Serialize,
    {
        if rows.is_empty() {
            return Ok(());
        }
        let write = async {
            let mut insert = self.inserting().insert::<R>(table).await?;
            for row in rows {
                insert.write(row).await?;
            }
            insert.end().await
        };
        write.await.map_err(self.failed(&format!("insert into {table}")))
    }

    /// Posts ledger entries. `posted_at` is in microseconds since the epoch.
    pub async fn insert_entries(&self, entries: &[Entry], posted_at: i64) -> Result<(), DatabaseError> {
        if entries.is_empty() {
            return Ok(());
        }
        let write = async {
            let mut insert = self.inserting().insert::<LedgerRow>("ledger_entries").await?;
            for entry in entries {
                insert.write(&LedgerRow::from_entry(entry, posted_at)).await?;
            }
            insert.end().await
        };
        write.await.map_err(self.failed("insert into ledger_entries"))
    }

    /// Writes decisions.
    pub async fn insert_decisions(&self, rows: &[DecisionRow]) -> Result<(), DatabaseError> {
        self.insert_rows("decisions", rows).await
    }

    /// Writes settle cursors.
    pub async fn insert_cursors(&self, rows: &[CursorRow]) -> Result<(), DatabaseError> {
        self.insert_rows("settle_cursors", rows).await
    }

    /// Keeps the rate cards that entries name.
    pub async fn insert_prices(&self, rows: &[PriceRow]) -> Result<(), DatabaseError> {
        self.insert_rows("prices", rows).await
    }

    /// Closes a month.
    pub async fn insert_period(&self, row: &PeriodRow) -> Result<(), DatabaseError> {
        self.insert_rows("periods", std::slice::from_ref(row)).await
    }

    /// Freezes invoices. Lines go first, so that an invoice that stands has its lines.
    pub async fn insert_invoices(
        &self,
        invoices: &[InvoiceRow],
        lines: &[InvoiceLineRow],
    ) -> Result<(), DatabaseError> {
        self.insert_rows("issued_invoice_lines", lines).await?;
        self.insert_rows("issued_invoices", invoices).await
    }

    /// Every entry whose winning span lies in one of the traces and ended within the given times (nanoseconds).
    pub async fn entries_of_traces(
        &self,
        traces: &[[u8; 16]],
        ended: RangeInclusive<i64>,
    ) -> Result<Vec<Entry>, DatabaseError> {
        // Before 1970 a client's clock says nothing, and the table's type not everything.
        let first = (*ended.start()).max(0);
        let after = if first > 0 {
            format!("occurred_at >= fromUnixTimestamp64Nano({first}) AND ")
        } else {
            String::new()
        };
        let last = (*ended.end()).max(0);
        let mut entries = Vec::new();
        for some in traces.chunks(IDS_A_STATEMENT) {
            // The time leads into the table's key; copies of an entry are equal, so any one of them will do.
            let sql = format!(
                "SELECT ?fields FROM ledger_entries WHERE {after}occurred_at <= fromUnixTimestamp64Nano({last}) \
                 AND trace_id IN ({}) LIMIT 1 BY entry_id",
                unhex_list(some.iter().copied())
            );
            let found = self.client().query(&sql).fetch_all::<LedgerRow>().await;
            for row in found.map_err(self.failed("read ledger_entries of traces"))? {
                entries.push(row.to_entry()?);
            }
        }
        Ok(entries)
    }

    /// The traces of entries posted since a moment (microseconds since the epoch).
    pub async fn traces_posted_since(&self, posted_at: i64) -> Result<Vec<TraceRow>, DatabaseError> {
        let sql = format!(
            "SELECT DISTINCT realm, trace_id FROM ledger_entries WHERE posted_at >= fromUnixTimestamp64Micro({posted_at})"
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("list traces posted lately"))
    }

    /// Every decision on a span of one of the traces.
    pub async fn decisions_of_traces(&self, traces: &[[u8; 16]]) -> Result<Vec<DecisionRow>, DatabaseError> {
        let mut rows = Vec::new();
        for some in traces.chunks(IDS_A_STATEMENT) {
            let sql = format!(
                "SELECT ?fields FROM decisions FINAL WHERE trace_id IN ({})",
                unhex_list(some.iter().copied())
            );
            let found = self.client().query(&sql).fetch_all::<DecisionRow>().await;
            rows.extend(found.map_err(self.failed("read decisions of traces"))?);
        }
        Ok(rows)
    }

    /// Streams the entries billed in a month, each with when it was posted (microseconds since the epoch), in the order of
    /// the table's key. Memory does not follow their number.
    pub async fn each_entry(
        &self,
        period: BillingPeriod,
        mut each: impl FnMut(Entry, i64),
    ) -> Result<(), DatabaseError> {
        let month =
            format!("SELECT count() FROM ledger_entries WHERE period = toDate('{}')", period.first_day());
        let count = self.client().query(&month).fetch_one().await.map_err(self.failed("count a month"))?;
        let mut progress = self.progress().begin("entries read", count);
        let sql = format!(
            "SELECT ?fields FROM ledger_entries FINAL WHERE period = toDate('{}') \
             ORDER BY toStartOfHour(occurred_at), tenant, call_id, entry_id",
            period.first_day()
        );
        let mut rows = self.client().query(&sql).fetch::<LedgerRow>().map_err(self.failed("read a month"))?;
        while let Some(row) = rows.next().await.map_err(self.failed("read a month"))? {
            let posted_at = row.posted_at();
            each(row.to_entry()?, posted_at);
            progress.count();
        }
        Ok(())
    }

    /// Up to where each collector is settled.
    pub async fn cursors(&self) -> Result<Vec<CursorRow>, DatabaseError> {
        let query = self.client().query("SELECT ?fields FROM settle_cursors FINAL");
        query.fetch_all().await.map_err(self.failed("read settle cursors"))
    }

    /// The closed months, each with what it was closed with.
    pub async fn closed_months(&self) -> Result<Vec<PeriodRow>, DatabaseError> {
        let query = self.client().query("SELECT ?fields FROM periods FINAL ORDER BY period");
        query.fetch_all().await.map_err(self.failed("read closed periods"))
    }

    /// The currency of the ledger: that of any entry, since all have the same; nothing for a ledger without entries.
    pub async fn ledger_currency(&self) -> Result<Option<String>, DatabaseError> {
        let query = self.client().query("SELECT toString(currency) FROM ledger_entries LIMIT 1");
        query.fetch_optional().await.map_err(self.failed("read the ledger's currency"))
    }

    /// The closed months.
    pub async fn closed_periods(&self) -> Result<Vec<BillingPeriod>, DatabaseError> {
        let query = self.client().query("SELECT DISTINCT period FROM periods ORDER BY period");
        let months: Vec<u16> = query.fetch_all().await.map_err(self.failed("list closed periods"))?;
        Ok(months.into_iter().map(month_of).collect())
    }

    /// The invoices issued for a month, by tenant.
    pub async fn invoices_of(&self, period: BillingPeriod) -> Result<Vec<InvoiceRow>, DatabaseError> {
        let sql = format!(
            "SELECT ?fields FROM issued_invoices FINAL WHERE period_start = toDate('{}') ORDER BY tenant, invoice_number",
            period.first_day()
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read issued invoices"))
    }

    /// Every issued invoice, oldest first.
    pub async fn invoices(&self) -> Result<Vec<InvoiceRow>, DatabaseError> {
        let query = self
            .client()
            .query("SELECT ?fields FROM issued_invoices FINAL ORDER BY period_start, invoice_number");
        query.fetch_all().await.map_err(self.failed("read issued invoices"))
    }

    /// The lines of the invoices issued for a month.
    pub async fn invoice_lines_of(
        &self,
        period: BillingPeriod,
    ) -> Result<Vec<InvoiceLineRow>, DatabaseError> {
        let sql = format!(
            "SELECT ?fields FROM issued_invoice_lines FINAL WHERE period_start = toDate('{}') ORDER BY invoice_number, line",
            period.first_day()
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read issued invoice lines"))
    }

    /// The rate cards that entries were rated with.
    pub async fn prices(&self) -> Result<Vec<PriceRow>, DatabaseError> {
        let query = self.client().query("SELECT ?fields FROM prices FINAL ORDER BY price_id");
        query.fetch_all().await.map_err(self.failed("read prices"))
    }
}
