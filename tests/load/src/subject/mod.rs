//! What is measured, as processes on loopback with data of their own.

mod process;
mod ledgerline;
mod trace_arm;
mod rotel;

use std::path::PathBuf;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::cell::Protocol;
pub use ledgerline::Ledgerline;
pub use process::{CpuSeconds, Process, STEPS, Spent};
pub use rotel::Rotel;
pub use trace_arm::TraceArm;

/// Where the programs and their data are.
#[derive(Clone, Debug)]
pub struct Place {
    /// The release binary.
    pub ledgerline: PathBuf,
    /// `rotel-agent`, where it is compared with.
    pub rotel: Option<PathBuf>,
    /// Below this, each process has a directory of its own.
    pub dir: PathBuf,
}

impl Place {
    fn temporary(&self) -> anyhow::Result<TempDir> {
        let made = tempfile::Builder::new().prefix("ledgerline-load-").tempdir_in(&self.dir);
        made.with_context(|| format!("cannot make a directory in {}", self.dir.display()))
    }
}

/// A process that receives spans.
#[derive(Debug)]
pub enum Subject {
    Ledgerline(Ledgerline),
    Rotel(Rotel),
}

/// Which program a line of a table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Ledgerline,
    Rotel,
}

impl Subject {
    /// Its process.
    pub fn process(&self) -> &Process {
        match self {
            Self::Ledgerline(server) => &server.process,
            Self::Rotel(agent) => &agent.process,
        }
    }

    /// Where it receives.
    pub fn address(&self, protocol: Protocol) -> &str {
        match (self, protocol) {
            (Self::Ledgerline(server), Protocol::Grpc) => &server.otlp_grpc,
            (Self::Ledgerline(server), Protocol::Http) => &server.otlp_http,
            (Self::Rotel(agent), Protocol::Grpc) => &agent.otlp_grpc,
            (Self::Rotel(agent), Protocol::Http) => &agent.otlp_http,
        }
    }
}

impl Who {
    /// Its name in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ledgerline => "Ledgerline",
            Self::Rotel => "Rotel",
        }
    }
}
