//! A proxy between the program and ClickHouse that lies: it loses answers, applies late or half, breaks what it says.
//!
//! What it forwards reaches the real engine, so what a lie does to the data is what it would do. It knows statements by
//! their text: inserts can be lied about in every way, questions only in those that leave the data alone.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// Applied, and the connection closed without an answer.
    ReplyLost,
    /// The connection closed at once; applied when some more requests have come, or at the end of the test.
    AppliedLate,
    /// The first part of the rows applied, block by block, then the connection closed.
    Half,
    /// Applied, and an answer that ends in the middle.
    CutAnswer,
    /// Not applied, and a 500 whose text ends in the middle.
    BrokenError,
    /// Closed before anything was done.
    Reset,
    /// Not applied: an answer that is no ClickHouse's.
    Babble,
    /// Not applied: memory limit.
    Memory,
    /// Not applied: too many parts.
    TooManyParts,
    /// Not applied: the table is read-only.
    ReadOnly,
    /// Not applied: a column is unknown.
    UnknownColumn,
}

/// Every lie about an insert.
pub const LIES: [Lie; 11] = [
    Lie::ReplyLost,
    Lie::AppliedLate,
    Lie::Half,
    Lie::CutAnswer,
    Lie::BrokenError,
    Lie::Reset,
    Lie::Babble,
    Lie::Memory,
    Lie::TooManyParts,
    Lie::ReadOnly,
    Lie::UnknownColumn,
];

/// Those that can be told about a question.
const ABOUT_QUESTIONS: [Lie; 5] = [Lie::CutAnswer, Lie::BrokenError, Lie::Reset, Lie::Babble, Lie::Memory];

/// How many further requests come before one is applied that was held back.
const LATE_BY: u64 = 9;

/// The proxy, for as long as it lives.
pub struct Proxy {
    pub url: String,
    shared: Arc<Shared>,
    runtime: tokio::runtime::Runtime,
}

struct Shared {
    client: Client<HttpConnector, Full<Bytes>>,
    state: Mutex<State>,
    requests: watch::Sender<u64>,
    /// Whether the insert to be held came.
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    upstream: String,
    lies: Vec<Lie>,
    down: bool,
    requests: u64,
    next_lie: usize,
    told: BTreeMap<Lie, u64>,
    /// How many more inserts pass before one is never answered, and whether that one is applied.
    hold_after: Option<(u64, bool)>,
    held: VecDeque<(u64, Ask)>,
}

/// A request as it came.
#[derive(Clone)]
struct Ask {
    method: Method,
    path: String,
    headers: hyper::HeaderMap,
    body: Bytes,
}

type Answer = Response<Said>;

/// What is said of an answer: all of it, or a part before the connection breaks.
enum Said {
    All(Bytes),
    Cut(Bytes),
    Over { broken: bool },
}

impl hyper::body::Body for Said {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let said = std::mem::replace(&mut *self, Self::Over { broken: false });
        Poll::Ready(match said {
            Self::All(bytes) => Some(Ok(Frame::data(bytes))),
            Self::Cut(bytes) => {
                *self = Self::Over { broken: true };
                Some(Ok(Frame::data(bytes)))
            }
            Self::Over { broken } => broken.then(|| Err(closed())),
        })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::All(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Cut(_) | Self::Over { .. } => SizeHint::default(),
        }
    }
}

impl Proxy {
    /// Before a ClickHouse; truthful at first.
    pub fn before(upstream: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            client: Client::builder(TokioExecutor::new()).build_http(),
            state: Mutex::new(State { upstream: upstream.to_owned(), ..State::default() }),
            requests: watch::Sender::new(0),
            held: watch::Sender::new(false),
        });
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Self { url, shared, runtime }
    }

    /// From now on tells these lies about every other insert, in turn, and others about every fifth question.
    pub fn lie(&self, lies: &[Lie]) {
        self.state().lies = lies.to_vec();
    }

    /// From now on closes every connection at once; or not.
    pub fn down(&self, down: bool) {
        self.state().down = down;
    }

    /// From now on stands before another ClickHouse.
    pub fn stand_before(&self, upstream: &str) {
        upstream.clone_into(&mut self.state().upstream);
    }

    /// How often each lie was told.
    pub fn told(&self) -> BTreeMap<Lie, u64> {
        self.state().told.clone()
    }

    /// Whether each of these lies was told this often.
    pub fn were_told(&self, lies: &[Lie], times: u64) -> bool {
        let state = self.state();
        lies.iter().all(|lie| state.told.get(lie).is_some_and(|told| *told >= times))
    }

    /// Waits until some more requests came.
    pub fn until_more_come(&self, more: u64) {
        let mut requests = self.shared.requests.subscribe();
        let enough = self.state().requests + more;
        self.runtime.block_on(requests.wait_for(|requests| *requests >= enough)).unwrap();
    }

    /// Lets so many inserts pass and never answers the next one, which is applied or not.
    pub fn hold_after(&self, passing: u64, applied: bool) {
        self.shared.held.send_replace(false);
        self.state().hold_after = Some((passing, applied));
    }

    /// Waits until that one came.
    pub fn until_held(&self) {
        self.runtime.block_on(self.shared.held.subscribe().wait_for(|held| *held)).unwrap();
    }

    /// Applies now what was held back, all of it.
    pub fn apply_late(&self) {
        let held: Vec<_> = self.state().held.drain(..).collect();
        for (_, ask) in held {
            // The answer was due long ago, and nobody is there to hear it.
            let _ = self.runtime.block_on(self.shared.forward(ask));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _): (_, SocketAddr) = listener.accept().await.unwrap();
        if shared.state.lock().unwrap().down {
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| serve(Arc::clone(&shared), request));
            let http = hyper::server::conn::http1::Builder::new();
            // Lies close connections.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn closed() -> std::io::Error {
    std::io::Error::other("closed by the proxy")
}

async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, std::io::Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let (lie, hold, due) = {
        let mut state = shared.state.lock().unwrap();
        if state.down {
            return Err(closed());
        }
        state.requests += 1;
        let inserts = path.contains("INSERT");
        let lie = state.choose(inserts);
        if let Some(lie) = lie {
            *state.told.entry(lie).or_default() += 1;
        }
        (lie, inserts.then(|| state.hold()).flatten(), state.due())
    };
    for late in due {
        // Whoever asked was told nothing.
        let _ = shared.forward(late).await;
    }
    shared.requests.send_modify(|requests| *requests += 1);
    if lie == Some(Lie::Reset) {
        return Err(closed());
    }
    let body = body.collect().await.map_err(|_| closed())?.to_bytes();
    let ask = Ask { method: head.method, path, headers: head.headers, body };
    if let Some(applied) = hold {
        if applied {
            // Whoever asked is never told.
            let _ = shared.forward(ask).await;
        }
        shared.held.send_replace(true);
        return std::future::pending().await;
    }
    match lie {
        None => shared.forward(ask).await,
        Some(Lie::ReplyLost) => shared.forward(ask).await.and_then(|_| Err(closed())),
        Some(Lie::AppliedLate) => {
            let mut state = shared.state.lock().unwrap();
            let due = state.requests + LATE_BY;
            state.held.push_back((due, ask));
            Err(closed())
        }
        Some(Lie::Half) => shared.forward(ask.first_half()).await.and_then(|_| Err(closed())),
        Some(Lie::CutAnswer) => shared.forward(ask).await.map(cut),
        Some(Lie::BrokenError) => Ok(cut(error(500, "Code: 1000. DB::Exception: Poco::Exc"))),
        Some(Lie::Babble) => Ok(error(502, "<html>no such server</html>")),
        Some(Lie::Memory) => {
            Ok(error(500, "Code: 241. DB::Exception: Memory limit (total) exceeded (MEMORY_LIMIT_EXCEEDED)"))
        }
        Some(Lie::TooManyParts) => {
            Ok(error(500, "Code: 252. DB::Exception: Too many parts (600). (TOO_MANY_PARTS)"))
        }
        Some(Lie::ReadOnly) => {
            Ok(error(500, "Code: 242. DB::Exception: Table is in readonly mode. (TABLE_IS_READ_ONLY)"))
        }
        Some(Lie::UnknownColumn) => {
            Ok(error(404, "Code: 16. DB::Exception: No such column record. (NO_SUCH_COLUMN_IN_TABLE)"))
        }
        Some(Lie::Reset) => unreachable!("closed before the body came"),
    }
}

fn error(status: u16, text: &'static str) -> Answer {
    Response::builder().status(status).body(Said::All(text.into())).expect("a valid response")
}

/// The first half of an answer, then the end of the connection.
fn cut(answer: Answer) -> Answer {
    answer.map(|said| match said {
        Said::All(bytes) => Said::Cut(bytes.slice(..bytes.len() / 2)),
        other => other,
    })
}

impl State {
    fn choose(&mut self, inserts: bool) -> Option<Lie> {
        if self.lies.is_empty() || !self.requests.is_multiple_of(if inserts { 2 } else { 5 }) {
            return None;
        }
        self.next_lie += 1;
        Some(if inserts {
            self.lies[self.next_lie % self.lies.len()]
        } else {
            ABOUT_QUESTIONS[self.next_lie % ABOUT_QUESTIONS.len()]
        })
    }

    /// Whether this insert is the one to hold, and whether it is applied.
    fn hold(&mut self) -> Option<bool> {
        let (passing, applied) = self.hold_after.take()?;
        if passing == 0 {
            return Some(applied);
        }
        self.hold_after = Some((passing - 1, applied));
        None
    }

    fn due(&mut self) -> Vec<Ask> {
        let mut due = Vec::new();
        while self.held.front().is_some_and(|(at, _)| *at <= self.requests) {
            due.extend(self.held.pop_front().map(|(_, ask)| ask));
        }
        due
    }
}

impl Shared {
    async fn forward(&self, ask: Ask) -> Result<Answer, std::io::Error> {
        let upstream = self.state.lock().unwrap().upstream.clone();
        let uri: Uri = format!("{upstream}{}", ask.path).parse().map_err(std::io::Error::other)?;
        let mut request = Request::builder().method(ask.method).uri(uri);
        for (name, value) in &ask.headers {
            if !["host", "connection", "transfer-encoding", "content-length"].contains(&name.as_str()) {
                request = request.header(name, value);
            }
        }
        let request = request.body(Full::from(ask.body)).map_err(std::io::Error::other)?;
        let answer = self.client.request(request).await.map_err(std::io::Error::other)?;
        let (mut head, body) = answer.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        for name in ["transfer-encoding", "content-length", "connection"] {
            head.headers.remove(name);
        }
        Ok(Response::from_parts(head, Said::All(body)))
    }
}

impl Ask {
    /// The first part of an insert, to be written in blocks of two rows, so that some are there when the rest is missed.
    fn first_half(mut self) -> Self {
        self.body = self.body.slice(..self.body.len() * 2 / 3);
        self.path += "&max_insert_block_size=2&min_insert_block_size_rows=1&min_insert_block_size_bytes=1\
                      &input_format_parallel_parsing=0";
        self
    }
}
