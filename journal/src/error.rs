//! What can go wrong, one type an operation.
//!
//! Promises: each append error has a stable code and a disposition; a message names the file and what to do, and
//! never repeats its source.

use std::io;
use std::sync::Arc;

use crate::collector_id::CollectorId;
use crate::config::ConfigError;

/// A file operation that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{action} of journal file {file} failed")]
pub struct FileError {
    /// What was tried, for example `write` or `sync`.
    pub action: &'static str,
    /// The file's name within the journal directory, `.` for the directory itself.
    pub file: String,
    /// The operating system's answer.
    pub source: Arc<io::Error>,
}

impl FileError {
    pub(crate) fn new(action: &'static str, file: &str, source: io::Error) -> Self {
        Self { action, file: file.to_owned(), source: Arc::new(source) }
    }

    /// Whether the disk or a quota is full, which ends by itself when space returns.
    pub fn is_out_of_space(&self) -> bool {
        is_out_of_space(&self.source)
    }
}

pub(crate) fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Why a journal did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The limits contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process, or another journal of this one, has the directory.
    #[error("journal directory {dir} is in use by another process; stop it, or choose another directory")]
    Locked {
        /// The directory.
        dir: String,
    },
    /// A segment was written by a later version; opening it would lose what that version wrote.
    #[error(
        "journal segment {file} has format {version}, this program reads {supported}; run the newer program"
    )]
    NewerFormat {
        /// The segment's file name.
        file: String,
        /// Its format version.
        version: u32,
        /// The version this program reads.
        supported: u32,
    },
    /// The directory cannot be used.
    #[error("journal directory {dir} cannot be opened; check that it exists and can be written")]
    Directory {
        /// The directory.
        dir: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The writer's thread did not start.
    #[error("journal writer thread did not start; the system has too many threads")]
    Thread {
        /// The operating system's answer.
        source: io::Error,
    },
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why an append is not durable. The records may be sent again; they were not acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// More waits for the disk than the queue's bound.
    #[error(
        "journal queue is full ({queued_requests} appends, {queued_bytes} bytes waiting for the disk); send again \
         shortly, or raise journal.queue_bytes_max"
    )]
    Busy {
        /// Appends waiting or being written.
        queued_requests: usize,
        /// Their bytes.
        queued_bytes: usize,
    },
    /// No room: nothing is dropped to make some.
    #[error(
        "journal is full ({used_bytes} of {capacity_bytes} bytes, bound: {cause}); exports are refused until records \
         ship and settle; raise journal.capacity_bytes or free the disk"
    )]
    Full {
        /// What ran out.
        cause: FullCause,
        /// Bytes in segments.
        used_bytes: u64,
        /// The configured bound.
        capacity_bytes: u64,
    },
    /// The append has more bytes than a frame may have.
    #[error(
        "append of {bytes} bytes exceeds journal.frame_bytes_max = {frame_bytes_max}; send fewer records at once"
    )]
    TooLarge {
        /// Bytes of the frame it would be.
        bytes: usize,
        /// The bound.
        frame_bytes_max: usize,
    },
    /// An append without records has no position and so cannot be acknowledged.
    #[error("append holds no records")]
    Empty,
    /// The disk failed; the segment is abandoned, and the next append tries a new one.
    #[error("journal storage failed and the records are not acknowledged; check the disk")]
    Storage {
        /// The operation that failed.
        #[source]
        source: FileError,
    },
    /// The journal is closed or closing.
    #[error("journal is closed")]
    Closed,
}

/// What a full journal ran out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullCause {
    /// `capacity_bytes`.
    Capacity,
    /// The file system or a quota.
    Disk,
}

impl std::fmt::Display for FullCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Capacity => "capacity_bytes",
            Self::Disk => "disk",
        })
    }
}

/// What a caller does with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The same append may succeed later.
    Retry,
    /// The same append will never succeed.
    Reject,
    /// This journal will not accept again.
    Fatal,
}

impl AppendError {
    /// A stable short word for metric labels and documents.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "journal_busy",
            Self::Full { .. } => "journal_full",
            Self::TooLarge { .. } => "append_too_large",
            Self::Empty => "append_empty",
            Self::Storage { .. } => "journal_storage",
            Self::Closed => "journal_closed",
        }
    }

    /// What the caller does with it.
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::Busy { .. } | Self::Full { .. } | Self::Storage { .. } => Disposition::Retry,
            Self::TooLarge { .. } | Self::Empty => Disposition::Reject,
            Self::Closed => Disposition::Fatal,
        }
    }
}

/// Why reading stopped. The reader stays where it was and may be asked again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// A segment could not be read. If it stays so, [`Reader::skip_unreadable`](crate::Reader::skip_unreadable) turns
    /// what the disk does not give into a gap.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a checkpoint was not stored. The one before it stands.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CheckpointError {
    /// A cursor would move back.
    #[error("checkpoint of collector {collector_id} moves {cursor} back from {stored} to {given}")]
    Backwards {
        /// Whose cursor.
        collector_id: CollectorId,
        /// `shipped` or `released`.
        cursor: &'static str,
        /// What is stored.
        stored: u64,
        /// What was given.
        given: u64,
    },
    /// A cursor would pass the last durable record.
    #[error(
        "checkpoint of collector {collector_id} moves to {given}, past its last durable record {durable}"
    )]
    Ahead {
        /// Whose cursor.
        collector_id: CollectorId,
        /// What was given.
        given: u64,
        /// The last durable number.
        durable: u64,
    },
    /// Records would be released before they shipped.
    #[error("checkpoint of collector {collector_id} releases {released}, past shipped {shipped}")]
    ReleasedUnshipped {
        /// Whose cursor.
        collector_id: CollectorId,
        /// The given `shipped`.
        shipped: u64,
        /// The given `released`.
        released: u64,
    },
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_append_error_says_whether_to_send_again() {
        let source = FileError::new("sync", "00000000000000000001.seg", io::Error::other("gone"));
        let table = [
            (AppendError::Busy { queued_requests: 1, queued_bytes: 1 }, "journal_busy", Disposition::Retry),
            (
                AppendError::Full { cause: FullCause::Disk, used_bytes: 1, capacity_bytes: 2 },
                "journal_full",
                Disposition::Retry,
            ),
            (AppendError::Storage { source }, "journal_storage", Disposition::Retry),
            (AppendError::TooLarge { bytes: 2, frame_bytes_max: 1 }, "append_too_large", Disposition::Reject),
            (AppendError::Empty, "append_empty", Disposition::Reject),
            (AppendError::Closed, "journal_closed", Disposition::Fatal),
        ];
        for (error, code, disposition) in table {
            assert_eq!((error.code(), error.disposition()), (code, disposition));
        }
    }

    #[test]
    fn a_message_does_not_repeat_its_source() {
        let error =
            AppendError::Storage { source: FileError::new("sync", "x.seg", io::Error::other("gone")) };
        assert!(!error.to_string().contains("gone") && !error.to_string().contains("x.seg"));
        let source = std::error::Error::source(&error).expect("the file error");
        assert_eq!(source.to_string(), "sync of journal file x.seg failed");
    }
}
