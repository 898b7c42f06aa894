//! The command line.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use crate::cell::{Cell, Protocol};
use crate::subject::Place;

/// Measures the release binary under load and prints Markdown tables: durable acknowledgements, end to end into the ledger,
/// and the lag of settlement. tests/load/README.md says what they mean.
#[derive(Debug, Parser)]
#[command(name = "ledgerline-load")]
pub struct Options {
    /// The program to measure
    #[arg(long, value_name = "PATH", default_value = "target/release/ledgerline")]
    pub binary: PathBuf,
    /// Rotel's `rotel-agent`, to compare with in the same rounds
    #[arg(long, value_name = "PATH")]
    pub rotel: Option<PathBuf>,
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["acknowledge", "end-to-end", "lag"])]
    pub measure: Vec<Measure>,
    /// Protocol and spans of a request, such as grpc/1,http/100; by default both with 1, 100 and 1000 spans, and end to end
    /// gRPC with 100 and HTTP with 1000
    #[arg(long, value_delimiter = ',')]
    pub cells: Option<Vec<Cell>>,
    /// How long each acknowledgement cell is measured in a round, after a second of warming up
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// Rounds of all acknowledgement cells; the tables show medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Spans of each end-to-end cell, and new ones of each size of a ledger
    #[arg(long, default_value_t = 300_000)]
    pub spans: u64,
    /// Spans a second at which lag is measured
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 5_000])]
    pub rates: Vec<u64>,
    /// How long each rate is held
    #[arg(long, default_value_t = 20)]
    pub lag_seconds: u64,
    /// Entries of the ledger that calls are settled into, or of the month that is closed
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000, 10_000_000])]
    pub entries: Vec<u64>,
    /// Where the dashboards are
    #[arg(long, value_name = "DIR", default_value = "dashboards")]
    pub dashboards: PathBuf,
    /// Sampled traces that the dashboards read
    #[arg(long, default_value_t = 1_000_000)]
    pub traces: u64,
    /// How often each query of the dashboards is asked
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub times: u32,
    /// Another seed makes another load
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the processes keep their data, on the kind of disk that is to be measured; the system's temporary directory if
    /// not given
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Also write the tables to this file, replacing it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// An experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// Durable acknowledgements while ClickHouse is down
    Acknowledge,
    /// Into the ledger, every span of it
    EndToEnd,
    /// How far settlement is behind at fixed rates
    Lag,
    /// Whether settling costs more in a larger ledger
    LedgerSize,
    /// To close, invoice and verify a month
    Month,
    /// What the trace arm costs billing, at work and in trouble
    Isolation,
    /// How long the queries of the dashboards take
    Dashboards,
}

impl Options {
    /// Where programs and data are, as absolute paths: the processes are started elsewhere.
    pub fn place(&self) -> anyhow::Result<Place> {
        let ledgerline = self.binary.canonicalize().with_context(|| {
            format!("no program at {}; build it with `cargo build --release`", self.binary.display())
        })?;
        let rotel = self.rotel.as_ref().map(|path| {
            path.canonicalize().with_context(|| format!("no Rotel binary at {}", path.display()))
        });
        let dir = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        let dir = dir.canonicalize().with_context(|| format!("no directory {}", dir.display()))?;
        Ok(Place { ledgerline, rotel: rotel.transpose()?, dir })
    }

    /// The cells of acknowledgement.
    pub fn acknowledge_cells(&self) -> Vec<Cell> {
        self.cells.clone().unwrap_or_else(|| Cell::grid(&[1, 100, 1000]))
    }

    /// The cells end to end: how spans came in matters little there.
    pub fn end_to_end_cells(&self) -> Vec<Cell> {
        let usual =
            [Cell { protocol: Protocol::Grpc, batch: 100 }, Cell { protocol: Protocol::Http, batch: 1000 }];
        self.cells.clone().unwrap_or_else(|| usual.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_its_defaults_hold() {
        use clap::CommandFactory as _;
        Options::command().debug_assert();
        let options = Options::try_parse_from(["ledgerline-load"]).unwrap();
        assert_eq!(options.measure, [Measure::Acknowledge, Measure::EndToEnd, Measure::Lag]);
        assert_eq!(options.acknowledge_cells().len(), 6);
        let options = Options::try_parse_from(["ledgerline-load", "--cells", "grpc/1,http/100"]).unwrap();
        assert_eq!(options.end_to_end_cells().len(), 2);
    }
}
