//! Clients that are slow, silent, or gone free what they hold.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::body::Chunks;
use super::super::budget::Budget;
use super::super::*;
use super::fixture::*;

const SOON: Duration = Duration::from_millis(20);

const HEAD: &str =
    "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n";

#[tokio::test]
async fn a_body_that_stops_arriving_is_refused() {
    let server = Server::with(|config| config.time_limits.body_pause = SOON);
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(HEAD.as_bytes()).await.unwrap();
    stream.write_all(b"123").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("nothing of the body came"), "{answer}");
    assert_eq!(server.stats.snapshot().refused_as(RefusalKind::Slow), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_refused_when_its_time_is_over() {
    let drip = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x"))), ()))
    });
    let mut body = StreamBody::new(Box::pin(drip));
    let (limits, times) = (Limits::default(), TimeLimits::default());
    let stats = ReceiveStats::of(Budget::new(&limits, &times));
    let started = tokio::time::Instant::now();
    let refused = Chunks::of(&mut body, usize::MAX, &times, &stats).discard().await.unwrap_err();
    assert_eq!(refused.kind(), RefusalKind::Slow);
    assert!(refused.reason().contains("not complete after 60.000 s"), "{}", refused.reason());
    assert_eq!(started.elapsed().as_secs(), times.body.as_secs());
}

#[tokio::test]
async fn a_connection_that_never_asks_is_closed() {
    let server = Server::with(|config| config.time_limits.first_head = SOON);
    for said in ["", "POST /v1/tra", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        for addr in [server.http, server.grpc] {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            // Whatever is said on the way, the end comes.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }
    assert_eq!(server.until(|now| now.connections_open == 0).await.connections_accepted, 6);
}

#[tokio::test]
async fn a_connection_that_asks_no_more_is_closed() {
    let server = Server::with(|config| config.time_limits.idle = SOON);
    let mut http = Http1::connect(server.http).await;
    let mut http_2 = Http2::connect(server.grpc).await;
    http.post("/v1/traces", &[PROTOBUF], "x").await;
    http_2.post("/x", &[("content-type", "application/grpc")], "").await;
    eventually(|| (http.is_closed() && http_2.is_closed()).then_some(())).await;
    server.until(|now| now.connections_open == 0).await;
}

#[tokio::test]
async fn a_connection_in_work_is_not_idle_however_long_the_intake_takes() {
    let server = Server::with(|config| {
        config.time_limits.idle = Duration::from_millis(1);
        config.time_limits.first_head = Duration::from_secs(3600);
    });
    server.shut_gate();
    let mut waiting = Http1::connect(server.http).await;
    let others = async {
        server.until(|now| now.in_flight == 1).await;
        // A second connection goes idle and is closed while the first is still in work.
        TcpStream::connect(server.http).await.unwrap();
        let mut idle = Http1::connect(server.http).await;
        idle.send("GET", "/", &[], "").await;
        eventually(|| idle.is_closed().then_some(())).await;
        server.open_gate();
    };
    let (reply, ()) = tokio::join!(waiting.post("/v1/traces", &[PROTOBUF], "x"), others);
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_frees_what_it_held_and_is_counted() {
    let server = Server::start();
    server.shut_gate();
    let mut http = TcpStream::connect(server.http).await.unwrap();
    http.write_all(HEAD.as_bytes()).await.unwrap();
    http.write_all(b"1234567890").await.unwrap();
    let mut http_2 = Http2::connect(server.grpc).await;
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let exporting =
        tokio::spawn(
            async move { http_2.post(path, &[("content-type", "application/grpc")], vec![0; 5]).await },
        );
    server.until(|now| now.in_flight == 2).await;
    eventually(|| (server.seen().len() == 2).then_some(())).await;
    drop(http);
    exporting.abort();
    let now = server.until(|now| now.in_flight == 0).await;
    assert_eq!((now.abandoned, now.accepted, now.in_flight_bytes), (2, 0, 0));
}

#[tokio::test]
async fn a_client_that_stops_in_its_body_is_no_success() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(HEAD.as_bytes()).await.unwrap();
    stream.write_all(b"123").await.unwrap();
    server.until(|now| now.in_flight == 1).await;
    drop(stream);
    let now = server.until(|now| now.in_flight == 0).await;
    assert_eq!((now.accepted, server.seen().len()), (0, 0));
}
