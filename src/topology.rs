//! `serve`, put together: read top to bottom as the data flows.
//!
//! ```text
//! receive ─▶ decode ─▶ fork ─┬─▶ journal ─▶ ship ─▶ settle      (billing_arm.rs) ─▶ budgets
//!                            └─▶ hold ─▶ sample ─▶ ship         (trace_arm.rs)
//! ```
//!
//! Only `receive` hears the stop; every later stage ends because its input ended, so the order of stopping is the order
//! of flow. The engine goes last, after everything that may still write to it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use collector::append::Clock;
use collector::decode::{AiTraces, DecodeConfig, Decoder};
use collector::fork::Fork;
use collector::keys::KeyStore;
use collector::receive::{self, Receive};
use collector::trace::TraceArm;
use embedded::{Credentials, Engine, FrontConfig, HttpFront};
use journal::Journal;
use schemas::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, Books};
use crate::billing_arm::BillingArm;
use crate::budgets::Budgets;
use crate::config::{Config, Loaded};
use crate::connect::{engine_config, owner_target, remote_target};
use crate::console::Console;
use crate::data_dir::DataDir;
use crate::running_server::RunningServer;
use crate::stage::Stage;
use crate::trace_arm;

/// How many traces with AI usage are remembered, so that their other spans leave a link: some minutes of a busy collector.
const AI_TRACES_MAX: usize = 200_000;
/// How long a starting server waits for a command that has the data directory open.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Serves until `shutdown`, then drains. `ready` is called once every address answers. What of the configuration's file can
/// change while it serves is followed where it is `loaded`.
pub async fn serve(
    config: &Config,
    loaded: Option<Loaded>,
    shutdown: impl Future<Output = ()> + Send + 'static,
    ready: impl FnOnce(&RunningServer),
) -> anyhow::Result<()> {
    let data_dir = DataDir::new(&config.data_dir);
    let lock = {
        let data_dir = data_dir.clone();
        tokio::task::spawn_blocking(move || data_dir.lock("serve", LOCK_PATIENCE)).await??
    };
    RunningServer::remove(&data_dir)?;

    let clickhouse = ClickHouse::open(config, &data_dir).await?;
    let journal = open_journal(config, &data_dir).await?;
    let keys = KeyStore::open(data_dir.path())?;
    let receiving = Stage::on_all_cores("receive")?;
    let receive = {
        let _here = receiving.enter();
        Receive::bind(receive_config(config), keys.clone())?
    };

    let (billing, append) =
        BillingArm::start(config, Arc::clone(&journal), &clickhouse.database, config.settle.enabled)?;
    let sampling = Stage::in_background("trace", 1)?;
    let (trace_tap, tracing_arm, forwards, forwarding) = {
        let _here = sampling.enter();
        let (forwards, forwarding) = trace_arm::forwards(config)?;
        let stem = trace_arm::stem(config, billing.handles().settle_status, forwards.clone());
        let database = Some(clickhouse.database.reconnected());
        let (tap, arm) = TraceArm::start(trace_arm::config(config)?, database, stem);
        (tap, arm, forwards, forwarding)
    };
    let decoder = Decoder::new(&decode_config(config));
    let ai_traces = AiTraces::new(AI_TRACES_MAX);
    let fork =
        Fork::passing_to(forwards.clone(), decoder, ai_traces, append, trace_tap.clone(), Clock::system());

    let budgets = Budgets::start(config, loaded, &clickhouse.database, billing.handles().settle_status)?;

    let token = uuid::Uuid::new_v4().simple().to_string();
    let books = Books {
        receive: receive.stats(),
        fork: fork.stats(),
        trace: trace_tap,
        forwards,
        billing: billing.handles(),
        journal: Arc::downgrade(&journal),
        database: clickhouse.database.clone(),
        budgets: budgets.known(),
    };
    let console = Console {
        database: clickhouse.database.reconnected(),
        currency: config.billing.currency.code().to_string(),
    };
    let admin =
        Admin::bind(config.admin.addr, token.clone(), books, console, budgets.desk(config, keys)).await?;
    let note = RunningServer {
        pid: std::process::id(),
        admin: format!("http://{}", admin.addr()),
        admin_token: token,
        otlp_grpc: receive.grpc_addr().to_string(),
        otlp_http: receive.http_addr().to_string(),
        clickhouse: clickhouse.url.clone(),
        clickhouse_embedded: clickhouse.embedded.is_some(),
        started_at: Utc::now(),
    };
    let stop_admin = CancellationToken::new();
    let administering = tokio::spawn(admin.run(stop_admin.clone()));

    // The addresses are bound, so whoever is told them now can connect.
    let received = receiving.spawn(receive.run(fork, shutdown));
    note.write(&data_dir)?;
    ready(&note);
    let received = received.await.context("receiving ended badly")?;
    tracing::info!(?received, "receiving has stopped");

    let shipped = billing.finish().await?;
    tracing::info!(drained = shipped.drained, unshipped = shipped.status.unshipped, "shipping has stopped");
    stop_admin.cancel();
    administering.await.context("the admin interface ended badly")?;
    budgets.finish().await?;
    tracing_arm.await.context("the trace arm ended badly")?;
    forwarding.finish().await;
    RunningServer::remove(&data_dir)?;
    clickhouse.close().await?;
    drop(lock);
    Ok(())
}

/// The database, and the engine where it runs here.
pub struct ClickHouse {
    /// A handle on it.
    pub database: Database,
    /// Where it answers.
    pub url: String,
    embedded: Option<Hosted>,
}

struct Hosted {
    engine: Arc<Engine>,
    front: JoinHandle<()>,
    stop: CancellationToken,
    /// The threads that statements are run on.
    _threads: Stage,
}

impl ClickHouse {
    /// Starts the embedded engine, or takes the configured server without asking whether it is there.
    pub async fn open(config: &Config, data_dir: &DataDir) -> anyhow::Result<Self> {
        if let Some(url) = &config.clickhouse.url {
            let url = url.as_str().to_string();
            return Ok(Self { database: Database::new(remote_target(config, &url)), url, embedded: None });
        }
        let owner = Credentials::load_or_create(data_dir.path())?;
        let engine_config = engine_config(config);
        let engine = Arc::new(tokio::task::spawn_blocking(move || Engine::start(engine_config)).await??);
        let mut front_config = FrontConfig::new(owner.clone());
        front_config.default_database = config.clickhouse.database.as_str().to_owned();
        let threads = Stage::on_all_cores("engine")?;
        let (addr, hosted) = (config.clickhouse.addr, Arc::clone(&engine));
        let front = threads.spawn(HttpFront::bind(addr, hosted, front_config)).await??;
        let url = front.url();
        let stop = CancellationToken::new();
        let front = threads.spawn(front.serve(stop.clone().cancelled_owned()));
        let database = Database::new(owner_target(config, &url, &owner));
        // The engine is here, so its tables can be: readers find them from the first moment.
        database.migrate().await?;
        Ok(Self { database, url, embedded: Some(Hosted { engine, front, stop, _threads: threads }) })
    }

    /// Closes the engine, if it runs here.
    pub async fn close(self) -> anyhow::Result<()> {
        let Some(Hosted { engine, front, stop, _threads }) = self.embedded else { return Ok(()) };
        stop.cancel();
        front.await.context("the embedded ClickHouse's HTTP interface ended badly")?;
        tokio::task::spawn_blocking(move || engine.shutdown()).await??;
        Ok(())
    }
}

/// Opens the journal and says what was found.
pub async fn open_journal(config: &Config, data_dir: &DataDir) -> anyhow::Result<Arc<Journal>> {
    let (dir, journal_config) = (data_dir.journal(), journal_config(config));
    let (journal, recovered) =
        tokio::task::spawn_blocking(move || Journal::open(&dir, journal_config)).await??;
    tracing::info!(?recovered, "journal opened");
    Ok(Arc::new(journal))
}

fn journal_config(config: &Config) -> journal::Config {
    let defaults = journal::Config::default();
    let frame_bytes_max = usize::try_from(config.journal.segment_size.bytes() / 2).unwrap_or(usize::MAX);
    journal::Config {
        capacity_bytes: config.journal.capacity.bytes(),
        segment_bytes: config.journal.segment_size.bytes(),
        // What one request puts into one frame is a megabyte, so half of the smallest segment holds it.
        frame_bytes_max: defaults.frame_bytes_max.min(frame_bytes_max),
        ..defaults
    }
}

fn receive_config(config: &Config) -> receive::Config {
    let otlp = &config.otlp;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    receive::Config {
        grpc_addr: otlp.grpc_addr,
        http_addr: otlp.http_addr,
        auth_required: config.auth.required,
        limits: receive::Limits {
            body_bytes_max: size(otlp.body_max.bytes()),
            decompressed_bytes_max: size(otlp.decompressed_max.bytes()),
            in_flight_bytes_max: size(otlp.in_flight_max.bytes()),
            requests_max: otlp.requests_max.get() as usize,
            connections_max: otlp.connections_max.get() as usize,
            ..receive::Limits::default()
        },
        time_limits: receive::TimeLimits {
            drain: config.shutdown_timeout.mul_f32(0.3),
            ..receive::TimeLimits::default()
        },
    }
}

/// The built-in names, after those of the user's own, and the user's rulings.
pub fn decode_config(config: &Config) -> DecodeConfig {
    let mut decode = DecodeConfig::default();
    let own = &config.attributes;
    for (names, own) in [
        (&mut decode.tenant, &own.tenant),
        (&mut decode.feature, &own.feature),
        (&mut decode.user_id, &own.user),
        (&mut decode.session_id, &own.session),
    ] {
        names.splice(0..0, own.iter().cloned());
    }
    decode.not_billable.clone_from(&config.billing.not_billable);
    decode
}
