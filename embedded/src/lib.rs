//! The real ClickHouse engine inside this process, behind ClickHouse's own HTTP interface.
//!
//! ```text
//! client ──HTTP──▶ gate ─▶ identity ─▶ request ─▶ session ─▶ job (one blocking thread, one engine connection)
//!                  (host,   (owner or   (settings,            read the statement ─▶ policy ─▶ run ─▶ stream the answer
//!                  origin)   reader)     body)
//! ```
//!
//! The engine is a library loaded at run time, so that building needs none of it. It knows no users and reads any
//! file it is asked for; the front therefore checks who asks, what is asked, and from where.

pub mod credentials;
pub mod engine;
mod ffi;
pub mod http;
pub mod library;
mod sql;

pub use credentials::{Credentials, OWNER};
pub use engine::{Engine, EngineConfig, EngineError, Exception};
pub use http::{FrontConfig, FrontError, HttpFront, ReaderLimits};
pub use library::{Library, LibraryNotFound};
