//! A server with a fake intake, and small clients for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use domain::observation::KeyStamp;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::super::*;
use crate::keys::KeyStore;

/// One request as the intake saw it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) body: Bytes,
    pub(super) encoding: Encoding,
    pub(super) key: KeyStamp,
}

/// An intake that remembers what it saw, answers what it was told to, and waits while its gate is shut.
#[derive(Clone)]
pub(super) struct FakeIntake {
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Mutex<Result<Accepted, Refusal>>>,
    gate_open: watch::Sender<bool>,
}

impl Intake for FakeIntake {
    async fn accept(&self, body: Bytes, encoding: Encoding, key: KeyStamp) -> Result<Accepted, Refusal> {
        self.seen.lock().unwrap().push(Seen { body, encoding, key });
        self.gate_open.subscribe().wait_for(|open| *open).await.unwrap();
        self.answer.lock().unwrap().clone()
    }
}

/// A running server. Dropped, it stops without waiting.
pub(super) struct Server {
    pub(super) grpc: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) stats: Arc<ReceiveStats>,
    pub(super) keys: KeyStore,
    intake: FakeIntake,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Summary>,
    _data_dir: tempfile::TempDir,
}

/// A configuration on free ports in which nothing times out during a test.
pub(super) fn config() -> Config {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let hour = Duration::from_secs(3600);
    let time_limits = TimeLimits {
        first_head: hour,
        body_pause: hour,
        body: hour,
        idle: hour,
        patience: hour,
        linger: hour,
        drain: hour,
        ..TimeLimits::default()
    };
    Config { grpc_addr: loopback, http_addr: loopback, time_limits, ..Config::default() }
}

impl Server {
    pub(super) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        adjust(&mut config);
        assert_eq!(config.faults(), Vec::<String>::new());
        let data_dir = tempfile::tempdir().unwrap();
        let keys = KeyStore::open(data_dir.path()).unwrap();
        let receive = Receive::bind(config, keys.clone()).unwrap();
        let (grpc, http, stats) = (receive.grpc_addr(), receive.http_addr(), receive.stats());
        let intake = FakeIntake {
            seen: Arc::default(),
            answer: Arc::new(Mutex::new(Ok(Accepted::default()))),
            gate_open: watch::Sender::new(true),
        };
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let running = tokio::spawn(receive.run(intake.clone(), shutdown));
        Self { grpc, http, stats, keys, intake, stop: Some(stop), running, _data_dir: data_dir }
    }

    /// What the intake answers from now on.
    pub(super) fn answers(&self, answer: Result<Accepted, Refusal>) {
        *self.intake.answer.lock().unwrap() = answer;
    }

    pub(super) fn shut_gate(&self) {
        self.intake.gate_open.send_replace(false);
    }

    pub(super) fn open_gate(&self) {
        self.intake.gate_open.send_replace(true);
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.intake.seen.lock().unwrap().clone()
    }

    /// Gives the shutdown signal.
    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until `run` returns.
    pub(super) async fn summary(&mut self) -> Summary {
        (&mut self.running).await.unwrap()
    }

    /// Waits until a condition on the counters holds, and returns them.
    pub(super) async fn until(&self, condition: impl Fn(&Snapshot) -> bool) -> Snapshot {
        eventually(|| Some(self.stats.snapshot()).filter(&condition)).await
    }

    /// Posts over a connection of its own.
    pub(super) async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        Http1::connect(self.http).await.post(path, headers, body).await
    }

    /// Posts Protobuf to `/v1/traces`.
    pub(super) async fn post_traces(&self, body: impl Into<Bytes>) -> Reply {
        self.post("/v1/traces", &[PROTOBUF], body).await
    }
}

/// Waits for a condition that another task brings about.
pub(super) async fn eventually<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    loop {
        match condition() {
            Some(met) => return met,
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

pub(super) const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
pub(super) const JSON: (&str, &str) = ("content-type", "application/json");

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
}

impl Reply {
    async fn of(response: ::http::Response<hyper::body::Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Self { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A kept-alive HTTP/1 connection.
pub(super) struct Http1(http1::SendRequest<Full<Bytes>>);

impl Http1 {
    pub(super) async fn connect(addr: SocketAddr) -> Self {
        let (sender, connection) =
            http1::handshake(TokioIo::new(TcpStream::connect(addr).await.unwrap())).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub(super) async fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        self.send("POST", path, headers, body).await
    }

    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        self.0.ready().await.unwrap();
        Reply::of(self.0.send_request(request(method, path, headers, body)).await.unwrap()).await
    }

    /// Whether the server closed the connection.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// An HTTP/2 connection, for gRPC by hand.
pub(super) struct Http2(http2::SendRequest<Full<Bytes>>);

impl Http2 {
    pub(super) async fn connect(addr: SocketAddr) -> Self {
        let stream = TokioIo::new(TcpStream::connect(addr).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub(super) async fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let uri = format!("http://collector{path}");
        self.0.ready().await.unwrap();
        Reply::of(self.0.send_request(request("POST", &uri, headers, body)).await.unwrap()).await
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

fn request(
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).unwrap()
}

pub(in super::super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, data).unwrap();
    encoder.finish().unwrap()
}

pub(in super::super) fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, data).unwrap();
    encoder.finish().unwrap()
}

pub(in super::super) fn zstd(data: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(data, 3).unwrap()
}

/// Bytes that compress a little, the same on every call.
pub(in super::super) fn payload(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 24) as u8 % 26
    };
    (0..length).map(|_| next()).collect()
}
