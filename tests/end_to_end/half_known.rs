//! An engine that was killed between noting an insert as known and having it.
//!
//! ClickHouse writes the deduplication token of an insert down before the part gets its name. Killed between the two it comes
//! back without the rows, and with a memory of them: the insert, sent again, is answered with a yes and dropped.

use std::path::Path;

use sabotage::{KILL_VARIABLE, Point};

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;
use crate::spans::request;

const CALLS: u64 = 20;

/// Brings the engine's directory into the state in which such a kill leaves it: the table's parts never got their names, and
/// whatever else was noted of them stands.
fn unname_parts(data_dir: &Path, table: &str) {
    let dir = data_dir.join("clickhouse/store/data/ledgerline").join(table);
    let mut parts = 0;
    for entry in std::fs::read_dir(&dir).unwrap().map(Result::unwrap) {
        let is_part = entry.path().join("columns.txt").exists();
        if is_part {
            let unnamed = format!("tmp_insert_{}", entry.file_name().to_string_lossy());
            std::fs::rename(entry.path(), dir.join(unnamed)).unwrap();
            parts += 1;
        }
    }
    assert!(parts > 0, "{table} had no part yet");
}

/// Starts a server that dies at a point, has it work until it does, and loses the parts of a table.
fn dies_with(data_dir: &Path, point: Point, table: &str, work: impl FnOnce(&Server)) {
    let server = Server::start_with(data_dir, &[], &[(KILL_VARIABLE, point.name())]);
    work(&server);
    server.died();
    unname_parts(data_dir, table);
}

/// Scenario: the process, and the engine in it, are killed behind each write of the way from the journal to the ledger; the
/// engine lost what was written last, and knows that it was.
/// Guarantees: after a start every call acknowledged is in the ledger once; `verify` holds (I1, I2).
#[test]
fn what_the_engine_knows_and_does_not_have_is_written_again() {
    for (point, table) in [
        (Point::ShipRowsConfirmed, "observation_log"),
        (Point::ShipBatchConfirmed, "batches"),
        (Point::SettlePricesAfter, "prices"),
        (Point::SettleVoucherAfter, "vouchers"),
        (Point::SettleEntriesAfter, "ledger_entries"),
        (Point::SettleCursorAfter, "settle_cursors"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        dies_with(dir.path(), point, table, |server| {
            server.post("application/json", &request(0..CALLS)).expect("it answers before it ships");
        });
        let server = Server::start(dir.path(), &[]);
        server.succeed("settle");
        let rows = server.rows(
            "SELECT count() AS entries, sum(calls) AS calls, min(cost) > 0 AS priced FROM ledgerline.ledger",
        );
        let found = [&rows[0]["entries"], &rows[0]["calls"], &rows[0]["priced"]];
        assert_eq!(found.map(|value| value.as_u64().unwrap()), [CALLS, CALLS, 1], "{point:?}: {rows:?}");
        server.succeed("verify");
        server.stop();
    }
}

/// Scenario: the same behind the write that closes a month.
/// Guarantees: the month, closed again, is closed: its row stands, and usage that comes later is of the next (I5).
#[test]
fn a_month_that_the_engine_only_believes_closed_is_closed_again() {
    let dir = tempfile::tempdir().unwrap();
    dies_with(dir.path(), Point::CloseWritten, "periods", |server| {
        let calls: Vec<Call<'_>> = (1..=3).map(|n| Call { trace: n, answer: n, ..OCTOBER }).collect();
        server.post("application/json", &export(&calls)).unwrap();
        server.succeed("settle");
        let closing = server.command("period close --month 2026-10");
        assert!(!closing.status.success(), "the server died over it: {closing:?}");
    });
    let server = Server::start(dir.path(), &[]);
    server.succeed("period close --month 2026-10");
    assert_eq!(server.rows("SELECT count() AS rows FROM ledgerline.periods")[0]["rows"], 1);
    server.succeed("verify");
    server.stop();
}

/// Scenario: a batch row was lost behind the collector's back, and later batches are committed and settled.
/// Guarantees: `settle` and `verify` say which evidence is missing and what to do, instead of answering that all is settled;
/// doing it mends it (I9).
#[test]
fn settling_names_a_hole_instead_of_calling_it_settled() {
    let dir = tempfile::tempdir().unwrap();
    let unsettled = [("LEDGERLINE_SETTLE_ENABLED", "false")];
    for at in 0..3 {
        // A server that stops ships what it has: a batch each.
        let server = Server::start_with(dir.path(), &[], &unsettled);
        server.post("application/json", &request(at * 5..at * 5 + 5)).unwrap();
        server.stop();
    }
    let server = Server::start_with(dir.path(), &[], &unsettled);
    let second = "first_seq = (SELECT min(first_seq) FROM ledgerline.batches WHERE first_seq > 1)";
    server.as_owner(&format!("DELETE FROM ledgerline.batches WHERE {second}"));
    server.stop();

    let server = Server::start(dir.path(), &[]);
    let settled = server.command("settle");
    let said = String::from_utf8_lossy(&settled.stderr).into_owned();
    assert_eq!(settled.status.code(), Some(1), "{said}");
    assert!(said.contains("never committed") && said.contains("journal replay"), "{said}");
    assert!(server.metrics().contains("ledgerline_settle_failing 1"));
    assert_eq!(server.rows("SELECT sum(calls) AS calls FROM ledgerline.ledger")[0]["calls"], 5);
    server.stop();

    let (code, rows) = crate::replay::run(dir.path(), "journal replay");
    assert_eq!((code, &rows[0]["batches_sent"]), (Some(0), &1.into()), "{rows:?}");
    let server = Server::start(dir.path(), &[]);
    server.succeed("settle");
    assert_eq!(server.rows("SELECT sum(calls) AS calls FROM ledgerline.ledger")[0]["calls"], 15);
    server.succeed("verify");
    server.stop();
}
