//! Stopping a statement whose client went away.
//!
//! A thread inside the engine cannot be interrupted from outside, but another connection can ask the engine to: every
//! request marks its statements with a word of its own (in [`MARKER_SETTING`]) and a `KILL QUERY` finds them by it.
//! Statements that change something are left to end, until the front itself stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::Engine;
use crate::ffi::Parameters;

/// The setting that carries the mark. It must be a free text that no statement sets for itself: this one names a cluster
/// to spread a statement over, and the engine in this process has none. The mark is a UUID, a blank and the query id that
/// the client knows the request by.
pub(crate) const MARKER_SETTING: &str = "cluster_for_parallel_replicas";

/// Between two attempts to kill a statement: it may not have started, or not look at the request yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// The state of one request, shared by its thread and its connection.
pub(crate) struct Running {
    id: Uuid,
    query_id: String,
    engine: Arc<Engine>,
    /// The front is stopping and has waited long enough.
    cut: CancellationToken,
    killable: AtomicBool,
    cancelled: AtomicBool,
    done: AtomicBool,
    finished: Notify,
}

/// Cancels the request when dropped before the request is done.
pub(crate) struct CancelGuard {
    running: Arc<Running>,
}

impl Running {
    pub(crate) fn new(engine: Arc<Engine>, cut: CancellationToken, query_id: String) -> Arc<Self> {
        let id = Uuid::new_v4();
        let [killable, cancelled, done] = [(); 3].map(|()| AtomicBool::new(false));
        Arc::new(Self { id, query_id, engine, cut, killable, cancelled, done, finished: Notify::new() })
    }

    /// What the statements of this request are marked with.
    pub(crate) fn marker(&self) -> String {
        format!("{} {}", self.id, self.query_id)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// The statement only reads, and is of no use without its client.
    pub(crate) fn allow_kill(&self) {
        self.killable.store(true, Ordering::Release);
    }

    /// The thread of the request has left the engine for good.
    pub(crate) fn finish(&self) {
        self.done.store(true, Ordering::Release);
        self.finished.notify_one();
    }

    pub(crate) fn guard(self: &Arc<Self>) -> CancelGuard {
        CancelGuard { running: Arc::clone(self) }
    }

    fn kill(&self) {
        if !self.killable.load(Ordering::Acquire) && !self.cut.is_cancelled() {
            return;
        }
        let sql = format!("KILL QUERY WHERE startsWith(Settings['{MARKER_SETTING}'], '{}') ASYNC", self.id);
        let Ok(mut connection) = self.engine.connect() else { return };
        if let Err(error) = connection.query(&sql, "Null", &Parameters::new()) {
            tracing::warn!(%error, "a statement whose client went away could not be stopped");
        }
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if self.running.done.load(Ordering::Acquire) {
            return;
        }
        self.running.cancelled.store(true, Ordering::Release);
        let running = Arc::clone(&self.running);
        // Without a runtime the process is ending, and the engine with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            while !running.done.load(Ordering::Acquire) {
                let killer = Arc::clone(&running);
                // A panic in there would leave the statement running, and is reported by the runtime.
                let _ = tokio::task::spawn_blocking(move || killer.kill()).await;
                let _ = tokio::time::timeout(RETRY_INTERVAL, running.finished.notified()).await;
            }
        });
    }
}
