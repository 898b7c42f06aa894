//! The trace arm: a sample of the spans, in the table of the OpenTelemetry Collector's ClickHouse exporter.
//!
//! ```text
//! fork ─offer─▶ queue ─▶ hold ─▶ portrait ─▶ judge ─▶ sample ─▶ row ─▶ batch ─▶ ship ─▶ otel_traces
//!               (bounded,  (until its   (its money)  (how likely)  (by random      (few attempts,
//!                drops)     time comes)                            number)          then drops)
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `queue.rs` | the handle on the receive path; bounds of bytes and number |
//! | `gather.rs`, `hold.rs` | spans and evidence by trace, until the trace is decided |
//! | `portrait.rs`, `first_token.rs` | what the rules look at: errors, times, and what the calls cost |
//! | `judge.rs`, `top_cost.rs`, `tenant_rates.rs` | the rules of the tail: how likely a trace is kept, and why |
//! | `sample.rs`, `trace_state.rs` | whether it is: OpenTelemetry's consistent probability sampling |
//! | `decided.rs` | what late spans follow |
//! | `row.rs`, `text.rs` | a span as the exporter writes it |
//! | `content.rs` | which attributes are prompts and answers, and not stored |
//! | `redact.rs`, `policy.rs` | secrets and personal data, replaced in what is kept |
//! | `frame.rs` | the same as an export request, for the backends of [`crate::forward`] |
//! | `batch.rs`, `ship.rs` | spans inserted together, with a time limit and a few attempts |
//! | `arm.rs` | the task that does all this |
//!
//! Promises: nothing here waits, fails or grows in a way the billing arm could feel. `offer` returns at once; memory is
//! bounded by the queue, what is held, one batch that grows and one under way; a database that stalls or fails costs
//! sampled spans, which are dropped and counted; a panic costs one request. All spans of a trace are kept or dropped
//! together, late ones too. What is kept says with which probability, so that sums over it estimate what came.
//!
//! Deliberately lossy: a request is offered, never confirmed; spans that were sampled may be dropped, and a retried insert
//! may store them twice. Nothing may be billed from here.

pub mod config;
pub mod stats;
mod queue;
mod gather;
mod hold;
mod first_token;
mod portrait;
mod judge;
mod top_cost;
mod tenant_rates;
mod decided;
mod sample;
mod trace_state;
mod row;
mod text;
mod content;
mod redact;
mod policy;
mod frame;
mod batch;
mod ship;
mod arm;

use std::sync::Arc;

use schemas::Database;
use tokio::task::JoinHandle;

pub use config::Config;
pub use judge::{Reason, TailRules};
pub use portrait::PriceCalls;
pub use queue::TraceTapHandle;
pub use redact::{PatternFault, Redactor};
pub use row::{ESTIMATED_COST, PROBABILITY, RULE, WEIGHT};
pub use stats::{Snapshot, TraceStats};

use crate::append::Clock;
use crate::decode::{AiTraces, Decoder};
use crate::forward::Forwards;
use arm::Arm;
use batch::{Batch, Limits};
use decided::Decided;
use frame::Frame;
use hold::Hold;
use judge::Judge;
use policy::Policy;
use row::RowMaker;
use ship::Sink;

/// How many traces with AI usage are remembered, so that their other spans stand between their calls here too.
const AI_TRACES_MAX: usize = 50_000;

/// What the arm has of the stem, so that it understands spans as billing does.
#[derive(Debug)]
pub struct Stem {
    /// Reads spans.
    pub decoder: Decoder,
    /// Knows what calls cost.
    pub prices: Box<dyn PriceCalls>,
    /// Tells the time.
    pub clock: Clock,
    /// The backends that kept spans are sent on to.
    pub forwards: Forwards,
}

/// Starts trace arms.
#[derive(Debug)]
pub struct TraceArm;

impl TraceArm {
    /// Starts the arm on the current runtime: the handle that spans are offered to, and the task.
    ///
    /// The task ends when the last clone of the handle is dropped and what it kept is inserted, or `drain` after that;
    /// it returns its counters. Without a database, or where it is not enabled, the arm is off: the handle does nothing,
    /// the task has ended.
    pub fn start(
        config: Config,
        database: Option<Database>,
        stem: Stem,
    ) -> (TraceTapHandle, JoinHandle<Snapshot>) {
        let Some(database) = database.filter(|_| config.enabled) else {
            return (TraceTapHandle::off(), tokio::spawn(async { Snapshot::default() }));
        };
        let (handle, arm) = Self::build(config, &database, stem);
        (handle, tokio::spawn(arm.run()))
    }

    fn build(config: Config, database: &Database, stem: Stem) -> (TraceTapHandle, Arm) {
        let stats = Arc::new(TraceStats::default());
        let (handle, queue, closed) =
            queue::bounded(config.queue_bytes_max, config.queue_requests_max, stats.clone());
        let limits = Limits {
            rows_max: config.batch_rows_max,
            bytes_max: config.batch_bytes_max,
            age_max: config.batch_age_max,
        };
        let policy = Policy::new(config.keep_content, config.redactor);
        let arm = Arm {
            queue,
            closed,
            drain: config.drain,
            stem,
            ai_traces: AiTraces::new(AI_TRACES_MAX),
            settlement: config.settlement,
            judge: Judge::new(config.rules, config.sample_ratio, config.tenant_rate_max),
            hold: Hold::new(config.wait, config.hold_bytes_max, Arc::clone(&stats.held_bytes)),
            decided: Decided::new(Decided::CAPACITY),
            frame: Frame::new(policy.clone()),
            maker: RowMaker { policy },
            batch: Batch::new(limits),
            in_flight: None,
            sink: Sink::new(database, config.insert_timeout, config.insert_attempts_max, config.retry_pause)
                .keeping_for(config.retention_days),
            stats,
            #[cfg(test)]
            trap: None,
        };
        (handle, arm)
    }
}

#[cfg(test)]
mod tests;
