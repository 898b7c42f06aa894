//! Rows that ClickHouse refuses for what is in them, and kills while their batch is taken apart.

use serde_json::Value;

use crate::lying::Stage;
use crate::replay::as_owner;
use crate::spans::response_id;

/// Calls that the log is made to refuse: one of each request that is sent.
const POISON: [u64; 2] = [1, 7];

/// Scenario: a constraint of an operator's refuses one call of every request. The collector is killed (`kill -9`) while an insert on
/// the way of taking the batch apart is on the wire, at another one each time, applied or not. Then one of the rows is sent anew
/// in vain, the constraint goes, and all are.
/// Guarantees: the refused rows, and no others, are in quarantine, counted, and not billed; all others are billed once; settlement
/// sees no hole and `verify` holds; in the end everything acknowledged is billed once (I1, I2, I9).
#[test]
fn refused_rows_are_quarantined_whatever_is_killed_and_billed_when_they_are_sent_anew() {
    let mut stage = Stage::set();
    stage.send(1);
    stage.check();
    let ids = POISON.map(|n| format!("'{}'", response_id(5 + n))).join(",");
    as_owner(
        stage.database(),
        &format!("ALTER TABLE observation_log ADD CONSTRAINT odd CHECK response_id NOT IN ({ids})"),
    );
    // Three refusals, then the parts of five rows, what is in quarantine, the batch.
    for (passing, applied) in [(5, true), (8, false)] {
        stage.proxy.hold_after(passing, applied);
        stage.send(1);
        stage.proxy.until_held();
        stage.restart_collector();
    }
    stage.command("settle");

    let quarantine = |stage: &Stage| -> Vec<Value> {
        serde_json::from_str(&stage.command("quarantine list --format json")).unwrap()
    };
    let held = quarantine(&stage);
    assert_eq!(held.len(), POISON.len(), "{held:?}");
    assert!(held.iter().all(|row| row["code"] == "VIOLATED_CONSTRAINT"), "{held:?}");
    let refused =
        "SELECT count() AS n FROM ledgerline.observations WHERE outcome = 'quarantined' AND rule = 'refused'";
    assert_eq!(stage.database().rows(refused)[0]["n"], POISON.len());
    // By the answer that the database does not take, and by the trace that others of the same request are in.
    let id = response_id(5 + POISON[0]);
    let explained = |stage: &Stage, name: &str| -> Vec<Value> {
        let story: Value =
            serde_json::from_str(&stage.command(&format!("explain {name} --format json"))).unwrap();
        let spans = story["spans"].as_array().unwrap().clone();
        spans.into_iter().filter(|span| span["response_id"] == id.as_str()).collect()
    };
    let by_answer = explained(&stage, &id);
    assert_eq!(by_answer.len(), 1, "{by_answer:?}");
    let said = ["outcome", "rule", "reason"].map(|key| by_answer[0][key].as_str().unwrap());
    assert_eq!(said, ["quarantined", "refused", "refused by the database: VIOLATED_CONSTRAINT"]);
    assert!(by_answer[0]["output_tokens"].as_u64() > Some(0), "{by_answer:?}");
    let trace = by_answer[0]["trace_id"].as_str().unwrap().to_owned();
    assert_eq!(explained(&stage, &trace), by_answer);
    let billed = "SELECT sum(l.calls) AS net, uniqExact(l.response_id) AS ids FROM ledgerline.ledger AS l";
    let row = &stage.database().rows(billed)[0];
    let expected = stage.sent() - POISON.len() as u64;
    assert_eq!((row["net"].as_u64(), row["ids"].as_u64()), (Some(expected), Some(expected)));
    let verified = stage.command("verify");
    assert!(verified.contains("everything holds") && verified.contains("quarantine: 2 rows"), "{verified}");

    let again = stage.collector().command(&stage.line("quarantine redrive --format json"));
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert_eq!(quarantine(&stage).len(), POISON.len(), "under new positions");

    as_owner(stage.database(), "ALTER TABLE observation_log DROP CONSTRAINT odd");
    stage.command("quarantine redrive");
    assert_eq!(quarantine(&stage), Vec::<Value>::new());
    stage.check();
    let outcomes: Vec<Value> =
        explained(&stage, &trace).into_iter().map(|span| span["outcome"].clone()).collect();
    assert_eq!(outcomes, ["billed"]);
}
