//! On a real directory.

use journal::{Config, IdentityChange, Journal, OpenError, inspect};

use crate::ledger::{records, small};

#[test]
fn what_is_appended_to_a_directory_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not/yet/there");
    let (journal, recovered) = Journal::open(&path, small()).unwrap();
    assert_eq!(recovered.identity, IdentityChange::Created);
    let appender = journal.appender();
    for n in 0..20 {
        appender.append(records(n, &[100, 50])).unwrap();
    }
    let id = journal.collector_id();
    drop(journal);

    let (journal, recovered) = Journal::open(&path, small()).unwrap();
    assert_eq!(recovered.identity, IdentityChange::Kept);
    assert!(recovered.damaged.is_empty() && recovered.torn_tail.is_none(), "{recovered:?}");
    assert_eq!(crate::ledger::read_all(&journal, id, 1).0.len(), 40);

    let inspection = inspect(&path).expect("inspecting needs no lock");
    assert_eq!(inspection.collector_id, Some(id));
    assert!(inspection.damaged.is_empty(), "{inspection:?}");
    assert_eq!(inspection.segments.iter().map(|segment| segment.records).sum::<u64>(), 40);
    assert_eq!(inspection.segments.iter().map(|segment| segment.frames).sum::<u64>(), 20);
}

#[test]
fn a_directory_has_one_journal_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), small()).unwrap();
    assert!(matches!(Journal::open(dir.path(), small()), Err(OpenError::Locked { .. })));
    let appender = journal.appender();
    drop(journal);
    Journal::open(dir.path(), small()).expect("appenders that outlive a journal do not hold its lock");
    drop(appender);
}

#[test]
fn a_directory_moved_on_the_same_machine_gets_a_new_id() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(&dir.path().join("a"), small()).unwrap();
    journal.appender().append(records(1, &[10])).unwrap();
    let previous = journal.collector_id();
    drop(journal);
    std::fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
    let (journal, recovered) = Journal::open(&dir.path().join("b"), small()).unwrap();
    assert!(matches!(recovered.identity, IdentityChange::Renewed { previous: id, .. } if id == previous));
    assert_eq!(journal.collectors().len(), 2);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Journal::open(&file, small()), Err(OpenError::Directory { .. })));
    let config = Config { queue_requests_max: 0, ..small() };
    assert!(matches!(Journal::open(dir.path(), config), Err(OpenError::Config(_))));
}

#[test]
fn a_segment_of_a_newer_format_is_left_to_the_newer_program() {
    let dir = tempfile::tempdir().unwrap();
    drop(Journal::open(dir.path(), small()).unwrap());
    let segment = dir.path().join("00000000000000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    for copy in [0, 4096] {
        bytes[copy + 8] = 2;
        let crc = crc32c::crc32c(&bytes[copy..copy + 112]);
        bytes[copy + 112..copy + 116].copy_from_slice(&crc.to_le_bytes());
    }
    std::fs::write(&segment, bytes).unwrap();
    let refused = Journal::open(dir.path(), small());
    assert!(matches!(refused, Err(OpenError::NewerFormat { version: 2, supported: 1, .. })));
}
