//! Spans in, durable observations out: the stem of the T and the collector's half of its two arms.
//!
//! ```text
//! receive ─▶ decode ─▶ fork ─┬─▶ append ═fsync═▶ (ack)   seal ─▶ ship ─▶ observation_log      billing arm
//!                            └─▶ sample ─▶ batch ─▶ ship ─▶ otel_traces                        trace arm
//! ```
//!
//! Promises: a request is acknowledged only after every observation and link in it is on disk; what the trace arm
//! does never delays or loses billing; prompts and completions go neither to the journal nor to a log.
//!
//! Modules stand in the order data flows.

pub mod keys;
pub mod receive;
pub mod otlp;
pub mod decode;
pub mod fork;
pub mod append;
pub mod seal;
pub mod ship;
pub mod forward;
pub mod trace;
