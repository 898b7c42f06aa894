//! The few file operations a journal needs, behind a trait.
//!
//! Promises nothing itself: [`DirStorage`] is the real directory; tests put disks behind the trait that tear, fill,
//! fail and lie, and record every operation to crash between any two of them.

mod dir;

pub use dir::{DirLock, DirStorage};

use std::io;

/// One flat directory of files.
pub trait Storage: Send + Sync + 'static {
    /// The names of all files in the directory.
    ///
    /// # Errors
    /// Whatever the file system answers; so for all operations here.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file that can be written and read; an existing one is an error.
    ///
    /// # Errors
    /// See [`Storage::list`].
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Opens an existing file to read, write and sync.
    ///
    /// # Errors
    /// See [`Storage::list`].
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Gives a file another name, replacing the file that had it.
    ///
    /// # Errors
    /// See [`Storage::list`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Those who have it open keep reading it.
    ///
    /// # Errors
    /// See [`Storage::list`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    ///
    /// # Errors
    /// See [`Storage::list`].
    fn sync_dir(&self) -> io::Result<()>;
}

/// An open file.
pub trait StorageFile: Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// See [`Storage::list`].
    fn size(&self) -> io::Result<u64>;

    /// Reads at an offset; may read less than asked, 0 at the end.
    ///
    /// # Errors
    /// See [`Storage::list`].
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at an offset; may write less than asked.
    ///
    /// # Errors
    /// See [`Storage::list`].
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes what was written durable, with the length needed to read it (`fdatasync`). After an error nothing may be
    /// assumed about what was written since the sync before, nor may a later success be trusted with it.
    ///
    /// # Errors
    /// See [`Storage::list`].
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file to a length.
    ///
    /// # Errors
    /// See [`Storage::list`].
    fn truncate(&self, len: u64) -> io::Result<()>;
}

/// Writes all bytes, through short writes and interruptions.
pub(crate) fn write_all(file: &dyn StorageFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until the buffer is full or the file ends, and returns how much.
pub(crate) fn read_full(file: &dyn StorageFile, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
