//! The key file: read whole, replaced whole, by one writer at a time.
//!
//! A change takes an exclusive lock on a file beside it (the file itself is replaced, so a lock on it would lock a
//! file that is gone), reads, changes, writes a temporary file, syncs it, renames it over the old one and syncs the
//! folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::record::KeyRecord;
use super::secret::SecretHash;

/// The key file's name in the data dir.
pub const FILE_NAME: &str = "api-keys.json";

/// The layout of the file; a file of another version is refused rather than misread.
const VERSION: u32 = 1;

/// Owner only: the hashes open nothing, but names of tenants and keys are nobody else's business.
const MODE: u32 = 0o600;

/// Why the key file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The operating system refused.
    #[error("cannot {action} the API key file {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is not what this program writes.
    #[error(
        "the API key file {} cannot be read: {fault}; restore it from a backup, or move it away and create new keys",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout {
    version: u32,
    keys: Vec<KeyRecord>,
}

/// What tells one state of the file from the next. A rename changes the inode, an edit in place the time or the
/// length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileStamp {
    inode: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Where the keys are kept.
#[derive(Debug, Clone)]
pub(super) struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    pub(super) fn in_dir(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE_NAME) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's state now, `None` when there is no file.
    pub(super) fn stamp(&self) -> Result<Option<FileStamp>, KeyFileError> {
        match fs::metadata(&self.path) {
            Ok(meta) => {
                Ok(Some(FileStamp { inode: meta.ino(), bytes: meta.len(), modified: meta.modified().ok() }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.io("look at", source)),
        }
    }

    /// All keys; none when there is no file.
    pub(super) fn read(&self) -> Result<Vec<KeyRecord>, KeyFileError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(self.io("read", source)),
        };
        let layout: Layout =
            serde_json::from_slice(&text).map_err(|error| self.malformed(error.to_string()))?;
        if layout.version != VERSION {
            return Err(
                self.malformed(format!("its version is {}, this program reads {VERSION}", layout.version))
            );
        }
        match layout.keys.iter().find(|key| SecretHash::parse(&key.hash).is_none()) {
            Some(key) => {
                Err(self.malformed(format!("the hash of key {:?} is not 64 hexadecimal digits", key.name)))
            }
            None => Ok(layout.keys),
        }
    }

    /// Changes the keys: `change` sees the newest state while no other process can write.
    pub(super) fn change<T, E: From<KeyFileError>>(
        &self,
        change: impl FnOnce(&mut Vec<KeyRecord>) -> Result<T, E>,
    ) -> Result<T, E> {
        let lock = self.lock()?;
        let mut keys = self.read()?;
        let outcome = change(&mut keys)?;
        self.write(keys)?;
        drop(lock);
        Ok(outcome)
    }

    fn lock(&self) -> Result<File, KeyFileError> {
        let path = self.path.with_extension("json.lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(MODE)
            .open(&path)
            .map_err(|source| self.io("lock", source))?;
        lock.lock().map_err(|source| self.io("lock", source))?;
        Ok(lock)
    }

    fn write(&self, keys: Vec<KeyRecord>) -> Result<(), KeyFileError> {
        let mut text = serde_json::to_vec_pretty(&Layout { version: VERSION, keys })
            .map_err(|error| self.malformed(error.to_string()))?;
        text.push(b'\n');
        let temporary = self.path.with_extension("json.new");
        self.replace_with(&temporary, &text).map_err(|source| {
            // The old file stands; what is left of the new one would only puzzle.
            let _ = fs::remove_file(&temporary);
            self.io("write", source)
        })
    }

    fn replace_with(&self, temporary: &Path, text: &[u8]) -> io::Result<()> {
        // Left by a crash, it may have another mode; `mode` applies only to a file that `open` creates.
        match fs::remove_file(temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(MODE).open(temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(temporary, &self.path)?;
        match self.path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            Some(dir) => File::open(dir)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    }

    fn io(&self, action: &'static str, source: io::Error) -> KeyFileError {
        KeyFileError::Io { action, path: self.path.clone(), source }
    }

    fn malformed(&self, fault: String) -> KeyFileError {
        KeyFileError::Malformed { path: self.path.clone(), fault }
    }
}
