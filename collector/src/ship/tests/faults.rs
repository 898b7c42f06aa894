//! Every way an insert can fail, at every place, and the same result.

use std::time::Duration;

use tokio::net::TcpListener;

use super::clickhouse::{ClickHouse, Mood, database};
use super::{DAY, Running, append, config, exact_after, open, patient};
use crate::ship::{Config, FlushError};

#[tokio::test]
async fn whatever_fails_wherever_the_result_is_the_same() {
    for table in ["collectors", "observation_log", "batches"] {
        for mood in
            [Mood::Refuse, Mood::NoMemory, Mood::Babble, Mood::Hang, Mood::ApplyAndDrop, Mood::ApplyAndHang]
        {
            let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
            ch.store().expect(table, &[mood, mood, Mood::Work, mood]);
            let journal = open(dir.path());
            append(&journal, &[DAY; 12]);
            // A hanging insert is given up after this long; nothing is asserted of it.
            let config = Config { insert_timeout: Duration::from_millis(20), ..config() };
            exact_after(&ch, Running::start(journal, ch.database(), config)).await;
            let store = ch.store();
            let met = store.inserts_into(table).iter().filter(|insert| insert.mood == mood).count();
            assert!(met >= 3, "{table} {mood:?}: {met}");
        }
    }
}

/// A database that wrote some blocks of an insert must not take the whole, sent again, for known.
#[tokio::test]
async fn a_batch_of_which_a_part_was_taken_is_completed() {
    for kill in [false, true] {
        let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
        ch.store().expect("observation_log", &[Mood::Work, Mood::ApplyHalf]);
        let mut journal = open(dir.path());
        append(&journal, &[DAY; 12]);
        if kill {
            // The process that meets the half is not the one that sends again.
            let running = Running::start(journal, ch.database(), patient());
            ch.until(|store| store.inserts_into("observation_log").len() == 2).await;
            running.kill().await;
            journal = open(dir.path());
        }
        exact_after(&ch, Running::start(journal, ch.database(), config())).await;
    }
}

#[tokio::test]
async fn a_start_does_not_wait_for_clickhouse_and_ships_when_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = reserved.local_addr().unwrap();
    drop(reserved);

    let journal = open(dir.path());
    append(&journal, &[DAY; 7]);
    let running = Running::start(journal, database(&format!("http://{addr}")), config());
    let mut told = running.handle.sender.clone();
    told.wait_for(|report| report.trouble.is_some()).await.unwrap();
    append(&running.journal, &[DAY; 3]);
    let status = running.handle.status();
    assert_eq!((status.shipped_seq, status.committed_batches), (0, 0));
    assert!(status.unshipped >= 10);

    let ch = ClickHouse::listen(TcpListener::bind(addr).await.unwrap());
    running.flush().await;
    let status = running.handle.status();
    assert_eq!((status.unshipped, status.trouble), (0, None));
    assert!(status.last_success.is_some());
    exact_after(&ch, running).await;
}

#[tokio::test]
async fn a_proxy_that_answers_nonsense_is_no_answer() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    ch.store().always(Mood::Babble);
    let journal = open(dir.path());
    append(&journal, &[DAY; 3]);
    let running = Running::start(journal, ch.database(), config());
    running.handle.sender.clone().wait_for(|report| report.trouble.is_some()).await.unwrap();
    ch.store().always(Mood::Work);
    exact_after(&ch, running).await;
}

#[tokio::test]
async fn rows_come_before_the_row_that_vouches_for_them_and_both_before_the_cursor() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    let journal = open(dir.path());
    append(&journal, &[DAY; 12]);
    let (seen, order) = std::sync::mpsc::channel();
    let watched = std::sync::Arc::downgrade(&journal);
    ch.store().probe(move |insert| {
        let journal = watched.upgrade().expect("the test holds it");
        let shipped = journal.checkpoint().get(journal.collector_id()).shipped;
        let last = insert
            .rows
            .last()
            .and_then(|row| ["seq", "last_seq"].into_iter().find_map(|at| row.get(at).cloned()));
        seen.send((
            insert.table.clone(),
            last.map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap())),
            shipped,
        ))
        .unwrap();
    });
    let running = Running::start(journal, ch.database(), patient());
    running.flush().await;
    let steps: Vec<_> = order.try_iter().filter(|(table, ..)| table != "collectors").collect();
    let expected = [5, 10, 12].into_iter().zip([0, 5, 10]).flat_map(|(last, shipped)| {
        ["observation_log", "batches"].map(|table| (table.to_owned(), Some(last), shipped))
    });
    assert_eq!(steps, expected.collect::<Vec<_>>());
    exact_after(&ch, running).await;
}

#[tokio::test]
async fn a_flush_that_must_not_wait_longer_tells_what_fails() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    ch.store().always(Mood::Refuse);
    let journal = open(dir.path());
    append(&journal, &[DAY; 3]);
    let running = Running::start(journal, ch.database(), patient());
    running.handle.sender.clone().wait_for(|report| report.trouble.is_some()).await.unwrap();
    match running.handle.flush(tokio::time::Instant::now()).await {
        Err(error @ FlushError::Deadline { unshipped: 3.., .. }) => {
            assert!(error.to_string().contains("readonly mode"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    ch.store().always(Mood::Work);
    exact_after(&ch, running).await;
}
