//! Size, memory and number.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::*;
use super::fixture::*;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A server that takes bodies of 64 KiB, 256 KiB decompressed, and holds one of the largest at a time.
fn small() -> Server {
    Server::with(|config| {
        config.limits.body_bytes_max = 64 * KIB;
        config.limits.decompressed_bytes_max = 256 * KIB;
        config.limits.in_flight_bytes_max = 256 * KIB;
        config.time_limits.patience = Duration::from_millis(1);
    })
}

#[tokio::test]
async fn a_body_of_64_mib_is_taken_over_both_protocols() {
    let server = Server::start();
    let data = payload(64 * MIB);
    assert_eq!(server.post_traces(data.clone()).await.status, 200);
    assert!(server.seen()[0].body == data);

    let message = [&[0][..], &u32::try_from(data.len()).unwrap().to_be_bytes(), &data].concat();
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let headers = [("content-type", "application/grpc")];
    let reply = Http2::connect(server.grpc).await.post(path, &headers, message).await;
    assert_eq!(reply.trailers.get("grpc-status").unwrap(), "0");
    assert!(server.seen()[1].body == data);
}

#[tokio::test]
async fn sizes_are_taken_up_to_the_limit_and_refused_one_byte_above() {
    let server = small();
    for (length, status) in [(64 * KIB, 200), (64 * KIB + 1, 413)] {
        assert_eq!(server.post_traces(payload(length)).await.status, status, "plain {length}");
    }
    let zeros = |length| vec![0; length];
    for (length, status) in [(256 * KIB, 200), (256 * KIB + 1, 413)] {
        for (coding, body) in [
            ("gzip", gzip(&zeros(length))),
            ("zstd", zstd(&zeros(length))),
            ("deflate", deflate(&zeros(length))),
        ] {
            let reply = server.post("/v1/traces", &[JSON, ("content-encoding", coding)], body).await;
            assert_eq!(reply.status, status, "{coding} {length}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn a_decompression_bomb_costs_no_more_than_the_limit() {
    let server = small();
    // 64 MiB in 64 KiB: a thousand times what may be held; a second one at its heels finds the memory returned.
    let bomb = gzip(&vec![0; 60 * MIB]);
    assert!(bomb.len() > 60 * KIB);
    let small_bomb = zstd(&vec![0; 60 * MIB]);
    for (coding, body) in [("gzip", &bomb[..60 * KIB]), ("zstd", &small_bomb), ("gzip", &bomb[..60 * KIB])] {
        let reply = server.post("/v1/traces", &[JSON, ("content-encoding", coding)], body.to_vec()).await;
        assert_eq!(reply.status, 413, "{coding}: {}", reply.text());
        assert!(reply.text().contains("otlp.decompressed_max"), "{}", reply.text());
    }
    assert_eq!(server.until(|now| now.in_flight == 0).await.in_flight_bytes, 0);
}

#[tokio::test]
async fn a_zstd_window_larger_than_agreed_is_refused_before_it_is_allocated() {
    let server = Server::start();
    let mut encoder = ::zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.long_distance_matching(true).unwrap();
    std::io::Write::write_all(&mut encoder, &payload(100_000)).unwrap();
    let body = encoder.finish().unwrap();
    let reply = server.post("/v1/traces", &[JSON, ("content-encoding", "zstd")], body).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(reply.text().contains("zstd"), "{}", reply.text());
}

#[tokio::test]
async fn a_client_that_is_still_sending_sees_why_it_is_refused() {
    let server = small();
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let body = payload(8 * MIB);
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends() {
    let server = small();
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 9999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_held_to_the_same_limits() {
    let server = small();
    for (length, status) in [(10, "200"), (64 * KIB, "200"), (64 * KIB + 1, "413")] {
        let mut stream = TcpStream::connect(server.http).await.unwrap();
        let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let data = payload(length);
        for chunk in data.chunks(10_000) {
            stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await.unwrap();
            stream.write_all(chunk).await.unwrap();
            stream.write_all(b"\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()), "{length}");
        if status == "200" {
            assert!(server.seen().last().unwrap().body == data, "{length}");
        }
    }
}

#[tokio::test]
async fn a_request_that_finds_no_memory_is_told_to_come_back() {
    let server = small();
    server.shut_gate();
    let mut first = Http1::connect(server.http).await;
    let body = zstd(&vec![0; 200 * KIB]);
    let headers = [JSON, ("content-encoding", "zstd")];
    let holding = first.post("/v1/traces", &headers, body.clone());
    let refused = async {
        server.until(|now| now.in_flight_bytes >= 200 * KIB as u64).await;
        let reply = server.post("/v1/traces", &headers, body.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"));
        assert!(reply.text().contains("otlp.in_flight_max"), "{}", reply.text());
        // A small one still finds room.
        server.open_gate();
        assert_eq!(server.post_traces("x").await.status, 200);
    };
    let (held, ()) = tokio::join!(holding, refused);
    assert_eq!(held.status, 200);
    assert_eq!(server.post("/v1/traces", &headers, body.clone()).await.status, 200);
    assert_eq!(server.stats.snapshot().refused_as(RefusalKind::Busy), 1);
}

#[tokio::test]
async fn requests_beyond_the_limit_wait_their_turn_and_then_are_told_to_come_back() {
    let server = Server::with(|config| {
        config.limits.requests_max = 1;
        config.time_limits.patience = Duration::from_millis(1);
    });
    server.shut_gate();
    let mut first = Http1::connect(server.http).await;
    let refused = async {
        server.until(|now| now.in_flight == 1).await;
        let channel = tonic::transport::Channel::from_shared(format!("http://{}", server.grpc)).unwrap();
        let mut client = TraceServiceClient::new(channel.connect().await.unwrap());
        let status = client.export(ExportTraceServiceRequest::default()).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable);
        server.open_gate();
    };
    let (held, ()) = tokio::join!(first.post("/v1/traces", &[PROTOBUF], "x"), refused);
    assert_eq!(held.status, 200);

    let patient = Server::with(|config| config.limits.requests_max = 1);
    let posts = (0..20).map(|_| patient.post_traces("x"));
    let replies = futures::future::join_all(posts).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_the_next_after_a_close_is_served() {
    let server = Server::with(|config| config.limits.connections_max = 1);
    let mut first = Http1::connect(server.http).await;
    assert_eq!(first.post("/v1/traces", &[PROTOBUF], "x").await.status, 200);
    let mut second = TcpStream::connect(server.grpc).await.unwrap();
    assert_eq!(second.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(server.stats.snapshot().connections_refused, 1);
    drop(first);
    server.until(|now| now.connections_open == 0).await;
    assert_eq!(server.post_traces("x").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_are_all_answered_and_the_books_balance() {
    let server = Server::start();
    let (grpc, http) = (server.grpc, server.http);
    let client = |i: usize| async move {
        let body = gzip(&payload(1000 * i));
        let headers = [JSON, ("content-encoding", "gzip")];
        let mut http = Http1::connect(http).await;
        let mut http_2 = Http2::connect(grpc).await;
        let message = [&[1][..], &u32::try_from(body.len()).unwrap().to_be_bytes(), &body].concat();
        let grpc_headers = [("content-type", "application/grpc"), ("grpc-encoding", "gzip")];
        for _ in 0..20 {
            assert_eq!(http.post("/v1/traces", &headers, body.clone()).await.status, 200);
            let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
            let reply = http_2.post(path, &grpc_headers, message.clone()).await;
            assert_eq!(reply.trailers.get("grpc-status").unwrap(), "0");
        }
    };
    futures::future::join_all((0..8).map(|i| tokio::spawn(client(i))))
        .await
        .into_iter()
        .for_each(Result::unwrap);
    let now = server.until(|now| now.in_flight == 0).await;
    assert_eq!((now.requests_total(), now.accepted, now.in_flight_bytes), (320, 320, 0));
    assert_eq!(server.seen().len(), 320);
}
