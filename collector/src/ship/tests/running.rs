//! A shipper while all is well: what it cuts, what it tells, how it ends.

use std::sync::Arc;

use super::clickhouse::{ClickHouse, Mood, number};
use super::{DAY, Running, append, assert_exact, config, exact_after, far, open, patient};
use crate::append::Frames;
use crate::append::samples::link;
use crate::seal::Limits;
use crate::ship::{Config, FlushError};

#[tokio::test]
async fn evidence_that_comes_while_shipping_is_committed() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    let running = Running::start(open(dir.path()), ch.database(), config());
    for n in 0..20 {
        let mut frames = Frames::new();
        (0..=n % 4).for_each(|k| frames.push_evidence(&link(10 * n + k, DAY)));
        running.append.durable(frames).await.unwrap();
    }
    exact_after(&ch, running).await;
}

#[tokio::test]
async fn a_batch_is_of_one_received_day() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    let journal = open(dir.path());
    append(&journal, &[DAY, DAY, DAY + 1, DAY, DAY + 1, DAY + 1]);
    let running = Running::start(journal, ch.database(), patient());
    running.flush().await;
    {
        let store = ch.store();
        let days: Vec<_> =
            store.rows("batches").iter().map(|row| number(row, "received_day") as u16).collect();
        assert_eq!(days, [DAY, DAY + 1, DAY, DAY + 1]);
        for insert in store.inserts_into("observation_log") {
            assert!(insert.rows.iter().all(|row| row["received_day"] == insert.rows[0]["received_day"]));
        }
    }
    exact_after(&ch, running).await;
}

#[tokio::test]
async fn nothing_waits_in_the_end_and_seals_make_no_batches() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    let journal = open(dir.path());
    append(&journal, &[DAY; 3]);
    let running = Running::start(Arc::clone(&journal), ch.database(), config());
    running.flush().await;
    let mut sealer = running.handle.sealer.clone();
    sealer.wait_for(|report| report.blank_through == 4).await.unwrap();
    let status = running.handle.status();
    assert_eq!(
        (status.appended_seq, status.shipped_seq, status.unshipped),
        (4, 3, 0),
        "the fourth is the seal"
    );
    let summary = running.finish().await;
    assert_eq!((summary.drained, summary.status.committed_batches), (true, 1));
    assert_exact(&ch.store(), &journal);
    let store = ch.store();
    let last_word = store.rows("collectors")[0].clone();
    assert_eq!(number(&last_word, "appended_seq"), number(&last_word, "shipped_seq"));
}

#[tokio::test]
async fn whoever_settles_hears_of_every_commit() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    let journal = open(dir.path());
    append(&journal, &[DAY; 10]);
    let running = Running::start(journal, ch.database(), patient());
    let mut commits = running.handle.commits();
    commits.wait_for(|commits| *commits == 2).await.unwrap();
    exact_after(&ch, running).await;
}

#[tokio::test]
async fn at_the_end_what_does_not_ship_in_time_stays_for_the_next_start() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    ch.store().always(Mood::Refuse);
    let journal = open(dir.path());
    append(&journal, &[DAY; 8]);
    let config = Config { drain_timeout: std::time::Duration::ZERO, ..config() };
    let running = Running::start(Arc::clone(&journal), ch.database(), config.clone());
    let handle = running.handle.clone();
    let summary = running.finish().await;
    assert!(!summary.drained && summary.status.unshipped >= 8, "{summary:?}");
    assert!(matches!(handle.flush(far()).await, Err(FlushError::Stopped { unshipped: 8.. })));

    ch.store().always(Mood::Work);
    exact_after(&ch, Running::start(journal, ch.database(), super::config())).await;
}

#[tokio::test]
async fn settled_segments_leave_the_journal() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    let journal = open_small(dir.path());
    while journal.stat().segments < 3 {
        append(&journal, &[DAY; 10]);
    }
    let running = Running::start(
        Arc::clone(&journal),
        ch.database(),
        Config { keep: std::time::Duration::ZERO, ..config() },
    );
    running.flush().await;
    assert_eq!(journal.checkpoint().get(journal.collector_id()).released, 0, "shipped is not settled");
    let shipped = running.handle.status().shipped_seq;
    running.settled.send_replace([(journal.collector_id().to_bytes(), shipped + 100)].into());
    // The shipper lets go before it ends.
    let mut segments = journal.stat().segments;
    while segments > 2 {
        tokio::task::yield_now().await;
        segments = journal.stat().segments;
    }
    assert_eq!(
        journal.checkpoint().get(journal.collector_id()).released,
        shipped,
        "settled is no more than shipped"
    );
    assert!(running.finish().await.drained);
}

fn open_small(dir: &std::path::Path) -> Arc<journal::Journal> {
    let config = journal::Config {
        capacity_bytes: 128 << 10,
        segment_bytes: 32 << 10,
        frame_bytes_max: 16 << 10,
        queue_bytes_max: 16 << 10,
        ..journal::Config::default()
    };
    Arc::new(journal::Journal::open(dir, config).unwrap().0)
}

#[tokio::test]
async fn a_full_journal_empties_itself_though_it_takes_no_seal() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    let journal = open_small(dir.path());
    let mut appended = 0;
    loop {
        let mut records = journal::Records::new();
        records.push(crate::append::EVIDENCE, &link(appended, DAY));
        match journal.appender().append(records) {
            Ok(_) => appended += 1,
            Err(journal::AppendError::Full { .. }) => break,
            Err(other) => panic!("{other:?}"),
        }
    }
    let config = Config { limits: Limits { rows_max: 50, ..Limits::default() }, ..config() };
    let running = Running::start(Arc::clone(&journal), ch.database(), config);
    // Whoever settles keeps up with what is shipped, and so makes the room in which the last batch is sealed.
    let (settled, mut commits, handle) =
        (running.settled.clone(), running.handle.commits(), running.handle.clone());
    let settling = tokio::spawn(async move {
        while commits.changed().await.is_ok() {
            let status = handle.status();
            settled.send_replace([(status.collector_id, status.shipped_seq)].into());
        }
    });
    running.flush().await;
    assert_eq!(ch.store().rows("observation_log").len() as u64, appended);
    append(&journal, &[DAY]);
    running.flush().await;
    assert!(running.finish().await.drained);
    settling.await.unwrap();
}
