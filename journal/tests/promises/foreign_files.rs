//! Files in the directory that are not this journal's, or not this day's.

use journal::{DamagedPart, IdentityChange};

use crate::disk::Disk;
use crate::ledger::{Ledger, check_nothing_lost, open, readable};

/// A journal that was used, as files, with what it acknowledged.
fn used(first_append: u64) -> (std::collections::BTreeMap<String, Vec<u8>>, Ledger) {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    for n in first_append..first_append + 6 {
        ledger.append(&journal, &disk, n, &[130, 100]).unwrap();
    }
    drop(journal);
    (disk.files(), ledger)
}

#[test]
fn files_of_others_are_left_alone() {
    let (mut files, ledger) = used(1);
    let foreign = ["README", "lost+found", "1.seg", "00000000000000000001.seg.bak", "x.seg", "core.1234"];
    for name in foreign {
        files.insert(name.to_owned(), b"not a journal's".to_vec());
    }
    let disk = Disk::of(files);
    let (journal, recovered) = open(&disk);
    assert!(recovered.damaged.is_empty(), "{recovered:?}");
    assert_eq!(recovered.identity, IdentityChange::Kept);
    assert_eq!(readable(&journal), ledger.acknowledged());
    for name in foreign {
        assert_eq!(disk.files()[name], b"not a journal's", "{name}");
    }
}

#[test]
fn temporary_files_of_a_crashed_write_are_replaced() {
    let (mut files, ledger) = used(1);
    for name in ["checkpoint.0.tmp", "checkpoint.1.tmp", "journal.json.tmp"] {
        files.insert(name.to_owned(), b"half a chec".to_vec());
    }
    let disk = Disk::of(files);
    let (journal, _) = open(&disk);
    assert_eq!(readable(&journal), ledger.acknowledged());
    for shipped in [2, 4] {
        crate::crash_points::checkpoint_and_release(&journal, shipped, 0);
    }
    assert_eq!(journal.checkpoint().get(journal.collector_id()).shipped, 4);
}

#[test]
fn a_segment_of_garbage_is_named_kept_and_passed_over() {
    for (ordinal, garbage) in [(77u64, vec![0xAB; 20_000]), (78, vec![0xAB; 8192]), (79, vec![0; 20_000])] {
        let (mut files, ledger) = used(1);
        let name = format!("{ordinal:020}.seg");
        files.insert(name.clone(), garbage.clone());
        let disk = Disk::of(files);
        let (journal, recovered) = open(&disk);
        let [damaged] = &recovered.damaged[..] else { panic!("{recovered:?}") };
        assert_eq!((&damaged.file, damaged.part), (&name, DamagedPart::Header));
        check_nothing_lost(&journal, &ledger.acknowledged(), &name);
        assert_eq!(disk.files()[&name], garbage, "kept for salvage");
        // It may hide numbers that were given: none is given again.
        assert!(matches!(recovered.identity, IdentityChange::Renewed { .. }), "{recovered:?}");
        ledger.append(&journal, &disk, 50, &[40]).unwrap();
        check_nothing_lost(&journal, &ledger.acknowledged(), &name);
    }
}

/// Shorter than a header: nothing was ever written behind it.
#[test]
fn a_segment_file_too_short_for_a_header_costs_nothing() {
    for content in [Vec::new(), vec![0xAB; 100], vec![0; 8192]] {
        let (mut files, ledger) = used(1);
        files.insert(format!("{:020}.seg", 99), content);
        let disk = Disk::of(files);
        let (journal, recovered) = open(&disk);
        assert!(recovered.damaged.is_empty(), "{recovered:?}");
        assert_eq!(recovered.identity, IdentityChange::Kept);
        assert_eq!(readable(&journal), ledger.acknowledged());
        ledger.append(&journal, &disk, 50, &[40]).unwrap();
        check_nothing_lost(&journal, &ledger.acknowledged(), "with a short file");
    }
}

/// A file restored from somewhere else keeps whose it is: its records are read under their own id, ours under ours.
#[test]
fn a_segment_of_another_journal_mixes_with_nothing() {
    let ((mut files, ledger), (others, other_ledger)) = (used(1), used(30));
    let ours: Vec<_> = files.keys().filter(|name| name.ends_with(".seg")).cloned().collect();
    let theirs = others.iter().rfind(|(name, _)| name.ends_with(".seg")).unwrap();
    assert_eq!(ours.last(), Some(theirs.0));
    files.insert(theirs.0.clone(), theirs.1.clone());
    let disk = Disk::of(files);
    let (journal, _) = open(&disk);
    let (known, other) = (ledger.acknowledged(), other_ledger.acknowledged());
    for (position, bytes) in readable(&journal) {
        assert_eq!(known.get(&position).or(other.get(&position)), Some(&bytes), "{position:?}");
    }
    let next = ledger.append(&journal, &disk, 60, &[40]).unwrap();
    assert!(!known.contains_key(&(next.collector_id(), next.first_seq())), "no number is given twice");
}

/// A checkpoint that was put back from a backup names less as shipped than was: shipped again, the same rows again.
#[test]
fn stale_checkpoints_make_nothing_unreadable() {
    let (files, ledger) = used(1);
    let disk = Disk::of(files.clone());
    let (journal, _) = open(&disk);
    crate::crash_points::checkpoint_and_release(&journal, 10, 0);
    crate::crash_points::checkpoint_and_release(&journal, 11, 0);
    drop(journal);
    let mut stale = disk.files();
    for name in ["checkpoint.0", "checkpoint.1"] {
        stale.insert(name.to_owned(), files[name].clone());
    }
    let (journal, recovered) = open(&Disk::of(stale));
    assert_eq!(recovered.identity, IdentityChange::Kept);
    assert_eq!(readable(&journal), ledger.acknowledged());
    assert!(journal.checkpoint().get(journal.collector_id()).shipped < 11);
}
