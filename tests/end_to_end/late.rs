//! What comes late: it finds what was posted, however long ago, and looks for it no further than it can be.

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;
use crate::spans::request;
use crate::wire::http;

const JSON: &str = "application/json";

/// A window of a second: whatever a server finds at its start is beyond it.
const NARROW: [(&str, &str); 2] =
    [("LEDGERLINE_SETTLE_DEDUPE_WINDOW", "1s"), ("LEDGERLINE_SETTLE_QUIET", "1s")];

fn owner(server: &Server, sql: &str) -> String {
    let password = std::fs::read_to_string(server.data_dir.join("clickhouse-owner-password")).unwrap();
    let address = server.clickhouse.trim_start_matches("http://");
    let headers = [("x-clickhouse-user", "ledgerline"), ("x-clickhouse-key", password.trim())];
    let answer = http(address, "POST", "/?mutations_sync=1", &headers, sql.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

/// Scenario: a span was billed longer ago than the dedupe window, and nothing of it is in memory; then its client sends it
/// once more, and it tells more than before.
/// Guarantees: I2, I3. The call stays one, corrected to what is known now.
#[test]
fn a_copy_that_comes_after_the_window_corrects_what_was_posted() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], &NARROW);
    assert_eq!(server.post(JSON, &export(&[OCTOBER])).unwrap().status, 200);
    server.succeed("settle");
    // What was posted shortly before a stop is remembered in any case; this was not.
    owner(
        &server,
        "ALTER TABLE ledgerline.ledger_entries UPDATE posted_at = posted_at - INTERVAL 2 DAY WHERE 1",
    );
    // Nor did anybody vouch for it then: as in a ledger from before there were vouchers.
    owner(&server, "TRUNCATE TABLE ledgerline.vouchers");
    server.stop();

    let server = Server::start_with(dir.path(), &[], &NARROW);
    assert_eq!(server.post(JSON, &export(&[Call { cached: 400, ..OCTOBER }])).unwrap().status, 200);
    server.succeed("settle");
    let sums =
        server.rows("SELECT sum(l.calls) AS calls, sum(l.cache_read_tokens) AS cached, count() AS entries FROM ledgerline.ledger AS l");
    assert_eq!((&sums[0]["calls"], &sums[0]["cached"]), (&1.into(), &400.into()), "{sums:?}");
    assert_eq!(sums[0]["entries"], 2, "by a linked correction: {sums:?}");
    assert!(server.succeed("verify").contains("everything holds"));
    server.stop();
}

/// Rows that the engine has read from tables so far.
fn rows_read(server: &Server) -> u64 {
    let read = owner(server, "SELECT value FROM system.events WHERE event = 'SelectedRows'");
    read.trim().parse().unwrap_or(0)
}

/// Sends the calls again to a server that has nothing of them in memory; says how many rows were read to settle that.
fn rows_read_for_copies(server: &Server) -> u64 {
    let before = rows_read(server);
    assert_eq!(server.post(JSON, &request(0..50)).unwrap().status, 200);
    server.succeed("settle");
    rows_read(server) - before
}

/// Scenario: what was settled comes again after a restart; once in a small ledger, once in one with 150,000 entries of the
/// days before.
/// Guarantees: settlement reads of the log and the ledger what can belong to new evidence, whatever else is in them.
#[test]
fn settling_late_evidence_reads_no_more_of_a_large_ledger_than_of_a_small_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.post(JSON, &request(0..50)).unwrap().status, 200);
    server.succeed("settle");
    server.stop();

    let server = Server::start(dir.path(), &[]);
    let small = rows_read_for_copies(&server);
    let past = "toIntervalSecond(864000 + number)";
    owner(
        &server,
        &format!(
            "INSERT INTO ledgerline.observation_log SELECT * EXCEPT number REPLACE (received_at - {past} AS received_at, \
             toDate(received_at - {past}) AS received_day, toFixedString('otherotherother!', 16) AS collector_id, number * 1000 + seq AS seq, \
             sipHash128(number, seq) AS trace_id, sipHash64(number, seq) AS response_key) \
             FROM ledgerline.observation_log CROSS JOIN numbers(3000) AS n"
        ),
    );
    owner(
        &server,
        &format!(
            "INSERT INTO ledgerline.ledger_entries SELECT * EXCEPT number REPLACE (occurred_at - {past} AS occurred_at, \
             posted_at - {past} AS posted_at, toStartOfMonth(occurred_at - {past}) AS period, sipHash128(number, entry_id) AS entry_id, \
             sipHash128(number, call_id) AS call_id, sipHash128(number, trace_id) AS trace_id) \
             FROM ledgerline.ledger_entries CROSS JOIN numbers(3000) AS n"
        ),
    );
    server.stop();

    let server = Server::start(dir.path(), &[]);
    let large = rows_read_for_copies(&server);
    let there = server.rows("SELECT count() AS entries FROM ledgerline.ledger");
    assert_eq!(there[0]["entries"], 150_050, "{there:?}");
    assert!(large < small + 15_000, "{large} rows read of a large ledger, {small} of a small one");
    server.stop();
}

/// The invoice CSV of October after two reports each of two September calls, sent one behind the other when that month is
/// closed; settled in between or not. The second report tells the cached part of the prompt: of one call it is the same span
/// once more, of the other another library's.
fn october_after(settled_in_between: bool) -> String {
    const FIRST: Call<'_> = Call { at: "2026-09-20T12:00:00Z", ..OCTOBER };
    const LATE: Call<'_> = Call { trace: 2, answer: 2, at: "2026-09-21T12:00:00Z", ..OCTOBER };
    const OTHER: Call<'_> = Call { trace: 3, answer: 3, ..LATE };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.post(JSON, &export(&[FIRST])).unwrap().status, 200);
    server.succeed("settle");
    server.succeed("period close --without-grace --month 2026-09");
    let more = [Call { cached: 400, ..LATE }, Call { trace: 4, scope: "other", cached: 400, ..OTHER }];
    for report in [LATE, more[0], OTHER, more[1]] {
        assert_eq!(server.post(JSON, &export(&[report])).unwrap().status, 200);
        if settled_in_between {
            server.succeed("settle");
        }
    }
    server.succeed("settle");
    let out = dir.path().join("invoices");
    server.succeed(&format!("invoice export --month 2026-10 --out {}", out.display()));
    assert!(server.succeed("verify").contains("everything holds"));
    server.stop();
    std::fs::read_to_string(out.join("invoice-2026-10-acme.csv")).unwrap()
}

/// Scenario: late usage, told in full at once, or first in part and then, as a refinement, the rest.
/// Guarantees: I6. Invoices are the same to the byte: neither the calls of a unit nor which lines correct an earlier month
/// depend on when settlement came by.
#[test]
fn how_often_it_was_settled_shows_on_no_invoice() {
    let at_once = october_after(false);
    assert_eq!(october_after(true), at_once);
    let cached =
        at_once.lines().find(|line| line.contains(",cache_read,")).expect("a line of what was cached");
    assert_eq!(cached.split(',').nth(14), Some("2"), "both calls read from the cache: {cached}");
}
