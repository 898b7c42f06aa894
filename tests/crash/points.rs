//! A kill at every fail point, one after the other: whichever it is, what comes of it is known to the last call.
//!
//! The campaign kills where its dice and the machine's load lead it; here each point is reached for certain. A life goes:
//! evidence is settled and shipped, the armed process takes more and dies at its point, the next one gets the rest.

use std::path::Path;

use sabotage::{KILL_VARIABLE, Point};
use serde_json::{Value, json};

use crate::process::{Server, run};

const FILES: u64 = 1_024;
/// The variable that names one point for `killed_at_any_point_the_ledger_is_exact`.
pub const CHOICE: &str = "LEDGERLINE_CRASH_POINT";

/// What makes each point come soon, and what may be freed go at once.
const SETTINGS: &[(&str, &str)] = &[
    ("LEDGERLINE_JOURNAL_KEEP", "0s"),
    ("LEDGERLINE_SHIP_INTERVAL", "50ms"),
    ("LEDGERLINE_SETTLE_INTERVAL", "50ms"),
    ("LEDGERLINE_BILLING_GRACE", "0s"),
];

/// Usage in a month that is over.
const MONTH: &str = "2026-09";
const NANOS: u64 = 1_789_000_000_000_000_000;

/// What a month is billed by: a minimum that no call here comes near, so that closing has something to post.
const PLANS: &str =
    "[[plan]]\nname = \"least\"\nminimum = \"100\"\n[[assign]]\ntenant = \"*\"\nplan = \"least\"\n";

/// The calls that an agent's span is above.
const HAVE_AGENTS: [std::ops::Range<u64>; 2] = [10..15, 25..30];

/// Spans of calls: `plain` ones, agents that repeat the usage of their call, and those calls.
struct Story;

impl Story {
    fn span(n: u64, agent: bool) -> Value {
        let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let count = |key: &str, value: u64| json!({"key": key, "value": {"intValue": value.to_string()}});
        let mut attributes = vec![
            text("gen_ai.operation.name", if agent { "invoke_agent" } else { "chat" }),
            text("gen_ai.provider.name", "openai"),
            // Another model needs another price, which the armed process has to keep.
            text("gen_ai.request.model", if n < 20 { "gpt-4o" } else { "gpt-4o-mini" }),
            text("tenant.id", "acme"),
            // The first agents had another call besides, which nobody reported.
            count("gen_ai.usage.input_tokens", (1_000 + n) * if agent && n < 15 { 2 } else { 1 }),
            count("gen_ai.usage.output_tokens", 10),
        ];
        if !agent {
            attributes.push(text("gen_ai.response.id", &format!("chatcmpl-PoinTSbQz7{n:016x}")));
        }
        let id = |n: u64, agent: bool| format!("{:016x}", n * 2 + 1 + u64::from(agent));
        json!({
            "traceId": format!("{:032x}", n + 1), "spanId": id(n, agent), "kind": 3,
            // Nothing is above the others, so that they are settled at once.
            "parentSpanId": if !agent && HAVE_AGENTS.iter().any(|numbers| numbers.contains(&n)) { id(n, true) } else { String::new() },
            "name": if agent { "invoke_agent helper" } else { "chat" },
            "startTimeUnixNano": (NANOS + n).to_string(), "endTimeUnixNano": (NANOS + n + 1_000_000).to_string(),
            "attributes": attributes,
        })
    }

    fn request(spans: Vec<Value>) -> Vec<u8> {
        json!({"resourceSpans": [{"scopeSpans": [{"scope": {"name": "points"}, "spans": spans}]}]})
            .to_string()
            .into_bytes()
    }

    fn calls(numbers: std::ops::Range<u64>) -> Vec<u8> {
        Self::request(numbers.map(|n| Self::span(n, false)).collect())
    }

    fn agents(numbers: std::ops::Range<u64>) -> Vec<u8> {
        Self::request(numbers.map(|n| Self::span(n, true)).collect())
    }
}

/// Sends until it is acknowledged or the server is gone.
fn send(server: &Server, body: &[u8]) -> bool {
    server.post(body).is_some_and(|answer| answer.status == 200)
}

fn must(dir: &Path, line: &str) -> String {
    let (code, said) = run(dir, line);
    assert_eq!(code, Some(0), "{line}: {said}");
    said
}

/// The ledger by call: how many entries' calls, and how many input tokens.
fn usage(dir: &Path) -> (u64, u64) {
    let said = must(dir, &format!("usage --month {MONTH} --format json"));
    let usage: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    let of = |key: &str| usage["totals"][key].as_u64().unwrap();
    (of("calls"), of("input_tokens"))
}

/// Calls 0 to 9 are plain and settled; of 10 to 14 only the agent was seen, and billed in its call's place. The armed process
/// finds calls 35 to 39 in the log, and gets agents of 25 to 34, the calls of 10 to 14, and ten more plain ones. Its successor
/// gets what was not acknowledged, and the calls of 25 to 29: of five there is only the agent for ever.
fn dies_at(point: Point) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let server = Server::start(dir, SETTINGS, FILES);
    assert!(send(&server, &Story::calls(0..10)) && send(&server, &Story::agents(10..15)));
    must(dir, "settle");
    let plans = dir.join("plans.toml");
    std::fs::write(&plans, PLANS).unwrap();
    must(dir, &format!("plans import {}", plans.display()));
    server.stop();
    let unsettled = [SETTINGS, &[("LEDGERLINE_SETTLE_ENABLED", "false")]].concat();
    let server = Server::start(dir, &unsettled, FILES);
    assert!(send(&server, &Story::calls(35..40)));
    server.stop();

    let armed = [SETTINGS, &[(KILL_VARIABLE, point.name())]].concat();
    let mut left = vec![Story::agents(25..35), Story::calls(10..25)];
    // Some points are met before anybody is answered, some before the process is ready.
    if let Some(server) = Server::start_or_die(dir, &armed, FILES) {
        left.retain(|body| !send(&server, body));
        let closing = format!("period close --month {MONTH}");
        let doing = if point.name().starts_with("close.") { &closing } else { "settle" };
        // Whether it is answered, or does on its own what the dead server does not, is no matter.
        server.dies_while(point.name(), || drop(run(dir, doing)));
    }

    let server = Server::start(dir, SETTINGS, FILES);
    let is_closed = must(dir, &format!("period status --month {MONTH} --format json")).contains("\"closed\"");
    // A command that finds the server dead closes the month itself.
    let asked_to_close = point.name().starts_with("close.");
    assert!(if is_closed { asked_to_close } else { point != Point::CloseWritten }, "{point:?}: {is_closed}");
    left.push(Story::calls(25..30));
    assert!(left.iter().all(|body| send(&server, body)), "{point:?}");
    must(dir, "settle");
    must(dir, &format!("period close --month {MONTH}"));
    must(dir, "verify");
    // In a month that was closed before the last calls came, their agents stand for them: as many, with the same usage.
    let input = (0..40).map(|n| 1_000 + n).sum::<u64>();
    assert_eq!(usage(dir), (40, input), "{point:?}");
    let preview = must(dir, &format!("invoice preview --month {MONTH} --format json"));
    assert!(preview.contains("minimum charge"), "{point:?}: {preview}");
    server.stop();
}

/// Scenario: a process with its engine is killed at each fail point there is (or those that the variable names), on its way
/// from receiving to closing a month.
/// Guarantees: after a start every call is billed once, with the usage it states; the month closes with its minimum; `verify`
/// holds (I1 to I5).
#[test]
fn killed_at_any_point_the_ledger_is_exact() {
    let chosen = std::env::var(CHOICE).ok();
    let points = Point::ALL.iter().filter(|point| chosen.as_deref().is_none_or(|name| name == point.name()));
    assert!(points.map(|&point| dies_at(point)).count() > 0, "{CHOICE} names no point: {chosen:?}");
}

/// Scenario: ClickHouse refuses the entries of a posting, and takes them later.
/// Guarantees: settling fails with a text, and when done again bills every call once.
#[test]
fn a_posting_that_failed_is_done_again() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let server = Server::start(dir, SETTINGS, FILES);
    server.as_owner("ALTER TABLE ledgerline.ledger_entries ADD CONSTRAINT nothing CHECK calls = 1000000");
    assert!(send(&server, &Story::calls(0..10)));
    let (code, said) = run(dir, "settle");
    assert!(code == Some(1) && said.contains("ledger_entries"), "{said}");
    server.as_owner("ALTER TABLE ledgerline.ledger_entries DROP CONSTRAINT nothing");
    must(dir, "settle");
    must(dir, "verify");
    server.stop();
    assert_eq!(usage(dir).0, 10);
}
