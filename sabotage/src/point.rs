//! Fail points: where the process may be killed, as if its power were cut between two instructions.

crate::named! {
    /// A place between two steps of the billing arm.
    Point {
        /// Records are queued and encoded; nothing of them is in a file.
        JournalEncoded = "journal.encoded",
        /// Their bytes are written, and not synced.
        JournalWritten = "journal.written",
        /// They are on disk, and nobody knows.
        JournalSynced = "journal.synced",
        /// The request is durable, and not answered.
        AnswerBefore = "answer.before",
        /// The bounds of a batch are durable, and nothing of it was sent.
        SealFixed = "seal.fixed",
        /// The rows of a batch are on their way: sent in part, sent whole, taken and not confirmed.
        ShipSending = "ship.sending",
        /// The rows are confirmed, the row that vouches for them is not sent.
        ShipRowsConfirmed = "ship.rows_confirmed",
        /// The batch is confirmed, the journal's cursor does not know.
        ShipBatchConfirmed = "ship.batch_confirmed",
        /// A checkpoint is about to be written.
        CheckpointBefore = "checkpoint.before",
        /// It is durable, and segments do not go by it yet.
        CheckpointAfter = "checkpoint.after",
        /// A released segment is about to be unlinked.
        UnlinkBefore = "unlink.before",
        /// It is unlinked, the directory is not synced.
        UnlinkAfter = "unlink.after",
        /// A pass knows what to post, and has written nothing.
        SettlePricesBefore = "settle.prices_before",
        /// The rate cards that its entries name are kept.
        SettlePricesAfter = "settle.prices_after",
        /// The row that vouches for entries is on its way; nothing of them was sent.
        SettleVoucherSending = "settle.voucher_sending",
        /// They are vouched for, and none of them was sent.
        SettleVoucherAfter = "settle.voucher_after",
        /// Entries are about to be written.
        SettleEntriesBefore = "settle.entries_before",
        /// Entries are on their way: sent in part, sent whole, taken and not confirmed.
        SettleEntriesSending = "settle.entries_sending",
        /// Entries stand, decisions do not.
        SettleEntriesAfter = "settle.entries_after",
        /// Decisions stand, the cursor did not move.
        SettleDecisionsAfter = "settle.decisions_after",
        /// The cursor is about to be written.
        SettleCursorBefore = "settle.cursor_before",
        /// The cursor moved, and the journal was not told.
        SettleCursorAfter = "settle.cursor_after",
        /// Closing a month: everything is settled.
        CloseDrained = "close.drained",
        /// Late duplicates are corrected.
        CloseDuplicates = "close.duplicates",
        /// What the plans make of the month is posted.
        CloseAdjusted = "close.adjusted",
        /// The month holds, and its manifest is not written.
        CloseVerified = "close.verified",
        /// The month is closed, and nobody was told.
        CloseWritten = "close.written",
    }
}

/// The variable that arms a point: its name, and after a colon the how manieth time it kills.
pub const KILL_VARIABLE: &str = "SABOTAGE_KILL_AT";

/// Whether this build has fail points at all.
pub const POINTS_COMPILED_IN: bool = cfg!(debug_assertions);

/// The process is here. It ends here, as by `kill -9`, if it was told so at its start.
#[inline(always)]
#[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "a release has no fail points"))]
pub fn reached(point: Point) {
    #[cfg(debug_assertions)]
    armed::reached(point);
}

/// Runs a statement, and reaches the point whenever it has to wait: which time it is says how far the statement got.
#[inline(always)]
#[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "a release has no fail points"))]
pub fn in_flight<F: Future>(point: Point, statement: F) -> impl Future<Output = F::Output> {
    #[cfg(debug_assertions)]
    let statement = armed::in_flight(point, statement);
    statement
}

#[cfg(debug_assertions)]
mod armed {
    //! What a debug build does at a point.

    use std::pin::pin;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::Poll;

    use super::{KILL_VARIABLE, Point};

    struct Armed {
        point: Point,
        /// How many times it is yet to be passed.
        left: AtomicU64,
    }

    fn armed() -> Option<&'static Armed> {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let read = || {
            let text = std::env::var(KILL_VARIABLE).ok()?;
            let (name, time) = text.split_once(':').unwrap_or((&text, "1"));
            let point = Point::named(name).unwrap_or_else(|| panic!("{KILL_VARIABLE}: no point {name:?}"));
            let time = time.parse().unwrap_or_else(|_| panic!("{KILL_VARIABLE}: no number {time:?}"));
            Some(Armed { point, left: AtomicU64::new(time) })
        };
        ARMED.get_or_init(read).as_ref()
    }

    pub fn reached(point: Point) {
        if let Some(armed) = armed()
            && armed.point == point
            && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            die();
        }
    }

    pub async fn in_flight<F: Future>(point: Point, statement: F) -> F::Output {
        let mut statement = pin!(statement);
        std::future::poll_fn(|cx| {
            let polled = statement.as_mut().poll(cx);
            if polled.is_pending() {
                reached(point);
            }
            match polled {
                Poll::Ready(done) => Poll::Ready(done),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// No destructor runs, no buffer is flushed, and this thread does not go on while the others are stopped.
    fn die() {
        let killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        killed.expect("a process may kill itself");
        loop {
            std::thread::park();
        }
    }
}
