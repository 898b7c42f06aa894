//! The keys in memory: found without a lock, reloaded when the file changed.
//!
//! A lookup hashes what was presented and reads an immutable table through one atomic pointer. At most once a second
//! one lookup also looks at the file's metadata (a few microseconds) and swaps in a new table if it changed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chrono::Utc;
use domain::observation::KeyStamp;

use super::file::{FileStamp, KeyFile, KeyFileError};
use super::record::{KeyRecord, NewKey, NewKeyError};
use super::secret::{Secret, SecretHash};

/// How long a change of the file may go unnoticed.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// Why a key could not be created or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// The key file could not be read or written.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The key asked for breaks a rule.
    #[error(transparent)]
    Refused(#[from] NewKeyError),
    /// No key in force has that id or name.
    #[error("no key in force has the id or name {wanted:?}; `keys list` shows them")]
    NoSuchKey {
        /// What was asked for.
        wanted: String,
    },
}

/// A key that was just made.
#[derive(Debug, Clone)]
pub struct CreatedKey {
    /// What is kept of it.
    pub record: KeyRecord,
    /// The key, this once.
    pub secret: Secret,
}

/// The API keys of one data dir. Clones share the same table.
#[derive(Debug, Clone)]
pub struct KeyStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: KeyFile,
    table: ArcSwap<Table>,
    opened: Instant,
    reload_interval: Duration,
    /// Milliseconds after `opened` from which the next lookup looks at the file.
    next_look: AtomicU64,
    /// The file state last acted upon, readable or not, so that a broken file is complained of once.
    seen: Mutex<Option<FileStamp>>,
}

#[derive(Debug, Default)]
struct Table {
    records: Vec<KeyRecord>,
    in_force: HashMap<SecretHash, KeyStamp>,
}

impl Table {
    fn of(records: Vec<KeyRecord>) -> Self {
        let in_force = records
            .iter()
            .filter(|key| key.in_force())
            .filter_map(|key| Some((SecretHash::parse(&key.hash)?, key.stamp())))
            .collect();
        Self { records, in_force }
    }
}

impl KeyStore {
    /// Reads the keys of a data dir; none when it has no key file yet.
    pub fn open(data_dir: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        Self::open_reloading_every(data_dir.as_ref(), RELOAD_INTERVAL)
    }

    fn open_reloading_every(data_dir: &Path, reload_interval: Duration) -> Result<Self, KeyFileError> {
        let file = KeyFile::in_dir(data_dir);
        // The stamp is taken first: a change between the two is then noticed, at worst read twice.
        let seen = file.stamp()?;
        let table = Table::of(file.read()?);
        Ok(Self {
            inner: Arc::new(Inner {
                file,
                table: ArcSwap::from_pointee(table),
                opened: Instant::now(),
                reload_interval,
                next_look: AtomicU64::new(millis(reload_interval)),
                seen: Mutex::new(seen),
            }),
        })
    }

    /// The stamp of a key in force; `None` for a key that is unknown or revoked.
    pub fn lookup(&self, presented: &str) -> Option<KeyStamp> {
        self.reload_if_due();
        self.inner.table.load().in_force.get(&SecretHash::of(presented)).cloned()
    }

    /// Whether no key is in force.
    pub fn is_empty(&self) -> bool {
        self.inner.table.load().in_force.is_empty()
    }

    /// Every key, revoked ones too, oldest first, as the file has them now.
    pub fn list(&self) -> Result<Vec<KeyRecord>, KeyFileError> {
        self.reload()?;
        Ok(self.inner.table.load().records.clone())
    }

    /// Makes a key. The secret is in the answer and nowhere else.
    pub fn create(&self, new: NewKey) -> Result<CreatedKey, KeyStoreError> {
        let secret = Secret::generate();
        let record = self.inner.file.change(|keys| {
            new.check(keys)?;
            let record = new.into_record(SecretHash::of(secret.reveal()), Utc::now());
            keys.push(record.clone());
            Ok::<_, KeyStoreError>(record)
        })?;
        self.reload()?;
        Ok(CreatedKey { record, secret })
    }

    /// Revokes the key in force with this id or name; it stays listed.
    pub fn revoke(&self, id_or_name: &str) -> Result<KeyRecord, KeyStoreError> {
        let revoked = self.inner.file.change(|keys| {
            let key = keys
                .iter_mut()
                .find(|key| key.in_force() && (key.id == id_or_name || key.name == id_or_name))
                .ok_or_else(|| KeyStoreError::NoSuchKey { wanted: id_or_name.to_owned() })?;
            key.revoked_at = Some(Utc::now());
            Ok::<_, KeyStoreError>(key.clone())
        })?;
        self.reload()?;
        Ok(revoked)
    }

    /// Looks at the file when the interval is over. One caller does; the others go on with the table there is.
    fn reload_if_due(&self) {
        let now = millis(self.inner.opened.elapsed());
        let due = self.inner.next_look.load(Ordering::Relaxed);
        let next = now + millis(self.inner.reload_interval);
        if now < due
            || self.inner.next_look.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        if let Err(error) = self.reload() {
            // The keys last read stay in force: an export refused for a slip of an editor is revenue lost.
            tracing::error!(
                file = %self.inner.file.path().display(),
                error = %chain(&error),
                "the API key file changed and cannot be read; the keys read before stay in force",
            );
        }
    }

    /// Reads the file if it is not the one last seen. A missing file where there was one is an error, not "no keys".
    fn reload(&self) -> Result<(), KeyFileError> {
        let mut seen = self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.inner.file.stamp()?;
        if stamp == *seen {
            return Ok(());
        }
        if stamp.is_none() {
            *seen = stamp;
            return Err(KeyFileError::Malformed {
                path: self.inner.file.path().to_owned(),
                fault: "it is gone".into(),
            });
        }
        let read = self.inner.file.read();
        // A fault of the content stays until the file changes; a fault of the disk may pass, so it is tried again.
        if !matches!(read, Err(KeyFileError::Io { .. })) {
            *seen = stamp;
        }
        self.inner.table.store(Arc::new(Table::of(read?)));
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An error with its sources, for a log line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
