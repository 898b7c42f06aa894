//! A ClickHouse that loses what it had committed, and a journal that still has it.

use std::path::Path;

use serde_json::Value;

use crate::server::Server;
use crate::spans::request;
use crate::wire::http;

/// Runs a statement as the owner of the embedded ClickHouse; returns what it answers.
pub fn as_owner(server: &Server, sql: &str) -> String {
    let password = std::fs::read_to_string(server.data_dir.join("clickhouse-owner-password")).unwrap();
    let headers = [("x-clickhouse-user", "ledgerline"), ("x-clickhouse-key", password.trim())];
    let address = server.clickhouse.trim_start_matches("http://");
    let answer = http(address, "POST", "/?database=ledgerline", &headers, sql.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{sql}: {}", answer.body);
    answer.body
}

/// What a question answers to the owner, who may look into everything, one JSON object a row.
pub fn rows_as_owner(server: &Server, sql: &str) -> Vec<Value> {
    let answer = as_owner(server, &format!("{sql} FORMAT JSONEachRow"));
    answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Calls, tokens and cost of the whole ledger, and its entries' ids.
pub fn ledger(server: &Server) -> Vec<Value> {
    server.rows(
        "SELECT sum(l.calls) AS calls, sum(l.input_tokens) AS input, toString(sum(l.cost)) AS cost, \
         hex(MD5(arrayStringConcat(arraySort(groupArray(entry_id))))) AS ids FROM ledgerline.ledger AS l",
    )
}

/// Runs a command on a data directory that no server uses; its exit code and rows.
pub fn run(dir: &Path, line: &str) -> (Option<i32>, Vec<Value>) {
    let output = std::process::Command::new(crate::server::BINARY)
        .args(line.split_whitespace())
        .arg("--data-dir")
        .arg(dir)
        .args(["--format", "json"])
        .output()
        .unwrap();
    let rows = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{line}: {output:?}"));
    (output.status.code(), rows)
}

/// Scenario: everything of one table after another is lost by the database: evidence, the rows that vouch for it, then
/// the ledger with its cursors; the journal is replayed, twice, and what was lost is settled.
/// Guarantees: replay sends exactly what is missing; the ledger is the same to its entries' ids; nothing doubles (I2).
#[test]
fn what_clickhouse_lost_is_shipped_again_from_the_journal_and_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    for n in 0..4 {
        server.post("application/json", &request(n * 5..n * 5 + 5)).unwrap();
        server.succeed("settle");
    }
    let before = ledger(&server);
    assert_eq!(before[0]["calls"], 20);
    server.stop();
    let (code, rows) = run(dir.path(), "journal replay");
    assert_eq!((code, &rows[0]["rows"], &rows[0]["rows_sent"]), (Some(0), &20.into(), &0.into()), "{rows:?}");

    for (lost, sent, batches) in [
        (&["DELETE FROM observation_log WHERE seq % 3 = 0"][..], 4, 0),
        (&["TRUNCATE TABLE observation_log"], 20, 0),
        (&["TRUNCATE TABLE batches"], 0, 4),
        (
            &[
                "TRUNCATE TABLE observation_log",
                "TRUNCATE TABLE batches",
                "TRUNCATE TABLE ledger_entries",
                "TRUNCATE TABLE decisions",
                "TRUNCATE TABLE settle_cursors",
                "TRUNCATE TABLE prices",
            ],
            20,
            4,
        ),
    ] {
        let server = Server::start(dir.path(), &[]);
        for sql in lost {
            as_owner(&server, sql);
        }
        server.stop();
        let (_, dry) = run(dir.path(), "journal replay --dry-run");
        let (code, rows) = run(dir.path(), "journal replay");
        assert_eq!(dry[0]["rows_sent"], rows[0]["rows_sent"], "{lost:?}");
        assert_eq!(code, Some(0), "{lost:?}: {rows:?}");
        let found = (rows[0]["rows_sent"].as_u64().unwrap(), rows[0]["batches_sent"].as_u64().unwrap());
        assert_eq!(found, (sent, batches), "{lost:?}: {rows:?}");
        let (_, again) = run(dir.path(), "journal replay");
        assert_eq!((&again[0]["rows_sent"], &again[0]["batches_sent"]), (&0.into(), &0.into()), "{lost:?}");

        let server = Server::start(dir.path(), &[]);
        server.succeed("settle");
        assert_eq!(ledger(&server), before, "{lost:?}");
        assert!(server.succeed("verify").contains("everything holds"));
        server.stop();
    }
}

/// Scenario: a bit flips in a segment of a stopped data directory.
/// Guarantees: `fsck` names the file, the bytes and the positions, with exit code 1; `stat` still shows what is held.
#[test]
fn fsck_names_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    for n in 0..2 {
        server.post("application/json", &request(n * 5..n * 5 + 5)).unwrap();
    }
    server.stop();
    let (code, findings) = run(dir.path(), "journal fsck");
    assert_eq!((code, findings.len()), (Some(0), 0), "{findings:?}");
    let (_, segments) = run(dir.path(), "journal stat");
    let segment = segments.iter().find(|row| row["records"].as_u64() > Some(0)).unwrap();
    let file = dir.path().join("journal").join(segment["segment"].as_str().unwrap());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[8192 + 100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (code, findings) = run(dir.path(), "journal fsck");
    assert_eq!(code, Some(1));
    assert_eq!((&findings[0]["file"], &findings[0]["finding"]), (&segment["segment"], &"lost".into()));
    assert_eq!(
        (&findings[0]["first_lost"], &findings[0]["last_lost"]),
        (&1.into(), &5.into()),
        "{findings:?}"
    );
    let (_, after) = run(dir.path(), "journal stat");
    assert_eq!(after.len(), segments.len());
}
