//! The ledger by provider, model and hour of the call: what a provider's own statement is held against.

use clickhouse::Row;
use domain::money::Cost;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};

/// Net sums of the calls of one hour.
#[derive(Debug, Clone, PartialEq, Eq, Default, Row, Serialize, Deserialize)]
pub struct ProviderHour {
    /// Seconds since the epoch at which the hour begins.
    pub hour: i64,
    /// The model, by the provider's own name.
    pub model: String,
    /// The service tier.
    pub service_tier: String,
    /// Net calls.
    pub calls: i64,
    /// Of them, those whose spans state no usage.
    pub unmetered: i64,
    /// Of them, those without a price.
    pub unpriced: i64,
    /// Of them, those whose spans do not state all of it.
    pub partial: i64,
    /// The whole prompt.
    pub input: i64,
    /// The part of it read from the cache.
    pub cache_read: i64,
    /// The part of it written to the cache.
    pub cache_write: i64,
    /// The part of that written to the one-hour cache.
    pub cache_write_1h: i64,
    /// Everything generated.
    pub output: i64,
    /// The audio of the prompt.
    pub audio_input: i64,
    /// The audio generated.
    pub audio_output: i64,
    /// Web searches.
    pub web_searches: i64,
    /// What the provider charges, by the price book.
    #[serde(with = "crate::picos")]
    pub cost: Cost,
}

/// What an entry used of some unit classes, with what lies beyond the bound of a tier (`input>200000`).
fn used(classes: &[&str]) -> String {
    let classes: Vec<String> = classes.iter().map(|class| format!("'{class}'")).collect();
    let classes = classes.join(", ");
    format!(
        "arraySum((unit, used) -> if(splitByChar('>', unit)[1] IN ({classes}), used, 0), mapKeys(usage), mapValues(usage))"
    )
}

impl Database {
    /// The calls to a provider, or to all, made in a stretch of time (seconds since the epoch), by hour and model.
    pub async fn provider_hours(
        &self,
        provider: Option<&str>,
        from: i64,
        to: i64,
    ) -> Result<Vec<ProviderHour>, DatabaseError> {
        let only = if provider.is_some() { " AND provider = ?" } else { "" };
        let sql = format!(
            "SELECT toInt64(toUnixTimestamp(toStartOfHour(occurred_at))) AS hour, toString(model) AS model, \
               toString(service_tier) AS service_tier, sum(e.calls) AS calls, sumIf(e.calls, state = 'unmetered') AS unmetered, \
               sumIf(e.calls, state = 'unpriced') AS unpriced, sumIf(e.calls, state = 'partial') AS partial, \
               sum(e.input_tokens) AS input, sum(e.cache_read_tokens) AS cache_read, \
               sum(e.cache_write_tokens) AS cache_write, sum(e.cache_write_1h_tokens) AS cache_write_1h, \
               sum(e.output_tokens) AS output, \
               sum({}) AS audio_input, sum({}) AS audio_output, sum({}) AS web_searches, sum(e.cost) AS cost \
             FROM ledger_entries AS e FINAL \
             WHERE entry_type IN ('usage', 'correction') AND occurred_at >= fromUnixTimestamp64Nano({}) \
               AND occurred_at < fromUnixTimestamp64Nano({}){only} \
             GROUP BY hour, model, service_tier ORDER BY hour, model, service_tier",
            used(&["audio_input", "audio_cache_read", "audio_cache_write"]),
            used(&["audio_output"]),
            used(&["web_searches"]),
            from.saturating_mul(1_000_000_000),
            to.saturating_mul(1_000_000_000),
        );
        let query = self.client().query(&sql);
        let query = provider.into_iter().fold(query, clickhouse::query::Query::bind);
        query.fetch_all().await.map_err(self.failed("sum the calls of a provider by hour"))
    }
}
