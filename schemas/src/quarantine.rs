//! Statements on `quarantine`: what was refused goes in, and comes out to be sent anew.

use crate::database::{Database, DatabaseError};
use crate::literal::unhex;
use crate::rows::{ObservationRow, QuarantineRow};

impl Database {
    /// Puts refused rows into quarantine, or notes that they were sent anew.
    pub async fn insert_quarantine(&self, rows: &[QuarantineRow]) -> Result<(), DatabaseError> {
        let write = async {
            let mut insert = self.inserting().insert::<QuarantineRow>("quarantine").await?;
            for row in rows {
                insert.write(row).await?;
            }
            insert.end().await
        };
        write.await.map_err(self.failed("put refused rows into quarantine"))
    }

    /// Positions of a collector from one on that are in quarantine, sent anew or not.
    pub async fn quarantined_from(&self, collector: [u8; 16], first: u64) -> Result<Vec<u64>, DatabaseError> {
        let sql = format!(
            "SELECT DISTINCT seq FROM quarantine WHERE collector_id = {} AND seq >= {first} ORDER BY seq",
            unhex(collector)
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read quarantined positions"))
    }

    /// Rows that are held, in order, behind a position, at most so many.
    pub async fn held_in_quarantine(
        &self,
        (collector, seq): ([u8; 16], u64),
        limit: u64,
    ) -> Result<Vec<QuarantineRow>, DatabaseError> {
        let sql = format!(
            "SELECT ?fields FROM quarantine FINAL WHERE redriven_at = toDateTime64(0, 6, 'UTC') \
             AND (collector_id, seq) > ({}, {seq}) ORDER BY collector_id, seq LIMIT {limit}",
            unhex(collector)
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read the quarantine"))
    }

    /// How many rows are held.
    pub async fn count_held_in_quarantine(&self) -> Result<u64, DatabaseError> {
        let sql = "SELECT count() FROM quarantine FINAL WHERE redriven_at = toDateTime64(0, 6, 'UTC')";
        self.client().query(sql).fetch_one().await.map_err(self.failed("count the quarantine"))
    }

    /// How many positions batches left out that are not in quarantine. None, or evidence is gone.
    pub async fn refused_and_gone(&self) -> Result<u64, DatabaseError> {
        let sql = "SELECT count() FROM (SELECT collector_id, arrayJoin(refused) AS seq FROM batches FINAL WHERE notEmpty(refused)) \
                   WHERE (collector_id, seq) NOT IN (SELECT collector_id, seq FROM quarantine)";
        self.client().query(sql).fetch_one().await.map_err(self.failed("compare batches with the quarantine"))
    }

    /// A row that the log took, of this collector where there is one: what it takes again, it takes at all.
    pub async fn any_row_taken(&self, collector: [u8; 16]) -> Result<Option<ObservationRow>, DatabaseError> {
        let own = format!("WHERE collector_id = {} ORDER BY collector_id DESC, seq DESC ", unhex(collector));
        for choice in [own.as_str(), ""] {
            let sql = format!("SELECT ?fields FROM observation_log {choice}LIMIT 1");
            let found = self.client().query(&sql).fetch_optional().await;
            if let Some(row) = found.map_err(self.failed("read a row of the log"))? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}
