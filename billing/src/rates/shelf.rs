//! The rate file in force, and any other by its content: what a month was converted by is never gone.

use domain::identity::IdHasher;
use domain::money::RateTable;
use schemas::rows::RateSourceRow;
use schemas::{Database, DatabaseError};

use super::file::read;
use crate::prices::{PriceFileError, importable};

/// Rates, and the file that states them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateShelf {
    /// What the file says; nothing where there is none.
    pub rates: RateTable,
    /// The file's hash; empty where there is none.
    pub version: String,
}

/// A rate file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateSource {
    /// The file's name.
    pub name: String,
    /// The file.
    pub content: Vec<u8>,
}

/// Why there are no rates, or a file was not imported.
#[derive(Debug, thiserror::Error)]
pub enum RateShelfError {
    /// The database failed.
    #[error("the rate files cannot be read or written")]
    Database(#[from] DatabaseError),
    /// A file has faults.
    #[error("rate file {name:?} cannot be used; nothing was imported")]
    File {
        /// The file.
        name: String,
        /// What is wrong with it.
        #[source]
        source: PriceFileError,
    },
    /// A month was closed with a file that is not there.
    #[error(
        "rate file {version}, which the month was closed with, is not in the table rate_sources as it was imported; put it back from a backup"
    )]
    Missing {
        /// The file's hash.
        version: String,
    },
}

impl RateSource {
    /// Its name for ever: a hash of what it says.
    pub fn id(&self) -> String {
        let hash = IdHasher::new("rate source").part(&self.content).finish();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether it may be imported into a ledger of this currency.
    pub fn check(&self, currency: &str) -> Result<(), RateShelfError> {
        let refused = |source| RateShelfError::File { name: self.name.clone(), source };
        importable(&self.content).map_err(refused)?;
        self.read(Some(currency)).map(drop)
    }

    /// What it says.
    fn read(&self, currency: Option<&str>) -> Result<RateTable, RateShelfError> {
        read(&self.content, currency)
            .map_err(|source| RateShelfError::File { name: self.name.clone(), source })
    }
}

impl RateShelf {
    /// The newest file that the database keeps.
    pub async fn of(database: &Database) -> Result<Self, RateShelfError> {
        match database.rate_sources().await?.pop() {
            Some(row) => Self::from_row(row),
            None => Ok(Self::default()),
        }
    }

    /// The file of this version, which is what its bytes hash to whatever its row says; none for no version.
    pub async fn at(database: &Database, version: &str) -> Result<Self, RateShelfError> {
        if version.is_empty() {
            return Ok(Self::default());
        }
        for row in database.rate_sources().await?.into_iter().filter(|row| row.source_id == version) {
            let source = RateSource { name: row.name, content: row.content };
            if source.id() == version {
                return Ok(Self { rates: source.read(None)?, version: version.to_string() });
            }
        }
        Err(RateShelfError::Missing { version: version.to_string() })
    }

    fn from_row(row: RateSourceRow) -> Result<Self, RateShelfError> {
        let source = RateSource { name: row.name, content: row.content };
        Ok(Self { rates: source.read(None)?, version: source.id() })
    }
}

/// Imports a rate file; says whether it was not in force already. `now` is in microseconds since the epoch.
pub async fn import(
    database: &Database,
    source: &RateSource,
    currency: &str,
    now: i64,
) -> Result<bool, RateShelfError> {
    source.check(currency)?;
    let newest = database.rate_sources().await?.pop();
    let source_id = source.id();
    if newest.as_ref().is_some_and(|row| row.source_id == source_id && row.content == source.content) {
        return Ok(false);
    }
    let row = RateSourceRow {
        // Later than every file so far, whatever this machine's clock says: the newest is in force.
        known_from: newest.map_or(now, |row| now.max(row.known_from + 1)),
        source_id: source_id.clone(),
        name: source.name.clone(),
        content: source.content.clone(),
        program: env!("CARGO_PKG_VERSION").to_string(),
    };
    database.insert_rate_source(&row).await?;
    Ok(true)
}
