//! Appending through a real journal in a temporary directory.

use journal::{AppendError, Config, Journal, ReadItem};

use super::{EVIDENCE, Frames, channel};

fn open() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), Config::default()).unwrap();
    (dir, journal)
}

fn read(journal: &Journal) -> Vec<Vec<u8>> {
    let mut reader = journal.read_from(journal.collector_id(), 1);
    let mut records = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        let ReadItem::Record(record) = item else { panic!("{item:?}") };
        assert_eq!(record.kind, EVIDENCE);
        records.push(record.bytes.to_vec());
    }
    records
}

#[tokio::test]
async fn what_is_answered_durable_is_readable_in_order() {
    let (_dir, journal) = open();
    let (append, _appended) = channel(&journal);
    let mut frames = Frames::new();
    frames.push_evidence(b"one");
    frames.push_evidence(b"two");
    append.durable(frames).await.unwrap();
    assert_eq!(read(&journal), [b"one".to_vec(), b"two".to_vec()]);
}

#[tokio::test]
async fn a_request_larger_than_a_frame_is_spread_and_wholly_durable() {
    let (_dir, journal) = open();
    let (append, _appended) = channel(&journal);
    let record = vec![7; 700 << 10];
    let mut frames = Frames::new();
    for _ in 0..5 {
        frames.push_evidence(&record);
    }
    assert_eq!(frames.len(), 5);
    append.durable(frames).await.unwrap();
    assert_eq!(read(&journal), vec![record; 5]);
    assert_eq!(journal.stat().appended_frames, 5, "two such records are more than a frame holds");
}

#[tokio::test]
async fn a_closed_journal_refuses() {
    let (_dir, journal) = open();
    let (append, _appended) = channel(&journal);
    journal.close();
    let mut frames = Frames::new();
    frames.push_evidence(b"one");
    assert!(matches!(append.durable(frames).await, Err(AppendError::Closed)));
}

#[tokio::test]
async fn the_reader_hears_of_more_and_of_the_end() {
    let (_dir, journal) = open();
    let (append, mut appended) = channel(&journal);
    let mut frames = Frames::new();
    frames.push_evidence(b"one");
    append.clone().durable(frames).await.unwrap();
    assert!(appended.more().await, "a clone that is gone does not close the channel");
    drop(append);
    appended.closed().await;
}
