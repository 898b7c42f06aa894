//! The price files in force, as the database keeps them, and the book they make.
//!
//! Two times: a price is *valid* from and to (event time, said by the file), and *known* from when its file was imported.
//! The book at a moment is a pure function of the newest file of each origin known then, so what was known at any time can
//! be had again. The table is only appended to; going back is importing the earlier file anew.

use std::sync::Arc;

use domain::price::{BookError, Layer, PriceBook};
use domain::time::EventTime;
use schemas::rows::{PriceBookRow, PriceSourceRow};
use schemas::{Database, DatabaseError};

use super::fault::{Fault, PriceFileError};
use super::source::{Format, Origin, Source};

/// Price files in force and their book.
#[derive(Debug, Clone)]
pub struct Shelf {
    /// The book.
    pub book: Arc<PriceBook>,
    /// The files, in order of precedence, each with when it became known (microseconds since the epoch).
    pub sources: Vec<(Source, i64)>,
    /// Models of these files whose prices cannot be said here.
    pub left_out: Vec<Fault>,
}

/// What an import did, or would do.
#[derive(Debug, Clone)]
pub struct Import {
    /// What was in force before.
    pub before: Shelf,
    /// What is in force with it.
    pub after: Shelf,
    /// Whether the newest file of its origin already was this one, so that nothing was written.
    pub known: bool,
}

/// Why there is no book, or a file was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The database failed.
    #[error("the price files cannot be read or written")]
    Database(#[from] DatabaseError),
    /// A file has faults.
    #[error("{name:?} cannot be used; nothing was imported")]
    File {
        /// The file.
        name: String,
        /// What is wrong with it.
        #[source]
        source: PriceFileError,
    },
    /// Files that make no book.
    #[error("the price files make no price book")]
    Book(#[from] BookError),
    /// A row that this version cannot read.
    #[error(
        "the price file {name:?} in table price_sources has an unknown origin or format; run a ledgerline at least as new as the one that imported it"
    )]
    Unknown {
        /// The file.
        name: String,
    },
    /// A date for prices that have dates.
    #[error("prices of format {format} say themselves from when they hold; leave --since out")]
    Dated {
        /// The format.
        format: &'static str,
    },
}

impl Shelf {
    /// What was known at a moment (microseconds since the epoch); where no file was, an empty book.
    pub async fn known_at(database: &Database, known_at: i64, currency: &str) -> Result<Self, ShelfError> {
        let rows = database.price_sources_at(known_at).await?;
        let sources = rows.into_iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
        Self::of(sources, currency)
    }

    /// What is known now.
    pub async fn in_force(database: &Database, currency: &str) -> Result<Self, ShelfError> {
        Self::known_at(database, i64::MAX / 2, currency).await
    }

    /// What is known now; the first time, the bundled prices of this program are put on the shelf. `now` is in
    /// microseconds since the epoch.
    pub async fn stocked(database: &Database, currency: &str, now: i64) -> Result<Self, ShelfError> {
        let shelf = Self::in_force(database, currency).await?;
        if shelf.sources.iter().any(|(source, _)| source.origin == Origin::Bundled) {
            return Ok(shelf);
        }
        put(database, &Source::bundled(), now).await?;
        Self::in_force(database, currency).await
    }

    /// The book that comes with this program, nothing imported.
    pub fn bundled() -> Self {
        Self { book: super::bundled(), sources: vec![(Source::bundled(), 0)], left_out: Vec::new() }
    }

    /// A shelf of these files.
    fn of(mut sources: Vec<(Source, i64)>, currency: &str) -> Result<Self, ShelfError> {
        sources.sort_by_key(|(source, _)| source.origin);
        let (mut layers, mut left_out) = (Vec::new(), Vec::new());
        for (source, _) in &sources {
            let refuse = |error| ShelfError::File { name: source.name.clone(), source: error };
            let lists = source.read(currency).map_err(refuse)?;
            left_out.extend(lists.left_out);
            layers.push(Layer { name: source.origin.name().to_string(), providers: lists.providers });
        }
        Ok(Self { book: Arc::new(PriceBook::layered(layers)?), sources, left_out })
    }

    /// This shelf with another file in the place of the one of its origin.
    pub fn with(&self, source: Source, known_from: i64, currency: &str) -> Result<Self, ShelfError> {
        let mut sources = self.sources.clone();
        sources.retain(|(other, _)| other.origin != source.origin);
        sources.push((source, known_from));
        Self::of(sources, currency)
    }

    /// The file that a layer of the book comes from.
    pub fn source(&self, layer: &str) -> Option<&Source> {
        self.sources.iter().map(|(source, _)| source).find(|source| source.origin.name() == layer)
    }

    /// The row that says a settler rates with this book from now on.
    pub fn adopted(&self, settler: [u8; 16], adopted_at: i64) -> PriceBookRow {
        PriceBookRow {
            book: self.book.version().to_string(),
            adopted_at,
            settler,
            sources: self.sources.iter().map(|(source, _)| source.id()).collect(),
            program: env!("CARGO_PKG_VERSION").to_string(),
        }
    }
}

/// Imports a file; with `dry_run`, only says what would change. `now` is in microseconds since the epoch. A file with a
/// fault, also one that shows only together with the other files, changes nothing.
pub async fn import(
    database: &Database,
    source: Source,
    currency: &str,
    now: i64,
    dry_run: bool,
) -> Result<Import, ShelfError> {
    if source.since.is_some() && source.format.is_dated() {
        return Err(ShelfError::Dated { format: source.format.name() });
    }
    let refused = |error| ShelfError::File { name: source.name.clone(), source: error };
    source.read_new(currency).map_err(refused)?;
    let before = if dry_run {
        Shelf::in_force(database, currency).await?
    } else {
        Shelf::stocked(database, currency, now).await?
    };
    let after = before.with(source.clone(), now, currency)?;
    let known = before.sources.iter().any(|(other, _)| other.id() == source.id());
    if !dry_run && !known {
        put(database, &source, now).await?;
    }
    Ok(Import { before, after, known })
}

async fn put(database: &Database, source: &Source, now: i64) -> Result<(), DatabaseError> {
    // Later than every file so far, whatever this machine's clock says: the newest is in force.
    let known_from = now.max(database.price_sources_changed().await? + 1);
    let row = PriceSourceRow {
        origin: source.origin.name().to_string(),
        known_from,
        source_id: source.id(),
        format: source.format.name().to_string(),
        name: source.name.clone(),
        since: source.since.map(EventTime::nanos),
        content: source.content.clone(),
        program: env!("CARGO_PKG_VERSION").to_string(),
    };
    database.insert_price_source(&row).await
}

fn from_row(row: PriceSourceRow) -> Result<(Source, i64), ShelfError> {
    let (Some(origin), Some(format)) = (Origin::named(&row.origin), Format::named(&row.format)) else {
        return Err(ShelfError::Unknown { name: row.name });
    };
    let since = row.since.map(EventTime::from_nanos);
    let source = Source { origin, format, name: row.name, since, content: row.content };
    Ok((source, row.known_from))
}
