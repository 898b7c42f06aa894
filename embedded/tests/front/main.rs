//! The HTTP front on the real engine, asked the way clients ask. A missing engine fails these tests.
//!
//! One engine serves the whole file, since only one can live in a process; every test has a front and a database of
//! its own.

mod harness;

mod answers;
mod clickhouse_crate;
mod inserts;
mod limits;
mod native_format;
mod origins;
mod owner;
mod reader;
mod sessions;
mod streaming;
