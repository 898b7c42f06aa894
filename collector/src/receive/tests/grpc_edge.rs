//! OTLP/gRPC: the generated client of the OTLP protocol, and messages by hand where it cannot misbehave.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use super::super::*;
use super::fixture::*;
use crate::keys::NewKey;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const GRPC: (&str, &str) = ("content-type", "application/grpc");

async fn channel(server: &Server) -> Channel {
    Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap()
}

fn spans(count: usize) -> ExportTraceServiceRequest {
    let span = |i: usize| Span {
        trace_id: vec![1; 16],
        span_id: (i as u64 + 1).to_be_bytes().to_vec(),
        name: format!("chat {i}"),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: (0..count).map(span).collect(), ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

fn message(flag: u8, data: &[u8]) -> Vec<u8> {
    [&[flag][..], &u32::try_from(data.len()).unwrap().to_be_bytes(), data].concat()
}

#[tokio::test]
async fn the_generated_client_exports_in_every_coding() {
    let server = Server::start();
    for coding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let mut client = TraceServiceClient::new(channel(&server).await);
        if let Some(coding) = coding {
            client = client.send_compressed(coding);
        }
        for count in [0, 1, 100, 20_000] {
            let request = spans(count);
            let answer = client.export(request.clone()).await.unwrap().into_inner();
            assert_eq!(answer.partial_success, None);
            let seen = server.seen();
            let last = seen.last().unwrap();
            assert_eq!(last.encoding, Encoding::Protobuf);
            assert!(last.body == request.encode_to_vec(), "{coding:?} {count}");
        }
    }
}

#[tokio::test]
async fn metrics_and_logs_are_answered_so_that_no_sdk_complains() {
    let server = Server::start();
    let channel = channel(&server).await;
    let metrics = MetricsServiceClient::new(channel.clone())
        .export(ExportMetricsServiceRequest::default())
        .await
        .unwrap();
    assert_eq!(metrics.into_inner().partial_success, None);
    let logs = LogsServiceClient::new(channel).export(ExportLogsServiceRequest::default()).await.unwrap();
    assert_eq!(logs.into_inner().partial_success, None);
    assert_eq!(server.seen(), []);
    let now = server.stats.snapshot();
    assert_eq!(now.requests_of(Protocol::Grpc, Signal::Metrics), 1);
    assert_eq!(now.requests_of(Protocol::Grpc, Signal::Logs), 1);
}

#[tokio::test]
async fn partial_success_says_how_many_and_why() {
    let server = Server::start();
    server.answers(Ok(Accepted { rejected_spans: 2, message: "no span id".into() }));
    let answer = TraceServiceClient::new(channel(&server).await).export(spans(3)).await.unwrap().into_inner();
    let partial = answer.partial_success.unwrap();
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (2, "no span id"));
}

#[tokio::test]
async fn a_key_is_needed_where_configured_and_stamps_the_request() {
    let server = Server::with(|config| config.auth_required = Some(true));
    let secret =
        server.keys.create(NewKey { name: "gw".into(), operator: true, ..NewKey::default() }).unwrap().secret;
    let mut client = TraceServiceClient::new(channel(&server).await);
    assert_eq!(client.export(spans(1)).await.unwrap_err().code(), Code::Unauthenticated);
    let mut request = tonic::Request::new(spans(1));
    request.metadata_mut().insert("authorization", format!("Bearer {}", secret.reveal()).parse().unwrap());
    client.export(request).await.unwrap();
    assert!(server.seen()[0].key.operator);
}

#[tokio::test]
async fn an_unknown_service_is_unimplemented() {
    let server = Server::start();
    let mut client = Http2::connect(server.grpc).await;
    for path in
        ["/grpc.health.v1.Health/Check", "/opentelemetry.proto.collector.trace.v1.TraceService/Import"]
    {
        let reply = client.post(path, &[GRPC], message(0, b"")).await;
        assert_eq!((reply.status.as_u16(), reply.header("grpc-status")), (200, "12"), "{path}");
    }
}

#[tokio::test]
async fn success_is_a_message_and_a_trailer() {
    let server = Server::start();
    let reply = Http2::connect(server.grpc).await.post(EXPORT, &[GRPC], message(0, b"spans")).await;
    assert_eq!(reply.header("content-type"), "application/grpc");
    assert_eq!(&reply.body[..], [0; 5]);
    assert_eq!(reply.trailers.get("grpc-status").unwrap(), "0");
    assert_eq!(&server.seen()[0].body[..], b"spans");
}

#[tokio::test]
async fn a_message_that_breaks_the_framing_is_refused_with_what_is_wrong() {
    let server = Server::start();
    let mut client = Http2::connect(server.grpc).await;
    let truncated = gzip(b"spans")[..10].to_vec();
    for (headers, body, code, says) in [
        (&[GRPC][..], Vec::new(), "3", "no gRPC message"),
        (&[GRPC], vec![0, 0, 0], "3", "no gRPC message"),
        (&[GRPC], message(0, b"spans")[..8].to_vec(), "3", "2 bytes before"),
        (&[GRPC], [message(0, b"spans"), message(0, b"more")].concat(), "3", "data follows"),
        (&[GRPC], message(1, b"spans"), "3", "grpc-encoding"),
        (&[GRPC], message(7, b"spans"), "3", "7 is no flag"),
        (&[GRPC, ("grpc-encoding", "gzip")], message(1, &truncated), "3", "truncated"),
        (&[GRPC, ("grpc-encoding", "snappy")], message(1, b"spans"), "12", "gzip"),
        (&[("content-type", "application/grpc+json")], message(0, b"{}"), "12", "Protobuf"),
    ] {
        let reply = client.post(EXPORT, headers, body).await;
        assert_eq!((reply.status.as_u16(), reply.header("grpc-status")), (200, code), "{says}");
        let text = reply.header("grpc-message").replace("%20", " ");
        assert!(text.contains(says), "{text}");
    }
    assert_eq!(server.seen(), []);
    assert_eq!(
        client.post(EXPORT, &[GRPC], message(0, b"x")).await.trailers.get("grpc-status").unwrap(),
        "0"
    );
}

#[tokio::test]
async fn an_uncompressed_message_is_taken_from_a_client_that_may_compress() {
    let server = Server::start();
    let headers = [GRPC, ("grpc-encoding", "gzip")];
    Http2::connect(server.grpc).await.post(EXPORT, &headers, message(0, b"spans")).await;
    assert_eq!(&server.seen()[0].body[..], b"spans");
}

#[tokio::test]
async fn http_sent_to_the_grpc_address_learns_where_to_go() {
    let server = Server::start();
    let reply = Http1::connect(server.grpc).await.post("/v1/traces", &[PROTOBUF], "x").await;
    assert_eq!(reply.status, 415);
    assert!(reply.text().contains("4318"), "{}", reply.text());
    let reply = Http2::connect(server.grpc).await.post("/v1/traces", &[PROTOBUF], "x").await;
    assert_eq!(reply.status, 415);
}
