//! The table of refusals, as clients of both edges see it.

use std::time::Duration;

use prost::Message;
use tonic_types::{RpcStatusExt, StatusExt};

use super::super::*;
use super::fixture::*;

/// Every refusal, with what each edge must answer: gRPC code, HTTP status, and whether a retry is asked for.
const TABLE: &str = "
    | code            | grpc | http | retry |
    | malformed       |    3 |  400 | no    |
    | too_large       |    3 |  413 | no    |
    | incomplete      |    3 |  400 | no    |
    | unauthenticated |   16 |  401 | no    |
    | unsupported     |   12 |  415 | no    |
    | unknown_path    |   12 |  404 | no    |
    | wrong_method    |   12 |  405 | no    |
    | slow            |   14 |  503 | yes   |
    | busy            |   14 |  503 | yes   |
    | full            |   14 |  503 | yes   |
    | stopping        |   14 |  503 | yes   |
    | storage         |   14 |  503 | yes   |
";

fn refusal(kind: RefusalKind) -> Refusal {
    let reason = format!("because of {}, said with a \u{00fc}", kind.code());
    let retry_after = Duration::from_millis(1500);
    match kind {
        RefusalKind::Malformed => Refusal::Malformed(reason),
        RefusalKind::TooLarge => Refusal::TooLarge(reason),
        RefusalKind::Incomplete => Refusal::Incomplete(reason),
        RefusalKind::Unauthenticated => Refusal::Unauthenticated(reason),
        RefusalKind::Unsupported => Refusal::Unsupported(reason),
        RefusalKind::UnknownPath => Refusal::UnknownPath(reason),
        RefusalKind::WrongMethod => Refusal::WrongMethod(reason),
        RefusalKind::Slow => Refusal::Slow { reason, retry_after },
        RefusalKind::Busy => Refusal::Busy { reason, retry_after },
        RefusalKind::Full => Refusal::Full { reason, retry_after },
        RefusalKind::Stopping => Refusal::Stopping { reason, retry_after },
        RefusalKind::Storage => Refusal::Storage { reason, retry_after },
    }
}

#[tokio::test]
async fn each_refusal_is_answered_as_the_table_says_on_both_edges() {
    let rows: Vec<Vec<&str>> = TABLE
        .lines()
        .map(|line| line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .filter(|row: &Vec<&str>| row.len() == 4)
        .skip(1)
        .collect();
    assert_eq!(rows.len(), RefusalKind::ALL.len());
    let server = Server::start();
    let mut http = Http1::connect(server.http).await;
    let mut grpc = Http2::connect(server.grpc).await;
    for (row, kind) in rows.into_iter().zip(RefusalKind::ALL) {
        let [code, grpc_code, http_status, retry] = row[..] else { panic!("{row:?}") };
        let refusal = refusal(kind);
        assert_eq!((refusal.kind(), kind.code()), (kind, code));
        let wait = refusal.retry_after();
        assert_eq!(wait.is_some(), retry == "yes", "{code}");
        server.answers(Err(refusal.clone()));

        let reply = http.post("/v1/traces", &[PROTOBUF], "x").await;
        assert_eq!(reply.status.as_str(), http_status, "{code}");
        let status = tonic_types::Status::decode(reply.body.clone()).unwrap();
        assert_eq!(
            (status.code.to_string().as_str(), status.message.as_str()),
            (grpc_code, refusal.reason()),
            "{code}"
        );
        assert_eq!(status.get_details_retry_info().and_then(|info| info.retry_delay), wait, "{code}");
        assert_eq!(reply.header("retry-after"), if wait.is_some() { "2" } else { "" }, "{code}");

        let reply = http.post("/v1/traces", &[JSON], "{}").await;
        assert_eq!(reply.status.as_str(), http_status, "{code}");
        let status: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            (status["code"].to_string().as_str(), &status["message"]),
            (grpc_code, &refusal.reason().into())
        );
        let delay = wait.map(|_| serde_json::json!("1.500s")).unwrap_or_default();
        assert_eq!(status["details"][0]["retryDelay"], delay, "{code}");

        let headers = [("content-type", "application/grpc")];
        let reply = grpc
            .post("/opentelemetry.proto.collector.trace.v1.TraceService/Export", &headers, vec![0; 5])
            .await;
        let status = tonic::Status::from_header_map(&reply.headers).unwrap();
        assert_eq!(
            (i32::from(status.code()).to_string().as_str(), status.message()),
            (grpc_code, refusal.reason())
        );
        assert_eq!(status.get_details_retry_info().and_then(|info| info.retry_delay), wait, "{code}");
    }
}

#[test]
fn a_bind_error_says_which_address_and_what_to_do() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::start();
        let dir = tempfile::tempdir().unwrap();
        let keys = crate::keys::KeyStore::open(dir.path()).unwrap();
        let taken = Config { http_addr: server.http, ..config() };
        let error = Receive::bind(taken, keys.clone()).unwrap_err().to_string();
        for says in ["OTLP/HTTP", &server.http.to_string(), "--otlp-http-addr", "port 0"] {
            assert!(error.contains(says), "{error}");
        }
        let foreign = Config { grpc_addr: "192.0.2.1:0".parse().unwrap(), ..config() };
        let error = Receive::bind(foreign, keys).unwrap_err().to_string();
        assert!(error.contains("OTLP/gRPC") && error.contains("192.0.2.1:0"), "{error}");
    });
}
