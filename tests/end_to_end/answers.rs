//! What clients are told, and what people can run: answers to bad input, invoices, health.

use crate::server::Server;
use crate::spans::request;
use crate::wire::http;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

#[test]
fn bad_input_gets_a_clear_answer_and_nothing_breaks() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    for (content_type, body, status) in [
        (JSON, &b"{\"resourceSpans\": ["[..], 400),
        (JSON, b"null", 400),
        (PROTOBUF, b"\xff\xff\xff\xff", 400),
        ("text/plain", b"hello", 415),
        (PROTOBUF, b"", 200),
        (JSON, b"{}", 200),
    ] {
        let answer = server.post(content_type, body).unwrap();
        assert_eq!(answer.status, status, "{content_type} {body:?}: {answer:?}");
    }
    let zeros = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00000000000000000000000000000000","spanId":"0000000000000000","name":"x"}]}]}]}"#;
    let answer = server.post(JSON, zeros).unwrap();
    assert!(answer.status == 200 && answer.body.contains("rejectedSpans"), "{answer:?}");
    let truncated = http(
        &server.otlp_http,
        "POST",
        "/v1/traces",
        &[("content-type", PROTOBUF), ("content-encoding", "gzip")],
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b],
    );
    assert_eq!(truncated.unwrap().status, 400);
    assert_eq!(server.post(JSON, &request(0..5)).unwrap().status, 200);
    assert_eq!(http(&server.admin, "GET", "/healthz", &[], b"").unwrap().status, 200);
    server.stop();
}

/// Scenario: a call, settled; its usage, its invoice preview and its CSV.
/// Guarantees: every figure is the same sum (I6).
#[test]
fn usage_ledger_and_invoice_are_one_number() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.post(JSON, &request(0..40)).unwrap().status, 200);
    server.succeed("settle");
    let ledger = server.rows("SELECT toString(any(period)) AS period, toString(sum(l.charge)) AS charge FROM ledgerline.ledger AS l");
    let month = ledger[0]["period"].as_str().unwrap()[..7].to_string();
    let usage: serde_json::Value =
        serde_json::from_str(&server.succeed(&format!("usage --month {month} --format json"))).unwrap();
    let charge = usage["totals"]["charge"].as_str().unwrap().to_string();
    assert_eq!(charge.trim_end_matches('0'), ledger[0]["charge"].as_str().unwrap().trim_end_matches('0'));
    let out = dir.path().join("out");
    server.succeed(&format!("invoice export --month {month} --out {}", out.display()));
    let summary = std::fs::read_to_string(out.join(format!("summary-{month}.csv"))).unwrap();
    assert!(summary.contains(&format!("acme,,40,{charge},USD")), "{summary}");
    let refused = server.command(&format!("invoice issue --month {month}"));
    assert_eq!(refused.status.code(), Some(1), "a month that is not over");
    server.stop();
}
