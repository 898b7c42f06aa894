//! Shutdown: nothing new is taken, what is in work is answered, up to a limit.

use std::time::Duration;

use tokio::net::TcpStream;

use super::super::*;
use super::fixture::*;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[tokio::test]
async fn requests_in_work_are_answered_and_nobody_new_is_taken() {
    let mut server = Server::start();
    server.shut_gate();
    let mut http = Http1::connect(server.http).await;
    let mut grpc = Http2::connect(server.grpc).await;
    let http = tokio::spawn(async move { http.post("/v1/traces", &[PROTOBUF], "http").await });
    let grpc = tokio::spawn(async move { grpc.post(EXPORT, &[GRPC], vec![0; 5]).await });
    eventually(|| (server.seen().len() == 2).then_some(())).await;
    server.stop();
    for addr in [server.http, server.grpc] {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
    server.open_gate();
    assert_eq!(http.await.unwrap().status, 200);
    assert_eq!(grpc.await.unwrap().trailers.get("grpc-status").unwrap(), "0");
    let summary = server.summary().await;
    assert_eq!(summary, Summary { requests: 2, accepted: 2, refused: 0, abandoned: 0, connections_cut: 0 });
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let mut server = Server::start();
    let mut http = Http1::connect(server.http).await;
    let mut grpc = Http2::connect(server.grpc).await;
    http.post("/v1/traces", &[PROTOBUF], "x").await;
    grpc.post(EXPORT, &[GRPC], vec![0; 5]).await;
    let _silent = TcpStream::connect(server.http).await.unwrap();
    server.until(|now| now.connections_open == 3).await;
    server.stop();
    // The drain may take an hour here; it does not.
    assert_eq!(server.summary().await.connections_cut, 0);
    eventually(|| (http.is_closed() && grpc.is_closed()).then_some(())).await;
}

#[tokio::test]
async fn what_the_drain_has_no_time_for_is_cut_off_and_said() {
    let mut server = Server::with(|config| config.time_limits.drain = Duration::from_millis(20));
    server.shut_gate();
    let mut http = Http1::connect(server.http).await;
    let mut grpc = Http2::connect(server.grpc).await;
    let http = tokio::spawn(async move { http.post("/v1/traces", &[PROTOBUF], "http").await });
    let grpc = tokio::spawn(async move { grpc.post(EXPORT, &[GRPC], vec![0; 5]).await });
    eventually(|| (server.seen().len() == 2).then_some(())).await;
    server.stop();
    let summary = server.summary().await;
    assert_eq!((summary.accepted, summary.abandoned, summary.connections_cut), (0, 2, 2));
    let now = server.stats.snapshot();
    assert_eq!((now.in_flight, now.in_flight_bytes, now.connections_open), (0, 0, 0));
    assert!(http.await.is_err() && grpc.await.is_err(), "neither client was told of a success");
}

#[tokio::test]
async fn the_intake_is_let_go_when_the_server_is_done() {
    let mut server = Server::start();
    server.post_traces("x").await;
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<()>(1);
    #[derive(Clone)]
    struct Holding(#[expect(dead_code, reason = "held for its drop")] tokio::sync::mpsc::Sender<()>);
    impl Intake for Holding {
        async fn accept(
            &self,
            _: bytes::Bytes,
            _: Encoding,
            _: domain::observation::KeyStamp,
        ) -> Result<Accepted, Refusal> {
            std::future::pending().await
        }
    }
    let mut limits = config();
    limits.time_limits.drain = Duration::from_millis(1);
    let receive = Receive::bind(limits, server.keys.clone()).unwrap();
    let (addr, stats) = (receive.grpc_addr(), receive.stats());
    let running = tokio::spawn(receive.run(Holding(sender), async move {
        eventually(|| (stats.snapshot().in_flight == 1).then_some(())).await;
    }));
    let mut grpc = Http2::connect(addr).await;
    let client = tokio::spawn(async move { grpc.post(EXPORT, &[GRPC], vec![0; 5]).await });
    assert_eq!(running.await.unwrap().abandoned, 1);
    assert_eq!(receiver.recv().await, None, "the stage after receiving ends because its input is closed");
    assert!(client.await.is_err());
    server.stop();
    server.summary().await;
}
