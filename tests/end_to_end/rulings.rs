//! Calls that are ruled not billable: what a gateway says of them counts, however late it says it.

use serde_json::{Value, json};

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;

const RULING: (&str, &str) = (
    "LEDGERLINE_BILLING_NOT_BILLABLE",
    r#"[{ name = "gateway cache", attribute = "gateway.cache_hit", values = [true] }]"#,
);

/// A gateway's report of a call, with what it says of its cache.
fn by_gateway(call: Call<'_>, cache_hit: bool) -> Vec<u8> {
    let mut request: Value = serde_json::from_slice(&export(&[Call { scope: "gateway", ..call }])).unwrap();
    let span = &mut request["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    let said = json!({"key": "gateway.cache_hit", "value": {"boolValue": cache_hit}});
    span["attributes"].as_array_mut().unwrap().push(said);
    request.to_string().into_bytes()
}

fn send(server: &Server, body: &[u8]) {
    assert_eq!(server.post("application/json", body).unwrap().status, 200);
    server.succeed("settle");
}

/// Net calls, cost and entries.
fn ledger(server: &Server) -> (i64, String, i64) {
    let sql = "SELECT toInt64(sum(l.calls)) AS calls, toString(sum(l.cost)) AS cost, toInt64(count()) AS entries \
               FROM ledgerline.ledger AS l";
    let row = server.rows(sql).swap_remove(0);
    (
        row["calls"].as_i64().unwrap(),
        row["cost"].as_str().unwrap().to_string(),
        row["entries"].as_i64().unwrap(),
    )
}

/// Scenario: an SDK's report of an answer was billed; then the gateway in between says that it came from its cache. Of another
/// call it says that it did not. Later the first answer is given again, and the gateway says so at once.
/// Guarantees: I3, I10. What nobody charges for is taken back by a linked entry and stays to be seen, with the ruling's name;
/// nothing of it is billed again; the books hold.
#[test]
fn what_a_gateway_answered_from_its_cache_is_not_billed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], &[RULING]);
    send(&server, &export(&[OCTOBER]));
    assert_eq!(ledger(&server), (1, "0.0035".into(), 1));
    send(&server, &by_gateway(Call { trace: 2, ..OCTOBER }, true));
    assert_eq!(ledger(&server), (0, "0".into(), 2), "taken back by a linked entry");

    let other = Call { trace: 3, answer: 3, ..OCTOBER };
    send(&server, &export(&[other]));
    send(&server, &by_gateway(Call { trace: 4, ..other }, false));
    let again = Call { trace: 5, answer: 5, at: "2026-10-10T12:30:00Z", ..OCTOBER };
    send(&server, &by_gateway(again, true));
    let (calls, cost, _) = ledger(&server);
    assert_eq!((calls, cost.as_str()), (1, "0.0035"));

    let sql = "SELECT outcome, rule, outcome_reason FROM ledgerline.observations ORDER BY span_id";
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_string();
    let shown: Vec<String> = server
        .rows(sql)
        .iter()
        .map(|row| ["outcome", "rule", "outcome_reason"].map(|key| text(row, key)).join(" "))
        .collect();
    let (ruled, merged) = ("not_billable ruled gateway cache", "merged response-id ");
    assert_eq!(shown, [ruled, merged, "billed response-id ", merged, ruled]);
    let explained = server.succeed(&format!("explain {:016x}{:016x}", 2, !1_u64));
    assert!(explained.contains("gateway cache") && explained.contains("ruled"), "{explained}");
    assert!(server.succeed("verify").contains("everything holds"));
    server.stop();
}
