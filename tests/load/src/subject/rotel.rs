//! Rotel (<https://github.com/streamfold/rotel>), the collector to compare with: written in Rust too, it answers before it
//! exports and keeps nothing on disk. Its binary `rotel-agent` is in the Python wheel `rotel`.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{Ledgerline, Place, Process};

const START_PATIENCE: Duration = Duration::from_secs(10);

/// A running agent.
#[derive(Debug)]
pub struct Rotel {
    pub process: Process,
    pub otlp_grpc: String,
    pub otlp_http: String,
    _dir: TempDir,
}

impl Rotel {
    /// Receives, answers, and throws away.
    pub async fn to_nowhere(place: &Place) -> anyhow::Result<Self> {
        Self::start(place, &["--exporter", "blackhole"]).await
    }

    /// Exports to the engine's `otel_traces`, which has the columns its exporter expects. Its settings are its defaults
    /// but for inserts that are answered when they are done: only then can it be said when they are there.
    pub async fn to_clickhouse(place: &Place, engine: &Ledgerline) -> anyhow::Result<Self> {
        let password = engine.owner_password()?;
        let flags = [
            ["--exporter", "clickhouse"],
            ["--clickhouse-exporter-endpoint", &engine.clickhouse],
            ["--clickhouse-exporter-database", "ledgerline"],
            ["--clickhouse-exporter-user", "ledgerline"],
            ["--clickhouse-exporter-password", &password],
            ["--clickhouse-exporter-async-insert", "false"],
        ];
        Self::start(place, flags.as_flattened()).await
    }

    async fn start(place: &Place, flags: &[&str]) -> anyhow::Result<Self> {
        let program = place.rotel.as_ref().context("no Rotel binary was named")?;
        let dir = place.temporary()?;
        let (otlp_grpc, otlp_http) = (free_address()?, free_address()?);
        let mut command = Command::new(program);
        command.current_dir(dir.path()).arg("start");
        command.args(["--otlp-grpc-endpoint", &otlp_grpc, "--otlp-http-endpoint", &otlp_http]).args(flags);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ROTEL_")) {
            command.env_remove(name);
        }
        let process = Process::start(&mut command, Stdio::null(), dir.path().join("stderr"))?;
        for address in [&otlp_grpc, &otlp_http] {
            wait_until_it_listens(address).await.with_context(|| process.last_words())?;
        }
        Ok(Self { process, otlp_grpc, otlp_http, _dir: dir })
    }
}

/// A port that was free a moment ago; Rotel cannot be asked to pick one.
fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

async fn wait_until_it_listens(address: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    while let Err(error) = TcpStream::connect(address).await {
        anyhow::ensure!(begun.elapsed() < START_PATIENCE, "Rotel does not listen on {address}: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
