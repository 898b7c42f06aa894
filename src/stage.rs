//! The threads of a server: one runtime a stage.
//!
//! Two reasons. Settlement computes for long stretches and the engine waits for disks; on threads of their own neither can
//! hold up an answer to a client. And what a stage costs can be read off the names of its threads, which is how the load
//! benchmark measures each step of the running program.

use std::future::Future;

use anyhow::Context as _;
use tokio::runtime::{Builder, EnterGuard, Runtime};
use tokio::task::JoinHandle;

/// Threads of one name. Dropped, it stops without waiting; its tasks are to have ended before.
#[derive(Debug)]
pub struct Stage {
    runtime: Option<Runtime>,
}

impl Stage {
    /// Starts `workers` threads. The name may have 15 bytes, which is what Linux keeps of it.
    ///
    /// # Errors
    /// When the process may have no more threads.
    pub fn start(name: &'static str, workers: usize) -> anyhow::Result<Self> {
        Self::build(name, Builder::new_multi_thread().worker_threads(workers))
    }

    fn build(name: &'static str, builder: &mut Builder) -> anyhow::Result<Self> {
        let runtime = builder
            .thread_name(name)
            .enable_all()
            .build()
            .with_context(|| format!("cannot start threads for the stage {name}"))?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Starts `workers` threads that yield to all others: what they do can wait, or be left undone.
    ///
    /// # Errors
    /// When the process may have no more threads.
    pub fn in_background(name: &'static str, workers: usize) -> anyhow::Result<Self> {
        Self::build(
            name,
            Builder::new_multi_thread().worker_threads(workers).on_thread_start(yield_to_others),
        )
    }

    /// Starts one thread a core.
    ///
    /// # Errors
    /// When the process may have no more threads.
    pub fn on_all_cores(name: &'static str) -> anyhow::Result<Self> {
        Self::start(name, std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// Runs a task on these threads.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime().spawn(task)
    }

    /// Makes these threads the ones that tasks and sockets belong to, for as long as the guard lives.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.runtime().enter()
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the runtime is taken by drop alone")
    }
}

/// Lowers the priority of this thread. Linux keeps one a thread; elsewhere nothing is changed, since it would be the whole
/// process's. A machine that forbids it runs the thread as any other.
fn yield_to_others() {
    /// A share of about a tenth where others want the processor, all of it where nobody does.
    #[cfg(target_os = "linux")]
    const NICE: i32 = 10;
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the thread keeps its priority");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime that waits for its threads may not be dropped by a task.
            runtime.shutdown_background();
        }
    }
}
