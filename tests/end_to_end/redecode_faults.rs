//! Reading spans anew while processes die, and while others settle: every call is billed rightly, once.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output};

use domain::observation::Observation;
use domain::usage::TokenClass;
use sabotage::{KILL_VARIABLE, Point};

use crate::misread::{MINUTE, entries, ledger, read, unrecognised, write};
use crate::money_spans::{Call, OCTOBER, export};
use crate::server::{BINARY, Server};

const KILL: i32 = 9;

fn call(trace: u64) -> Call<'static> {
    Call { trace, answer: trace, ..OCTOBER }
}

/// Calls of which an older decoder understood nothing, and one of which it took the input for the output.
fn misread(traces: std::ops::Range<u64>) -> Vec<Observation> {
    let counted = traces.end;
    let mut wrong: Vec<Observation> = traces.map(|trace| unrecognised(read(call(trace), MINUTE))).collect();
    let mut miscounted = read(call(counted), MINUTE);
    miscounted.usage.set(TokenClass::Output, Some(1_000));
    wrong.push(miscounted);
    wrong
}

/// `redecode` on a data directory that no server has: this process ships, settles and hosts the database.
fn redecode(data_dir: &Path, dies_at: Option<Point>) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["redecode", "--kind", "all", "--apply", "--data-dir"]).arg(data_dir);
    command.env("LEDGERLINE_CLICKHOUSE_ADDR", "127.0.0.1:0").env("LEDGERLINE_BILLING_LATE_LIMIT", "36500d");
    command.env("LEDGERLINE_LOG_LEVEL", "error");
    command.envs(dies_at.map(|point| (KILL_VARIABLE, point.name())));
    command.output().unwrap()
}

/// Scenario: `redecode` is killed over and over, each time a step further on the way of the new readings: on disk and unknown,
/// confirmed in part, confirmed whole, posted without their decisions, posted without the cursor. Then it is run to its end,
/// twice.
/// Guarantees: I2, I3, I4. Every call stands once and rightly, by linked entries; nothing differs afterwards.
#[test]
fn reading_anew_that_is_killed_anywhere_is_finished_by_running_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    write(&data_dir, misread(1..6));
    let server = Server::start(&data_dir, &[]);
    server.succeed("settle");
    assert_eq!(ledger(&server), ["acme 2026-10 1 1000+1000 0.0125"]);
    server.stop();

    for point in [
        Point::JournalSynced,
        Point::ShipRowsConfirmed,
        Point::ShipBatchConfirmed,
        Point::SettleEntriesAfter,
        Point::SettleCursorBefore,
    ] {
        let died = redecode(&data_dir, Some(point));
        assert_eq!(died.status.signal(), Some(KILL), "{} was not reached: {died:?}", point.name());
    }
    let done = redecode(&data_dir, None);
    assert!(done.status.success(), "{done:?}");
    let again = redecode(&data_dir, None);
    assert!(String::from_utf8_lossy(&again.stdout).contains("nothing differs"), "{again:?}");

    let server = Server::start(&data_dir, &[]);
    let right = ["acme 2026-10 6 6000+600 0.021"];
    assert_eq!(ledger(&server), right);
    // One entry a call, and one more that takes back what was counted wrongly.
    assert_eq!(entries(&server), 7);
    server.succeed("verify");
    server.succeed("settle");
    assert_eq!((ledger(&server).as_slice(), entries(&server)), (right.map(String::from).as_slice(), 7));
    server.stop();
}

/// Scenario: two collectors settle one ledger. Both hold calls that an older decoder misread, some of them the same. While calls come to both,
/// among them other libraries' reports of the misread ones, both read everything anew, again and again.
/// Guarantees: I2, I3. Every call stands once and rightly, whoever read it and whoever settled it; nothing differs afterwards.
#[test]
fn reading_anew_while_two_collectors_settle_bills_every_call_once() {
    const ROUNDS: u64 = 2;
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, there) = (one.path().join("data"), two.path().join("data"));
    write(&here, misread(1..20));
    write(&there, misread(15..40));
    let first = Server::start(&here, &[]);
    let password = std::fs::read_to_string(here.join("clickhouse-owner-password")).unwrap();
    let config = two.path().join("second.toml");
    let owner = format!("[clickhouse]\nuser = \"ledgerline\"\npassword = \"{}\"\n", password.trim());
    std::fs::write(&config, owner).unwrap();
    let flags = ["--config", config.to_str().unwrap(), "--clickhouse-url", &first.clickhouse];
    let second = Server::start(&there, &flags);
    let at_second = |line: &str| second.succeed(&format!("{line} --config {}", config.display()));

    let mut calls: BTreeSet<u64> = (1..=40).collect();
    calls.extend((0..ROUNDS).flat_map(|round| 1_000 + 10 * round..1_010 + 10 * round));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for round in 0..ROUNDS {
                let fresh = (0..10).map(|n| call(1_000 + 10 * round + n));
                // Of the misread ones, in traces of their own.
                let other = (1 + 10 * round..11 + 10 * round).map(|answer| Call {
                    trace: 10_000 + answer,
                    answer,
                    scope: "other",
                    ..OCTOBER
                });
                let (fresh, other): (Vec<_>, Vec<_>) = (fresh.collect(), other.collect());
                for (server, calls) in
                    [(&first, &fresh), (&second, &fresh), (&second, &other), (&first, &other)]
                {
                    assert_eq!(server.post("application/json", &export(calls)).unwrap().status, 200);
                }
            }
        });
        threads.spawn(|| (0..ROUNDS).for_each(|_| drop(first.succeed("redecode --kind all --apply"))));
        threads.spawn(|| (0..ROUNDS).for_each(|_| drop(at_second("redecode --kind all --apply"))));
    });
    at_second("settle");
    first.succeed("settle");
    // What the other one took in last may still be read anew.
    first.succeed("redecode --kind all --apply");
    let count = calls.len();
    assert_eq!(count, 60);
    let right = "acme 2026-10 60 60000+6000 0.21".to_string();
    assert_eq!(ledger(&first), std::slice::from_ref(&right));
    let by_call = "SELECT call_id FROM ledgerline.ledger GROUP BY call_id HAVING sum(calls) != 0";
    assert_eq!(first.rows(by_call).len(), count, "each stands once");
    let posted = entries(&first);
    assert!(first.succeed("redecode --kind all --apply").contains("nothing differs"));
    assert!(at_second("redecode --kind all --apply").contains("nothing differs"));
    assert_eq!((ledger(&first), entries(&first)), (vec![right], posted));
    assert!(first.succeed("verify").contains("everything holds"));
    second.stop();
    first.stop();
}
