//! The OTLP/HTTP edge: `POST /v1/traces`, `/v1/metrics`, `/v1/logs` in Protobuf or JSON.

use ::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request};
use hyper::body::Incoming;

use super::answer::{Answer, export_response, is_full_success};
use super::door::{Door, Entrance};
use super::head::{Export, coding, media_type};
use super::inflate::Coding;
use super::intake::{Accepted, Encoding, Intake};
use super::refusal::{Refusal, RefusalKind};
use super::stats::Signal;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const GRPC: &str = "application/grpc";

/// Answers one request.
pub(super) async fn answer<I: Intake>(
    door: &Door<I>,
    entrance: Entrance,
    request: Request<Incoming>,
) -> Response<Answer> {
    let (head, body) = request.into_parts();
    let signal = signal(head.uri.path());
    let media = media_type(&head.headers);
    let encoding = encoding(media);
    match door.enter(entrance, signal, read_head(&head, signal), &head.headers, body).await {
        Ok(accepted) => success(&accepted, encoding.unwrap_or(Encoding::Protobuf)),
        Err(refusal) if media.starts_with(GRPC) => refusal.to_grpc().into_http(),
        Err(refusal) => failure(&refusal, encoding),
    }
}

fn signal(path: &str) -> Signal {
    match path {
        "/v1/traces" => Signal::Traces,
        "/v1/metrics" => Signal::Metrics,
        "/v1/logs" => Signal::Logs,
        _ => Signal::Unknown,
    }
}

fn read_head(head: &request::Parts, signal: Signal) -> Result<Export, Refusal> {
    let media = media_type(&head.headers);
    if media.starts_with(GRPC) {
        return Err(Refusal::Unsupported(
            "this address speaks OTLP/HTTP; send OTLP/gRPC to the OTLP/gRPC address (port 4317 by default)"
                .into(),
        ));
    }
    if signal == Signal::Unknown {
        return Err(Refusal::UnknownPath(
            "nothing is served at this path; OTLP/HTTP exports go to /v1/traces, /v1/metrics and /v1/logs"
                .into(),
        ));
    }
    if head.method != Method::POST {
        return Err(Refusal::WrongMethod("exports are sent with POST".into()));
    }
    let encoding = encoding(media)
        .ok_or_else(|| Refusal::Unsupported(format!("the content type must be {PROTOBUF} or {JSON}")))?;
    let coding = coding(&head.headers, &header::CONTENT_ENCODING)?;
    Ok(Export { signal, encoding, coding })
}

fn encoding(media: &str) -> Option<Encoding> {
    if media.eq_ignore_ascii_case(PROTOBUF) {
        Some(Encoding::Protobuf)
    } else if media.eq_ignore_ascii_case(JSON) {
        Some(Encoding::Json)
    } else {
        None
    }
}

fn success(accepted: &Accepted, encoding: Encoding) -> Response<Answer> {
    match encoding {
        Encoding::Protobuf => response(StatusCode::OK, PROTOBUF, export_response(accepted)),
        Encoding::Json if is_full_success(accepted) => response(StatusCode::OK, JSON, "{}"),
        Encoding::Json => {
            let partial = serde_json::json!({
                "rejectedSpans": accepted.rejected_spans.to_string(),
                "errorMessage": accepted.message,
            });
            response(StatusCode::OK, JSON, serde_json::json!({ "partialSuccess": partial }).to_string())
        }
    }
}

/// A `google.rpc.Status` in the encoding of the request, plain text where that is unknown.
fn failure(refusal: &Refusal, encoding: Option<Encoding>) -> Response<Answer> {
    let kind = refusal.kind();
    let status = kind.http_status();
    let mut response = match encoding {
        Some(Encoding::Protobuf) => response(status, PROTOBUF, refusal.to_rpc_status()),
        Some(Encoding::Json) => response(status, JSON, refusal.to_rpc_status_json().to_string()),
        None => response(status, "text/plain; charset=utf-8", format!("{}\n", refusal.reason())),
    };
    let mut set = |name: HeaderName, value: HeaderValue| drop(response.headers_mut().insert(name, value));
    if let Some(wait) = refusal.retry_after() {
        // Whole seconds, rounded up: 0 would be an invitation to send again at once.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        set(header::RETRY_AFTER, seconds.max(1).into());
    }
    match kind {
        RefusalKind::WrongMethod => set(header::ALLOW, HeaderValue::from_static("POST")),
        RefusalKind::Unauthenticated => set(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        RefusalKind::Unsupported => set(header::ACCEPT_ENCODING, HeaderValue::from_static(Coding::ACCEPTED)),
        _ => {}
    }
    response
}

fn response(status: StatusCode, media: &'static str, body: impl Into<bytes::Bytes>) -> Response<Answer> {
    let mut response = Response::new(Answer::of(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
