//! The OTLP/gRPC edge: `Export` of the trace, metrics and logs services, read and answered by hand.
//!
//! A unary call is a POST whose body is one length-prefixed message, answered by one such message and a trailer; a
//! refusal is an answer of headers alone. Statuses, their percent-encoded texts and their details are tonic's.

use ::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header, request,
};
use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::Incoming;

use super::answer::{Answer, export_response};
use super::door::{Door, Entrance};
use super::head::{Export, coding, media_type};
use super::inflate::Coding;
use super::intake::{Accepted, Encoding, Intake};
use super::refusal::{Refusal, RefusalKind};
use super::stats::Signal;

const MEDIA: &str = "application/grpc";
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// An uncompressed message of no bytes, prefix and all: what every full success is.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// Answers one request.
pub(super) async fn answer<I: Intake>(
    door: &Door<I>,
    entrance: Entrance,
    request: Request<Incoming>,
) -> Response<Answer> {
    let (head, body) = request.into_parts();
    let signal = signal(head.uri.path());
    let is_grpc = head.version == Version::HTTP_2 && media_type(&head.headers).starts_with(MEDIA);
    match door.enter(entrance, signal, read_head(&head, signal, is_grpc), &head.headers, body).await {
        Ok(accepted) => success(&accepted),
        Err(refusal) if is_grpc => failure(&refusal),
        Err(refusal) => not_grpc(&refusal),
    }
}

fn signal(path: &str) -> Signal {
    match path {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Signal::Metrics,
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
        _ => Signal::Unknown,
    }
}

fn read_head(head: &request::Parts, signal: Signal, is_grpc: bool) -> Result<Export, Refusal> {
    if !is_grpc {
        return Err(Refusal::Unsupported(
            "this address speaks OTLP/gRPC over HTTP/2; \
             send OTLP/HTTP to the OTLP/HTTP address (port 4318 by default)"
                .into(),
        ));
    }
    if signal == Signal::Unknown {
        return Err(Refusal::UnknownPath(
            "no such service; this collector serves Export of OTLP's TraceService, MetricsService and LogsService"
                .into(),
        ));
    }
    if head.method != Method::POST {
        return Err(Refusal::WrongMethod("gRPC calls are sent with POST".into()));
    }
    if !matches!(media_type(&head.headers), MEDIA | "application/grpc+proto") {
        return Err(Refusal::Unsupported("gRPC messages must be Protobuf (application/grpc)".into()));
    }
    let coding = coding(&head.headers, &ENCODING)?;
    Ok(Export { signal, encoding: Encoding::Protobuf, coding })
}

fn success(accepted: &Accepted) -> Response<Answer> {
    let message = export_response(accepted);
    let data = if message.is_empty() {
        Bytes::from_static(EMPTY_MESSAGE)
    } else {
        let mut data = BytesMut::with_capacity(5 + message.len());
        data.put_u8(0);
        data.put_u32(u32::try_from(message.len()).expect("a partial success is a count and a line of text"));
        data.put_slice(&message);
        data.freeze()
    };
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(Answer::with_trailers(data, trailers));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA));
    response
}

fn failure(refusal: &Refusal) -> Response<Answer> {
    let mut response = refusal.to_grpc().into_http::<Answer>();
    if refusal.kind() == RefusalKind::Unsupported {
        response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(Coding::ACCEPTED));
    }
    response
}

/// The answer to a client that does not speak gRPC and could not read a gRPC status.
fn not_grpc(refusal: &Refusal) -> Response<Answer> {
    let mut response = Response::new(Answer::of(format!("{}\n", refusal.reason())));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
