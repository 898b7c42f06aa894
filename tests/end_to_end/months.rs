//! Closing months: what came late is found, what is closed stays, and who touches it is seen.

use serde_json::Value;

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;
use crate::wire::http;

const JSON: &str = "application/json";

/// A window of a second: what is sent, settled and sent again after that is beyond it.
const NARROW: [(&str, &str); 2] =
    [("LEDGERLINE_SETTLE_DEDUPE_WINDOW", "1s"), ("LEDGERLINE_SETTLE_QUIET", "1s")];

fn json(server: &Server, line: &str) -> Value {
    serde_json::from_str(&server.succeed(&format!("{line} --format json"))).unwrap()
}

fn send(server: &Server, calls: &[Call<'_>]) {
    assert_eq!(server.post(JSON, &export(calls)).unwrap().status, 200);
    server.succeed("settle");
}

fn owner(server: &Server, sql: &str) {
    let password = std::fs::read_to_string(server.data_dir.join("clickhouse-owner-password")).unwrap();
    let address = server.clickhouse.trim_start_matches("http://");
    let headers = [("x-clickhouse-user", "ledgerline"), ("x-clickhouse-key", password.trim())];
    let answer = http(address, "POST", "/", &headers, sql.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Scenario: a month is closed; then late usage of it comes, the same calls come again, and it is closed again.
/// Guarantees: I5. The month stands, late usage is in the open month with its own date, closing twice is closing once.
#[test]
fn a_closed_month_stays_and_late_usage_goes_to_the_open_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    send(&server, &[OCTOBER, Call { trace: 2, answer: 2, tenant: "globex", ..OCTOBER }]);
    assert_eq!(json(&server, "period status --month 2026-10")["state"], "over, can be closed");
    let closed = json(&server, "period close --month 2026-10");
    assert_eq!((&closed["state"], &closed["entries"]), (&"closed".into(), &2.into()), "{closed}");
    assert_eq!(closed["merkle_root"].as_str().unwrap().len(), 64);

    send(&server, &[OCTOBER, Call { trace: 3, answer: 3, ..OCTOBER }]);
    assert_eq!(json(&server, "period close --month 2026-10"), closed, "closing again is closing once");
    let usage = json(&server, "usage --month 2026-10");
    assert_eq!(usage["totals"]["calls"], 2);
    let late = server.rows("SELECT toString(period) AS period, toString(toDate(occurred_at)) AS day FROM ledgerline.ledger WHERE period != '2026-10-01'");
    assert_eq!((late.len(), late[0]["day"].as_str()), (1, Some("2026-10-10")), "{late:?}");
    assert_eq!(late[0]["period"], "2026-11-01");
    server.succeed("verify");

    let not_over = server.command("period close --month 2027-01");
    assert_eq!(not_over.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&not_over.stderr).contains("2027-02-01"), "{not_over:?}");

    // Somebody takes an entry out of the closed month and puts another in its place.
    owner(&server, "DELETE FROM ledgerline.ledger_entries WHERE tenant = 'globex'");
    let found = server.command("verify");
    let said = String::from_utf8(found.stdout).unwrap();
    assert_eq!(found.status.code(), Some(1), "{said}");
    assert!(said.contains("I5 closed: 2026-10: it was closed with 2 entries"), "{said}");
    server.stop();
}

/// Scenario: another library reports a call again, in another trace, after settlement has forgotten the first report.
/// Guarantees: it is posted twice for a while; closing the month finds it and posts the correction (I3).
#[test]
fn closing_finds_the_duplicate_that_came_beyond_the_window() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], &NARROW);
    // Of the second, no report names the answer: what it used and when must tell.
    let unnamed = Call { trace: 10, answer: 0, tokens: (1_234, 56), ..OCTOBER };
    send(&server, &[OCTOBER, unnamed]);
    // A restart with a window of a second: the report before is not in memory any more once that second is over.
    let received = server.rows("SELECT toString(max(received_at)) AS at FROM ledgerline.observation_log");
    server.stop();
    let server = Server::start_with(dir.path(), &[], &NARROW);
    let passed = format!(
        "SELECT now64() > toDateTime64('{}', 9, 'UTC') + INTERVAL 2 SECOND AS passed",
        received[0]["at"].as_str().unwrap()
    );
    while server.rows(&passed)[0]["passed"] != 1 {}
    let server = {
        server.stop();
        Server::start_with(dir.path(), &[], &NARROW)
    };
    let again = Call { scope: "other", trace: 2, cached: 400, ..OCTOBER };
    send(&server, &[again, Call { scope: "other", trace: 11, ..unnamed }]);
    let calls = || json(&server, "usage --month 2026-10")["totals"]["calls"].clone();
    assert_eq!(calls(), 4, "the second reports were settled alone");
    assert_eq!(server.command("verify").status.code(), Some(1), "and verify sees it");

    let closed = json(&server, "period close --month 2026-10");
    assert_eq!((&closed["state"], calls()), (&"closed".into(), 2.into()), "{closed}");
    // 0.003 and 1,234 × 2.50 + 56 × 10 dollars a million.
    assert_eq!(closed["cost"], "0.006645000000", "by the report that knows more");
    server.succeed("verify");
    let outcomes = server
        .rows("SELECT outcome, count() AS n FROM ledgerline.observations GROUP BY outcome ORDER BY outcome");
    assert_eq!(outcomes.len(), 2, "{outcomes:?}");
    server.stop();
}

/// Scenario: another collector has not shipped everything; another settler runs.
/// Guarantees: the month is not closed, and it says why.
#[test]
fn a_month_is_not_closed_while_others_hold_evidence_or_settle() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    send(&server, &[OCTOBER]);
    let collector = |settles: bool, shipped: u64, at: &str| {
        owner(
            &server,
            &format!(
                "INSERT INTO ledgerline.collectors (collector_id, host, version, appended_seq, shipped_seq, settles, heartbeat_at) VALUES ('otherotherother!', 'far-away', '1', 7, {shipped}, {settles}, {at})"
            ),
        );
        let refused = server.command("period close --month 2026-10");
        (refused.status.code(), String::from_utf8(refused.stderr).unwrap())
    };
    let (code, said) = collector(false, 3, "now64(6)");
    assert!(code == Some(1) && said.contains("4 positions on far-away"), "{said}");
    let (code, said) = collector(true, 7, "now64(6) + 1");
    assert!(code == Some(1) && said.contains("another settler runs on far-away"), "{said}");
    let (code, said) = collector(false, 7, "now64(6) + 2");
    assert_eq!(code, Some(0), "{said}");
    server.stop();
}
