//! `serve`: receive, journal, ship, settle, sample; until told to stop.

use std::io::Write as _;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, Outcome};
use crate::topology;

/// Receive OTLP and keep the ledger
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where OTLP over gRPC is received (key `otlp.grpc_addr`)
    #[arg(long, value_name = "ADDR")]
    pub otlp_grpc_addr: Option<String>,
    /// Where OTLP over HTTP is received (key `otlp.http_addr`)
    #[arg(long, value_name = "ADDR")]
    pub otlp_http_addr: Option<String>,
    /// Where health, metrics and commands answer (key `admin.addr`)
    #[arg(long, value_name = "ADDR")]
    pub admin_addr: Option<String>,
    /// Where the embedded ClickHouse answers HTTP (key `clickhouse.addr`)
    #[arg(long, value_name = "ADDR")]
    pub clickhouse_addr: Option<String>,
}

/// Runs the command.
pub async fn run(context: &Context) -> anyhow::Result<Outcome> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: nothing more is accepted, what was acknowledged is being shipped");
    };
    topology::serve(&context.loaded.config, Some(context.loaded.clone()), shutdown, |server| {
        let line = format!(
            "ready otlp_grpc={} otlp_http={} admin={} clickhouse={}",
            server.otlp_grpc,
            server.otlp_http,
            server.admin.trim_start_matches("http://"),
            server.clickhouse
        );
        // Nobody may be reading; serving goes on.
        let _ = writeln!(std::io::stdout(), "{line}");
    })
    .await?;
    Ok(Outcome::Done)
}
