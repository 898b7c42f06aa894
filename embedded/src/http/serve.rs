//! The server: accepting connections, routing requests, handing them to threads, stopping.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request as HttpRequest, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::answer::{AnswerBody, AnswerWriter, Facts, error_response};
use super::body::{self, Body, Packing};
use super::cancel::Running;
use super::connection::{Connection, CutSwitch};
use super::encode::Encoding;
use super::formats::Formats;
use super::gate::Gate;
use super::identity::{Identity, identify};
use super::reader::{ReaderLimits, ReaderPolicy};
use super::request::Request;
use super::run::{Job, Rules, connect};
use super::session::Sessions;
use crate::credentials::Credentials;
use crate::engine::{Engine, ErrorCode, Exception};

/// How the front serves.
#[derive(Debug, Clone)]
pub struct FrontConfig {
    /// The owner's password.
    pub owner: Credentials,
    /// Whether peers on this machine may read without a password.
    pub reader: bool,
    /// Bounds of the reader's statements.
    pub reader_limits: ReaderLimits,
    /// The database of requests that name none.
    pub default_database: String,
    /// Names besides `localhost` and addresses that a `Host` header may carry.
    pub allowed_hosts: Vec<String>,
    /// Statements that may run at once; the next is refused with code 202.
    pub concurrent_max: usize,
    /// Bytes of a request's body, as sent.
    pub body_bytes_max: u64,
    /// Bytes of a statement, the data of inserts not counted.
    pub statement_bytes_max: usize,
    /// Bytes of a result in a format that cannot be sent in pieces.
    pub whole_result_bytes_max: usize,
    /// How long running statements may take to end after a stop was asked for.
    pub shutdown_timeout: Duration,
}

impl FrontConfig {
    /// The defaults of a laptop: 64 statements, 1 GiB bodies, 16 MiB statements, 256 MiB whole results, 10 s to stop.
    pub fn new(owner: Credentials) -> Self {
        Self {
            owner,
            reader: true,
            reader_limits: ReaderLimits::default(),
            default_database: "ledgerline".to_owned(),
            allowed_hosts: Vec::new(),
            concurrent_max: 64,
            body_bytes_max: 1 << 30,
            statement_bytes_max: 16 << 20,
            whole_result_bytes_max: 256 << 20,
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Why the front could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrontError {
    /// The address is taken or not this machine's.
    #[error("cannot listen for ClickHouse clients on {address}; choose another --clickhouse-addr")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The engine did not describe itself.
    #[error("the embedded ClickHouse engine does not answer questions about itself")]
    Engine(#[source] Exception),
}

/// The front, listening.
pub struct HttpFront {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    rules: Arc<Rules>,
    gate: Gate,
    sessions: Sessions,
    slots: Arc<Semaphore>,
    /// The threads of requests, also those whose client is gone.
    jobs: TaskTracker,
    /// Cuts the connections that are left when the time to stop is up.
    cut: CancellationToken,
    config: FrontConfig,
}

/// Between two looks for sessions that have ended.
const SESSION_SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How long a connection may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

impl HttpFront {
    /// Listens on `address`; port 0 picks a free one.
    ///
    /// # Errors
    /// [`FrontError`] when the address cannot be had or the engine does not answer.
    pub async fn bind(
        address: SocketAddr,
        engine: Arc<Engine>,
        config: FrontConfig,
    ) -> Result<Self, FrontError> {
        let failed = |source| FrontError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let rules = Rules {
            formats: Formats::load(&engine).map_err(FrontError::Engine)?,
            reader: ReaderPolicy::load(&engine, &config.default_database, config.reader_limits)
                .map_err(FrontError::Engine)?,
            engine,
            default_database: config.default_database.clone(),
            statement_bytes_max: config.statement_bytes_max,
            whole_result_bytes_max: config.whole_result_bytes_max,
        };
        let shared = Shared {
            rules: Arc::new(rules),
            gate: Gate::new(address.ip(), config.allowed_hosts.clone()),
            sessions: Sessions::default(),
            slots: Arc::new(Semaphore::new(config.concurrent_max)),
            jobs: TaskTracker::new(),
            cut: CancellationToken::new(),
            config,
        };
        Ok(Self { listener, address, shared: Arc::new(shared) })
    }

    /// The address clients connect to.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves until `stop` is done; then accepts no more, lets running statements end up to the configured time, and
    /// returns with every session closed. Statements that are still running then are stopped.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let connections = GracefulShutdown::new();
        let mut sweep = tokio::time::interval(SESSION_SWEEP_INTERVAL);
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = sweep.tick() => self.shared.sessions.expire(Instant::now()),
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => serve_connection(&self.shared, &connections, stream, peer),
                    Err(error) => {
                        tracing::warn!(%error, "a ClickHouse client could not be accepted");
                        // Most likely out of file handles; others must close theirs first.
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        drop(self.listener);
        let shared = self.shared;
        let _ = tokio::time::timeout(shared.config.shutdown_timeout, connections.shutdown()).await;
        // Statements whose connection is cut are killed like those of clients that hang up.
        shared.cut.cancel();
        shared.jobs.close();
        let _ = tokio::time::timeout(shared.config.shutdown_timeout, shared.jobs.wait()).await;
        shared.sessions.clear();
    }
}

fn serve_connection(
    shared: &Arc<Shared>,
    connections: &GracefulShutdown,
    stream: TcpStream,
    peer: SocketAddr,
) {
    // Answers are written in few large pieces; waiting to fill packets only adds delay.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let (cut, shared) = (shared.cut.clone(), Arc::clone(shared));
    let switch = CutSwitch::default();
    let stream = Connection::new(stream, switch.clone());
    let client = Client { peer, switch };
    let service = service_fn(move |request| {
        let (shared, client) = (Arc::clone(&shared), client.clone());
        async move { Ok::<_, Infallible>(shared.handle(request, &client).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        // Clients that hang up and answers that are cut end here too; both were dealt with.
        if let Some(Err(error)) = cut.run_until_cancelled(connection).await {
            tracing::debug!(%error, "a connection of a ClickHouse client ended early");
        }
    });
}

/// Who is at the other end of a connection, and the way to cut it.
#[derive(Clone)]
struct Client {
    peer: SocketAddr,
    switch: CutSwitch,
}

impl Shared {
    async fn handle(&self, request: HttpRequest<Incoming>, client: &Client) -> Response<AnswerBody> {
        if let Err(foreign) = self.gate.check(request.headers()) {
            return plain(StatusCode::FORBIDDEN, format!("{foreign}\n"));
        }
        let path = request.uri().path();
        let is_statement = path == "/" && request.uri().query().is_some_and(|query| !query.is_empty());
        match (request.method(), path) {
            (&Method::GET | &Method::HEAD, "/ping") => plain(StatusCode::OK, "Ok.\n"),
            (&Method::GET | &Method::HEAD, "/replicas_status") => plain(StatusCode::OK, "Ok.\n"),
            (&Method::GET | &Method::HEAD, "/") if !is_statement => plain(StatusCode::OK, "Ok.\n"),
            (&Method::GET | &Method::HEAD | &Method::POST, "/") => self.statement(request, client).await,
            (_, "/") => plain(StatusCode::METHOD_NOT_ALLOWED, "the methods here are GET, HEAD and POST\n"),
            _ => plain(
                StatusCode::NOT_FOUND,
                format!("there is no resource {path} here; statements are sent to /\n"),
            ),
        }
    }

    async fn statement(&self, request: HttpRequest<Incoming>, client: &Client) -> Response<AnswerBody> {
        let (head, mut incoming) = request.into_parts();
        let mut encoding = Encoding::Identity;
        let outcome = self.run(&head, &mut incoming, client, &mut encoding).await;
        if !incoming.is_end_stream() {
            tokio::spawn(body::drain(incoming));
        }
        match outcome {
            Ok(response) => response,
            Err(exception) => error_response(exception.code(), format!("{exception}\n"), encoding, None),
        }
    }

    async fn run(
        &self,
        head: &http::request::Parts,
        incoming: &mut Incoming,
        client: &Client,
        encoding: &mut Encoding,
    ) -> Result<Response<AnswerBody>, Exception> {
        let headers = &head.headers;
        let mut request = Request::read(&head.uri, headers)?;
        *encoding = Encoding::choose(request.compress, request.http_compression, headers);
        let reader_allowed = self.config.reader && client.peer.ip().to_canonical().is_loopback();
        let identity = identify(&request, headers, &self.config.owner, reader_allowed)?;
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let bytes_max = self.config.body_bytes_max;
        if announced.is_some_and(|bytes| bytes > bytes_max) {
            return Err(Exception::new(ErrorCode::QueryIsTooLarge, body::TooLarge { bytes_max }));
        }
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            let message = format!("Too many simultaneous queries. Maximum: {}", self.config.concurrent_max);
            return Err(Exception::new(ErrorCode::TooManySimultaneousQueries, message));
        };
        let lease = match request.session.take() {
            // Nothing a reader does could be seen by a later request, so its sessions are all alike.
            Some(session) if identity == Identity::Owner => {
                Some(self.sessions.lease(session, || connect(&self.rules.engine))?)
            }
            _ => None,
        };
        let (pump, body) = if let Some(boundary) = multipart_boundary(headers) {
            body::read_form(incoming, boundary, self.config.statement_bytes_max, &mut request).await?;
            (None, Body::Empty)
        } else {
            let packing = Packing::of(headers)?;
            let (pump, body) = body::pipe(incoming, bytes_max);
            (Some(pump), Body::Packed { body, packing, native_blocks: request.decompress })
        };
        let query_id = request.query_id.take().unwrap_or_else(|| Uuid::new_v4().to_string());
        let running = Running::new(Arc::clone(&self.rules.engine), self.cut.clone(), query_id.clone());
        let facts = Facts {
            query_id,
            server_name: self.rules.engine.host_name().to_owned(),
            timezone: self.rules.engine.timezone().to_owned(),
            encoding: *encoding,
            hold_all: request.wait_end_of_query,
            held_bytes_max: self.config.whole_result_bytes_max,
        };
        let (start, started) = oneshot::channel();
        let answer = AnswerWriter::new(facts, start)
            .map_err(|error| Exception::new(ErrorCode::CannotDecompress, error))?;
        let job = Job {
            rules: Arc::clone(&self.rules),
            identity,
            request,
            may_write: head.method == Method::POST,
            body,
            in_session: lease.is_some(),
            slot: Some(slot),
            lease,
            running: Arc::clone(&running),
        };
        let guard = running.guard();
        self.jobs.spawn_blocking(move || job.run(answer));
        let response = await_answer(pump, started).await;
        match response {
            Ok(response) => Ok(response.map(|body| body.tied_to(guard, client.switch.clone()))),
            Err(_) => {
                Err(Exception::new(ErrorCode::Aborted, "the statement's thread ended without an answer"))
            }
        }
    }
}

/// Moves the body to the statement's thread until there is an answer.
async fn await_answer(
    pump: Option<body::BodyPump<'_>>,
    mut started: oneshot::Receiver<Response<AnswerBody>>,
) -> Result<Response<AnswerBody>, oneshot::error::RecvError> {
    if let Some(pump) = pump {
        tokio::select! {
            biased;
            response = &mut started => return response,
            () = pump.run() => {}
        }
    }
    started.await
}

fn multipart_boundary(headers: &HeaderMap) -> Option<String> {
    multer::parse_boundary(headers.get(CONTENT_TYPE)?.to_str().ok()?).ok()
}

fn plain(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole([text.into()].into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    response
}
