//! The data directory: what lies where in it, and who may use it.
//!
//! ```text
//! DIR/lock                        held by the one process that uses the directory
//! DIR/serve.json                  addresses of a running server
//! DIR/api-keys.json               API keys, hashed
//! DIR/budget-alerts.json          alerts of budgets, raised and delivered
//! DIR/clickhouse-owner-password   of the embedded ClickHouse
//! DIR/clickhouse/                 the embedded ClickHouse
//! DIR/journal/                    what was acknowledged
//! ```
//!
//! Promises: one process at a time, also across a crash (the system drops the lock with the process); the directory is
//! its owner's alone. What is in the files is their writers' business.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A data directory that may not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    path: PathBuf,
}

/// The right to use a data directory, until it is dropped.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A file or the directory itself cannot be made or locked.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("the data directory {} is in use by {holder}; wait for it, stop it, or use another --data-dir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// What the other process says it is.
        holder: String,
    },
}

/// Between two tries at a lock that is held.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

impl DataDir {
    /// The data directory at a path; touches nothing.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the embedded ClickHouse keeps its tables.
    pub fn clickhouse(&self) -> PathBuf {
        self.path.join("clickhouse")
    }

    /// Where the journal's segments are.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// Makes the directory where it is missing, readable by its owner alone.
    ///
    /// # Errors
    /// [`DataDirError::Io`].
    pub fn create(&self) -> Result<(), DataDirError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path);
        made.map_err(|source| DataDirError::Io {
            action: "make the data directory",
            path: self.path.clone(),
            source,
        })
    }

    /// Takes the directory for this process, waiting up to `patience` for another one. `holder` is what others are told
    /// of this process. Blocks.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub fn lock(&self, holder: &str, patience: Duration) -> Result<DataDirLock, DataDirError> {
        self.create()?;
        let path = self.lock_path();
        let failed = |source| DataDirError::Io { action: "lock", path: path.clone(), source };
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(RETRY_INTERVAL)
                }
                Err(TryLockError::WouldBlock) => {
                    let holder = fs::read_to_string(&path).unwrap_or_default();
                    return Err(DataDirError::InUse {
                        path: self.path.clone(),
                        holder: holder.trim().to_owned(),
                    });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        file.set_len(0).map_err(failed)?;
        (&file)
            .write_all(format!("`ledgerline {holder}`, process {}\n", std::process::id()).as_bytes())
            .map_err(failed)?;
        Ok(DataDirLock { _file: file })
    }

    /// Whether a process holds the directory now.
    pub fn is_locked(&self) -> bool {
        // A shared lock for an instant: two askers do not disturb each other, and who takes the directory waits longer.
        File::open(self.lock_path())
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_process_at_a_time_and_the_second_is_told_who() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::new(dir.path().join("new"));
        assert!(!data_dir.is_locked());
        let lock = data_dir.lock("serve", Duration::ZERO).unwrap();
        assert!(data_dir.is_locked());
        let refused = data_dir.lock("usage", Duration::ZERO).unwrap_err().to_string();
        assert!(refused.contains("`ledgerline serve`") && refused.contains("--data-dir"), "{refused}");
        drop(lock);
        assert!(!data_dir.is_locked());
        data_dir.lock("usage", Duration::ZERO).unwrap();
        let mode = fs::metadata(data_dir.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
