//! What ClickHouse holds in the end, asked as its read-only reader.

use anyhow::Context as _;
use clickhouse::{Client, Row};
use serde::Deserialize;

use crate::generate::manifest::{Manifest, Totals, differences};

/// The database of an engine.
pub struct Ledger {
    client: Client,
}

#[derive(Row, Deserialize)]
struct TenantRow {
    tenant: String,
    calls: i64,
    input_tokens: i64,
    cache_read_tokens: i64,
    cache_write_tokens: i64,
    output_tokens: i64,
    reasoning_tokens: i64,
    entries: u64,
}

impl Ledger {
    /// At a URL.
    pub fn at(url: &str) -> Self {
        Self { client: Client::default().with_url(url).with_database("ledgerline") }
    }

    /// The engine's version.
    pub async fn version(&self) -> anyhow::Result<String> {
        self.client.query("SELECT version()").fetch_one().await.context("cannot ask for the engine's version")
    }

    /// Fails unless every tenant's calls and tokens are exactly those sent, each call by one entry.
    pub async fn check(&self, sent: &Manifest) -> anyhow::Result<()> {
        let rows = self
            .client
            .query(
                "SELECT tenant, toInt64(sum(calls)) AS calls, toInt64(sum(input_tokens)) AS input_tokens, \
                 toInt64(sum(cache_read_tokens)) AS cache_read_tokens, \
                 toInt64(sum(cache_write_tokens)) AS cache_write_tokens, \
                 toInt64(sum(output_tokens)) AS output_tokens, toInt64(sum(reasoning_tokens)) AS reasoning_tokens, \
                 count() AS entries FROM ledger GROUP BY tenant ORDER BY tenant",
            )
            .fetch_all::<TenantRow>()
            .await
            .context("cannot read the ledger")?;
        let mut found = Manifest::new();
        let mut entries = 0;
        for row in rows {
            entries += row.entries;
            let (tenant, totals) = row.totals()?;
            found.insert(tenant, totals);
        }
        let wrong = differences(sent, &found);
        anyhow::ensure!(wrong.is_empty(), "the ledger is not what was sent:\n{}", wrong.join("\n"));
        let calls: u64 = sent.values().map(|totals| totals.calls).sum();
        anyhow::ensure!(
            entries == calls,
            "{calls} calls were sent, the ledger has {entries} entries for them"
        );
        Ok(())
    }

    /// Entries and a hash over what each says. Equal calls by equal prices make equal entries, whenever they are posted.
    pub async fn fingerprint(&self) -> anyhow::Result<String> {
        let sql = "SELECT concat(toString(count()), ' entries, ', hex(groupBitXor(sipHash64(entry_id, call_id, state, tenant, \
                   toString(cost), toString(charge), toString(period))))) FROM ledger";
        self.client.query(sql).fetch_one().await.context("cannot read the ledger")
    }

    /// Rows of `otel_traces`: what a collector of traces exported.
    pub async fn traces(&self) -> anyhow::Result<u64> {
        self.client.query("SELECT count() FROM otel_traces").fetch_one().await.context("cannot count traces")
    }
}

impl TenantRow {
    fn totals(self) -> anyhow::Result<(String, Totals)> {
        let sum =
            |value: i64| u64::try_from(value).with_context(|| format!("{}: a sum is {value}", self.tenant));
        let totals = Totals {
            calls: sum(self.calls)?,
            input_tokens: sum(self.input_tokens)?,
            cache_read_tokens: sum(self.cache_read_tokens)?,
            cache_write_tokens: sum(self.cache_write_tokens)?,
            output_tokens: sum(self.output_tokens)?,
            reasoning_tokens: sum(self.reasoning_tokens)?,
        };
        Ok((self.tenant, totals))
    }
}
