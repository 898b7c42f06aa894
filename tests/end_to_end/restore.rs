//! Backups: a data directory, or ClickHouse alone, put back as it was some time ago.

use std::path::Path;

use crate::replay::{ledger, run};
use crate::server::Server;
use crate::spans::request;

const JSON: &str = "application/json";

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, kind) = {
            let entry = entry.unwrap();
            (entry.path(), entry.file_type().unwrap())
        };
        let target = to.join(path.file_name().unwrap());
        if kind.is_dir() {
            copy(&path, &target);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&path).unwrap(), target).unwrap();
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

fn send(server: &Server, calls: std::ops::Range<u64>) {
    for first in calls.step_by(5) {
        assert_eq!(server.post(JSON, &request(first..first + 5)).unwrap().status, 200);
    }
    server.succeed("settle");
}

/// Scenario: a stopped data directory is copied; the original goes on and is lost; the copy is started at another place,
/// and clients send what they still had, some of which the copy knows.
/// Guarantees: the copy starts, goes on under a collector id of its own, counts each call once (I2), `verify` holds.
#[test]
fn a_restored_data_directory_goes_on_and_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let (original, restored) = (dir.path().join("original"), dir.path().join("restored"));
    let server = Server::start(&original, &[]);
    send(&server, 0..20);
    let before = ledger(&server);
    server.stop();
    copy(&original, &restored);
    let server = Server::start(&original, &[]);
    send(&server, 20..30);
    server.kill();

    let server = Server::start(&restored, &[]);
    assert_eq!(ledger(&server), before, "the copy is what was copied");
    send(&server, 10..40);
    assert_eq!(ledger(&server)[0]["calls"], 40);
    let collectors = server.rows("SELECT count(DISTINCT collector_id) AS n FROM ledgerline.observation_log");
    assert_eq!(collectors[0]["n"], 2, "a position is given once, by one collector");
    assert!(server.succeed("verify").contains("everything holds"));
    server.stop();
}

/// Scenario: ClickHouse alone is put back to a backup, under a journal that went on; the journal is replayed.
/// Guarantees: the ledger is what it was before the loss, to its entries' ids; `verify` holds.
#[test]
fn a_restored_clickhouse_gets_back_from_the_journal_what_the_backup_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let (data, backup) = (dir.path().join("data"), dir.path().join("backup"));
    let server = Server::start(&data, &[]);
    send(&server, 0..20);
    server.stop();
    copy(&data.join("clickhouse"), &backup);
    let server = Server::start(&data, &[]);
    send(&server, 20..35);
    let before = ledger(&server);
    server.stop();

    std::fs::remove_dir_all(data.join("clickhouse")).unwrap();
    copy(&backup, &data.join("clickhouse"));
    let (code, rows) = run(&data, "journal replay");
    assert_eq!((code, &rows[0]["rows_sent"]), (Some(0), &15.into()), "{rows:?}");
    let server = Server::start(&data, &[]);
    server.succeed("settle");
    assert_eq!(ledger(&server), before);
    assert!(server.succeed("verify").contains("everything holds"));
    server.stop();
}
