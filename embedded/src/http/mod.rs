//! ClickHouse's HTTP interface in front of the engine.
//!
//! Promises: a request is served only to who may ask, from where it may be asked; the number of statements at once,
//! the size of a request and the memory of an answer are bounded; a client that goes away stops its statement; when
//! asked to stop, running statements get time to end.
//!
//! Leaves to others: what the statements mean (the engine), TLS and other machines (it is meant for loopback).

mod answer;
mod blocks;
mod body;
mod cancel;
mod connection;
mod encode;
mod formats;
mod gate;
mod identity;
mod kill;
mod native;
mod reader;
mod request;
mod run;
mod serve;
mod session;
mod settings;
mod statement_text;
mod values;

pub use reader::ReaderLimits;
pub use serve::{FrontConfig, FrontError, HttpFront};
