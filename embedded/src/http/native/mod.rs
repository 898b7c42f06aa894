//! The `Native` format for clients of a newer protocol.
//!
//! A client that names a revision of the native protocol (`client_protocol_version`) expects every block to begin with
//! a block info, and every column to say whether its serialisation is a custom one. The engine inside a process writes
//! the plain form only, so both are added here, which takes knowing where one column ends and the next begins.

mod columns;
mod types;

use bytes::Bytes;

use crate::engine::Exception;

/// From this revision on a block begins with its info.
const REVISION_WITH_BLOCK_INFO: u64 = 1;

/// From this revision on a column says whether its serialisation is a custom one.
const REVISION_WITH_CUSTOM_SERIALIZATION: u64 = 54_454;

/// Rewrites blocks for a client.
pub(crate) struct Upgrade {
    custom_serialization: bool,
}

impl Upgrade {
    /// `None` when the client reads what the engine writes.
    pub(crate) fn for_client(format: &str, revision: u64) -> Option<Self> {
        (format == "Native" && revision >= REVISION_WITH_BLOCK_INFO)
            .then_some(Self { custom_serialization: revision >= REVISION_WITH_CUSTOM_SERIALIZATION })
    }

    /// Rewrites a sequence of whole blocks.
    pub(crate) fn blocks(&self, plain: &Bytes) -> Result<Bytes, Exception> {
        columns::rewrite(plain, self.custom_serialization)
    }
}
