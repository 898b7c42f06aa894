//! One connection: hyper speaks the protocol, a watchdog closes what is silent, shutdown closes it politely.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ::http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::{Limits, TimeLimits};
use super::door::{Door, Entrance};
use super::intake::Intake;
use super::stats::Protocol;
use super::{grpc, http};

/// How often a quiet HTTP/2 connection is asked whether its client still lives, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The most that the headers of a request may take, in bytes.
const HEADERS_BYTES_MAX: u32 = 16 * 1024;

/// The read buffer of an HTTP/1 connection, in bytes.
const READ_BUFFER_BYTES_MAX: usize = 128 * 1024;

/// How long a connection without requests may take to close once it was asked to.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// The two signals of a server to its connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Closing {
    /// Finish what is in work, begin nothing new.
    pub(super) stop: CancellationToken,
    /// Drop everything.
    pub(super) cut: CancellationToken,
}

/// Serves a connection until it is closed by either side.
pub(super) async fn serve<I: Intake>(
    stream: TcpStream,
    door: Arc<Door<I>>,
    entrance: Entrance,
    closing: Closing,
    tasks: TaskTracker,
) {
    let _open = door.stats().connection_opened();
    let times = door.times().clone();
    let builder = protocol(door.limits(), Tracked(tasks));
    let line = Arc::new(Line::new());
    // HTTP/2 requests are tasks of their own; they end with their connection, however it ends.
    let ended = closing.cut.child_token();
    let _ended_guard = ended.clone().drop_guard();
    let service = service_fn(|request: Request<Incoming>| {
        let (door, line, ended) = (door.clone(), line.clone(), ended.clone());
        async move {
            let _in_work = line.begin();
            let answer = async {
                match entrance.protocol {
                    Protocol::Grpc => grpc::answer(&door, entrance, request).await,
                    Protocol::Http => http::answer(&door, entrance, request).await,
                }
            };
            tokio::select! {
                biased;
                answer = answer => Ok(answer),
                () = ended.cancelled() => Err(Cut),
            }
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut watchdog = pin!(sleep_until(line.born + times.first_head.min(times.idle)));
    let mut asked_to_close = false;
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(peer = %entrance.peer, %error, "connection ended");
                }
                return;
            }
            () = closing.cut.cancelled() => return,
            () = closing.stop.cancelled(), if !asked_to_close => {
                asked_to_close = true;
                connection.as_mut().graceful_shutdown();
                watchdog.as_mut().reset(Instant::now() + CLOSE_GRACE);
            }
            () = watchdog.as_mut() => match line.may_stay_until(&times) {
                Some(until) if !asked_to_close => watchdog.as_mut().reset(until),
                None if !asked_to_close => {
                    asked_to_close = true;
                    connection.as_mut().graceful_shutdown();
                    watchdog.as_mut().reset(Instant::now() + CLOSE_GRACE);
                }
                _ if line.is_quiet() => return,
                _ => watchdog.as_mut().reset(Instant::now() + CLOSE_GRACE),
            },
        }
    }
}

fn protocol(limits: &Limits, tasks: Tracked) -> Builder<Tracked> {
    let mut builder = Builder::new(tasks);
    builder
        .http1()
        .timer(TokioTimer::new())
        // The watchdog does this for both protocols. hyper's own also runs between requests, where it would close a
        // kept-alive connection under a client that exports once a minute.
        .header_read_timeout(None)
        .max_buf_size(READ_BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(limits.streams_per_connection_max)
        .initial_stream_window_size(Limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(Limits::CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADERS_BYTES_MAX);
    builder
}

/// A request that was dropped with its connection. There is nobody left to read it.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed before the request was answered")]
struct Cut;

/// Runs the requests of HTTP/2 connections where the server can wait for them.
#[derive(Debug, Clone)]
struct Tracked(TaskTracker);

impl<F> Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// How busy a connection is, as the watchdog sees it.
#[derive(Debug)]
struct Line {
    born: Instant,
    /// Requests begun and ended. Equal: none is in work.
    begun: AtomicU64,
    ended: AtomicU64,
    /// Milliseconds after `born` at which the last request ended.
    last_end: AtomicU64,
}

impl Line {
    fn new() -> Self {
        Self {
            born: Instant::now(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            last_end: AtomicU64::new(0),
        }
    }

    fn begin(&self) -> InWork<'_> {
        self.begun.fetch_add(1, Relaxed);
        InWork(self)
    }

    fn is_quiet(&self) -> bool {
        self.begun.load(Relaxed) == self.ended.load(Relaxed)
    }

    /// When to look again; `None` when the connection has been silent for too long.
    fn may_stay_until(&self, times: &TimeLimits) -> Option<Instant> {
        let now = Instant::now();
        let until = if !self.is_quiet() {
            now + times.idle
        } else if self.begun.load(Relaxed) == 0 {
            self.born + times.first_head
        } else {
            self.born + Duration::from_millis(self.last_end.load(Relaxed)) + times.idle
        };
        // Never longer than it takes to become idle: the first head may come and go meanwhile.
        (until > now).then_some(until.min(now + times.idle))
    }
}

struct InWork<'a>(&'a Line);

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_end.store(now, Relaxed);
        self.0.ended.fetch_add(1, Relaxed);
    }
}
