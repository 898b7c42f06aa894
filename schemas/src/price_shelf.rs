//! Statements on price files and the books made of them, on plan files, and on files of exchange rates.

use crate::database::{Database, DatabaseError};
use crate::rows::{PlanSourceRow, PriceBookRow, PriceImportRow, PriceSourceRow, RateSourceRow};

impl Database {
    /// Adds a price file.
    pub async fn insert_price_source(&self, row: &PriceSourceRow) -> Result<(), DatabaseError> {
        self.insert_rows("price_sources", std::slice::from_ref(row)).await
    }

    /// Notes that a settler rates with a book from now on.
    pub async fn insert_price_book(&self, row: &PriceBookRow) -> Result<(), DatabaseError> {
        self.insert_rows("price_books", std::slice::from_ref(row)).await
    }

    /// The newest price file of each origin, as known at a moment (microseconds since the epoch).
    pub async fn price_sources_at(&self, known_at: i64) -> Result<Vec<PriceSourceRow>, DatabaseError> {
        let sql = format!(
            "SELECT ?fields FROM price_sources WHERE known_from <= fromUnixTimestamp64Micro({known_at}) \
             ORDER BY origin, known_from DESC, source_id LIMIT 1 BY origin"
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read price files"))
    }

    /// Every import, oldest first, without the files.
    pub async fn price_imports(&self) -> Result<Vec<PriceImportRow>, DatabaseError> {
        let query = self.client().query(
            "SELECT origin, known_from, source_id, format, name, length(content) AS bytes, program \
             FROM price_sources FINAL ORDER BY known_from, origin",
        );
        query.fetch_all().await.map_err(self.failed("list price imports"))
    }

    /// The book that a settler adopted last.
    pub async fn last_price_book(&self) -> Result<Option<String>, DatabaseError> {
        let query =
            self.client().query("SELECT book FROM price_books ORDER BY adopted_at DESC, book LIMIT 1");
        query.fetch_optional().await.map_err(self.failed("read the price book in force"))
    }

    /// When a price file came last (microseconds since the epoch); 0 for never. Cheap: reads no file.
    pub async fn price_sources_changed(&self) -> Result<i64, DatabaseError> {
        let query =
            self.client().query("SELECT toUnixTimestamp64Micro(max(known_from)) AS at FROM price_sources");
        query.fetch_one().await.map_err(self.failed("look for new prices"))
    }

    /// Adds a plan file.
    pub async fn insert_plan_source(&self, row: &PlanSourceRow) -> Result<(), DatabaseError> {
        self.insert_rows("plan_sources", std::slice::from_ref(row)).await
    }

    /// Every plan file, oldest first.
    pub async fn plan_sources(&self) -> Result<Vec<PlanSourceRow>, DatabaseError> {
        let query =
            self.client().query("SELECT ?fields FROM plan_sources FINAL ORDER BY known_from, source_id");
        query.fetch_all().await.map_err(self.failed("read plan files"))
    }

    /// When a plan file came last (microseconds since the epoch); 0 for never.
    pub async fn plan_sources_changed(&self) -> Result<i64, DatabaseError> {
        let query =
            self.client().query("SELECT toUnixTimestamp64Micro(max(known_from)) AS at FROM plan_sources");
        query.fetch_one().await.map_err(self.failed("look for new plans"))
    }

    /// Adds a file of exchange rates.
    pub async fn insert_rate_source(&self, row: &RateSourceRow) -> Result<(), DatabaseError> {
        self.insert_rows("rate_sources", std::slice::from_ref(row)).await
    }

    /// Every file of exchange rates, oldest first.
    pub async fn rate_sources(&self) -> Result<Vec<RateSourceRow>, DatabaseError> {
        let query =
            self.client().query("SELECT ?fields FROM rate_sources FINAL ORDER BY known_from, source_id");
        query.fetch_all().await.map_err(self.failed("read rate files"))
    }
}
