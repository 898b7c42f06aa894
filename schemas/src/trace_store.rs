//! Statements on `otel_traces`: sampled spans in.

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
}
