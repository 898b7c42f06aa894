//! Inserting a batch of kept spans: each attempt within a time limit, a few attempts, then an error and no more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemas::rows::SpanRow;
use schemas::{Database, DatabaseError};
use tokio::time::{sleep, timeout};

/// Why the last of all attempts failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShipError {
    /// The database said no, or could not be reached.
    #[error("inserting sampled spans failed in {attempts} attempts")]
    Refused {
        /// How often it was tried.
        attempts: u32,
        /// What the last attempt met.
        #[source]
        source: DatabaseError,
    },
    /// The database did not answer.
    #[error(
        "inserting sampled spans failed in {attempts} attempts, the last without an answer within {limit:?}"
    )]
    Silent {
        /// How often it was tried.
        attempts: u32,
        /// How long the answer was waited for.
        limit: Duration,
    },
}

/// Where kept spans go.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    database: Database,
    timeout: Duration,
    attempts_max: u32,
    pause: Duration,
    /// For how many days spans are kept, where the database has not been told yet.
    retention_days: Arc<Mutex<Option<u32>>>,
}

impl Sink {
    /// A sink with a connection of its own. Clones of a database handle share connections and a lock around what they
    /// know of its tables; behind a database that stalls, the billing arm would wait for us there.
    pub(super) fn new(database: &Database, timeout: Duration, attempts_max: u32, pause: Duration) -> Self {
        Self {
            database: Database::new(database.target().clone()),
            timeout,
            attempts_max,
            pause,
            retention_days: Arc::default(),
        }
    }

    /// The same, that tells the database how long to keep spans once it has taken some: its tables are there then.
    pub(super) fn keeping_for(self, retention_days: Option<u32>) -> Self {
        Self { retention_days: Arc::new(Mutex::new(retention_days)), ..self }
    }

    /// Told once. Where it fails, what was kept before stays in force: a matter for a log, not for the spans.
    async fn tell_retention(&self) {
        let days = self.retention_days.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(days) = days else { return };
        match timeout(self.timeout, self.database.keep_spans_for(days)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(days, %error, "how long sampled spans are kept could not be set")
            }
            Err(_) => tracing::warn!(days, "how long sampled spans are kept could not be set in time"),
        }
    }

    /// Inserts the rows, in up to as many attempts as allowed.
    pub(super) async fn insert(self, rows: Vec<SpanRow>) -> Result<(), ShipError> {
        let mut pause = self.pause;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = match timeout(self.timeout, self.database.insert_spans(&rows)).await {
                Ok(Ok(())) => {
                    self.tell_retention().await;
                    return Ok(());
                }
                Ok(Err(source)) => ShipError::Refused { attempts, source },
                Err(_) => ShipError::Silent { attempts, limit: self.timeout },
            };
            if attempts >= self.attempts_max {
                return Err(error);
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
    }
}
