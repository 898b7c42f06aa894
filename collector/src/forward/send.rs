//! One attempt to send a request: OTLP over gRPC or HTTP, on one client.
//!
//! A gRPC call of one message is a POST over HTTP/2 whose body is that message behind its length, answered by a status in
//! trailers; so both wires are one HTTP client. TLS trusts the system's certificates (`SSL_CERT_FILE` names others).

use std::io::Write as _;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use super::target::{Compression, Target, Wire};
use crate::receive::Signal;

/// The most that is read of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It will never be.
    Refused(String),
    /// It may be later, after so long where the backend says it.
    Later { reason: String, after: Option<Duration> },
}

/// Sends requests to a backend.
#[derive(Debug)]
pub(super) struct Sender {
    target: Target,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Sender {
    pub(super) fn new(target: Target) -> Result<Self, std::io::Error> {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http();
        let connector = match target.wire {
            Wire::Grpc => connector.enable_http2().build(),
            Wire::Http => connector.enable_http1().enable_http2().build(),
        };
        let mut client = Client::builder(TokioExecutor::new());
        client.timer(TokioTimer::new()).http2_only(target.wire == Wire::Grpc);
        Ok(Self { client: client.build(connector), target })
    }

    /// Sends a request once.
    pub(super) async fn send(&self, signal: Signal, request: &[u8]) -> Result<(), Failure> {
        let request = self.request(signal, request).map_err(Failure::Refused)?;
        let later = |reason: String| Failure::Later { reason, after: None };
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| later(chain(&error)))?;
            let (head, body) = answer.into_parts();
            let read = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let trailers = read.ok().and_then(|body| body.trailers().cloned()).unwrap_or_default();
            match self.target.wire {
                Wire::Http => judge_http(head.status, &head.headers),
                Wire::Grpc => judge_grpc(head.status, &head.headers, &trailers),
            }
        };
        let silent = || later(format!("no answer within {:?}", self.target.timeout));
        timeout(self.target.timeout, exchange).await.map_err(|_| silent())?
    }

    fn request(&self, signal: Signal, message: &[u8]) -> Result<Request<Full<Bytes>>, String> {
        let (coding, packed) = pack(self.target.compression, message).map_err(|error| error.to_string())?;
        let (path, media, coding_header, body) = match self.target.wire {
            Wire::Http => {
                let base = self.target.url.path().trim_end_matches('/');
                (
                    format!("{base}/v1/{}", signal.label()),
                    "application/x-protobuf",
                    header::CONTENT_ENCODING,
                    packed.into(),
                )
            }
            Wire::Grpc => {
                let length = u32::try_from(packed.len()).map_err(|_| "a message beyond 4 GiB".to_string())?;
                let mut framed = BytesMut::with_capacity(packed.len() + 5);
                framed.put_u8(u8::from(coding.is_some()));
                framed.put_u32(length);
                framed.put_slice(&packed);
                let name = HeaderName::from_static("grpc-encoding");
                (service(signal).to_string(), "application/grpc", name, framed.freeze())
            }
        };
        let mut parts = self.target.url.clone().into_parts();
        parts.path_and_query = Some(path.parse().map_err(|error| format!("{path}: {error}"))?);
        let url = Uri::from_parts(parts).map_err(|error| error.to_string())?;
        let mut request = Request::post(url).body(Full::new(body)).map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.extend(self.target.headers.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("ledgerline/", env!("CARGO_PKG_VERSION"))),
        );
        if self.target.wire == Wire::Grpc {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        if let Some(coding) = coding {
            headers.insert(coding_header, HeaderValue::from_static(coding));
        }
        Ok(request)
    }
}

fn service(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Traces | Signal::Unknown => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    }
}

fn pack(compression: Compression, message: &[u8]) -> std::io::Result<(Option<&'static str>, Vec<u8>)> {
    match compression {
        Compression::None => Ok((None, message.to_vec())),
        Compression::Gzip => {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(message)?;
            Ok((Some("gzip"), packed.finish()?))
        }
        Compression::Zstd => Ok((Some("zstd"), zstd::encode_all(message, 1)?)),
    }
}

/// Which answers of OTLP/HTTP ask for another attempt is OTLP's own list.
fn judge_http(status: StatusCode, headers: &HeaderMap) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let reason = format!("HTTP status {status}");
    match status.as_u16() {
        429 | 502 | 503 | 504 => Err(Failure::Later { reason, after: retry_after(headers) }),
        _ => Err(Failure::Refused(reason)),
    }
}

fn judge_grpc(status: StatusCode, headers: &HeaderMap, trailers: &HeaderMap) -> Result<(), Failure> {
    // An answer of headers alone has the status there.
    let code = trailers.get("grpc-status").or_else(|| headers.get("grpc-status"));
    let Some(code) = code.and_then(|code| code.to_str().ok()?.parse::<u32>().ok()) else {
        let reason = format!("HTTP status {status} without a gRPC status");
        return Err(Failure::Later { reason, after: None });
    };
    let reason = format!("gRPC status {code}");
    match code {
        0 => Ok(()),
        // Cancelled, deadline, exhausted, aborted, out of range, unavailable, data loss: OTLP's list.
        1 | 4 | 8 | 10 | 11 | 14 | 15 => Err(Failure::Later { reason, after: retry_after(headers) }),
        _ => Err(Failure::Refused(reason)),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
