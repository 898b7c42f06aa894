//! The connection to ClickHouse: one interface, whether the engine runs in this process or anywhere else.

use std::fmt;

use clickhouse::{Client, Compression};
use uuid::Uuid;

use crate::migrate::{self, Layout, MIGRATIONS};
use crate::progress::Progress;

/// Where the database is and as whom to speak to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// `http://` or `https://`, without credentials.
    pub url: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The database.
    pub database: String,
    /// The cluster, where the schema is made for one.
    pub cluster: Option<String>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the password.
        write!(f, "Target({} as {:?}, database {})", self.url, self.user, self.database)
    }
}

/// What went wrong with the database, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// A statement failed.
    #[error("clickhouse at {url} failed to {what}")]
    Statement {
        /// What was tried.
        what: String,
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: clickhouse::error::Error,
    },
    /// The schema is newer than this program.
    #[error(
        "the schema of database {database} is at version {found}, this program knows {known}; run a ledgerline at least as new"
    )]
    TooNew {
        /// The database.
        database: String,
        /// Its version.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// A row that no version of this program wrote.
    #[error(transparent)]
    Row(#[from] crate::rows::RowError),
}

/// A handle on the database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    client: Client,
    target: Target,
    progress: Progress,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}

impl Database {
    /// A handle; nothing is sent yet.
    pub fn new(target: Target) -> Self {
        Self { client: Self::connect(&target), target, progress: Progress::default() }
    }

    /// The same database over connections of its own. A connection lives on the threads that opened it: what runs on
    /// other threads, or is to be kept apart from others' traffic, takes its own.
    pub fn reconnected(&self) -> Self {
        Self { progress: self.progress.clone(), ..Self::new(self.target.clone()) }
    }

    fn connect(target: &Target) -> Client {
        // Within one machine, compressing costs more than it saves.
        let compression = if is_this_machine(&target.url) { Compression::None } else { Compression::Lz4 };
        Client::default()
            .with_url(target.url.trim_end_matches('/'))
            .with_user(&target.user)
            .with_password(&target.password)
            .with_database(&target.database)
            .with_compression(compression)
    }

    /// The client, for the statements of this room and its users.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The client for one insert that must not be lost: a yes means that every row is in a part. It goes under a token that no
    /// server knows: one notes an insert as known before it has it, and, killed between the two, takes the repetition for
    /// known and drops it (`docs/adr/0024-insert-by-keys-alone.md`). A repetition is the same rows under the same keys.
    pub fn inserting(&self) -> Client {
        let token = new_token();
        self.client
            .clone()
            .with_setting("async_insert", "0")
            .with_setting("insert_deduplication_token", token)
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How far a long reading by this handle, or one made of it, is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.target.database
    }

    /// Wraps a client error.
    pub fn failed(&self, what: &str) -> impl FnOnce(clickhouse::error::Error) -> DatabaseError + use<> {
        let (what, url) = (what.to_string(), self.target.url.clone());
        move |source| DatabaseError::Statement { what, url, source }
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        let one: u8 =
            self.client.query("SELECT toUInt8(1)").fetch_one().await.map_err(self.failed("answer"))?;
        debug_assert_eq!(one, 1);
        Ok(())
    }

    fn layout(&self) -> Layout {
        Layout { database: self.target.database.clone(), cluster: self.target.cluster.clone() }
    }

    /// Brings the schema up to date; returns the versions applied now. Repeating it, also after a kill in the middle,
    /// is harmless: every statement is written to be.
    pub async fn migrate(&self) -> Result<Vec<u32>, DatabaseError> {
        let layout = self.layout();
        // The database may not exist yet, so these statements name it and are sent without one.
        let bare = self.client.clone().with_database("");
        let run = |statement: String| {
            let bare = bare.clone();
            async move { bare.query(&statement.replace('?', "??")).execute().await }
        };
        for statement in migrate::history_statements(&layout) {
            run(statement).await.map_err(self.failed("prepare the schema history"))?;
        }
        let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
        let found: u32 = self
            .client
            .query("SELECT toUInt32(max(version)) FROM schema_history")
            .fetch_one()
            .await
            .map_err(self.failed("read the schema history"))?;
        if found > known {
            return Err(DatabaseError::TooNew { database: layout.database, found, known });
        }
        let mut applied = Vec::new();
        for migration in MIGRATIONS.iter().filter(|migration| migration.version > found) {
            for statement in migration.statements(&layout) {
                run(statement).await.map_err(self.failed(&format!("apply migration {}", migration.name)))?;
            }
            let record = format!(
                "INSERT INTO {}.schema_history (version, name) \
                 SETTINGS async_insert = 0, insert_deduplication_token = '{}' VALUES ({}, '{}')",
                layout.database,
                new_token(),
                migration.version,
                migration.name
            );
            run(record).await.map_err(self.failed(&format!("record migration {}", migration.name)))?;
            applied.push(migration.version);
        }
        Ok(applied)
    }
}

/// A deduplication token that no server knows.
fn new_token() -> String {
    Uuid::new_v4().to_string()
}

fn is_this_machine(url: &str) -> bool {
    let host = url::Url::parse(url).ok().and_then(|url| match url.host()? {
        url::Host::Domain(name) => Some(name == "localhost"),
        url::Host::Ipv4(address) => Some(address.is_loopback()),
        url::Host::Ipv6(address) => Some(address.is_loopback()),
    });
    host.unwrap_or(false)
}
