//! Appending: grouping, numbering, bounds, answers.

use std::sync::mpsc::channel;
use std::time::Duration;

use journal::{AppendError, Config, FullCause, Records};

use crate::disk::{Disk, Op};
use crate::ledger::{FRAME_HEADER, Ledger, open, open_with, readable, records, small};

#[test]
fn numbers_are_contiguous_from_one_and_continue_after_a_clean_reopen() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    let first = ledger.append(&journal, &disk, 1, &[10, 20, 30]).unwrap();
    assert_eq!((first.first_seq(), first.last_seq()), (1, 3));
    assert_eq!(first.collector_id(), journal.collector_id());
    drop(journal);

    let (journal, recovered) = open(&disk);
    assert!(recovered.damaged.is_empty() && recovered.torn_tail.is_none(), "{recovered:?}");
    let second = ledger.append(&journal, &disk, 2, &[10]).unwrap();
    assert_eq!((second.collector_id(), second.first_seq()), (first.collector_id(), 4));
    assert_eq!(readable(&journal), ledger.acknowledged());
}

#[test]
fn appends_that_wait_together_share_one_write_and_one_sync() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    let before = disk.ops();
    let appends: Vec<_> = (1..=5).map(|n| (n, vec![20])).collect();
    for outcome in ledger.append_group(&journal, &disk, &appends) {
        outcome.unwrap();
    }
    let log = disk.log();
    let ops: Vec<_> = log[before..].iter().map(|op| matches!(op, Op::Sync { .. })).collect();
    assert_eq!(ops, [false, true, false, true], "the first alone, the other four together");
    assert_eq!(journal.stat().groups, 2);
    assert_eq!(journal.stat().appended_frames, 5);
    assert_eq!(readable(&journal), ledger.acknowledged());
}

#[test]
fn a_group_that_does_not_fit_a_segment_goes_on_in_the_next() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    let appends: Vec<_> = (1..=9).map(|n| (n, vec![100, 60])).collect();
    for outcome in ledger.append_group(&journal, &disk, &appends) {
        outcome.unwrap();
    }
    assert!(journal.stat().segments >= 3, "{:?}", journal.stat());
    assert_eq!(readable(&journal), ledger.acknowledged());
    drop(journal);
    let (journal, recovered) = open(&disk);
    assert!(recovered.damaged.is_empty(), "{recovered:?}");
    assert_eq!(readable(&journal), ledger.acknowledged());
}

#[test]
fn what_can_never_fit_is_refused_at_once() {
    let (disk, max) = (Disk::empty(), small().frame_bytes_max);
    let (journal, _) = open(&disk);
    let appender = journal.appender();
    let refused =
        |records| appender.submit(records, |_| panic!("a refused append is not answered")).unwrap_err();
    assert!(matches!(refused(Records::new()), AppendError::Empty));
    let fits = max - FRAME_HEADER - 3;
    assert!(matches!(refused(records(1, &[fits + 1])), AppendError::TooLarge { .. }));
    appender.append(records(2, &[fits])).expect("the largest append fits a segment");
}

#[test]
fn a_full_queue_refuses_at_once_and_is_free_again_when_answered() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open_with(&disk, Config { queue_requests_max: 2, ..small() });
    let appender = journal.appender();
    let (held, hold) = (channel(), channel());
    let answer = move |_| {
        held.0.send(()).unwrap();
        hold.1.recv().unwrap();
    };
    appender.submit(records(1, &[10]), answer).unwrap();
    held.1.recv().unwrap();
    let second = ledger.submit(&appender, &disk, 2, &[10]);
    let busy = appender.submit(records(3, &[10]), |_| panic!("refused")).unwrap_err();
    assert!(matches!(busy, AppendError::Busy { queued_requests: 2, .. }), "{busy:?}");
    assert_eq!(journal.stat().queued_requests, 2);
    hold.0.send(()).unwrap();
    second.recv().unwrap().unwrap();
    ledger.append(&journal, &disk, 4, &[10]).unwrap();
}

#[test]
fn queued_bytes_are_bounded_too() {
    let disk = Disk::empty();
    let (journal, _) = open_with(&disk, Config { queue_bytes_max: 600, ..small() });
    let appender = journal.appender();
    let (held, hold) = (channel(), channel());
    let answer = move |_| {
        held.0.send(()).unwrap();
        hold.1.recv().unwrap();
    };
    appender.submit(records(1, &[400]), answer).unwrap();
    held.1.recv().unwrap();
    let busy = appender.submit(records(2, &[400]), |_| panic!("refused")).unwrap_err();
    assert!(matches!(busy, AppendError::Busy { .. }), "{busy:?}");
    hold.0.send(()).unwrap();
}

#[test]
fn beyond_the_capacity_appends_are_refused_and_nothing_is_dropped() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let config = Config { capacity_bytes: 2 * small().segment_bytes, ..small() };
    let (journal, _) = open_with(&disk, config.clone());
    let mut refused = 0;
    for n in 0..10 {
        match ledger.append(&journal, &disk, n, &[250]) {
            Ok(_) => assert_eq!(refused, 0, "full stays full"),
            Err(AppendError::Full { cause: FullCause::Capacity, .. }) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(refused > 0);
    let stat = journal.stat();
    assert!(stat.used_bytes <= config.capacity_bytes, "{stat:?}");
    assert_eq!(stat.used_bytes, segment_bytes(&disk));
    assert_eq!(readable(&journal), ledger.acknowledged());
}

fn segment_bytes(disk: &Disk) -> u64 {
    let files = disk.files().into_iter().filter(|(name, _)| name.ends_with(".seg"));
    files.map(|(_, bytes)| bytes.len() as u64).sum()
}

#[test]
fn closing_answers_what_was_queued_and_refuses_what_comes_later() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    let appender = journal.appender();
    let told: Vec<_> = (0..20).map(|n| ledger.submit(&appender, &disk, n, &[10])).collect();
    journal.close();
    for outcome in told {
        outcome.recv().unwrap().expect("queued before the close");
    }
    let refused = appender.submit(records(99, &[10]), |_| panic!("refused")).unwrap_err();
    assert!(matches!(refused, AppendError::Closed));
    assert_eq!(readable(&journal), ledger.acknowledged(), "reading goes on");
    assert_eq!(journal.stat().queued_requests, 0);
}

#[test]
fn a_completion_that_panics_fails_everyone_behind_it_closed() {
    let disk = Disk::empty();
    let (journal, _) = open(&disk);
    let appender = journal.appender();
    let (held, hold) = (channel(), channel::<()>());
    let answer = move |_| {
        held.0.send(()).unwrap();
        hold.1.recv().expect("dropped by the test: this panics");
    };
    appender.submit(records(1, &[10]), answer).unwrap();
    held.1.recv().unwrap();
    let (outcome, told) = channel();
    appender.submit(records(2, &[10]), move |result| outcome.send(result).unwrap()).unwrap();
    drop(hold.0);
    assert!(matches!(told.recv().unwrap(), Err(AppendError::Closed)));
    assert_eq!(journal.wait_durable_past(100, Duration::from_secs(3600)), 1, "waiters are woken");
    journal.close();
}
