//! Statements on `otel_traces`: sampled spans in, and how long they stay.

use crate::database::{Database, DatabaseError};
use crate::rows::SpanRow;

impl Database {
    /// Inserts sampled spans. One attempt, without a promise: what fails may be sent again, and where the failure hid a
    /// success the spans stand there twice, which a store of samples can bear.
    pub async fn insert_spans(&self, rows: &[SpanRow]) -> Result<(), DatabaseError> {
        let write = async {
            // The rows come in batches already; the server need not gather them.
            let client = self.client().clone().with_setting("async_insert", "0");
            let mut insert = client.insert::<SpanRow>("otel_traces").await?;
            for row in rows {
                insert.write(row).await?;
            }
            insert.end().await
        };
        write.await.map_err(self.failed("insert sampled spans"))
    }

    /// Keeps sampled spans for so many days, from the day they started on. What is older goes when its parts are next looked
    /// at; where it is kept so already, nothing is done.
    pub async fn keep_spans_for(&self, days: u32) -> Result<(), DatabaseError> {
        const TABLES: [(&str, &str); 2] =
            [("otel_traces", "Timestamp"), ("otel_traces_trace_id_ts", "Start")];
        let on_cluster =
            self.target().cluster.as_ref().map(|name| format!("ON CLUSTER '{name}'")).unwrap_or_default();
        for (table, time) in TABLES {
            let ttl = format!("toDate({time}) + toIntervalDay({days})");
            let keep = async {
                let asked = "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = ?";
                let ddl: String = self.client().query(asked).bind(table).fetch_one().await?;
                if ddl.contains(&ttl) {
                    return Ok(());
                }
                // Parts are not written anew for it: whole parts are dropped, by their newest row.
                let alter = format!(
                    "ALTER TABLE {table} {on_cluster} MODIFY TTL {ttl} SETTINGS materialize_ttl_after_modify = 0"
                );
                self.client().query(&alter).execute().await
            };
            keep.await.map_err(self.failed("set how long sampled spans are kept"))?;
        }
        Ok(())
    }
}
