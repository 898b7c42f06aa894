//! The engine in this process: start it on a directory, open connections to it, stop it cleanly.
//!
//! Promises: one engine a process and one process a directory, with a clear error for the second; signals stay the
//! program's own; memory is bounded by the configuration; inserts are synchronous unless a statement says otherwise;
//! `shutdown` closes every connection before it returns.
//!
//! Leaves to others: users and passwords (the engine has none), HTTP, and what is stored.

mod config_file;
mod exception;

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use exception::ErrorCode;
pub use exception::Exception;

use crate::ffi::{self, Api, Parameters, RawConnection};
use crate::library::{Library, LibraryNotFound};
use crate::sql::quote_name;

/// What the engine is started with.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The library file; `None` looks in the places [`Library::locate`] names.
    pub library: Option<PathBuf>,
    /// The engine's own directory; created when missing.
    pub data_dir: PathBuf,
    /// Memory all queries and caches together may take; a query that would exceed it fails with code 241.
    pub memory_bytes_max: u64,
    /// The part of it that caches of index marks may take.
    pub cache_bytes_max: u64,
    /// Threads that merge parts in the background.
    pub background_threads: u16,
    /// How long `shutdown` waits for connections that are still in use.
    pub shutdown_timeout: Duration,
}

impl EngineConfig {
    /// The defaults of a laptop: 4 GiB of memory, 256 MiB of it for caches, two background threads.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            library: None,
            data_dir: data_dir.into(),
            memory_bytes_max: 4 << 30,
            cache_bytes_max: 256 << 20,
            background_threads: 2,
            shutdown_timeout: Duration::from_secs(10),
        }
    }

    /// Where `BACKUP … TO File('name')` may write.
    pub fn backups_dir(&self) -> PathBuf {
        self.data_dir.join("backups")
    }
}

/// Why the engine could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The library is not on this machine.
    #[error(transparent)]
    NotInstalled(#[from] LibraryNotFound),
    /// The file is not a library this program can use.
    #[error("cannot load the ClickHouse engine from {}; fetch it again with ./run", path.display())]
    Load {
        /// The library file.
        path: PathBuf,
        /// What the loader said.
        source: libloading::Error,
    },
    /// A file of the data directory cannot be made or locked.
    #[error("cannot prepare the engine's data directory at {}", path.display())]
    DataDir {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process runs an engine on the directory.
    #[error(
        "the data directory {} is in use by another process ({holder}); stop it, or use another --data-dir",
        data_dir.display()
    )]
    InUse {
        /// The directory.
        data_dir: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
    },
    /// This process already runs an engine.
    #[error("this process already runs an engine on {}; only one can live in a process", data_dir.display())]
    AlreadyRunning {
        /// The directory of the refused engine.
        data_dir: PathBuf,
    },
    /// The engine refused to start, which it does without a reason.
    #[error(
        "the ClickHouse engine refused to start on {}; the directory may belong to a newer engine, be damaged, or not be \
         writable",
        data_dir.display()
    )]
    Refused {
        /// The directory.
        data_dir: PathBuf,
    },
    /// The engine is stopping or stopped.
    #[error("the embedded ClickHouse engine is stopped")]
    Stopped,
    /// Connections were still in use when the time was up.
    #[error("{open} connections to the embedded ClickHouse engine were still in use after {waited:?}")]
    StillInUse {
        /// How many.
        open: usize,
        /// How long the engine waited.
        waited: Duration,
    },
}

/// The running engine.
pub struct Engine {
    shared: Arc<Shared>,
    config: EngineConfig,
    version: String,
    timezone: String,
    host_name: String,
    _lock: File,
}

struct Shared {
    api: Arc<Api>,
    arguments: Vec<CString>,
    state: Mutex<State>,
    closed_one: Condvar,
}

struct State {
    /// Held from start to shutdown: when the last connection closes, the engine stops.
    keeper: Option<RawConnection>,
    open: usize,
}

/// One engine a process, which the engine itself does not check.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// Settings every connection starts with. `async_insert` is on by default in the engine, but an insert that was
/// answered must be in the table; `implicit_select` and the introspection functions are off on a server too.
const CONNECTION_SETTINGS: [&str; 3] =
    ["--async_insert=0", "--implicit_select=0", "--allow_introspection_functions=0"];

impl Engine {
    /// Starts the engine on `config.data_dir`. Takes 0.1 to 0.2 s; blocks.
    ///
    /// # Errors
    /// [`EngineError`]: not installed, in use by another process, or refused by the engine.
    pub fn start(mut config: EngineConfig) -> Result<Self, EngineError> {
        // The engine resolves a relative path more than once, each time from another place.
        config.data_dir = std::path::absolute(&config.data_dir)
            .map_err(|source| EngineError::DataDir { path: config.data_dir.clone(), source })?;
        let library = Library::locate(config.library.as_deref())?;
        let lock = lock_data_dir(&config.data_dir)?;
        if RUNNING.swap(true, Ordering::AcqRel) {
            return Err(EngineError::AlreadyRunning { data_dir: config.data_dir });
        }
        Self::boot(&library, config, lock).inspect_err(|_| RUNNING.store(false, Ordering::Release))
    }

    fn boot(library: &Library, config: EngineConfig, lock: File) -> Result<Self, EngineError> {
        let store = config.data_dir.join("store");
        let backups = config.backups_dir();
        for path in [&store, &backups] {
            fs::create_dir_all(path).map_err(|source| EngineError::DataDir { path: path.clone(), source })?;
        }
        let file = config.data_dir.join("engine.xml");
        fs::write(&file, config_file::render(&config))
            .map_err(|source| EngineError::DataDir { path: file.clone(), source })?;

        let api = Api::load(library.path())
            .map_err(|source| EngineError::Load { path: library.path().to_path_buf(), source })?;
        api.leave_signals_alone();
        let api = Arc::new(api);
        let mut arguments = vec![
            argument("clickhouse"),
            argument(&format!("--path={}", store.display())),
            argument(&format!("--config-file={}", file.display())),
        ];
        arguments.extend(CONNECTION_SETTINGS.map(argument));
        let Some(mut keeper) = api.connect(&arguments) else {
            return Err(EngineError::Refused { data_dir: config.data_dir });
        };
        let about = keeper
            .query("SELECT version(), timezone(), displayName()", "TSVRaw", &Parameters::new())
            .map_err(|_| EngineError::Refused { data_dir: config.data_dir.clone() })?;
        let about = String::from_utf8_lossy(about.as_ref()).trim_end().to_owned();
        let mut about = about.split('\t').map(str::to_owned);
        let mut next = || about.next().unwrap_or_default();
        let (version, timezone, host_name) = (next(), next(), next());
        let state = Mutex::new(State { keeper: Some(keeper), open: 0 });
        let shared = Arc::new(Shared { api, arguments, state, closed_one: Condvar::new() });
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(|| ffi::at_exit(leave_at_exit));
        Ok(Self { shared, config, version, timezone, host_name, _lock: lock })
    }

    /// ClickHouse's version, such as `26.7.2.1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The time zone dates without one are shown in.
    pub fn timezone(&self) -> &str {
        &self.timezone
    }

    /// The name the engine gives this machine.
    pub fn host_name(&self) -> &str {
        &self.host_name
    }

    /// The directory the engine runs on.
    pub fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// Runs one statement in this process, past every check of the HTTP front, and gives its result in `format`.
    /// For tools and tests; blocks until the statement is done.
    ///
    /// # Errors
    /// The engine's own [`Exception`].
    pub fn query(&self, sql: &str, format: &str) -> Result<Vec<u8>, Exception> {
        let mut connection = self.connect().map_err(|error| Exception::new(ErrorCode::Aborted, error))?;
        Ok(connection.query(sql, format, &Parameters::new())?.as_ref().to_vec())
    }

    /// Opens a connection: a fresh session in the database `default`. Costs a tenth of a millisecond.
    pub(crate) fn connect(&self) -> Result<Connection, EngineError> {
        let mut state = self.shared.state();
        if state.keeper.is_none() {
            return Err(EngineError::Stopped);
        }
        let Some(raw) = self.shared.api.connect(&self.shared.arguments) else {
            return Err(EngineError::Refused { data_dir: self.config.data_dir.clone() });
        };
        state.open += 1;
        Ok(Connection { raw: Some(raw), shared: Arc::clone(&self.shared) })
    }

    /// Stops the engine: refuses new connections, waits for those in use up to the configured time, closes. Blocks.
    /// A second call does nothing.
    ///
    /// # Errors
    /// [`EngineError::StillInUse`] when the time was not enough; the engine then stops as the last of them closes.
    pub fn shutdown(&self) -> Result<(), EngineError> {
        let waited = self.config.shutdown_timeout;
        match self.shared.close(waited) {
            0 => Ok(()),
            open => Err(EngineError::StillInUse { open, waited }),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(error) = self.shutdown() {
            tracing::warn!(%error, "the embedded ClickHouse engine was not stopped cleanly");
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("data_dir", &self.config.data_dir).finish_non_exhaustive()
    }
}

impl Shared {
    /// Refuses new connections, waits for the open ones, closes the keeper; returns how many are still open.
    fn close(&self, timeout: Duration) -> usize {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        let Some(mut keeper) = state.keeper.take() else { return 0 };
        while state.open > 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            state = self.closed_one.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let open = state.open;
        drop(state);
        if open == 0 {
            detach_databases(&mut keeper);
        }
        drop(keeper);
        if open == 0 {
            RUNNING.store(false, Ordering::Release);
        }
        open
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is counted, so that the engine can wait for it.
pub(crate) struct Connection {
    raw: Option<RawConnection>,
    shared: Arc<Shared>,
}

impl std::ops::Deref for Connection {
    type Target = RawConnection;

    fn deref(&self) -> &RawConnection {
        self.raw.as_ref().expect("taken only in drop")
    }
}

impl std::ops::DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut RawConnection {
        self.raw.as_mut().expect("taken only in drop")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Closed first, counted after: the engine must not stop in between.
        drop(self.raw.take());
        self.shared.state().open -= 1;
        self.shared.closed_one.notify_all();
    }
}

/// Ends the background work of every table. The engine stops it too late by itself: a table that looks for parts to
/// merge while the engine goes down has been seen to crash the process. A detached database is back at the next start.
fn detach_databases(keeper: &mut RawConnection) {
    let own = "SELECT name FROM system.databases WHERE engine != 'Memory'";
    let names = match keeper.query(own, "JSONCompactColumns", &Parameters::new()) {
        Ok(names) => names,
        Err(error) => {
            return tracing::warn!(%error, "the databases could not be listed before the engine stops");
        }
    };
    let names: Vec<Vec<String>> = serde_json::from_slice(names.as_ref()).unwrap_or_default();
    for name in names.into_iter().flatten() {
        if let Err(error) =
            keeper.query(&format!("DETACH DATABASE {}", quote_name(&name)), "Null", &Parameters::new())
        {
            tracing::warn!(%error, database = %name, "a database could not be detached before the engine stops");
        }
    }
}

/// A process that ends without stopping its engine leaves at once, as a kill would: what was committed with its syncs is on
/// disk, and nothing of the engine may run on into the clean-up of its own library.
extern "C" fn leave_at_exit(code: std::ffi::c_int, _: *mut std::ffi::c_void) {
    if RUNNING.load(Ordering::Acquire) {
        ffi::leave(code);
    }
}

fn argument(text: &str) -> CString {
    // A path cannot contain a NUL byte, and the rest is ours.
    CString::new(text).expect("no NUL byte in an argument")
}

/// The engine has a lock of its own, but refuses without saying why; this one says who holds it.
fn lock_data_dir(data_dir: &Path) -> Result<File, EngineError> {
    let path = data_dir.join("engine.lock");
    let failed = |source| EngineError::DataDir { path: path.clone(), source };
    fs::create_dir_all(data_dir).map_err(failed)?;
    let file =
        File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            return Err(EngineError::InUse {
                data_dir: data_dir.to_path_buf(),
                holder: holder.trim().to_owned(),
            });
        }
        Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0).map_err(failed)?;
    io::Write::write_all(&mut &file, format!("process {}\n", std::process::id()).as_bytes())
        .map_err(failed)?;
    Ok(file)
}
