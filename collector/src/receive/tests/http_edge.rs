//! OTLP/HTTP: media types, codings, paths, keys, and answers.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use super::super::*;
use super::fixture::*;
use crate::keys::NewKey;

#[tokio::test]
async fn a_body_reaches_the_intake_as_it_was_sent() {
    let server = Server::start();
    let reply = server.post_traces("spans").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, ""));
    assert_eq!(reply.header("content-type"), "application/x-protobuf");
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!((&seen[0].body[..], seen[0].encoding), (&b"spans"[..], Encoding::Protobuf));
    assert_eq!(seen[0].key, Default::default());
}

#[tokio::test]
async fn json_is_answered_in_json() {
    let server = Server::start();
    for media in ["application/json", "Application/JSON; charset=utf-8"] {
        let reply = server.post("/v1/traces", &[("content-type", media)], "{}").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "{}"));
        assert_eq!(reply.header("content-type"), "application/json");
    }
    assert!(server.seen().iter().all(|seen| seen.encoding == Encoding::Json));
}

#[tokio::test]
async fn every_coding_arrives_decompressed_whatever_the_size() {
    let server = Server::start();
    for length in [0, 1, 4095, 4096, 100_000, 3_000_000] {
        let data = payload(length);
        let two_members = [gzip(&data[..length / 2]), gzip(&data[length / 2..])].concat();
        let two_frames = [zstd(&data[..length / 2]), zstd(&data[length / 2..])].concat();
        for (coding, body) in [
            ("identity", data.clone()),
            ("gzip", gzip(&data)),
            ("GZIP", two_members),
            ("zstd", zstd(&data)),
            ("zstd", two_frames),
            ("deflate", deflate(&data)),
        ] {
            let reply = server.post("/v1/traces", &[PROTOBUF, ("content-encoding", coding)], body).await;
            assert_eq!(reply.status, 200, "{coding} {length}: {}", reply.text());
            assert!(server.seen().last().unwrap().body == data, "{coding} {length}");
        }
    }
}

#[tokio::test]
async fn damaged_compression_is_refused_with_what_is_wrong() {
    let server = Server::start();
    let data = payload(10_000);
    let cut = |body: Vec<u8>| body[..body.len() - 5].to_vec();
    let wrong_checksum = |mut body: Vec<u8>| {
        let at = body.len() - 8;
        body[at] ^= 0xff;
        body
    };
    for (coding, body, says) in [
        ("gzip", cut(gzip(&data)), "truncated"),
        ("zstd", cut(zstd(&data)), "truncated"),
        ("deflate", cut(deflate(&data)), "truncated"),
        ("gzip", Vec::new(), "truncated"),
        ("gzip", wrong_checksum(gzip(&data)), "corrupt"),
        ("zstd", b"not zstd at all".to_vec(), "corrupt"),
        ("gzip", [gzip(&data), b"tail".to_vec()].concat(), "corrupt"),
        ("deflate", [deflate(&data), b"tail".to_vec()].concat(), "corrupt"),
    ] {
        let reply = server.post("/v1/traces", &[JSON, ("content-encoding", coding)], body).await;
        assert_eq!(reply.status, 400, "{coding} {says}");
        assert!(reply.text().contains(says) && reply.text().contains(coding), "{}", reply.text());
        assert_eq!(reply.header("retry-after"), "");
    }
    assert_eq!(server.seen(), []);
}

#[tokio::test]
async fn what_is_not_an_export_is_refused_with_a_text() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    for (method, path, headers, status, says) in [
        ("POST", "/v1/traces", &[("content-type", "text/plain")][..], 415, "application/x-protobuf"),
        ("POST", "/v1/traces", &[], 415, "application/json"),
        ("POST", "/v1/traces", &[PROTOBUF, ("content-encoding", "br")], 415, "gzip"),
        ("GET", "/v1/traces", &[], 405, "POST"),
        ("PUT", "/v1/metrics", &[PROTOBUF], 405, "POST"),
        ("POST", "/v1/trace", &[PROTOBUF], 404, "/v1/traces"),
        ("GET", "/", &[], 404, "/v1/traces"),
    ] {
        let reply = client.send(method, path, headers, "x").await;
        assert_eq!(reply.status, status, "{method} {path}");
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(text.contains(says), "{method} {path}: {text}");
        match status {
            405 => assert_eq!(reply.header("allow"), "POST"),
            415 => assert!(reply.header("accept-encoding").contains("zstd")),
            _ => {}
        }
    }
    assert_eq!(server.seen(), []);
}

#[tokio::test]
async fn metrics_and_logs_are_answered_so_that_no_sdk_complains() {
    let server = Server::start();
    for path in ["/v1/metrics", "/v1/logs"] {
        let reply = server.post(path, &[PROTOBUF], payload(100_000)).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, ""), "{path}");
        let reply = server.post(path, &[JSON, ("content-encoding", "gzip")], gzip(b"{}")).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "{}"), "{path}");
    }
    assert_eq!(server.seen(), []);
    let now = server.stats.snapshot();
    assert_eq!(now.requests_of(Protocol::Http, Signal::Metrics), 2);
    assert_eq!(now.requests_of(Protocol::Http, Signal::Logs), 2);
}

#[tokio::test]
async fn partial_success_says_how_many_and_why() {
    let server = Server::start();
    server.answers(Ok(Accepted { rejected_spans: 3, message: "no trace id".into() }));
    let reply = server.post_traces("x").await;
    let partial = ExportTraceServiceResponse::decode(reply.body).unwrap().partial_success.unwrap();
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (3, "no trace id"));
    let reply = server.post("/v1/traces", &[JSON], "{}").await;
    let json: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"partialSuccess": {"rejectedSpans": "3", "errorMessage": "no trace id"}})
    );
    assert_eq!(server.stats.snapshot().rejected_spans, 6);
}

#[tokio::test]
async fn a_key_is_needed_where_configured_and_stamps_the_request() {
    let server = Server::with(|config| config.auth_required = Some(true));
    let new = NewKey { name: "k".into(), tenant: Some("acme".into()), ..NewKey::default() };
    let secret = server.keys.create(new).unwrap().secret;
    let bearer = format!("Bearer {}", secret.reveal());
    for headers in [
        &[PROTOBUF][..],
        &[PROTOBUF, ("x-api-key", "llk_wrong")],
        &[PROTOBUF, ("authorization", "Basic eDp5")],
    ] {
        let reply = server.post("/v1/traces", headers, "x").await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    assert_eq!(server.post("/v1/metrics", &[PROTOBUF], "x").await.status, 401);
    for header in [("x-api-key", secret.reveal()), ("authorization", bearer.as_str())] {
        assert_eq!(server.post("/v1/traces", &[PROTOBUF, header], "x").await.status, 200);
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.key.tenant.as_deref() == Some("acme")));
}

#[tokio::test]
async fn http_2_is_spoken_on_the_http_address() {
    let server = Server::start();
    let mut client = Http2::connect(server.http).await;
    assert_eq!(client.post("/v1/traces", &[PROTOBUF], "x").await.status, 200);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn grpc_sent_to_the_http_address_learns_where_to_go() {
    let server = Server::start();
    let mut client = Http2::connect(server.http).await;
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let reply = client.post(path, &[("content-type", "application/grpc")], vec![0; 5]).await;
    assert_eq!((reply.status.as_u16(), reply.header("grpc-status")), (200, "12"));
    assert!(reply.header("grpc-message").contains("4317"), "{}", reply.header("grpc-message"));
}

#[tokio::test]
async fn one_connection_carries_many_requests_and_the_books_balance() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    for i in 0..50 {
        assert_eq!(client.post("/v1/traces", &[PROTOBUF], format!("{i}")).await.status, 200);
        assert_eq!(client.post("/v1/traces", &[], "x").await.status, 415);
    }
    let now = server.until(|now| now.in_flight == 0).await;
    assert_eq!((now.requests_total(), now.accepted, now.refused_as(RefusalKind::Unsupported)), (100, 50, 50));
    assert_eq!(now.requests_total(), now.accepted + now.refused_total() + now.abandoned);
    assert_eq!((now.connections_accepted, now.connections_open, now.in_flight_bytes), (1, 1, 0));
}
