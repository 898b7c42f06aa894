//! A directory of a real file system.
//!
//! Promises: one holder of the lock at a time, released by the operating system however the process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Storage, StorageFile};
use crate::error::OpenError;

const LOCK_FILE: &str = "lock";

/// Storage in a directory.
#[derive(Debug)]
pub struct DirStorage {
    dir: PathBuf,
}

/// The exclusive right to write a directory, as long as it lives.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirStorage {
    /// The directory, which must exist.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Creates the directory (with its parents) where it is not there yet, and takes its lock.
    ///
    /// # Errors
    /// [`OpenError::Locked`] where someone has it, [`OpenError::Directory`] where the directory cannot be used.
    pub fn lock(dir: &Path) -> Result<(Self, DirLock), OpenError> {
        let unusable = |source| OpenError::Directory { dir: dir.display().to_string(), source };
        std::fs::create_dir_all(dir).map_err(unusable)?;
        let path = dir.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok((Self::new(dir), DirLock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: dir.display().to_string() }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

impl Storage for DirStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        // A name that is not UTF-8 is none of ours.
        let names = std::fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.dir.join(name))?;
        Ok(Box::new(DirFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let path = self.dir.join(name);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            // Inspecting needs no more than reading.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(&path)?,
            opened => opened?,
        };
        Ok(Box::new(DirFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.dir.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

struct DirFile(File);

impl StorageFile for DirFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}
