//! Which id numbers new records.

use std::sync::Arc;

use journal::{IdentityChange, Journal, Place, RenewReason};

use crate::disk::Disk;
use crate::ledger::{Ledger, here, open, read_all, readable, small};

#[test]
fn a_journal_copied_elsewhere_gets_its_own_id_and_keeps_the_records_under_theirs() {
    for (place, reason) in [
        (Place::new("another machine", "/journal"), RenewReason::Machine),
        (Place::new("machine", "/elsewhere"), RenewReason::Path),
    ] {
        let (disk, ledger) = (Disk::empty(), Ledger::default());
        let (journal, recovered) = open(&disk);
        assert_eq!(recovered.identity, IdentityChange::Created);
        ledger.append(&journal, &disk, 1, &[40, 40]).unwrap();
        let original = journal.collector_id();
        drop(journal);

        let copy = Disk::of(disk.files());
        let (journal, recovered) = Journal::open_on(Arc::new(copy.clone()), &place, small()).unwrap();
        assert_eq!(recovered.identity, IdentityChange::Renewed { previous: original, reason });
        let next = ledger.append(&journal, &copy, 2, &[40]).unwrap();
        assert_eq!(next.first_seq(), 1);
        assert_ne!(next.collector_id(), original);
        assert_eq!(readable(&journal), ledger.acknowledged());
        let ids: Vec<_> = journal.collectors().iter().map(|range| range.collector_id).collect();
        assert_eq!(ids, [original, next.collector_id()], "in order of use");
        drop(journal);

        let (journal, recovered) = Journal::open_on(Arc::new(copy), &place, small()).unwrap();
        assert_eq!(recovered.identity, IdentityChange::Kept);
        assert!(recovered.damaged.is_empty());
        assert_eq!(journal.collector_id(), next.collector_id());
        assert_eq!(readable(&journal), ledger.acknowledged());

        // Meanwhile the original goes on under its own id: no position is used by both.
        let (journal, recovered) = open(&disk);
        assert_eq!(recovered.identity, IdentityChange::Kept);
        assert_eq!(ledger.append(&journal, &disk, 3, &[40]).unwrap().first_seq(), 3);
    }
}

#[test]
fn an_id_whose_segments_are_gone_is_not_used_again() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    ledger.append(&journal, &disk, 1, &[40]).unwrap();
    let previous = journal.collector_id();
    drop(journal);
    let mut files = disk.files();
    files.retain(|name, _| !name.ends_with(".seg"));
    let (journal, recovered) = open(&Disk::of(files));
    let reason = RenewReason::PositionUnknown;
    assert_eq!(recovered.identity, IdentityChange::Renewed { previous, reason });
    assert_ne!(journal.collector_id(), previous);
}

#[test]
fn without_a_readable_record_of_it_the_id_is_new() {
    for content in [None, Some(b"{".to_vec()), Some(vec![0xff; 10])] {
        let (disk, ledger) = (Disk::empty(), Ledger::default());
        let (journal, _) = open(&disk);
        ledger.append(&journal, &disk, 1, &[40]).unwrap();
        let previous = journal.collector_id();
        drop(journal);
        let mut files = disk.files();
        files.remove("journal.json");
        files.extend(content.map(|bytes| ("journal.json".to_owned(), bytes)));
        let (journal, recovered) = open(&Disk::of(files));
        assert_eq!(recovered.identity, IdentityChange::Created);
        assert_ne!(journal.collector_id(), previous);
        assert_eq!(read_all(&journal, previous, 1).0.len(), 1);
    }
}

#[test]
fn restarting_an_idle_journal_leaves_no_files_behind() {
    let disk = Disk::empty();
    drop(open(&disk));
    let files = disk.files();
    for _ in 0..5 {
        let (_journal, recovered) = open(&disk);
        assert_eq!(recovered.identity, IdentityChange::Kept);
    }
    assert_eq!(disk.files(), files);
}

#[test]
fn places_differ_by_machine_and_by_path() {
    assert_eq!(here(), Place::new("machine", "/journal"));
    assert_ne!(here(), Place::new("machine", "/other"));
    assert_ne!(here(), Place::new("other", "/journal"));
}
