//! The trace arm in every kind of trouble, and a ledger that does not know of it (I7).

use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;

const REQUESTS: u64 = 40;
const CALLS_A_REQUEST: u64 = 10;

/// What the trace arm meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arm {
    Off,
    Sampling,
    Stalled,
    Failing,
    Full,
}

fn metric(server: &Server, name: &str) -> u64 {
    let page = server.metrics();
    let of =
        page.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    of.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

fn forward_to(dir: &Path, url: &str) -> String {
    let path = dir.join("forwards.toml");
    std::fs::write(
        &path,
        format!("[[forward]]\nname = \"backend\"\nurl = \"http://{url}\"\nprotocol = \"http\"\n"),
    )
    .unwrap();
    path.to_str().unwrap().to_string()
}

/// A number of a trace whose last digits, by which chance decides, are scattered.
fn scattered(report: u64) -> u64 {
    (report + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1
}

/// Calls of a request: half of them reported a second time by another library, some without a known price.
fn calls(request: u64) -> Vec<Call<'static>> {
    let first = request * CALLS_A_REQUEST;
    (first..first + CALLS_A_REQUEST)
        .flat_map(|n| {
            let tenant = ["acme", "globex", "initech"][(n % 3) as usize];
            let model = if n % 7 == 0 { "a-model-nobody-knows" } else { "gpt-4o" };
            let call = Call {
                trace: scattered(2 * n),
                answer: n + 1,
                tenant,
                model,
                tokens: (1_000 + n, 100),
                ..OCTOBER
            };
            let again = Call { trace: scattered(2 * n + 1), scope: "other", ..call };
            [call, again].into_iter().take(if n % 2 == 0 { 2 } else { 1 })
        })
        .collect()
}

/// What the ledger says in the end, to its entries' ids and what each says, and what the arm came to.
fn ledger(arm: Arm) -> Vec<Value> {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // Takes connections and answers nothing.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let forwards = match arm {
        Arm::Stalled => Some(forward_to(dirs[1].path(), &deaf.local_addr().unwrap().to_string())),
        // The discard port, where nobody listens.
        Arm::Failing => Some(forward_to(dirs[1].path(), "127.0.0.1:9")),
        Arm::Off | Arm::Sampling | Arm::Full => None,
    };
    let ratio = if arm == Arm::Sampling { "0.1" } else { "1" };
    let bound = if arm == Arm::Full { "4KiB" } else { "32MiB" };
    let mut variables = vec![
        ("LEDGERLINE_TRACE_ENABLED", if arm == Arm::Off { "false" } else { "true" }),
        ("LEDGERLINE_TRACE_SAMPLE_RATIO", ratio),
        ("LEDGERLINE_TRACE_WAIT", "100ms"),
        // By chance alone: each call costs more than the one before.
        ("LEDGERLINE_TRACE_KEEP_TOP_COST", "0"),
        ("LEDGERLINE_TRACE_QUEUE", bound),
        ("LEDGERLINE_TRACE_HOLD", bound),
    ];
    variables.extend(forwards.as_deref().map(|path| ("LEDGERLINE_TRACE_FORWARDS", path)));
    let server = Server::start_with(dirs[0].path(), &[], &variables);
    // The tables are there once something is settled.
    assert_eq!(server.post("application/json", &export(&calls(0))).unwrap().status, 200);
    server.succeed("settle");
    match arm {
        Arm::Stalled => drop(server.as_owner(
            "CREATE MATERIALIZED VIEW ledgerline.hangs ENGINE = Null AS SELECT sleep(3) AS slept FROM ledgerline.otel_traces",
        )),
        Arm::Failing => drop(server.as_owner(
            "CREATE MATERIALIZED VIEW ledgerline.fails ENGINE = Null AS SELECT throwIf(TraceId != '') AS thrown FROM ledgerline.otel_traces",
        )),
        Arm::Off | Arm::Sampling | Arm::Full => {}
    }
    for request in 1..REQUESTS {
        let answer = server.post("application/json", &export(&calls(request))).unwrap();
        assert_eq!(answer.status, 200, "{arm:?}: {}", answer.body);
    }
    server.succeed("settle");
    // It is the trouble it is meant to be.
    let spans = |name: &str| metric(&server, name);
    match arm {
        Arm::Off => assert_eq!(spans("ledgerline_trace_requests_offered_total"), 0),
        Arm::Sampling => {
            let offered = (0..REQUESTS).map(|request| calls(request).len() as u64).sum::<u64>();
            while spans("ledgerline_trace_spans_kept_total")
                + spans("ledgerline_trace_spans_sampled_out_total")
                < offered
            {
                std::thread::yield_now();
            }
            assert!(spans("ledgerline_trace_spans_sampled_out_total") > offered / 2);
        }
        Arm::Stalled => {
            assert!(
                spans("ledgerline_trace_spans_inserted_total") < spans("ledgerline_spans_received_total")
            );
        }
        Arm::Failing => {
            while spans("ledgerline_trace_dropped_total") == 0 {
                std::thread::yield_now();
            }
        }
        Arm::Full => assert!(spans("ledgerline_trace_dropped_total") > 0),
    }
    assert!(server.succeed("verify").contains("everything holds"), "{arm:?}");
    let rows = server.rows(
        "SELECT entry_id, call_id, state, tenant, toString(cost) AS cost, toString(charge) AS charge, calls \
         FROM ledgerline.ledger ORDER BY entry_id",
    );
    server.stop();
    rows
}

/// Scenario: four hundred calls, half of them reported twice, with the trace arm off; sampling; where storing takes seconds and
/// a backend answers nothing; where storing fails and a backend refuses; and where its memory holds no request.
/// Guarantees: I7. Every request is acknowledged, the ledger is the same to its entries' ids, the books hold, and the server
/// stops well.
#[test]
fn the_ledger_is_the_same_whatever_becomes_of_the_trace_arm() {
    let off = ledger(Arm::Off);
    let calls: i64 = off.iter().map(|row| row["calls"].as_i64().unwrap()).sum();
    assert_eq!(calls, i64::try_from(REQUESTS * CALLS_A_REQUEST).unwrap());
    for arm in [Arm::Sampling, Arm::Stalled, Arm::Failing, Arm::Full] {
        assert_eq!(ledger(arm), off, "{arm:?}");
    }
}
