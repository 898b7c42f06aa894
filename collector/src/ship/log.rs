//! What committing a batch asks of a database: seven statements, and nothing else.
//!
//! It is a trait so that the protocol of commits (`commit.rs`, `isolate.rs`) runs as it is over a database in memory whose every
//! fault comes from a seed. There is one other implementation, ClickHouse.

use schemas::rows::{BatchRow, ObservationRow, QuarantineRow, RecordRow};
use schemas::{Database, DatabaseError};

/// The database, as far as a batch is concerned. What each does is said where ClickHouse does it.
pub(super) trait Log: Send + Sync {
    fn insert_observations(
        &self,
        rows: &[&ObservationRow],
    ) -> impl Future<Output = Result<(), DatabaseError>> + Send;

    fn insert_batch(&self, batch: &BatchRow) -> impl Future<Output = Result<(), DatabaseError>> + Send;

    fn insert_quarantine(
        &self,
        rows: &[QuarantineRow],
    ) -> impl Future<Output = Result<(), DatabaseError>> + Send;

    fn quarantined_from(
        &self,
        collector: [u8; 16],
        first: u64,
    ) -> impl Future<Output = Result<Vec<u64>, DatabaseError>> + Send;

    fn positions_between(
        &self,
        collector: [u8; 16],
        day: u16,
        first: u64,
        last: u64,
    ) -> impl Future<Output = Result<Vec<u64>, DatabaseError>> + Send;

    fn records_between(
        &self,
        collector: [u8; 16],
        day: u16,
        first: u64,
        last: u64,
    ) -> impl Future<Output = Result<Vec<RecordRow>, DatabaseError>> + Send;

    fn any_row_taken(
        &self,
        collector: [u8; 16],
    ) -> impl Future<Output = Result<Option<ObservationRow>, DatabaseError>> + Send;

    /// Forgets what is remembered of the tables' columns.
    fn forget_tables(&self) -> impl Future<Output = ()> + Send;

    /// Where it is, for errors.
    fn url(&self) -> String;
}

impl Log for Database {
    async fn insert_observations(&self, rows: &[&ObservationRow]) -> Result<(), DatabaseError> {
        Database::insert_observations(self, rows).await
    }

    async fn insert_batch(&self, batch: &BatchRow) -> Result<(), DatabaseError> {
        Database::insert_batch(self, batch).await
    }

    async fn insert_quarantine(&self, rows: &[QuarantineRow]) -> Result<(), DatabaseError> {
        Database::insert_quarantine(self, rows).await
    }

    async fn quarantined_from(&self, collector: [u8; 16], first: u64) -> Result<Vec<u64>, DatabaseError> {
        Database::quarantined_from(self, collector, first).await
    }

    async fn positions_between(
        &self,
        collector: [u8; 16],
        day: u16,
        first: u64,
        last: u64,
    ) -> Result<Vec<u64>, DatabaseError> {
        Database::positions_between(self, collector, day, first, last).await
    }

    async fn records_between(
        &self,
        collector: [u8; 16],
        day: u16,
        first: u64,
        last: u64,
    ) -> Result<Vec<RecordRow>, DatabaseError> {
        Database::records_between(self, collector, day, first, last).await
    }

    async fn any_row_taken(&self, collector: [u8; 16]) -> Result<Option<ObservationRow>, DatabaseError> {
        Database::any_row_taken(self, collector).await
    }

    async fn forget_tables(&self) {
        self.client().clear_cached_metadata().await;
    }

    fn url(&self) -> String {
        self.target().url.clone()
    }
}
