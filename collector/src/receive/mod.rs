//! OTLP in: requests arrive here, and leave as uncompressed bytes with the stamp of their key.
//!
//! ```text
//! listen ─▶ connection ─▶ grpc │ http ─▶ door: key ─▶ place ─▶ body ─▶ intake ─▶ answer
//!                         (two edges)    (one way in, whatever the edge)
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `intake.rs` | the trait the rest of the collector implements |
//! | `refusal.rs` | every reason to refuse, in one table, with what each edge answers |
//! | `config.rs` | addresses, limits and time limits |
//! | `listen.rs`, `serve.rs`, `connection.rs` | bind; accept until told to stop, then drain; one connection |
//! | `grpc.rs`, `http.rs`, `head.rs`, `answer.rs` | the two edges: what is asked, how it is answered |
//! | `door.rs`, `authenticate.rs` | the one way in |
//! | `body.rs`, `assemble.rs`, `inflate.rs`, `budget.rs` | a body under limits of time, size and memory |
//! | `stats.rs`, `complaints.rs` | what the metrics page and the log say |
//!
//! Both edges stand directly on hyper. A gRPC unary call is a five-byte prefix, a body and a trailer; reading it
//! ourselves lets a request be refused before it is buffered, and decompressed under the same memory budget as an
//! HTTP body.
//!
//! Promises: every answer is either the intake's or a refusal that says what to do; memory held by requests never
//! exceeds the budget, however well a body is compressed; a client that is slow, silent or gone frees what it held;
//! after shutdown every request that was being answered is answered, up to a time limit. Bodies, keys and header
//! values never reach a log. Left to others: what a body means (`otlp`, `decode`) and whether it is durable (the
//! intake).

mod intake;
mod refusal;
mod config;
mod listen;
mod serve;
mod connection;
mod grpc;
mod http;
mod head;
mod answer;
mod door;
mod authenticate;
mod body;
mod assemble;
mod inflate;
mod budget;
mod stats;
mod complaints;

#[cfg(test)]
mod tests;

pub use authenticate::AuthPolicy;
pub use config::{Config, Limits, TimeLimits};
pub use intake::{Accepted, Encoding, Intake};
pub use listen::BindError;
pub use refusal::{Refusal, RefusalKind};
pub use serve::{Receive, Summary};
pub use stats::{Protocol, ReceiveStats, Signal, Snapshot};
