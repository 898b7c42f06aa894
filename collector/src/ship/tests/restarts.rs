//! Kills at every step, and what the next start makes of them.

use std::sync::Arc;

use journal::{IdentityChange, Journal, ReadItem};

use super::clickhouse::{ClickHouse, Mood, number};
use super::{
    DAY, Running, append, assert_exact, assert_repeats_are_identical, config, exact_after, open, patient,
};
use crate::append::SEAL;
use crate::append::samples::link;
use crate::seal::Seal;

/// Ships until an insert into a table was met in a mood, kills, appends more, and starts again.
async fn killed_when(table: &str, mood: Mood) {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    ch.store().expect(table, &[Mood::Work, mood]);
    let journal = open(dir.path());
    append(&journal, &[DAY; 8]);
    let running = Running::start(journal, ch.database(), patient());
    // Five rows fill a batch, the other three are cut because somebody wants them.
    let (handle, wanted) = (running.handle.clone(), running.journal.stat().durable_seq);
    let flushing = tokio::spawn(async move { handle.flush_through(wanted, super::far()).await });
    ch.until(|store| store.inserts_into(table).len() == 2).await;
    running.kill().await;
    flushing.await.unwrap().unwrap_err();

    let journal = open(dir.path());
    append(&journal, &[DAY; 4]);
    exact_after(&ch, Running::start(Arc::clone(&journal), ch.database(), config())).await;
    let store = ch.store();
    let ranges: Vec<_> =
        store.rows("batches").iter().map(|row| (number(row, "first_seq"), number(row, "last_seq"))).collect();
    // 9 and 10 are the seals of the first two batches: a batch cut anew would have gone on to its fifth row.
    assert_eq!(ranges[..2], [(1, 5), (6, 8)], "{table} {mood:?}");
    let sent = store.inserts_into("observation_log");
    assert_eq!(sent[1].bytes, sent[2].bytes, "{table} {mood:?}: the same batch again");
    // The first may be what a failed sync left in memory.
    let sealed = seals(&journal).into_iter().filter(|bounds| *bounds == (6, 8)).count();
    assert_eq!(sealed, 2, "{table} {mood:?}: its bounds were made durable anew before it was sent");
}

/// The bounds of every seal in a journal, in order.
fn seals(journal: &Journal) -> Vec<(u64, u64)> {
    let mut reader = journal.read_from(journal.collector_id(), 1);
    let mut seals = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        if let ReadItem::Record(record) = item
            && record.kind == SEAL
        {
            let seal = Seal::decode(record.bytes).unwrap();
            seals.push((seal.first_seq, seal.last_seq));
        }
    }
    seals
}

#[tokio::test]
async fn a_batch_keeps_its_bounds_over_a_restart_wherever_it_was_interrupted() {
    killed_when("observation_log", Mood::Hang).await;
    killed_when("observation_log", Mood::ApplyAndHang).await;
    killed_when("batches", Mood::Hang).await;
    killed_when("batches", Mood::ApplyAndHang).await;
}

#[tokio::test]
async fn a_lost_cursor_ships_the_same_batches_again() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    let journal = open(dir.path());
    append(&journal, &[DAY; 12]);
    let running = Running::start(journal, ch.database(), config());
    running.flush().await;
    assert!(running.finish().await.drained);
    let ranges = |ch: &ClickHouse| -> Vec<_> {
        let store = ch.store();
        store.rows("batches").iter().map(|row| (number(row, "first_seq"), number(row, "last_seq"))).collect()
    };
    let before = ranges(&ch);
    for checkpoint in ["checkpoint.0", "checkpoint.1"] {
        std::fs::remove_file(dir.path().join(checkpoint)).unwrap();
    }
    let journal = open(dir.path());
    exact_after(&ch, Running::start(journal, ch.database(), config())).await;
    assert_eq!(ranges(&ch), before);
}

#[tokio::test]
async fn records_of_an_earlier_id_ship_under_it_and_are_complete() {
    let (home, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    let (first, second, third) =
        (home.path().join("first"), home.path().join("second"), home.path().join("third"));
    ch.store().expect("observation_log", &[Mood::Work, Mood::Hang]);
    let journal = open(&first);
    append(&journal, &[DAY; 8]);
    let earliest = journal.collector_id().to_bytes();
    let running = Running::start(journal, ch.database(), config());
    ch.until(|store| store.inserts_into("observation_log").len() == 2).await;
    running.kill().await;

    // Moved, so it goes on under a new id; killed there too, with the earlier id's second batch sealed.
    std::fs::rename(&first, &second).unwrap();
    let (journal, recovered) = Journal::open(&second, journal::Config::default()).unwrap();
    assert!(matches!(recovered.identity, IdentityChange::Renewed { .. }));
    append(&journal, &[DAY; 3]);
    ch.store().expect("batches", &[Mood::Hang]);
    let running = Running::start(Arc::new(journal), ch.database(), config());
    ch.until(|store| store.inserts_into("batches").len() == 2).await;
    running.kill().await;

    // And once more.
    std::fs::rename(&second, &third).unwrap();
    let journal = open(&third);
    append(&journal, &[DAY; 2]);
    let current = journal.collector_id().to_bytes();
    let running = Running::start(Arc::clone(&journal), ch.database(), config());
    running.flush().await;
    assert!(running.finish().await.drained);
    let store = ch.store();
    assert_exact(&store, &journal);
    assert_repeats_are_identical(&store);
    let said: Vec<_> = store.rows("collectors").into_iter().cloned().collect();
    assert_eq!(said.len(), 3, "each id has its say");
    for row in said {
        let (appended, shipped) = (number(&row, "appended_seq"), number(&row, "shipped_seq"));
        assert_eq!(
            appended,
            shipped,
            "{}",
            if row["collector_id"] == current { "current" } else { "earlier" }
        );
        assert!(row["collector_id"] != earliest || shipped >= 8);
    }
}

#[tokio::test]
async fn a_batch_whose_records_the_disk_lost_vouches_for_what_the_log_holds() {
    let (dir, ch) = (tempfile::tempdir().unwrap(), ClickHouse::start().await);
    ch.store().expect("batches", &[Mood::Hang]);
    let journal = open(dir.path());
    // Two frames, of which the second is to be damaged.
    append(&journal, &[DAY; 2]);
    append(&journal, &[DAY; 2]);
    let damaged = link(3, DAY);
    let running = Running::start(journal, ch.database(), config());
    ch.until(|store| !store.inserts_into("batches").is_empty()).await;
    running.kill().await;

    flip_a_byte_of(dir.path(), &damaged);
    let journal = open(dir.path());
    append(&journal, &[DAY]);
    let running = Running::start(Arc::clone(&journal), ch.database(), config());
    running.flush().await;
    assert_eq!(running.handle.status().lost_positions, 2, "said out loud");
    assert!(running.finish().await.drained);

    let store = ch.store();
    assert_eq!(store.rows("observation_log").len(), 5, "what was sent before the damage is there");
    let batch = store.rows("batches")[0].clone();
    assert_eq!((number(&batch, "first_seq"), number(&batch, "last_seq"), number(&batch, "rows")), (1, 4, 4));
}

/// Damages a record on disk.
fn flip_a_byte_of(dir: &std::path::Path, record: &[u8]) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            let mut bytes = std::fs::read(&path).unwrap();
            if let Some(at) = bytes.windows(record.len()).position(|window| window == record) {
                bytes[at] ^= 1;
                std::fs::write(&path, bytes).unwrap();
                return;
            }
        }
    }
    panic!("the record is in no segment");
}
