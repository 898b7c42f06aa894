//! The note that a running server leaves in its data directory, so that commands find it.
//!
//! Promises: the note is whole or absent, readable by its owner alone (it holds what authorises commands to the server),
//! and never believed after its server is gone, however it went.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::data_dir::{DataDir, DataDirError};

const FILE_NAME: &str = "serve.json";

/// Where a running server is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningServer {
    /// Its process.
    pub pid: u32,
    /// The base URL of its admin interface.
    pub admin: String,
    /// What a command sends there as `authorization: Bearer …`.
    pub admin_token: String,
    /// The address of OTLP over gRPC.
    pub otlp_grpc: String,
    /// The address of OTLP over HTTP.
    pub otlp_http: String,
    /// The URL of its ClickHouse.
    pub clickhouse: String,
    /// Whether that ClickHouse is the engine in its own process.
    pub clickhouse_embedded: bool,
    /// When it started.
    pub started_at: DateTime<Utc>,
}

impl std::fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the token.
        write!(f, "RunningServer(process {}, admin {}, clickhouse {})", self.pid, self.admin, self.clickhouse)
    }
}

impl RunningServer {
    /// The server that runs on a data directory now. A note whose process is dead, or whose directory nobody holds, was
    /// left by a crash and says nothing.
    ///
    /// # Errors
    /// [`DataDirError::Io`] when there is a note that cannot be read.
    pub fn find(data_dir: &DataDir) -> Result<Option<Self>, DataDirError> {
        let path = path(data_dir);
        let failed = |source| DataDirError::Io {
            action: "read the running server's addresses in",
            path: path.clone(),
            source,
        };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let server: Self = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
        // The process first: a dead one needs no look at the lock, which another command may be about to take.
        let runs = is_alive(server.pid) && data_dir.is_locked();
        Ok(runs.then_some(server))
    }

    /// Leaves the note. To be called by who holds the directory's lock, once every address answers.
    ///
    /// # Errors
    /// [`DataDirError::Io`].
    pub fn write(&self, data_dir: &DataDir) -> Result<(), DataDirError> {
        let path = path(data_dir);
        self.replace(&path).map_err(|source| DataDirError::Io {
            action: "write the server's addresses to",
            path,
            source,
        })
    }

    /// Takes the note away: as the last act of a server, and as the first of one that finds the note of a dead one.
    ///
    /// # Errors
    /// [`DataDirError::Io`].
    pub fn remove(data_dir: &DataDir) -> Result<(), DataDirError> {
        let path = path(data_dir);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(DataDirError::Io { action: "remove the server's addresses in", path, source })
            }
            _ => Ok(()),
        }
    }

    fn replace(&self, path: &PathBuf) -> io::Result<()> {
        let draft = path.with_extension("json.new");
        // What a crash left may have another mode, which opening would keep.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.write_all(b"\n")?;
        fs::rename(&draft, path)
    }
}

fn path(data_dir: &DataDir) -> PathBuf {
    data_dir.path().join(FILE_NAME)
}

fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Another user's process may not be signalled, and is alive.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn server(pid: u32) -> RunningServer {
        RunningServer {
            pid,
            admin: "http://127.0.0.1:4319".into(),
            admin_token: "hunter2".into(),
            otlp_grpc: "127.0.0.1:4317".into(),
            otlp_http: "127.0.0.1:4318".into(),
            clickhouse: "http://127.0.0.1:8123".into(),
            clickhouse_embedded: true,
            started_at: DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
        }
    }

    #[test]
    fn a_note_is_believed_only_while_its_process_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::new(dir.path());
        assert_eq!(RunningServer::find(&data_dir).unwrap(), None);
        let lock = data_dir.lock("serve", Duration::ZERO).unwrap();
        let alive = server(std::process::id());
        alive.write(&data_dir).unwrap();
        assert_eq!(RunningServer::find(&data_dir).unwrap(), Some(alive.clone()));
        // No process has the largest number there is.
        server(i32::MAX as u32).write(&data_dir).unwrap();
        assert_eq!(RunningServer::find(&data_dir).unwrap(), None);
        alive.write(&data_dir).unwrap();
        drop(lock);
        assert_eq!(RunningServer::find(&data_dir).unwrap(), None);
        RunningServer::remove(&data_dir).unwrap();
        RunningServer::remove(&data_dir).unwrap();
        assert!(!path(&data_dir).exists());
    }

    #[test]
    fn the_note_is_private_and_its_token_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::new(dir.path());
        server(1).write(&data_dir).unwrap();
        assert_eq!(fs::metadata(path(&data_dir)).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{:?}", server(1)).contains("hunter2"));
    }
}
