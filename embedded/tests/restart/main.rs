//! One directory and several processes, one after the other and two at once. A missing engine fails these tests.
//!
//! An engine lives once in a process, so each of these starts this very binary again (`other_process.rs`).

mod other_process;

use other_process::OtherProcess;
use tempfile::TempDir;

const TABLE: &str = "CREATE TABLE ledgerline.t (a UInt64, s String) ENGINE = MergeTree ORDER BY a \
                     SETTINGS fsync_after_insert = 1, fsync_part_directory = 1";

/// A process that runs an engine on the directory, with a table of a hundred rows.
fn with_rows(dir: &TempDir) -> OtherProcess {
    let mut engine = OtherProcess::start(dir.path()).expect("the engine starts");
    engine.run("CREATE DATABASE ledgerline ENGINE = Atomic");
    engine.run(TABLE);
    engine.run("INSERT INTO ledgerline.t SELECT number, toString(number) FROM numbers(100)");
    engine
}

const SUMS: &str = "SELECT count(), sum(a), uniqExact(s) FROM ledgerline.t";

#[test]
fn rows_are_there_in_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    with_rows(&dir).stop();
    let mut next = OtherProcess::start(dir.path()).expect("the engine starts again");
    assert_eq!(next.run(SUMS), "100\t4950\t100\n");
    next.run("INSERT INTO ledgerline.t VALUES (100, 'new')");
    next.run("OPTIMIZE TABLE ledgerline.t FINAL");
    next.stop();
    let mut last = OtherProcess::start(dir.path()).expect("the engine starts a third time");
    assert_eq!(last.run(SUMS), "101\t5050\t101\n");
    last.stop();
}

#[test]
fn rows_are_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = with_rows(&dir);
    engine.run("INSERT INTO ledgerline.t VALUES (100, 'the last before the end')");
    engine.kill();
    let mut next = OtherProcess::start(dir.path()).expect("the engine starts after a kill");
    assert_eq!(next.run(SUMS), "101\t5050\t101\n");
    next.stop();
}

#[test]
fn a_second_process_is_refused_and_told_who_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = with_rows(&dir);
    let refusal = OtherProcess::start(dir.path()).expect_err("two engines on one directory");
    for said in
        [&dir.path().display().to_string(), &format!("process {}", first.id()), "stop it", "--data-dir"]
    {
        assert!(refusal.contains(said), "no {said} in {refusal}");
    }
    assert_eq!(first.run(SUMS), "100\t4950\t100\n", "the refused process has disturbed the first");
    first.kill();
    let mut second = OtherProcess::start(dir.path()).expect("a dead process holds nothing");
    assert_eq!(second.run(SUMS), "100\t4950\t100\n");
    second.stop();
}
