//! One server that sends on to another: what a backend of `trace.forwards` gets.

use crate::server::Server;
use crate::spans::request;
use crate::wire::http;

/// Scenario: a server that keeps every trace forwards to a second one, which has no idea of it; spans, metrics and logs come in.
/// Guarantees: the second gets the kept spans and the other signals, and bills the same calls at the same cost.
#[test]
fn kept_spans_and_the_other_signals_reach_the_backend() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let backend = Server::start(dirs[0].path(), &[]);
    let file = dirs[1].path().join("forwards.toml");
    let lines = format!(
        "[[forward]]\nname = \"second\"\nurl = \"http://{}\"\nprotocol = \"grpc\"\n",
        backend.otlp_grpc
    );
    std::fs::write(&file, lines).unwrap();
    let variables = [
        ("LEDGERLINE_TRACE_SAMPLE_RATIO", "1"),
        ("LEDGERLINE_TRACE_WAIT", "100ms"),
        ("LEDGERLINE_TRACE_FORWARDS", file.to_str().unwrap()),
    ];
    let server = Server::start_with(dirs[1].path(), &[], &variables);
    assert_eq!(server.post("application/json", &request(0..10)).unwrap().status, 200);
    let json = [("content-type", "application/json")];
    for (path, body) in [("/v1/metrics", "{\"resourceMetrics\":[]}"), ("/v1/logs", "{\"resourceLogs\":[]}")] {
        assert_eq!(http(&server.otlp_http, "POST", path, &json, body.as_bytes()).unwrap().status, 200);
    }
    for line in [
        "ledgerline_spans_received_total 10",
        "ledgerline_requests_total{protocol=\"grpc\",signal=\"metrics\"} 1",
        "ledgerline_requests_total{protocol=\"grpc\",signal=\"logs\"} 1",
    ] {
        while !backend.metrics().lines().any(|found| found == line) {
            std::thread::yield_now();
        }
    }
    let usage = "usage --from 2000-01-01 --to 2100-01-01 --by tenant,feature,model --format json";
    let billed = [&server, &backend].map(|server| {
        server.succeed("settle");
        server.succeed(usage)
    });
    assert!(billed[0].contains("\"calls\": 10") || billed[0].contains("\"calls\":10"), "{}", billed[0]);
    assert_eq!(billed[0], billed[1]);
    server.stop();
    backend.stop();
}
