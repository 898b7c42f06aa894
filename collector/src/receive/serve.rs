//! The server: both addresses, accepting until told to stop, then draining.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::authenticate::AuthPolicy;
use super::budget::Budget;
use super::config::Config;
use super::connection::{self, Closing};
use super::door::{Door, Entrance};
use super::intake::Intake;
use super::listen::{BindError, Listener};
use super::stats::{Protocol, ReceiveStats};
use crate::keys::KeyStore;

/// How long accepting pauses when the process has no file descriptor or memory left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The receiver, bound to its addresses. [`Receive::run`] serves.
#[derive(Debug)]
pub struct Receive {
    config: Config,
    keys: KeyStore,
    grpc: Listener,
    http: Listener,
    budget: Budget,
    stats: Arc<ReceiveStats>,
}

/// The last line of account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Requests whose head was read.
    pub requests: u64,
    /// Requests answered with success.
    pub accepted: u64,
    /// Requests refused.
    pub refused: u64,
    /// Requests that got no answer: their clients went away, or the drain ran out of time.
    pub abandoned: u64,
    /// Connections that were still open when the drain ran out of time.
    pub connections_cut: u64,
}

impl Receive {
    /// Binds both addresses. Needs a tokio runtime; nothing is accepted before [`Receive::run`].
    pub fn bind(config: Config, keys: KeyStore) -> Result<Self, BindError> {
        let grpc = Listener::bind(Protocol::Grpc, config.grpc_addr)?;
        let http = Listener::bind(Protocol::Http, config.http_addr)?;
        let budget = Budget::new(&config.limits, &config.time_limits);
        let stats = Arc::new(ReceiveStats::of(budget.clone()));
        Ok(Self { config, keys, grpc, http, budget, stats })
    }

    /// The OTLP/gRPC address as bound.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc.addr
    }

    /// The OTLP/HTTP address as bound.
    pub fn http_addr(&self) -> SocketAddr {
        self.http.addr
    }

    /// The counters, for the metrics page.
    pub fn stats(&self) -> Arc<ReceiveStats> {
        self.stats.clone()
    }

    /// Serves until `shutdown` is over, then accepts nothing more and lets requests in work finish, up to
    /// `time_limits.drain`. When this returns, no request of it is running and its clones of `intake` are dropped.
    pub async fn run<I: Intake>(self, intake: I, shutdown: impl Future<Output = ()>) -> Summary {
        let Self { config, keys, grpc, http, budget, stats } = self;
        let Config { limits, time_limits, auth_required, .. } = config;
        let places = Arc::new(Semaphore::new(limits.connections_max));
        let drain = time_limits.drain;
        let door = Arc::new(Door::new(intake, keys, limits, time_limits, budget, stats.clone()));
        let closing = Closing::default();
        let tasks = TaskTracker::new();
        let accepting = |listener: Listener| {
            let auth = AuthPolicy::at(listener.addr, auth_required);
            accept(listener, auth, door.clone(), places.clone(), closing.clone(), tasks.clone())
        };
        let stopping = async {
            shutdown.await;
            closing.stop.cancel();
        };
        // Both listeners are owned, and so closed, by the accept loops: after this line nobody can connect.
        tokio::join!(accepting(grpc), accepting(http), stopping);
        tasks.close();
        let mut connections_cut = 0;
        if timeout(drain, tasks.wait()).await.is_err() {
            connections_cut = stats.snapshot().connections_open;
            closing.cut.cancel();
            tasks.wait().await;
        }
        let last = stats.snapshot();
        Summary {
            requests: last.requests_total(),
            accepted: last.accepted,
            refused: last.refused_total(),
            abandoned: last.abandoned,
            connections_cut,
        }
    }
}

async fn accept<I: Intake>(
    listener: Listener,
    auth: AuthPolicy,
    door: Arc<Door<I>>,
    places: Arc<Semaphore>,
    closing: Closing,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = closing.stop.cancelled() => return,
            accepted = listener.socket.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(connected) => connected,
            // The client gave up while it waited in the kernel's queue.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) =>
            {
                continue;
            }
            Err(error) => {
                tracing::warn!(
                    addr = %listener.addr,
                    %error,
                    "cannot accept a connection; raise the limit of open files if this stays",
                );
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // One too many is closed at once: in the kernel's queue it would seem connected and wait for its own timeout.
        let Ok(place) = places.clone().try_acquire_owned() else {
            door.stats().connection_refused();
            continue;
        };
        // Small answers must not wait for the client's delayed acknowledgement of the piece before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "connection closed before it was served");
            continue;
        }
        let entrance = Entrance { protocol: listener.protocol, auth, peer };
        let (door, closing, tracker) = (door.clone(), closing.clone(), tasks.clone());
        tasks.spawn(async move {
            connection::serve(stream, door, entrance, closing, tracker).await;
            drop(place);
        });
    }
}
