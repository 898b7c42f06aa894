//! A past for a ledger: the rows that the program itself wrote of some calls, written again under other ids and at other times.
//!
//! Sending millions of spans a size would measure sending. What is copied is whole rows, so the past is as wide, and packs as
//! well, as one that was received; ids are hashes, as scattered as real ones.

use anyhow::Context as _;
use clickhouse::Client;

use crate::subject::Ledgerline;

/// Copies of all rows that one statement makes: some hundred thousand rows.
const COPIES_A_STATEMENT: u64 = 40;

/// The tables of an engine, as its owner.
pub struct History {
    client: Client,
}

impl History {
    /// Of an engine.
    pub fn of(engine: &Ledgerline) -> anyhow::Result<Self> {
        let client = Client::default()
            .with_url(&engine.clickhouse)
            .with_database("ledgerline")
            .with_user("ledgerline")
            .with_password(engine.owner_password()?);
        Ok(Self { client })
    }

    /// Entries in the ledger.
    pub async fn entries(&self) -> anyhow::Result<u64> {
        self.number("SELECT count() FROM ledger_entries").await
    }

    /// Rows that the engine has read from tables since it started.
    pub async fn rows_read(&self) -> anyhow::Result<u64> {
        self.number("SELECT sum(value) FROM system.events WHERE event = 'SelectedRows'").await
    }

    /// Writes evidence and entries of everything there again, as if it had come so many times, evenly over the `days` before.
    pub async fn repeat(&self, copies: u64, days: u64) -> anyhow::Result<()> {
        let earlier = format!("toIntervalSecond(intDiv(({copies} - number) * {days} * 86400, {copies}))");
        let log = format!(
            "received_at - {earlier} AS received_at, toDate(received_at - {earlier}) AS received_day, \
             started_at - {earlier} AS started_at, ended_at - {earlier} AS ended_at, \
             toFixedString('a past collector', 16) AS collector_id, number * 1000000 + seq AS seq, \
             sipHash128(number, trace_id) AS trace_id, if(response_key = 0, 0, sipHash64(number, response_key)) AS response_key"
        );
        let ledger = format!(
            "occurred_at - {earlier} AS occurred_at, posted_at - {earlier} AS posted_at, \
             toStartOfMonth(occurred_at - {earlier}) AS period, {OTHER_IDS}"
        );
        self.write_again(copies, &[("observation_log", &log), ("ledger_entries", &ledger)]).await
    }

    /// Writes the entries that are there again, evenly over a month and over so many tenants.
    pub async fn repeat_in_month(&self, copies: u64, first_day: &str, tenants: u64) -> anyhow::Result<()> {
        let ledger = format!(
            "toDateTime64('{first_day} 00:00:00', 9, 'UTC') + toIntervalSecond(intDiv(number * 27 * 86400, {copies})) \
               + toIntervalMillisecond(cityHash64(span_id) % 10000000) AS occurred_at, \
             concat('tenant-', leftPad(toString(cityHash64(number, entry_id) % {tenants}), 5, '0')) AS tenant, {OTHER_IDS}"
        );
        self.write_again(copies, &[("ledger_entries", &ledger)]).await
    }

    /// Writes the entries that are there again, evenly over the `days` before and over so many tenants.
    pub async fn repeat_entries(&self, copies: u64, days: u64, tenants: u64) -> anyhow::Result<()> {
        let earlier = format!("toIntervalSecond(intDiv(({copies} - number) * {days} * 86400, {copies}))");
        let ledger = format!(
            "occurred_at - {earlier} AS occurred_at, posted_at - {earlier} AS posted_at, \
             toStartOfMonth(occurred_at - {earlier}) AS period, \
             concat('tenant-', leftPad(toString(cityHash64(number, entry_id) % {tenants}), 5, '0')) AS tenant, {OTHER_IDS}"
        );
        self.write_again(copies, &[("ledger_entries", &ledger)]).await
    }

    /// Writes the sampled spans that are there again, each as a trace of its own, evenly over the `days` before.
    pub async fn repeat_traces(&self, copies: u64, days: u64) -> anyhow::Result<()> {
        let earlier = format!("toIntervalSecond(intDiv(({copies} - number) * {days} * 86400, {copies}))");
        let spans = format!(
            "Timestamp - {earlier} AS Timestamp, lower(hex(sipHash128(number, unhex(TraceId)))) AS TraceId"
        );
        self.write_again(copies, &[("otel_traces", &spans)]).await
    }

    /// Sampled spans.
    pub async fn traces(&self) -> anyhow::Result<u64> {
        self.number("SELECT count() FROM otel_traces").await
    }

    /// Writes what each table holds so many times again, each time with the replacements for copy `number`.
    async fn write_again(&self, copies: u64, tables: &[(&str, &str)]) -> anyhow::Result<()> {
        for (table, replacements) in tables {
            // Aside first: what is written is not to be written again.
            self.run(&format!("CREATE TABLE aside ENGINE = Memory AS SELECT * FROM {table}")).await?;
            let mut done = 0;
            while done < copies {
                let some = COPIES_A_STATEMENT.min(copies - done);
                self.run(&format!(
                    "INSERT INTO {table} SELECT * EXCEPT number REPLACE ({replacements}) \
                     FROM aside CROSS JOIN numbers({done}, {some}) AS copies"
                ))
                .await?;
                done += some;
            }
            self.run("DROP TABLE aside").await?;
        }
        // Nobody vouched for what was written: it is as if it had been posted before there were vouchers.
        self.run("TRUNCATE TABLE vouchers").await
    }

    /// Whether every day that is over was rolled up as it is.
    pub async fn is_rolled_up(&self) -> anyhow::Result<bool> {
        let rolled =
            "(SELECT sum(day.3) FROM rolled_up FINAL ARRAY JOIN days AS day WHERE before > toDate(0))";
        let over = "(SELECT count() FROM ledger_entries WHERE occurred_at < today())";
        Ok(self.number(&format!("SELECT toUInt64(ifNull({rolled}, 0) = ifNull({over}, 1))")).await? == 1)
    }

    /// Merges what was written, so that no merge of it is paid for while something else is measured.
    pub async fn merge(&self) -> anyhow::Result<()> {
        for table in ["observation_log", "ledger_entries", "usage_days", "otel_traces"] {
            self.run(&format!("OPTIMIZE TABLE {table} FINAL")).await?;
        }
        Ok(())
    }

    /// Has every insert of sampled spans take three seconds.
    pub async fn have_traces_hang(&self) -> anyhow::Result<()> {
        self.run("CREATE MATERIALIZED VIEW hangs ENGINE = Null AS SELECT TraceId, sleep(3) AS slept FROM otel_traces").await
    }

    /// Has every insert of sampled spans fail.
    pub async fn have_traces_fail(&self) -> anyhow::Result<()> {
        self.run("CREATE MATERIALIZED VIEW fails ENGINE = Null AS SELECT throwIf(TraceId != '') AS thrown FROM otel_traces")
            .await
    }

    /// Forgets the collectors that wrote the past. One that was heard of lately may still be posting, for all a settler knows, and
    /// then it reads everything again.
    pub async fn forget_collectors(&self) -> anyhow::Result<()> {
        self.run("TRUNCATE TABLE collectors").await
    }

    async fn run(&self, sql: &str) -> anyhow::Result<()> {
        self.client.query(sql).execute().await.with_context(|| format!("cannot run {sql}"))
    }

    async fn number(&self, sql: &str) -> anyhow::Result<u64> {
        self.client.query(sql).fetch_one().await.with_context(|| format!("cannot ask {sql}"))
    }
}

const OTHER_IDS: &str = "sipHash128(number, entry_id) AS entry_id, sipHash128(number, call_id) AS call_id, \
                         sipHash128(number, trace_id) AS trace_id";
