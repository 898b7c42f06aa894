//! Rows that the database refuses for what is in them, and everything that fails meanwhile.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::clickhouse::{ClickHouse, Mood, Store, number};
use super::{DAY, Running, append, config, exact_after, open};
use crate::ship::Config;

const POISON: [u64; 3] = [2, 8, 9];

async fn poisoned(dir: &Path, poison: &[u64]) -> (ClickHouse, Running) {
    let ch = ClickHouse::start().await;
    ch.store().poison(poison.iter().copied());
    let journal = open(dir);
    append(&journal, &[DAY; 12]);
    let running = start(journal, &ch);
    (ch, running)
}

fn start(journal: std::sync::Arc<journal::Journal>, ch: &ClickHouse) -> Running {
    // A hanging insert is given up after this long; nothing is asserted of it.
    let config = Config { insert_timeout: Duration::from_millis(50), ..config() };
    Running::start(journal, ch.database(), config)
}

/// How many inserts there are until everything is shipped, where nothing else fails.
async fn inserts_on_the_way() -> usize {
    let dir = tempfile::tempdir().unwrap();
    let (ch, running) = poisoned(dir.path(), &POISON).await;
    running.flush().await;
    let inserts = ch.store().inserts.len();
    assert!(inserts > 20, "{inserts}");
    exact_after(&ch, running).await;
    inserts
}

fn held(store: &Store) -> Vec<u64> {
    store.rows("quarantine").into_iter().map(|row| number(row, "seq")).collect()
}

#[tokio::test]
async fn refused_rows_are_set_aside_and_all_others_of_the_batch_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (ch, running) = poisoned(dir.path(), &POISON).await;
    running.flush().await;
    assert_eq!(running.handle.status().quarantined_rows, 3);
    exact_after(&ch, running).await;
    let store = ch.store();
    assert_eq!(held(&store), POISON);
    for row in store.rows("quarantine") {
        assert_eq!(row["code"], b"VIOLATED_CONSTRAINT");
        let bounds = (number(row, "first_seq"), number(row, "last_seq"));
        assert!([(1, 5), (6, 10)].contains(&bounds), "{bounds:?}");
    }
}

/// The process is killed at each insert there is on the way, before and after it is applied; another starts.
#[tokio::test]
async fn a_kill_anywhere_in_taking_a_batch_apart_changes_nothing() {
    let inserts = inserts_on_the_way().await;
    for at in 0..inserts {
        for mood in [Mood::Hang, Mood::ApplyAndHang] {
            let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
            ch.store().poison(POISON);
            ch.store().at(at, mood);
            let journal = open(dir.path());
            append(&journal, &[DAY; 12]);
            let running = Running::start(journal, ch.database(), config());
            ch.until(|store| store.inserts.len() > at).await;
            running.kill().await;
            exact_after(&ch, start(open(dir.path()), &ch)).await;
            assert_eq!(held(&ch.store()), POISON, "{at} {mood:?}");
        }
    }
}

#[tokio::test]
async fn whatever_else_fails_on_the_way_is_tried_again() {
    let moods = [Mood::NoMemory, Mood::Hang, Mood::ApplyAndDrop, Mood::ApplyHalf];
    for at in 0..inserts_on_the_way().await {
        for mood in [moods[at % 4], moods[(at + 1) % 4]] {
            let dir = tempfile::tempdir().unwrap();
            let ch = ClickHouse::start().await;
            ch.store().poison(POISON);
            ch.store().at(at, mood);
            let journal = open(dir.path());
            append(&journal, &[DAY; 12]);
            exact_after(&ch, start(journal, &ch)).await;
            assert_eq!(held(&ch.store()), POISON, "{at} {mood:?}");
        }
    }
}

/// A decision that is in quarantine stands; one that did not get there is made anew.
#[tokio::test]
async fn a_cause_that_goes_away_between_two_attempts_leaves_every_row_in_one_place() {
    for at in 0..inserts_on_the_way().await {
        for mood in [Mood::Hang, Mood::ApplyAndHang] {
            let dir = tempfile::tempdir().unwrap();
            let ch = ClickHouse::start().await;
            ch.store().poison(POISON);
            ch.store().at(at, mood);
            let journal = open(dir.path());
            append(&journal, &[DAY; 12]);
            let running = Running::start(journal, ch.database(), config());
            ch.until(|store| store.inserts.len() > at).await;
            running.kill().await;
            ch.store().poison([]);
            exact_after(&ch, start(open(dir.path()), &ch)).await;
            let store = ch.store();
            assert!(held(&store).iter().all(|seq| POISON.contains(seq)), "{at} {mood:?}");
        }
    }
}

/// The worst fault would be to set aside what only an outage kept from being taken.
#[tokio::test]
async fn a_table_that_takes_no_row_at_all_is_no_matter_of_rows() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    let journal = open(dir.path());
    append(&journal, &[DAY; 3]);
    let running = start(journal, &ch);
    running.flush().await;
    ch.store().poison(1..100);
    append(&running.journal, &[DAY; 3]);
    let stuck = |report: &super::super::status::SenderReport| {
        report.trouble.as_ref().is_some_and(|trouble| trouble.error.contains("refuses every row"))
    };
    running.handle.sender.clone().wait_for(stuck).await.unwrap();
    assert!(held(&ch.store()).is_empty());
    ch.store().poison([]);
    exact_after(&ch, running).await;
    assert!(held(&ch.store()).is_empty());
}

/// Nothing proves of an empty log that it takes anything.
#[tokio::test]
async fn a_row_alone_is_set_aside_only_where_the_log_takes_one_that_it_has() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    ch.store().poison([1, 3]);
    let journal = open(dir.path());
    append(&journal, &[DAY]);
    let running = start(journal, &ch);
    let stuck = |report: &super::super::status::SenderReport| {
        report.trouble.as_ref().is_some_and(|trouble| trouble.error.contains("refuses every row"))
    };
    running.handle.sender.clone().wait_for(stuck).await.unwrap();
    ch.store().poison([3]);
    running.flush().await;
    // Position 2 is the seal of the first batch.
    assert_eq!(append(&running.journal, &[DAY]), 3);
    running.flush().await;
    exact_after(&ch, running).await;
    assert_eq!(held(&ch.store()), [3]);
}

#[tokio::test]
async fn a_table_that_refuses_many_rows_is_to_be_mended() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    let many: BTreeSet<u64> = (1..=200).filter(|seq| seq % 2 == 0).collect();
    ch.store().poison(many);
    let journal = open(dir.path());
    append(&journal, &[DAY; 200]);
    let config = Config { limits: crate::seal::Limits::default(), ..config() };
    let running = Running::start(journal, ch.database(), config);
    let stuck = |report: &super::super::status::SenderReport| {
        report.trouble.as_ref().is_some_and(|trouble| trouble.error.contains("by chance"))
    };
    running.handle.sender.clone().wait_for(stuck).await.unwrap();
    assert!(held(&ch.store()).is_empty());
    ch.store().poison([]);
    exact_after(&ch, running).await;
}
