//! Several collectors on one ledger, and a ClickHouse that is not there.

use crate::server::Server;
use crate::spans::request;
use crate::wire::http;

const JSON: &str = "application/json";

fn totals(server: &Server) -> Vec<serde_json::Value> {
    server.rows("SELECT sum(l.calls) AS calls, sum(l.input_tokens) AS input, toString(sum(l.cost)) AS cost FROM ledgerline.ledger AS l")
}

/// Scenario: two collectors are sent the same requests, one hosts the engine, the other ships to it, both settle.
/// Guarantees: each call counts once (I2), whoever settles.
#[test]
fn the_same_requests_to_two_collectors_count_once() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Server::start(one.path(), &[]);
    let password = std::fs::read_to_string(one.path().join("clickhouse-owner-password")).unwrap();
    let config = two.path().join("second.toml");
    std::fs::write(
        &config,
        format!("[clickhouse]\nuser = \"ledgerline\"\npassword = \"{}\"\n", password.trim()),
    )
    .unwrap();
    let second = Server::start(
        &two.path().join("data"),
        &["--config", config.to_str().unwrap(), "--clickhouse-url", &first.clickhouse],
    );
    for n in 0..20 {
        for server in [&first, &second] {
            assert_eq!(server.post(JSON, &request(n * 5..n * 5 + 5)).unwrap().status, 200);
        }
    }
    first.succeed("settle");
    let config_flag = format!("settle --config {}", config.display());
    second.succeed(&config_flag);
    first.succeed("settle");
    let sums = totals(&first);
    assert_eq!(sums[0]["calls"], 100, "{sums:?}");
    assert!(first.succeed("verify").contains("everything holds"));
    second.stop();
    first.stop();
}

/// Scenario: the configured ClickHouse does not exist, from the start.
/// Guarantees: the collector is ready and acknowledges (the journal grows), says what fails, and stops in time with
/// everything in the journal.
#[test]
fn a_missing_clickhouse_stops_nothing_but_shipping() {
    let dir = tempfile::tempdir().unwrap();
    // A port that was free a moment ago and that nobody listens on.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(dir.path(), &["--clickhouse-url", &format!("http://{nobody}")]);
    assert_eq!(server.post(JSON, &request(0..5)).unwrap().status, 200);
    let ready = http(&server.admin, "GET", "/readyz", &[], b"").unwrap();
    assert_eq!(ready.status, 200, "{ready:?}");
    let metrics = http(&server.admin, "GET", "/metrics", &[], b"").unwrap();
    assert!(metrics.body.contains("ledgerline_journal_appended_position"), "{metrics:?}");
    server.kill();

    // The same directory with the embedded engine finds what was acknowledged.
    let server = Server::start(dir.path(), &[]);
    server.succeed("settle");
    assert_eq!(totals(&server)[0]["calls"], 5);
    server.stop();
}
