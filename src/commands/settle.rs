//! `settle`: ship and settle everything acknowledged so far, waiting for nothing.

use std::time::Duration;

use anyhow::{Context as _, bail};
use billing::settle::{PassSummary, SettleHandle};
use tokio::time::{Instant, timeout_at};

use super::{Context, Outcome};
use crate::admin_client::AdminClient;
use crate::billing_arm::{BillingArm, BillingHandles, now_nanos};
use crate::data_dir::DataDir;
use crate::running_server::RunningServer;
use crate::topology::{ClickHouse, open_journal};

/// Settle everything that was acknowledged
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Fail while any other collector has evidence that is not in ClickHouse yet
    #[arg(long)]
    pub all_collectors: bool,
    /// How long to try before giving up
    #[arg(long, default_value = "120s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub timeout: Duration,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<Outcome> {
    let data_dir = DataDir::new(&context.loaded.config.data_dir);
    let deadline = Instant::now() + args.timeout;
    let settled = match RunningServer::find(&data_dir)? {
        Some(server) => AdminClient::new(&server).post("/settle", None, args.timeout).await?,
        None => {
            let pass = with_settler(context, async |handles| drain(handles, deadline).await).await?;
            crate::admin::summary(&pass)
        }
    };
    let figure = |key: &str| settled.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
    println!(
        "settled: {} observations read, {} entries posted, {} decisions written",
        figure("gathered"),
        figure("entries"),
        figure("decisions")
    );
    report_others(args.all_collectors, context).await
}

/// Lists the other collectors, and fails if any of them still holds something and that matters.
async fn report_others(must_be_done: bool, context: &Context) -> anyhow::Result<Outcome> {
    let missing = crate::connect::Missing::Refuse;
    crate::connect::with_database(&context.loaded, "settle", missing, async |database| {
        let collectors = database.collectors().await?;
        let mut behind = false;
        for row in &collectors {
            let unshipped = row.appended_seq.saturating_sub(row.shipped_seq);
            if collectors.len() > 1 {
                let seconds = (now_nanos() / 1000 - row.heartbeat_at) / 1_000_000;
                println!(
                    "collector on {}: last heartbeat {seconds} s ago, {unshipped} positions not shipped",
                    row.host
                );
            }
            behind |= unshipped > 0;
        }
        if behind && must_be_done {
            println!("not all collectors have shipped everything; see that each runs and reaches ClickHouse");
            return Ok(Outcome::Failed);
        }
        Ok(Outcome::Done)
    })
    .await
}

/// Opens the data directory without receiving, does something with its settler, and closes it.
pub async fn with_settler<T>(
    context: &Context,
    work: impl AsyncFnOnce(&BillingHandles) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let config = &context.loaded.config;
    let data_dir = DataDir::new(&config.data_dir);
    if !data_dir.path().is_dir() && config.clickhouse.url.is_none() {
        bail!(
            "there is no ledger in the data directory {}; name another --data-dir or a --clickhouse-url",
            data_dir.path().display()
        );
    }
    let lock = {
        let data_dir = data_dir.clone();
        tokio::task::spawn_blocking(move || data_dir.lock("settle", Duration::from_secs(10))).await??
    };
    let clickhouse = ClickHouse::open(config, &data_dir).await?;
    let journal = open_journal(config, &data_dir).await?;
    let (billing, append) = BillingArm::start(config, journal, &clickhouse.database, true)?;
    let result = work(&billing.handles()).await;
    drop(append);
    billing.finish().await?;
    clickhouse.close().await?;
    drop(lock);
    result
}

/// Ships what the journal holds and settles everything committed.
pub async fn drain(handles: &BillingHandles, deadline: Instant) -> anyhow::Result<PassSummary> {
    handles.ship.flush(deadline).await?;
    let settler = settler(handles, deadline).await?;
    let drained =
        timeout_at(deadline, settler.drain()).await.context("settling takes longer than the time given")?;
    Ok(drained??)
}

/// The running settler, once ClickHouse has answered.
pub async fn settler(handles: &BillingHandles, deadline: Instant) -> anyhow::Result<SettleHandle> {
    let mut found = handles.settler.clone();
    let waited = timeout_at(deadline, found.wait_for(Option::is_some)).await;
    let handle = waited.context("ClickHouse did not answer in time; see /readyz")?;
    let handle =
        handle.context("this server does not settle (settle.enabled = false); ask the one that does")?;
    Ok(handle.clone().expect("waited for it"))
}
