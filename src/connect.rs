//! How a command finds the ledger's ClickHouse.
//!
//! In this order: a `--clickhouse-url` on the command line; the server that runs on the data directory; the configured
//! `clickhouse.url`; else the data directory itself, opened with the embedded engine for as long as the command takes.
//!
//! Promises: an embedded ClickHouse is spoken to as its owner, whichever way it was found; a data directory without a
//! ledger is an error and not an empty ledger; the engine is closed before the process ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use embedded::credentials::CredentialsError;
use embedded::{Credentials, Engine, EngineConfig, EngineError, FrontConfig, FrontError, HttpFront, OWNER};
use schemas::{Database, DatabaseError, Target};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::{Config, Loaded, Origin};
use crate::data_dir::{DataDir, DataDirError, DataDirLock};
use crate::running_server::RunningServer;

/// How long a command waits for another one that has the data directory open.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to do where a data directory holds no ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Say so: what is not there cannot be read.
    Refuse,
    /// Make one.
    Create,
}

/// A ClickHouse, found; keeps alive what it needs.
#[derive(Debug)]
pub struct Connection {
    database: Database,
    hosted: Option<Hosted>,
}

/// Why there is no ClickHouse to speak to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The data directory was never used.
    #[error("there is no ledger in the data directory {}; name another --data-dir or a --clickhouse-url, or start `ledgerline serve` to begin one", path.display())]
    NoLedger {
        /// The directory.
        path: PathBuf,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The owner's password cannot be had.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The embedded engine did not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The embedded engine cannot be reached.
    #[error(transparent)]
    Front(#[from] FrontError),
    /// The schema could not be brought up to date.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// The embedded engine in this process, behind a port that only the owner can use.
#[derive(Debug)]
struct Hosted {
    engine: Arc<Engine>,
    stop: oneshot::Sender<()>,
    front: JoinHandle<()>,
    _lock: DataDirLock,
}

/// Which way leads to ClickHouse.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// A server of the user's own, by URL.
    Remote(String),
    /// The embedded ClickHouse of a running server, by URL.
    OwnedByServer(String),
    /// The data directory, opened here.
    Here,
}

/// Runs `work` with the ledger's database and closes afterwards what was opened for it.
///
/// # Errors
/// [`ConnectError`], or what `work` fails with.
pub async fn with_database<T>(
    loaded: &Loaded,
    command: &str,
    missing: Missing,
    work: impl AsyncFnOnce(&Database) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let connection = Connection::open(loaded, command, missing).await?;
    let result = work(connection.database()).await;
    connection.close().await;
    result
}

/// How the embedded engine of a data directory is started, by whatever command.
pub fn engine_config(config: &Config) -> EngineConfig {
    let mut engine = EngineConfig::new(DataDir::new(&config.data_dir).clickhouse());
    engine.library.clone_from(&config.engine.library);
    engine.memory_bytes_max = config.engine.memory_max.bytes();
    engine
}

/// The target of a ClickHouse whose user and password are configured.
pub fn remote_target(config: &Config, url: &str) -> Target {
    let clickhouse = &config.clickhouse;
    Target {
        url: url.to_owned(),
        user: clickhouse.user.clone(),
        password: clickhouse.password.reveal().to_owned(),
        database: clickhouse.database.as_str().to_owned(),
        cluster: clickhouse.cluster.as_ref().map(|name| name.as_str().to_owned()),
    }
}

/// The target of an embedded ClickHouse, as its owner.
pub fn owner_target(config: &Config, url: &str, owner: &Credentials) -> Target {
    Target {
        url: url.to_owned(),
        user: OWNER.to_owned(),
        password: owner.password().to_owned(),
        database: config.clickhouse.database.as_str().to_owned(),
        cluster: None,
    }
}

impl Connection {
    /// Finds ClickHouse. `command` is what a waiting process is told of this one.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn open(loaded: &Loaded, command: &str, missing: Missing) -> Result<Self, ConnectError> {
        let config = &loaded.config;
        let data_dir = DataDir::new(&config.data_dir);
        let server = RunningServer::find(&data_dir)?;
        let flagged = matches!(loaded.origin("clickhouse.url"), Origin::Flag(_));
        let connection = match way(config, flagged, server.as_ref()) {
            Way::Remote(url) => Self { database: Database::new(remote_target(config, &url)), hosted: None },
            Way::OwnedByServer(url) => {
                let owner = Credentials::load_or_create(data_dir.path())?;
                Self { database: Database::new(owner_target(config, &url, &owner)), hosted: None }
            }
            Way::Here => Self::host(config, &data_dir, command, missing).await?,
        };
        tracing::debug!(database = ?connection.database, "found ClickHouse");
        Ok(connection)
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Lets go of ClickHouse; closes the engine where this process runs it.
    pub async fn close(self) {
        if let Some(hosted) = self.hosted {
            hosted.close().await;
        }
    }

    async fn host(
        config: &Config,
        data_dir: &DataDir,
        command: &str,
        missing: Missing,
    ) -> Result<Self, ConnectError> {
        let engine_config = engine_config(config);
        if missing == Missing::Refuse && !engine_config.data_dir.is_dir() {
            return Err(ConnectError::NoLedger { path: data_dir.path().to_path_buf() });
        }
        let lock = {
            let (data_dir, command) = (data_dir.clone(), command.to_owned());
            blocking(move || data_dir.lock(&command, PATIENCE)).await?
        };
        let owner = Credentials::load_or_create(data_dir.path())?;
        let engine = Arc::new(blocking(move || Engine::start(engine_config)).await?);
        let mut front_config = FrontConfig::new(owner.clone());
        front_config.reader = false;
        front_config.default_database = config.clickhouse.database.as_str().to_owned();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let front = HttpFront::bind(address, Arc::clone(&engine), front_config).await?;
        let database = Database::new(owner_target(config, &front.url(), &owner));
        let (stop, stopped) = oneshot::channel::<()>();
        let front = tokio::spawn(front.serve(async move {
            // A dropped sender stops it too.
            let _ = stopped.await;
        }));
        let hosted = Hosted { engine, stop, front, _lock: lock };
        // Nobody else can: no server runs here.
        if let Err(error) = database.migrate().await {
            hosted.close().await;
            return Err(error.into());
        }
        Ok(Self { database, hosted: Some(hosted) })
    }
}

impl Hosted {
    async fn close(self) {
        // Failing to send means that the front has ended already.
        let _ = self.stop.send(());
        if let Err(error) = self.front.await {
            tracing::warn!(%error, "the embedded ClickHouse's HTTP interface ended badly");
        }
        let engine = self.engine;
        if let Err(error) = blocking(move || engine.shutdown()).await {
            tracing::warn!(%error, "the embedded ClickHouse was not closed cleanly");
        }
    }
}

fn way(config: &Config, flagged: bool, server: Option<&RunningServer>) -> Way {
    let owned = server.filter(|server| server.clickhouse_embedded);
    match (&config.clickhouse.url, server) {
        (Some(url), _) if owned.is_some_and(|server| url.is_same_place(&server.clickhouse)) => {
            Way::OwnedByServer(url.as_str().to_owned())
        }
        (Some(url), _) if flagged => Way::Remote(url.as_str().to_owned()),
        (_, Some(server)) if server.clickhouse_embedded => Way::OwnedByServer(server.clickhouse.clone()),
        (_, Some(server)) => Way::Remote(server.clickhouse.clone()),
        (Some(url), None) => Way::Remote(url.as_str().to_owned()),
        (None, None) => Way::Here,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work does not panic, and the runtime outlives it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FlagValue, Sources, load};

    fn server(clickhouse: &str, embedded: bool) -> RunningServer {
        RunningServer {
            pid: 1,
            admin: String::new(),
            admin_token: String::new(),
            otlp_grpc: String::new(),
            otlp_http: String::new(),
            clickhouse: clickhouse.into(),
            clickhouse_embedded: embedded,
            started_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    fn check(url: Option<&str>, flagged: bool, server: Option<&RunningServer>, expected: Way) {
        let flag =
            |url: &str| FlagValue { key: "clickhouse.url", flag: "--clickhouse-url", value: url.into() };
        let sources = Sources { flags: url.map(flag).into_iter().collect(), ..Sources::default() };
        let config = load(&sources).unwrap().config;
        assert_eq!(way(&config, flagged, server), expected, "{url:?} flagged {flagged} {server:?}");
    }

    #[test]
    fn the_way_to_clickhouse_is_flag_then_server_then_configuration_then_here() {
        let remote = |url: &str| Way::Remote(url.to_owned());
        let owned = |url: &str| Way::OwnedByServer(url.to_owned());
        let embedded = server("http://127.0.0.1:8123", true);
        let elsewhere = server("http://db:8123", false);
        check(None, false, None, Way::Here);
        check(Some("http://db:8123"), false, None, remote("http://db:8123"));
        check(None, false, Some(&embedded), owned("http://127.0.0.1:8123"));
        check(None, false, Some(&elsewhere), remote("http://db:8123"));
        check(Some("http://other:8123"), false, Some(&embedded), owned("http://127.0.0.1:8123"));
        check(Some("http://other:8123"), true, Some(&embedded), remote("http://other:8123"));
        check(Some("http://localhost:8123/"), true, Some(&embedded), owned("http://localhost:8123"));
        check(Some("http://localhost:8123/"), false, Some(&embedded), owned("http://localhost:8123"));
    }
}
