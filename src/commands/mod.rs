//! The commands, one file each: its flags, and what it does.
//!
//! A command takes its arguments and a [`Context`], prints its result, and says how it ended. A failure travels up as an
//! error and is reported in one place.

pub mod serve;
pub mod settle;
pub mod usage;
pub mod explain;
pub mod estimate;
pub mod invoice;
pub mod period;
pub mod verify;
pub mod keys;
pub mod prices;
pub mod plans;
pub mod rates;
pub mod reprice;
pub mod redecode;
pub mod adjust;
pub mod reconcile;
pub mod job;
pub mod journal;
pub mod quarantine;
pub mod schema;
pub mod config;
pub mod dashboards;
pub mod demo;
pub mod try_to_lose_a_call;

use crate::config::Loaded;
use crate::output::Format;

/// What every command is given.
#[derive(Debug)]
pub struct Context {
    /// The configuration, and where its values came from.
    pub loaded: Loaded,
    /// How rows are printed.
    pub format: Format,
}

/// How a command that did its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well: exit code 0.
    Done,
    /// It found what it looks for, or left work behind, and has printed what: exit code 1.
    Failed,
}
