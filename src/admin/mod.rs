//! The admin address: health, metrics, and commands to a running server.
//!
//! | path | answers |
//! |---|---|
//! | `GET /healthz` | 200 while the process serves |
//! | `GET /readyz` | 200 when OTLP accepts and the journal is writable; what ClickHouse does is reported apart |
//! | `GET /metrics` | Prometheus text |
//! | `GET /v1/budget…` | where budgets stand (`budgets`) |
//! | `GET /console` | a page for people, on loopback alone (`console`) |
//! | `POST /settle` | ships and settles everything acknowledged so far; needs the token in the data directory |
//! | `GET /jobs` | how far the long reading of such work is; needs the token |
//! | `POST /jobs` | work that needs the ledger to itself, as JSON (`commands::job`); needs the token |

mod balance;
mod metrics;

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use billing::settle::PassSummary;
use collector::fork::ForkStats;
use collector::forward::Forwards;
use collector::receive::ReceiveStats;
use collector::trace::TraceTapHandle;
use journal::Journal;
use schemas::Database;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::billing_arm::BillingHandles;
use crate::budgets::{BudgetDesk, Known};
use crate::commands::job::{self, Job};
use crate::commands::settle::drain;
use crate::console::Console;

/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(240);

/// Everything the admin address reports on.
pub struct Books {
    /// Counters of receiving.
    pub receive: Arc<ReceiveStats>,
    /// Counters of decoding and forking.
    pub fork: Arc<ForkStats>,
    /// The trace arm.
    pub trace: TraceTapHandle,
    /// The backends that OTLP is sent on to.
    pub forwards: Forwards,
    /// The billing arm.
    pub billing: BillingHandles,
    /// The journal; gone while the server stops.
    pub journal: Weak<Journal>,
    /// ClickHouse.
    pub database: Database,
    /// What is known of budgets.
    pub budgets: watch::Receiver<Known>,
}

/// The interface, bound.
pub struct Admin {
    listener: TcpListener,
    addr: SocketAddr,
    drawn: watch::Sender<Option<balance::Drawn>>,
    shared: Arc<Shared>,
    console: Option<Console>,
    budgets: BudgetDesk,
}

struct Shared {
    token: String,
    books: Books,
    balance: watch::Receiver<Option<balance::Drawn>>,
}

impl Admin {
    /// Binds the address.
    ///
    /// The console is served on loopback alone: it shows what every tenant spends, to whoever reaches it. Budgets are
    /// answered elsewhere too, to keys that may ask.
    pub async fn bind(
        addr: SocketAddr,
        token: String,
        books: Books,
        console: Console,
        mut budgets: BudgetDesk,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(addr)
            .await
            .with_context(|| format!("cannot listen on admin.addr {addr}; choose another or free it"))?;
        let addr = listener.local_addr()?;
        let console = addr.ip().is_loopback().then_some(console);
        budgets.needs_key = !addr.ip().is_loopback();
        let (drawn, balance) = watch::channel(None);
        Ok(Self {
            listener,
            addr,
            drawn,
            shared: Arc::new(Shared { token, books, balance }),
            console,
            budgets,
        })
    }

    /// The address as bound.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let books = &self.shared.books;
        let (database, billing) = (books.database.reconnected(), books.billing.clone());
        let balancing = tokio::spawn(balance::draw(database, billing, self.drawn, stop.clone()));
        let router = axum::Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics_page))
            .route("/settle", post(settle))
            .route("/jobs", post(do_job).get(job_progress))
            .with_state(self.shared)
            .merge(self.budgets.router())
            .merge(self.console.map(Console::router).unwrap_or_default());
        if let Err(error) =
            axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
        {
            tracing::error!(%error, "the admin interface stopped");
        }
        // It may be in the middle of a query, which nobody waits for.
        balancing.abort();
    }
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let Some(journal) = shared.books.journal.upgrade() else {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"ready": false, "reason": "stopping"})))
            .into_response();
    };
    let ship = shared.books.billing.ship.status();
    let stat = journal.stat();
    let clickhouse = match tokio::time::timeout(Duration::from_secs(2), shared.books.database.ping()).await {
        Ok(Ok(())) => "ok".to_string(),
        Ok(Err(error)) => format!("{:#}", anyhow::Error::from(error)),
        Err(_) => "no answer within 2 s".to_string(),
    };
    let full = stat.used_bytes >= stat.capacity_bytes;
    let status = if full { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let body = json!({
        "ready": !full,
        "journal": if full { "full" } else { "writable" },
        "clickhouse": clickhouse,
        "unshipped": ship.unshipped,
        "trouble": ship.trouble.map(|trouble| trouble.error.to_string()),
    });
    (status, Json(body)).into_response()
}

async fn metrics_page(State(shared): State<Arc<Shared>>) -> Response {
    match metrics::page(&shared.books, shared.balance.borrow().as_ref()) {
        Ok(text) => ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn settle(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if !shared.allows(&headers) {
        return denied();
    }
    match drain(&shared.books.billing, Instant::now() + COMMAND_TIMEOUT).await {
        Ok(pass) => Json(summary(&pass)).into_response(),
        Err(error) => failed(&error),
    }
}

async fn do_job(State(shared): State<Arc<Shared>>, headers: HeaderMap, Json(job): Json<Job>) -> Response {
    if !shared.allows(&headers) {
        return denied();
    }
    match job::perform(&shared.books.billing, job, Instant::now() + job::TIMEOUT).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => failed(&error),
    }
}

async fn job_progress(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if !shared.allows(&headers) {
        return denied();
    }
    Json(shared.books.database.progress().step()).into_response()
}

impl Shared {
    /// Whether a request carries the token of the data directory. A browser cannot know it, so no page can send one.
    fn allows(&self, headers: &HeaderMap) -> bool {
        let expected = format!("Bearer {}", self.token);
        headers.get("authorization").is_some_and(|given| {
            let (given, expected) = (given.as_bytes(), expected.as_bytes());
            given.len() == expected.len()
                && given.iter().zip(expected).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0
        })
    }
}

fn denied() -> Response {
    let text =
        "this needs the token that the server left in its data directory; use the `ledgerline` command there";
    (StatusCode::UNAUTHORIZED, Json(json!({ "error": text }))).into_response()
}

fn failed(error: &anyhow::Error) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"error": format!("{error:#}")}))).into_response()
}

/// What settling did, for programs.
pub fn summary(pass: &PassSummary) -> serde_json::Value {
    json!({
        "gathered": pass.gathered,
        "entries": pass.entries,
        "decisions": pass.decisions,
        "pending": pass.pending,
    })
}
