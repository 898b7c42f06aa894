//! Known bugs, of the kinds that lose or double usage in this field. A test that does not fail on them proves nothing.

crate::named! {
    /// A bug that a build with the feature `bugs` may be told to have.
    Bug {
        /// A refused append is answered as a success.
        FailOpenAck = "fail-open-ack",
        /// A request is answered once its records are queued, before they are written.
        AckBeforeWrite = "ack-before-write",
        /// Records count as durable once they are written, without a sync.
        AckBeforeSync = "ack-before-sync",
        /// Recovery takes the last whole frame for part of the torn tail.
        TornTailTooLong = "torn-tail-too-long",
        /// A request that came before is not journaled again, whether or not it became durable then.
        TrustedDedupeCache = "trusted-dedupe-cache",
        /// The shipped cursor passes a batch that the database did not confirm.
        CursorBeforeConfirm = "cursor-before-confirm",
        /// Segments go by a checkpoint that is not durable yet.
        UnlinkBeforeCursor = "unlink-before-cursor",
        /// Batches are sent before their bounds are durable.
        SealNotSynced = "seal-not-synced",
        /// Another attempt at a batch numbers its rows anew.
        RetryAsNewRows = "retry-as-new-rows",
        /// A batch that the database has no memory for is given up.
        DropOnMemoryLimit = "drop-on-memory-limit",
        /// Settlement takes what it finds of a batch, whatever was committed.
        CountUnchecked = "count-unchecked",
        /// The cursor passes evidence that waits for more.
        CursorPastWaiting = "cursor-past-waiting",
        /// The cursor is written before the entries.
        CursorBeforeEntries = "cursor-before-entries",
        /// What stands in memory is believed after a failed posting.
        MemoryTrusted = "memory-trusted",
        /// A span that may repeat its children's usage is taken for a call.
        WrapperIsCall = "wrapper-is-call",
        /// What stands is not read from the ledger when a trace comes back.
        StandingUnread = "standing-unread",
        /// A month is closed before what its plans make of it is posted.
        CloseBeforeAdjusting = "close-before-adjusting",
    }
}

/// The variable that chooses one.
pub const BUG_VARIABLE: &str = "SABOTAGE_BUG";

/// Whether the program has this bug.
#[cfg(not(feature = "bugs"))]
#[inline(always)]
pub const fn is_active(_: Bug) -> bool {
    false
}

/// Whether the program has this bug.
#[cfg(feature = "bugs")]
pub fn is_active(bug: Bug) -> bool {
    use std::sync::OnceLock;
    static ACTIVE: OnceLock<Option<Bug>> = OnceLock::new();
    let read = || {
        let name = std::env::var(BUG_VARIABLE).ok().filter(|name| !name.is_empty())?;
        Some(Bug::named(&name).unwrap_or_else(|| panic!("{BUG_VARIABLE}: no bug {name:?}")))
    };
    *ACTIVE.get_or_init(read) == Some(bug)
}

/// Whether this was asked of the same bytes before: the memory that some bugs trust. Never, without them.
#[cfg(not(feature = "bugs"))]
#[inline(always)]
pub const fn seen_before(_: &[u8]) -> bool {
    false
}

/// Whether this was asked of the same bytes before: the memory that some bugs trust. Never, without them.
#[cfg(feature = "bugs")]
pub fn seen_before(bytes: &[u8]) -> bool {
    use std::collections::BTreeSet;
    use std::sync::{LazyLock, Mutex, PoisonError};
    static SEEN: LazyLock<Mutex<BTreeSet<Vec<u8>>>> = LazyLock::new(Mutex::default);
    !SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(bytes.to_vec())
}
