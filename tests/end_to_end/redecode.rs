//! Spans that were misread are read anew and billed rightly, once.

use collector::decode::DECODER_VERSION;
use domain::observation::Observation;
use domain::usage::{TokenClass, UsageFault};
use serde_json::Value;

use crate::misread::{MINUTE, entries, ledger, read, unrecognised, write};
use crate::money_spans::{Call, OCTOBER};
use crate::server::{BINARY, Server};

fn rows(server: &Server, line: &str) -> Vec<Value> {
    let text = server.succeed(&format!("{line} --format json"));
    serde_json::from_str::<Value>(&text).unwrap().as_array().unwrap().clone()
}

fn outcomes(server: &Server) -> Vec<String> {
    let sql = "SELECT span_id, kind, outcome FROM ledgerline.observations ORDER BY span_id";
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_string();
    server.rows(sql).iter().map(|row| format!("{} {}", text(row, "kind"), text(row, "outcome"))).collect()
}

/// Scenario: an older decoder understood nothing of one call, took the input of another for its output, and believed that
/// a third contradicts itself; and nothing of a second report of a fourth. All of it longer ago than the dedupe window.
/// Guarantees: a dry run says per kind, tenant and month what would change and changes nothing; applied, each call is billed
/// once, by linked entries; the books hold; run again, with a server or without, nothing changes.
#[test]
fn misread_spans_are_billed_rightly_once() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let call = |trace, tenant| Call { trace, answer: trace, tenant, ..OCTOBER };
    let mut miscounted = read(call(2, "globex"), MINUTE);
    miscounted.usage.set(TokenClass::Output, Some(1_000));
    let faulty = Observation {
        fault: Some(UsageFault::Negative { class: "output_tokens" }),
        decoder_version: 2,
        ..read(call(3, "initech"), MINUTE)
    };
    let right = read(call(4, "acme"), MINUTE);
    // Another library's report of that call, in another trace: known as such only once its answer's id is read.
    let double = unrecognised(read(Call { trace: 5, scope: "other", ..call(4, "acme") }, MINUTE));
    write(&data_dir, [unrecognised(read(call(1, "acme"), MINUTE)), miscounted, faulty, right, double]);
    let server = Server::start(&data_dir, &[]);
    server.succeed("settle");
    let unread = "unrecognised unrecognised";
    assert_eq!(outcomes(&server), [unread, "call billed", "call quarantined", "call billed", unread]);
    let before = ["acme 2026-10 1 1000+100 0.0035", "globex 2026-10 1 1000+1000 0.0125"];
    assert_eq!(ledger(&server), before);

    // The second was read by this very version, so only asking for it reads it again.
    let shown = |line: &str| -> Vec<String> {
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_string();
        rows(&server, line)
            .iter()
            .map(|row| {
                let change = ["kind", "read_as", "tenant", "posted_in", "cost"].map(|key| text(row, key));
                format!("{} spans {} calls {}", change.join(" "), row["spans"], row["calls"])
            })
            .collect()
    };
    // What stands of the fourth is posted anew under the rule that ties its reports.
    let tied = "call call acme 2026-10 0.000000000000 spans 0 calls 0";
    let faulty = "quarantined call initech 2026-10 0.003500000000 spans 1 calls 1";
    let unread = "unrecognised call acme 2026-10 0.003500000000 spans 2 calls 1";
    assert_eq!(shown("redecode"), [tied, faulty, unread]);
    assert_eq!(shown("redecode --kind unrecognised"), [tied, unread]);
    assert_eq!(shown("redecode --from 2026-10-11"), [""; 0], "none was received then");
    let miscounted = "call call globex 2026-10 -0.009000000000 spans 1 calls 0";
    assert_eq!(shown("redecode --kind all"), [tied, miscounted, faulty, unread]);
    assert_eq!((ledger(&server).as_slice(), entries(&server)), (before.map(String::from).as_slice(), 2));

    let said = server.succeed("redecode --kind all --apply");
    assert!(said.contains("4 readings appended, 5 entries posted"), "{said}");
    let after = [
        "acme 2026-10 2 2000+200 0.007",
        "globex 2026-10 1 1000+100 0.0035",
        "initech 2026-10 1 1000+100 0.0035",
    ];
    assert_eq!(ledger(&server), after);
    let billed = "call billed";
    assert_eq!(outcomes(&server), [billed, billed, billed, billed, "call merged"]);
    server.succeed("verify");
    let read_by = "SELECT max(decoder_version) AS v, sum(reread) AS n FROM ledgerline.observations";
    let read_by = &server.rows(read_by)[0];
    assert_eq!((read_by["v"].as_u64(), read_by["n"].as_u64()), (Some(DECODER_VERSION.into()), Some(4)));

    let posted = entries(&server);
    for line in ["redecode --apply", "redecode --kind all --apply", "settle"] {
        server.succeed(line);
    }
    assert_eq!((entries(&server), ledger(&server).as_slice()), (posted, after.map(String::from).as_slice()));
    server.stop();
    let idle = std::process::Command::new(BINARY)
        .args(["redecode", "--kind", "all", "--apply", "--data-dir"])
        .arg(&data_dir)
        .env("LEDGERLINE_CLICKHOUSE_ADDR", "127.0.0.1:0")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&idle.stdout).contains("nothing differs"), "{idle:?}");
}

/// Scenario: a call that came too late by the limit of then, and one that nobody understood; the month is closed; the limit
/// is raised, and both are looked at again, on a data directory that no server runs on.
/// Guarantees: both are billed in the open month, with the time of their own; the closed month stays as it was.
#[test]
fn what_was_set_aside_is_billed_in_the_open_month_once_the_limit_allows_it() {
    const DAY: i64 = 24 * 60 * MINUTE;
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let call = |trace, tenant| Call { trace, answer: trace, tenant, ..OCTOBER };
    let strange = unrecognised(read(call(2, "globex"), MINUTE));
    write(&data_dir, [read(call(1, "acme"), 3 * DAY), strange, read(call(3, "acme"), MINUTE)]);
    let server = Server::start_with(&data_dir, &[], &[("LEDGERLINE_BILLING_LATE_LIMIT", "1d")]);
    server.succeed("settle");
    assert_eq!(outcomes(&server), ["call quarantined", "unrecognised unrecognised", "call billed"]);
    assert_eq!(ledger(&server), ["acme 2026-10 1 1000+100 0.0035"]);
    server.succeed("period close --month 2026-10");
    server.stop();

    let redecode = |apply: &str| {
        let output = std::process::Command::new(BINARY)
            .args(["redecode", "--data-dir"])
            .arg(&data_dir)
            .args(apply.split_whitespace())
            .env("LEDGERLINE_BILLING_LATE_LIMIT", "36500d")
            .env("LEDGERLINE_CLICKHOUSE_ADDR", "127.0.0.1:0")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let said = redecode("--apply");
    assert!(said.contains("1 readings appended, 2 entries posted"), "{said}");
    assert!(redecode("--apply").contains("nothing differs"));
    let server = Server::start(&data_dir, &[]);
    let ledger = ledger(&server);
    assert_eq!(ledger[0], "acme 2026-10 1 1000+100 0.0035");
    assert_eq!(ledger.len(), 3, "{ledger:?}");
    assert!(ledger[1].starts_with("acme ") && ledger[2].starts_with("globex "), "{ledger:?}");
    assert!(ledger.iter().all(|row| row.ends_with(" 1 1000+100 0.0035")), "{ledger:?}");
    assert_eq!(outcomes(&server), ["call billed"; 3]);
    server.succeed("verify");
    server.stop();
}
