//! Small files replaced as a whole: after a crash either the old or the new content is there, except for `overwrite`.

use std::io;

use crate::error::FileError;
use crate::storage::{Storage, read_full, write_all};

const FILE_BYTES_MAX: u64 = 16 << 20;

/// Replaces a file: a temporary one is written, synced and renamed, and the directory synced.
pub(crate) fn replace(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = format!("{name}.tmp");
    match storage.remove(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(FileError::new("removal", &temporary, error)),
    }
    let file = storage.create(&temporary).map_err(|e| FileError::new("creation", &temporary, e))?;
    write_all(file.as_ref(), bytes, 0).map_err(|e| FileError::new("write", &temporary, e))?;
    file.sync_data().map_err(|e| FileError::new("sync", &temporary, e))?;
    storage.rename(&temporary, name).map_err(|e| FileError::new("renaming", &temporary, e))?;
    storage.sync_dir().map_err(|e| FileError::new("sync", ".", e))
}

/// Writes over an existing file, which takes no new space where it was as large. A crash may leave it torn.
pub(crate) fn overwrite(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Result<(), FileError> {
    let file = storage.open(name).map_err(|e| FileError::new("opening", name, e))?;
    write_all(file.as_ref(), bytes, 0).map_err(|e| FileError::new("write", name, e))?;
    file.truncate(bytes.len() as u64).map_err(|e| FileError::new("truncation", name, e))?;
    file.sync_data().map_err(|e| FileError::new("sync", name, e))
}

/// A whole file; `None` when there is none. Larger than any file of ours counts as unreadable.
pub(crate) fn read(storage: &dyn Storage, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match storage.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let size = file.size()?;
    if size > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than any file the journal writes"));
    }
    let mut bytes = vec![0; size as usize];
    let read = read_full(file.as_ref(), &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}
