//! The trace arm: a sample of the spans, in the table of the OpenTelemetry Collector's ClickHouse exporter.
//!
//! ```text
//! fork ─offer─▶ queue ─▶ sample ─▶ row ─▶ batch ─▶ ship ─▶ otel_traces
//!               (bounded,  (by trace id)                (few attempts,
//!                drops)                                  then drops)
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `queue.rs` | the handle on the receive path; bounds of bytes and number |
//! | `sample.rs`, `trace_state.rs` | which traces are kept: OpenTelemetry's consistent probability sampling |
//! | `row.rs`, `text.rs` | a span as the exporter writes it |
//! | `content.rs` | which attributes are prompts and answers, and not stored |
//! | `batch.rs`, `ship.rs` | spans inserted together, with a time limit and a few attempts |
//! | `arm.rs` | the task that does all this |
//!
//! Promises: nothing here waits, fails or grows in a way the billing arm could feel. `offer` returns at once; memory is
//! bounded by the queue, one batch that grows and one under way; a database that stalls or fails costs sampled spans,
//! which are dropped and counted; a panic costs one request. All spans of a trace are kept or dropped together, on
//! every collector.
//!
//! Deliberately lossy: a request is offered, never confirmed; spans that were sampled may be dropped, and a retried insert
//! may store them twice. Nothing may be billed from here.

pub mod config;
pub mod stats;
mod queue;
mod sample;
mod trace_state;
mod row;
mod text;
mod content;
mod batch;
mod ship;
mod arm;

use std::sync::Arc;

use schemas::Database;
use tokio::task::JoinHandle;

pub use config::Config;
pub use queue::TraceTapHandle;
pub use row::PROBABILITY;
pub use stats::{Snapshot, TraceStats};

use arm::Arm;
use batch::{Batch, Limits};
use row::RowMaker;
use sample::Sampler;
use ship::Sink;

/// Starts trace arms.
#[derive(Debug)]
pub struct TraceArm;

impl TraceArm {
    /// Starts the arm on the current runtime: the handle that spans are offered to, and the task.
    ///
    /// The task ends when the last clone of the handle is dropped and what it kept is inserted, or `drain` after that;
    /// it returns its counters. With a ratio of 0 or without a database the arm is off: the handle does nothing, the task
    /// has ended.
    pub fn start(config: Config, database: Option<Database>) -> (TraceTapHandle, JoinHandle<Snapshot>) {
        let (Some(sampler), Some(database)) = (Sampler::new(config.sample_ratio), database) else {
            return (TraceTapHandle::off(), tokio::spawn(async { Snapshot::default() }));
        };
        let (handle, arm) = Self::build(&config, sampler, &database);
        (handle, tokio::spawn(arm.run()))
    }

    fn build(config: &Config, sampler: Sampler, database: &Database) -> (TraceTapHandle, Arm) {
        let stats = Arc::new(TraceStats::default());
        let (handle, queue, closed) =
            queue::bounded(config.queue_bytes_max, config.queue_requests_max, stats.clone());
        let limits = Limits {
            rows_max: config.batch_rows_max,
            bytes_max: config.batch_bytes_max,
            age_max: config.batch_age_max,
        };
        let arm = Arm {
            queue,
            closed,
            drain: config.drain,
            sampler,
            maker: RowMaker { keep_content: config.keep_content },
            batch: Batch::new(limits),
            in_flight: None,
            sink: Sink::new(database, config.insert_timeout, config.insert_attempts_max, config.retry_pause),
            stats,
            #[cfg(test)]
            trap: None,
        };
        (handle, arm)
    }
}

#[cfg(test)]
mod tests;
