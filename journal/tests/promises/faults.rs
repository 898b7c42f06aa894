//! Disks that fail: short writes, interruptions, no space, and syncs that cannot be trusted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use journal::{AppendError, DamagedPart, FullCause, GapReason, IdentityChange, Lost, ReadError, ReadItem};

use crate::disk::{Attempt, Disk, EINTR, EIO, ENOSPC, Fault, Loss, Op};
use crate::ledger::{Ledger, SEGMENT_HEADER, check_nothing_lost, open, read_all, readable};

#[test]
fn short_writes_and_interruptions_are_invisible() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let mut turn = 0;
    disk.inject(move |attempt| {
        turn += 1;
        match attempt {
            Attempt::Write { .. } | Attempt::Read { .. } if turn % 2 == 0 => Fault::Errno(EINTR),
            Attempt::Write { len, .. } | Attempt::Read { len, .. } => Fault::Short(len.min(7 + turn % 900)),
            _ => Fault::None,
        }
    });
    let (journal, _) = open(&disk);
    for n in 0..10 {
        ledger.append(&journal, &disk, n, &[100, 50]).unwrap();
    }
    assert_eq!(readable(&journal), ledger.acknowledged());
    drop(journal);
    let (journal, recovered) = open(&disk);
    assert!(recovered.damaged.is_empty() && recovered.torn_tail.is_none(), "{recovered:?}");
    assert_eq!(readable(&journal), ledger.acknowledged());
}

#[test]
fn a_full_disk_refuses_and_accepts_again_when_space_returns_without_a_hole() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    ledger.append(&journal, &disk, 1, &[40]).unwrap();
    let mut part_written = false;
    disk.inject(move |attempt| match attempt {
        Attempt::Write { .. } if !part_written => {
            part_written = true;
            Fault::Short(45)
        }
        Attempt::Write { .. } => {
            part_written = false;
            Fault::Errno(ENOSPC)
        }
        _ => Fault::None,
    });
    for n in 2..5 {
        let refused = ledger.append(&journal, &disk, n, &[50]).unwrap_err();
        assert!(matches!(refused, AppendError::Full { cause: FullCause::Disk, .. }), "{refused:?}");
    }
    disk.heal();
    let next = ledger.append(&journal, &disk, 5, &[60]).unwrap();
    assert_eq!((next.first_seq(), journal.stat().segments), (2, 1), "no number and no segment is used up");
    assert_eq!(readable(&journal), ledger.acknowledged());
    drop(journal);
    let (journal, recovered) = open(&disk);
    assert!(recovered.damaged.is_empty() && recovered.torn_tail.is_none(), "{recovered:?}");
    assert_eq!(readable(&journal), ledger.acknowledged());
}

#[test]
fn a_disk_too_full_for_a_new_segment_still_opens_and_reads() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    ledger.append(&journal, &disk, 1, &[40]).unwrap();
    drop(journal);
    disk.inject(|attempt| match attempt {
        Attempt::Create(_) => Fault::Errno(ENOSPC),
        _ => Fault::None,
    });
    let (journal, recovered) = open(&disk);
    assert!(recovered.not_writable.is_some());
    assert_eq!(readable(&journal), ledger.acknowledged());
    let refused = ledger.append(&journal, &disk, 2, &[50]).unwrap_err();
    assert!(matches!(refused, AppendError::Full { cause: FullCause::Disk, .. }), "{refused:?}");
    disk.heal();
    assert_eq!(ledger.append(&journal, &disk, 3, &[50]).unwrap().first_seq(), 2);
    assert_eq!(readable(&journal), ledger.acknowledged());
}

/// A failed sync says nothing about what is on disk, so every outcome is tried: the group's bytes reached it, none did,
/// or some.
#[test]
fn after_a_failed_sync_nothing_of_the_group_counts_whatever_is_on_disk() {
    for loss in [Loss::Nothing, Loss::All, Loss::Zeroed, Loss::After(50), Loss::FirstSector(32)] {
        let (disk, ledger) = (Disk::empty(), Ledger::default());
        let (journal, _) = open(&disk);
        ledger.append(&journal, &disk, 1, &[40]).unwrap();
        fail_next_sync(&disk);
        let failed = ledger.append(&journal, &disk, 2, &[50, 50]).unwrap_err();
        assert!(matches!(failed, AppendError::Storage { .. }), "{failed:?}");
        let syncs_failed = disk.log().iter().filter(|op| matches!(op, Op::FailedSync { .. })).count();
        assert_eq!(syncs_failed, 1, "a failed sync is not repeated");

        let next = ledger.append(&journal, &disk, 3, &[60]).unwrap();
        assert_eq!(next.first_seq(), 4, "numbers in doubt are passed over");
        assert_eq!(journal.stat().abandoned_segments, 1);
        let (_, gaps) = read_all(&journal, journal.collector_id(), 1);
        assert_eq!(
            gaps.iter().map(|g| (g.from, g.to, g.reason)).collect::<Vec<_>>(),
            [(2, 3, GapReason::Void)]
        );
        assert_eq!(readable(&journal), ledger.acknowledged());

        let crashed = disk.crashed_after(disk.ops(), loss);
        drop(journal);
        let (journal, recovered) = open(&crashed);
        assert!(recovered.damaged.is_empty() && recovered.torn_tail.is_none(), "{loss:?}: {recovered:?}");
        assert_eq!(readable(&journal), ledger.acknowledged(), "{loss:?}");
        let (_, after) = read_all(&journal, journal.collector_id(), 1);
        assert_eq!(after, gaps, "{loss:?}");
    }
}

#[test]
fn numbers_in_doubt_are_not_reused_when_the_process_dies_right_after_a_failed_sync() {
    for loss in [Loss::Nothing, Loss::All, Loss::Zeroed, Loss::After(50), Loss::FirstSector(32)] {
        let (disk, ledger) = (Disk::empty(), Ledger::default());
        let (journal, _) = open(&disk);
        ledger.append(&journal, &disk, 1, &[40]).unwrap();
        fail_next_sync(&disk);
        ledger.append(&journal, &disk, 2, &[50, 50]).unwrap_err();
        // The next process sees what the page cache has, whole; the disk may have less.
        let restarted = Disk::of(disk.files());
        drop(journal);
        let (journal, _) = open(&restarted);
        let seen = readable(&journal);
        let next = ledger.append(&journal, &restarted, 3, &[60]).unwrap();
        assert!(!seen.contains_key(&(next.collector_id(), next.first_seq())));
        let crashed = restarted.crashed_after(restarted.ops(), loss);
        drop(journal);
        let (journal, _) = open(&crashed);
        check_nothing_lost(&journal, &ledger.acknowledged(), &format!("{loss:?}"));
    }
}

/// The sync of a new segment's header fails, and the process is killed before it takes the file away. The next process can read
/// it, and a sync of its own succeeds; yet the disk does not have it.
#[test]
fn nothing_is_written_behind_a_header_that_the_disk_may_not_have() {
    for loss in [Loss::All, Loss::Zeroed, Loss::After(50), Loss::FirstSector(512)] {
        let (disk, ledger) = (Disk::empty(), Ledger::default());
        let (journal, _) = open(&disk);
        ledger.append(&journal, &disk, 1, &[40]).unwrap();
        disk.inject(|attempt| if attempt == Attempt::Sync { Fault::Errno(EIO) } else { Fault::None });
        // The first gives the segment up, the second begins one.
        ledger.append(&journal, &disk, 2, &[50]).unwrap_err();
        ledger.append(&journal, &disk, 3, &[50]).unwrap_err();
        let log = disk.log();
        let header = log.iter().rposition(|op| matches!(op, Op::FailedSync { .. })).unwrap();
        let restarted = disk.killed_after(header + 1);
        drop(journal);

        let (journal, _) = open(&restarted);
        ledger.append(&journal, &restarted, 4, &[60]).unwrap();
        let crashed = restarted.crashed_after(restarted.ops(), loss);
        drop(journal);
        let (journal, _) = open(&crashed);
        check_nothing_lost(&journal, &ledger.acknowledged(), &format!("{loss:?}"));
    }
}

#[test]
fn a_disk_that_fails_every_write_answers_every_append_and_recovers() {
    for broken in [Attempt::Sync, Attempt::SyncDir, Attempt::Create("")] {
        let (disk, ledger) = (Disk::empty(), Ledger::default());
        let (journal, _) = open(&disk);
        ledger.append(&journal, &disk, 1, &[40]).unwrap();
        // The first failed sync gives the segment up; after that, segments cannot be created.
        disk.inject(move |attempt| {
            let same = std::mem::discriminant(&attempt) == std::mem::discriminant(&broken);
            if same || attempt == Attempt::Sync { Fault::Errno(EIO) } else { Fault::None }
        });
        for n in 2..6 {
            let failed = ledger.append(&journal, &disk, n, &[50]).unwrap_err();
            assert!(matches!(failed, AppendError::Storage { .. }), "{failed:?}");
        }
        disk.heal();
        ledger.append(&journal, &disk, 6, &[60]).unwrap();
        assert_eq!(readable(&journal), ledger.acknowledged());
        drop(journal);
        let (journal, recovered) = open(&disk);
        assert!(recovered.damaged.is_empty(), "{recovered:?}");
        assert_eq!(readable(&journal), ledger.acknowledged());
    }
}

#[test]
fn a_full_disk_that_cannot_cut_the_partial_write_gives_the_segment_up() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    ledger.append(&journal, &disk, 1, &[40]).unwrap();
    let failing = Arc::new(AtomicBool::new(true));
    let while_failing = Arc::clone(&failing);
    disk.inject(move |attempt| match attempt {
        _ if !while_failing.load(Ordering::Relaxed) => Fault::None,
        Attempt::Write { .. } => Fault::Errno(ENOSPC),
        Attempt::Truncate => Fault::Errno(EIO),
        _ => Fault::None,
    });
    ledger.append(&journal, &disk, 2, &[50]).unwrap_err();
    failing.store(false, Ordering::Relaxed);
    let next = ledger.append(&journal, &disk, 3, &[60]).unwrap();
    assert_eq!((next.first_seq(), journal.stat().abandoned_segments), (3, 1));
    assert_eq!(readable(&journal), ledger.acknowledged());
}

#[test]
fn a_place_that_cannot_be_read_is_an_error_until_it_is_given_up() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    for n in 1..=3 {
        ledger.append(&journal, &disk, n, &[100]).unwrap();
    }
    let id = journal.collector_id();
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    disk.inject(move |attempt| match attempt {
        Attempt::Read { offset, len } if (offset..offset + len as u64).contains(&8300) => {
            counted.fetch_add(1, Ordering::Relaxed);
            Fault::Errno(EIO)
        }
        _ => Fault::None,
    });
    let mut reader = journal.read_from(id, 1);
    for _ in 0..3 {
        assert!(matches!(reader.next_item(), Err(ReadError::File(_))));
        assert_eq!(reader.next_seq(), 1, "the position is kept");
    }
    assert!(reads.load(Ordering::Relaxed) >= 3, "each call tries again");
    reader.skip_unreadable();
    let Some(ReadItem::Gap(gap)) = reader.next_item().unwrap() else { panic!("a gap") };
    assert_eq!((gap.from, gap.reason), (1, GapReason::Damaged));
    disk.heal();
    let mut reader = journal.read_from(id, 1);
    assert!(matches!(reader.next_item(), Ok(Some(ReadItem::Record(_)))), "nothing was written off");
}

/// A tail that the disk does not give is no torn tail: it may have been acknowledged, and it may come back.
#[test]
fn an_end_that_cannot_be_read_is_named_and_not_cut_and_comes_back_with_the_disk() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    ledger.append(&journal, &disk, 1, &[100]).unwrap();
    let old = journal.collector_id();
    drop(journal);
    disk.inject(|attempt| match attempt {
        Attempt::Read { offset, .. } if offset >= SEGMENT_HEADER => Fault::Errno(EIO),
        _ => Fault::None,
    });
    let (journal, recovered) = open(&disk);
    assert!(recovered.torn_tail.is_none(), "{recovered:?}");
    let [damaged] = &recovered.damaged[..] else { panic!("{recovered:?}") };
    assert_eq!((damaged.part, damaged.lost), (DamagedPart::Frames, Lost::Unknown));
    assert!(matches!(recovered.identity, IdentityChange::Renewed { previous, .. } if previous == old));
    ledger.append(&journal, &disk, 2, &[50]).unwrap();
    drop(journal);
    disk.heal();
    let (journal, recovered) = open(&disk);
    assert!(recovered.damaged.is_empty() && recovered.identity == IdentityChange::Kept, "{recovered:?}");
    assert_eq!(readable(&journal), ledger.acknowledged());
}

fn fail_next_sync(disk: &Disk) {
    let mut failed = false;
    disk.inject(move |attempt| {
        if attempt == Attempt::Sync && !failed {
            failed = true;
            return Fault::Errno(EIO);
        }
        Fault::None
    });
}
