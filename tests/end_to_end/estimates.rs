//! Streams whose spans state no usage, beside calls that state it: what is estimated of them stays out of the ledger.

use serde_json::{Value, json};

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;

/// A request for a call of which the span does not say these things.
fn silent_of(call: Call<'_>, unsaid: &[&str]) -> Vec<u8> {
    let mut request: Value = serde_json::from_slice(&export(&[call])).unwrap();
    let attributes = request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"].as_array_mut();
    attributes.unwrap().retain(|attribute| !unsaid.contains(&attribute["key"].as_str().unwrap()));
    request.to_string().into_bytes()
}

const INPUT: &str = "gen_ai.usage.input_tokens";
const OUTPUT: &str = "gen_ai.usage.output_tokens";

fn send(server: &Server, body: &[u8]) {
    assert_eq!(server.post("application/json", body).unwrap().status, 200);
}

fn estimates(server: &Server, flags: &str) -> Value {
    serde_json::from_str(&server.succeed(&format!("estimate --month 2026-10 --format json {flags}"))).unwrap()
}

/// Tenant, what is missing, calls, what they are estimated by, tokens and cost, each with its error.
fn shown(estimates: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or(value.to_string(), ToString::to_string);
    let columns = [
        "tenant",
        "missing",
        "calls",
        "comparable",
        "estimated_input",
        "input_error",
        "estimated_output",
        "output_error",
        "estimated_cost",
        "cost_error",
    ];
    let rows = estimates["rows"].as_array().unwrap().iter();
    rows.map(|row| columns.map(|column| text(&row[column])).join(" ")).collect()
}

fn ledger(server: &Server) -> Vec<Value> {
    let sql = "SELECT count() AS entries, sum(l.calls) AS calls, sum(l.input_tokens) AS input, toString(sum(l.cost)) AS cost \
               FROM ledgerline.ledger AS l";
    server.rows(sql)
}

/// Scenario: of acme's calls three state their usage, three streams none, one cancelled stream its input alone; globex has one
/// stream of a model that nobody else used. Then a gateway reports one of the streams with its usage.
///
/// By hand: three known calls cost 0.0035, 0.008 and 0.0095, in the mean 0.007; their squares about it sum to 0.0000195, half of
/// which is the variance. For three further calls that counts 9/3 + 3 = 6 times: the root of 0.0000585. Outputs are 100, 300 and 200:
/// 10000 · 6. Inputs are 1000, 2000 and 3000: 1000000 · 6. The one cancelled stream lacks an output: 10000 · 4/3, and
/// at 0.00001 a token 0.002, give or take that many times as much.
///
/// Guarantees: estimates are the mean of comparable calls, with their error; what has no comparable call has none; what is
/// learnt is not estimated any more; the ledger has no part in it.
#[test]
fn streams_without_usage_are_estimated_beside_the_ledger_and_never_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let call = |trace| Call { trace, answer: trace, ..OCTOBER };
    let known = [(1, (1_000, 100)), (2, (2_000, 300)), (3, (3_000, 200))];
    send(&server, &export(&known.map(|(trace, tokens)| Call { tokens, ..call(trace) })));
    (4..=6).for_each(|trace| send(&server, &silent_of(call(trace), &[INPUT, OUTPUT])));
    send(&server, &silent_of(call(7), &[OUTPUT]));
    let alone = Call { tenant: "globex", model: "gpt-4o-mini", ..call(8) };
    send(&server, &silent_of(alone, &[INPUT, OUTPUT]));
    server.succeed("settle");

    let before = ledger(&server);
    let acme_streams = "acme usage 3 3 6000 2450 600 245 0.021000000000 0.007648529270";
    let cancelled = "acme output 1 3 null null 200 116 0.002000000000 0.001154700538";
    let unlike = "globex usage 1 0 null null null null null null";
    let found = estimates(&server, "");
    assert_eq!(shown(&found), [cancelled, acme_streams, unlike]);
    assert_eq!((&found["calls"], &found["calls_without_comparable"]), (&json!(5), &json!(1)));
    assert!(found["note"].as_str().unwrap().contains("in no ledger entry"), "{found}");
    assert_eq!(shown(&estimates(&server, "--tenant globex")), [unlike]);
    assert_eq!(shown(&estimates(&server, "--tenant initech")), [""; 0]);
    let table = server.succeed("estimate");
    assert!(table.contains("no comparable calls") && table.contains("no invoice"), "{table}");
    assert_eq!(ledger(&server), before);

    // The gateway knows what the stream used: 0.0035, so that four known calls have a mean of 0.006125.
    send(&server, &export(&[Call { trace: 9, scope: "gateway", ..Call { answer: 4, ..OCTOBER } }]));
    server.succeed("settle");
    let found = estimates(&server, "--tenant acme");
    let streams = shown(&found).swap_remove(1);
    assert!(streams.starts_with("acme usage 2 4 3500 ") && streams.contains(" 0.012250000000 "), "{streams}");
    assert!(server.succeed("verify").contains("everything holds"));
    server.stop();
}
