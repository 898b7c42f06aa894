//! Cursors, and what may be unlinked by them.

use std::time::{Duration, SystemTime};

use journal::{
    AppendError, Checkpoint, CheckpointError, Config, Cursor, FullCause, GapReason, Journal, ReleasePolicy,
    Released,
};

use crate::disk::{Attempt, Disk, EIO, ENOSPC, Fault};
use crate::ledger::{Ledger, check_nothing_lost, open, open_with, read_all, small};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn at_once() -> ReleasePolicy {
    ReleasePolicy { keep: Duration::ZERO, now: SystemTime::now() + DAY }
}

fn checkpoint(journal: &Journal, shipped: u64, released: u64) -> Result<(), CheckpointError> {
    let mut checkpoint = Checkpoint::default();
    checkpoint.set(journal.collector_id(), Cursor { shipped, released });
    journal.store_checkpoint(&checkpoint)
}

fn segment_files(disk: &Disk) -> usize {
    disk.files().keys().filter(|name| name.ends_with(".seg")).count()
}

/// A journal with two appends of one record in each of its segments.
fn filled(disk: &Disk, ledger: &Ledger, appends: u64) -> Journal {
    let (journal, _) = open(disk);
    for n in 1..=appends {
        ledger.append(&journal, disk, n, &[240]).unwrap();
    }
    assert_eq!(journal.stat().segments as u64, appends.div_ceil(2));
    journal
}

#[test]
fn only_segments_released_entirely_go_and_the_newest_never() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let journal = filled(&disk, &ledger, 8);
    for (released, left) in [(0, 4), (1, 4), (2, 3), (5, 2), (8, 1)] {
        checkpoint(&journal, 8, released).unwrap();
        let before = journal.stat();
        let gone = journal.release(&at_once()).unwrap();
        let after = journal.stat();
        assert_eq!((after.segments, segment_files(&disk)), (left, left), "released {released}");
        assert_eq!(gone.segments, before.segments - after.segments);
        assert_eq!(gone.bytes, before.used_bytes - after.used_bytes);
        check_nothing_lost(&journal, &ledger.acknowledged(), "after a release");
    }
    let (_, gaps) = read_all(&journal, journal.collector_id(), 1);
    assert_eq!(
        gaps.iter().map(|g| (g.from, g.to, g.reason)).collect::<Vec<_>>(),
        [(1, 6, GapReason::Released)]
    );
    drop(journal);
    let (journal, recovered) = open(&disk);
    assert!(recovered.damaged.is_empty(), "{recovered:?}");
    assert_eq!(ledger.append(&journal, &disk, 9, &[240]).unwrap().first_seq(), 9, "numbering goes on");
}

#[test]
fn released_segments_are_kept_for_their_time_unless_the_space_is_needed() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let config = Config { capacity_bytes: 3 * small().segment_bytes, ..small() };
    let (journal, _) = open_with(&disk, config.clone());
    for n in 1..=6 {
        ledger.append(&journal, &disk, n, &[240]).unwrap();
    }
    checkpoint(&journal, 4, 2).unwrap();
    let young = ReleasePolicy { keep: DAY, now: SystemTime::now() };
    assert_eq!(journal.release(&young).unwrap(), Released::default());
    assert_eq!(journal.stat().segments, 3);

    ledger.append(&journal, &disk, 7, &[240]).unwrap();
    assert_eq!(journal.stat().segments, 3, "the oldest made room");
    check_nothing_lost(&journal, &ledger.acknowledged(), "after making room");
    ledger.append(&journal, &disk, 8, &[240]).unwrap();
    ledger.append(&journal, &disk, 9, &[240]).unwrap_err();
    assert!(journal.stat().used_bytes <= config.capacity_bytes);

    checkpoint(&journal, 8, 8).unwrap();
    let old = ReleasePolicy { keep: DAY, now: SystemTime::now() + 2 * DAY };
    assert_eq!(journal.release(&old).unwrap().segments, 2);
    ledger.append(&journal, &disk, 10, &[240]).unwrap();
}

#[test]
fn a_cursor_neither_goes_back_nor_passes_what_is_durable_nor_releases_what_is_not_shipped() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let journal = filled(&disk, &ledger, 4);
    checkpoint(&journal, 3, 2).unwrap();
    let refused = |shipped, released| checkpoint(&journal, shipped, released).unwrap_err();
    assert!(matches!(refused(2, 2), CheckpointError::Backwards { cursor: "shipped", stored: 3, .. }));
    assert!(matches!(refused(3, 1), CheckpointError::Backwards { cursor: "released", stored: 2, .. }));
    assert!(matches!(refused(5, 2), CheckpointError::Ahead { given: 5, durable: 4, .. }));
    assert!(matches!(refused(3, 4), CheckpointError::ReleasedUnshipped { .. }));
    assert_eq!(journal.checkpoint().get(journal.collector_id()), Cursor { shipped: 3, released: 2 });
    checkpoint(&journal, 4, 4).unwrap();
}

#[test]
fn a_checkpoint_that_did_not_reach_the_disk_releases_nothing() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let journal = filled(&disk, &ledger, 6);
    for broken in [Attempt::Sync, Attempt::SyncDir, Attempt::Create("")] {
        disk.inject(move |attempt| {
            let same = std::mem::discriminant(&attempt) == std::mem::discriminant(&broken);
            if same { Fault::Errno(EIO) } else { Fault::None }
        });
        assert!(matches!(checkpoint(&journal, 6, 6), Err(CheckpointError::File(_))));
        disk.heal();
        assert_eq!(journal.checkpoint(), Checkpoint::default());
        assert_eq!(journal.release(&at_once()).unwrap(), Released::default());
    }
    checkpoint(&journal, 6, 6).unwrap();
    assert_eq!(journal.release(&at_once()).unwrap().segments, 2);
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before_and_is_named() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let journal = filled(&disk, &ledger, 6);
    checkpoint(&journal, 2, 1).unwrap();
    checkpoint(&journal, 4, 3).unwrap();
    let id = journal.collector_id();
    drop(journal);
    let files = disk.files();
    for (name, survivor) in [
        ("checkpoint.0", Cursor { shipped: 4, released: 3 }),
        ("checkpoint.1", Cursor { shipped: 2, released: 1 }),
    ] {
        for damage in [vec![], b"{}\n00000000\n".to_vec(), files[name][..files[name].len() - 1].to_vec()] {
            let mut files = files.clone();
            files.insert(name.to_owned(), damage);
            let disk = Disk::of(files);
            let (journal, recovered) = open(&disk);
            assert_eq!(recovered.damaged_checkpoints, [name]);
            assert_eq!(recovered.checkpoint.get(id), survivor);
            checkpoint(&journal, 5, 5).unwrap();
            drop(journal);
            let (_, again) = open(&disk);
            assert!(again.damaged_checkpoints.is_empty(), "the damaged file is the one replaced");
            assert_eq!(again.checkpoint.get(id), Cursor { shipped: 5, released: 5 });
        }
    }
}

#[test]
fn an_old_id_is_released_like_the_current_one_and_then_forgotten() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let journal = filled(&disk, &ledger, 4);
    let old = journal.collector_id();
    drop(journal);
    let mut files = disk.files();
    files.remove("journal.json");
    let disk = Disk::of(files);
    let (journal, _) = open(&disk);
    let new = journal.collector_id();
    ledger.append(&journal, &disk, 5, &[240]).unwrap();

    let mut both = Checkpoint::default();
    both.set(old, Cursor { shipped: 4, released: 4 });
    both.set(new, Cursor { shipped: 1, released: 0 });
    journal.store_checkpoint(&both).unwrap();
    assert_eq!(journal.release(&at_once()).unwrap().segments, 2);
    assert_eq!(journal.collectors().len(), 1);
    let mut next = Checkpoint::default();
    next.set(new, Cursor { shipped: 1, released: 1 });
    journal.store_checkpoint(&next).unwrap();
    assert_eq!(journal.checkpoint(), next);
}

#[test]
fn a_segment_that_cannot_be_unlinked_stays_accounted_for() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let journal = filled(&disk, &ledger, 4);
    checkpoint(&journal, 4, 4).unwrap();
    disk.inject(|attempt| match attempt {
        Attempt::Remove(_) => Fault::Errno(EIO),
        _ => Fault::None,
    });
    let before = journal.stat();
    journal.release(&at_once()).unwrap_err();
    assert_eq!(journal.stat(), before);
    disk.heal();
    assert_eq!(journal.release(&at_once()).unwrap().segments, 1);
}

/// The disk lost records that had shipped: giving their numbers to others would replace the rows they became.
#[test]
fn a_shipped_number_is_never_given_again_even_if_its_record_is_gone() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let journal = filled(&disk, &ledger, 3);
    checkpoint(&journal, 3, 0).unwrap();
    drop(journal);
    let mut files = disk.files();
    let name = files.keys().rfind(|name| name.ends_with(".seg")).unwrap().clone();
    files.get_mut(&name).unwrap().truncate(8192);
    let disk = Disk::of(files);
    let (journal, _) = open(&disk);
    assert_eq!(Ledger::default().append(&journal, &disk, 9, &[20]).unwrap().first_seq(), 4);
}

#[test]
fn a_full_disk_does_not_keep_cursors_from_moving_and_space_from_coming_back() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let journal = filled(&disk, &ledger, 6);
    let mut full = true;
    disk.inject(move |attempt| match attempt {
        Attempt::Remove("00000000000000000001.seg") => {
            full = false;
            Fault::None
        }
        // A file of its size can be written again, but nothing can be created or grow.
        Attempt::Create(_) if full => Fault::Errno(ENOSPC),
        Attempt::Write { offset, .. } if full && offset > 0 => Fault::Errno(ENOSPC),
        _ => Fault::None,
    });
    let refused = ledger.append(&journal, &disk, 7, &[240]).unwrap_err();
    assert!(matches!(refused, AppendError::Full { cause: FullCause::Disk, .. }));
    checkpoint(&journal, 6, 4).unwrap();
    // Kept for a day, were it not for the disk.
    ledger.append(&journal, &disk, 8, &[240]).unwrap_err();
    ledger.append(&journal, &disk, 9, &[240]).expect("a released segment made room");
    check_nothing_lost(&journal, &ledger.acknowledged(), "after the disk was full");
    let id = journal.collector_id();
    drop(journal);
    let (_, recovered) = open(&disk);
    assert_eq!(recovered.checkpoint.get(id), Cursor { shipped: 6, released: 4 });
    assert!(recovered.damaged_checkpoints.is_empty());
}

/// A power cut in the very first append leaves an empty segment, and numbers that are passed over. Found by simulation.
#[test]
fn an_empty_segment_that_tells_where_numbers_begin_stays_until_something_is_released() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    let before = disk.ops();
    ledger.append(&journal, &disk, 1, &[240]).unwrap();
    drop(journal);
    // The write is there in part, the sync is not.
    let torn = disk.crashed_after(before + 1, crate::disk::Loss::After(100));
    let (journal, _) = open(&torn);
    let ledger = Ledger::default();
    journal.release(&at_once()).unwrap();
    let first = ledger.append(&journal, &torn, 2, &[240]).unwrap().first_seq();
    assert!(first > 1, "its number was passed over");
    journal.release(&at_once()).unwrap();
    drop(journal);
    let (journal, _) = open(&torn);
    assert_eq!(journal.collectors()[0].first_seq, 1, "who reads from the first number on sees the gap");
    checkpoint(&journal, first, first).unwrap();
    journal.release(&at_once()).unwrap();
    assert_eq!(journal.stat().segments, 1);
}
