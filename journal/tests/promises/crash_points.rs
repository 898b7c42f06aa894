//! A scenario crashed behind every one of its operations, losing what was not synced in every way; then recovery itself
//! crashed behind every one of its operations.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use journal::{Cursor, Journal, Lost, ReleasePolicy};

use crate::disk::{Attempt, Disk, EIO, Fault, Loss, Op};
use crate::ledger::{Ledger, Position, check_nothing_lost, open, readable};

/// `sectors`: the units of which each reaches the disk or not. A segment's header is whole or without effect in units of
/// 512 bytes and more, which is what disks promise; finer ones are tried where no segment is begun on doubtful ground.
fn losses(seed: u64, sectors: &[usize]) -> Vec<Loss> {
    let mut losses = vec![
        Loss::All,
        Loss::Nothing,
        Loss::Data,
        Loss::Names,
        Loss::Zeroed,
        Loss::After(7),
        Loss::After(100),
        Loss::After(512),
        Loss::After(4096),
        Loss::FirstSector(32),
        Loss::FirstSector(512),
        Loss::FirstSector(4096),
    ];
    losses.extend(sectors.iter().map(|&sector| Loss::Random { seed: seed + sector as u64, sector }));
    losses.push(Loss::Reordered { seed });
    losses
}

pub fn checkpoint_and_release(journal: &Journal, shipped: u64, released: u64) {
    let mut checkpoint = journal.checkpoint();
    checkpoint.set(journal.collector_id(), Cursor { shipped, released });
    journal.store_checkpoint(&checkpoint).unwrap();
    journal.release(&ReleasePolicy { keep: Duration::ZERO, now: SystemTime::now() }).unwrap();
}

/// Everything that touches the disk: creation, groups, rotation, checkpoints, release, a failed sync, a restart.
fn scenario() -> (Disk, Ledger) {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    ledger.append(&journal, &disk, 1, &[40, 30]).unwrap();
    for outcome in ledger.append_group(&journal, &disk, &[(2, vec![90]), (3, vec![80, 60]), (4, vec![70])]) {
        outcome.unwrap();
    }
    ledger.append(&journal, &disk, 5, &[200, 100]).unwrap();
    checkpoint_and_release(&journal, 6, 4);
    let mut failed = false;
    disk.inject(move |attempt| {
        let fails = attempt == Attempt::Sync && !std::mem::replace(&mut failed, true);
        if fails { Fault::Errno(EIO) } else { Fault::None }
    });
    ledger.append(&journal, &disk, 6, &[50, 50]).unwrap_err();
    disk.heal();
    ledger.append(&journal, &disk, 7, &[300]).unwrap();
    ledger.append(&journal, &disk, 8, &[300]).unwrap();
    checkpoint_and_release(&journal, 10, 8);
    drop(journal);
    let (journal, _) = open(&disk);
    ledger.append(&journal, &disk, 9, &[100]).unwrap();
    checkpoint_and_release(&journal, 12, 12);
    drop(journal);
    (disk, ledger)
}

/// No position that was ever visible shows other bytes.
fn check_unchanged(seen: &BTreeMap<Position, Vec<u8>>, now: &BTreeMap<Position, Vec<u8>>, context: &str) {
    for (position, bytes) in now {
        if let Some(before) = seen.get(position) {
            assert_eq!(bytes, before, "{context}: {position:?}");
        }
    }
}

#[test]
fn a_crash_at_any_point_loses_nothing_acknowledged_and_recovering_twice_is_recovering_once() {
    let (disk, ledger) = scenario();
    assert_eq!(ledger.acknowledged().len(), 11);
    let states = recover_at_every_crash_point(&disk, &ledger, &[8, 64, 512, 4096], "the scenario");
    println!("{} crash points, {states} states of the disk", disk.ops() + 1);
}

/// Recovers a history behind each of its operations, with what was not synced lost in every way: what was acknowledged by
/// then is there, what was not is there whole or not at all, and recovering again changes nothing. Returns how many
/// states of the disk were recovered.
pub fn recover_at_every_crash_point(disk: &Disk, ledger: &Ledger, sectors: &[usize], what: &str) -> usize {
    let (every, mut states) = (ledger.acknowledged(), 0);
    for ops in 0..=disk.ops() {
        for loss in losses(ops as u64, sectors) {
            states += 1;
            let context = format!("{what}: after {ops} operations, {loss:?}");
            let crashed = disk.crashed_after(ops, loss);
            let acknowledged = ledger.acknowledged_by(ops);

            let (journal, recovered) = open(&crashed);
            assert!(recovered.damaged.iter().all(|d| d.lost == Lost::Nothing), "{context}: {recovered:?}");
            assert!(recovered.damaged_checkpoints.is_empty(), "{context}: {recovered:?}");
            check_nothing_lost(&journal, &acknowledged, &context);
            let once = readable(&journal);
            check_unchanged(&every, &once, &context);
            drop(journal);

            let (journal, again) = open(&crashed);
            assert_eq!(again.collector_id, recovered.collector_id, "{context}");
            assert!(again.torn_tail.is_none(), "{context}: {again:?}");
            assert_eq!(readable(&journal), once, "{context}");
        }
    }
    states
}

#[test]
fn a_crash_while_recovering_and_going_on_loses_nothing_either() {
    let (disk, ledger) = scenario();
    for ops in 0..=disk.ops() {
        for first in
            [Loss::All, Loss::Nothing, Loss::After(50), Loss::Random { seed: ops as u64, sector: 16 }]
        {
            let crashed = disk.crashed_after(ops, first);
            let more = Ledger::default();
            let (journal, _) = open(&crashed);
            let seen = readable(&journal);
            let next = more.append(&journal, &crashed, 70, &[60, 40]).unwrap();
            let position = (next.collector_id(), next.first_seq());
            assert!(!seen.contains_key(&position), "{ops}, {first:?}: {position:?} was visible before");
            drop(journal);
            for ops_then in 0..=crashed.ops() {
                for loss in [Loss::All, Loss::Nothing, Loss::Zeroed, Loss::Random { seed: 3, sector: 16 }] {
                    let context = format!("after {ops}, {first:?}, then {ops_then}, {loss:?}");
                    let (journal, recovered) = open(&crashed.crashed_after(ops_then, loss));
                    assert!(
                        recovered.damaged.iter().all(|d| d.lost == Lost::Nothing),
                        "{context}: {recovered:?}"
                    );
                    check_nothing_lost(&journal, &ledger.acknowledged_by(ops), &context);
                    check_nothing_lost(&journal, &more.acknowledged_by(ops_then), &context);
                    check_unchanged(&seen, &readable(&journal), &context);
                }
            }
        }
    }
}

#[test]
fn what_a_reader_is_given_after_a_kill_survives_the_machine() {
    let (disk, _) = scenario();
    let until_failed_sync =
        disk.log().iter().position(|op| matches!(op, Op::FailedSync { .. })).expect("one");
    for ops in 0..until_failed_sync {
        let killed = disk.killed_after(ops);
        let (journal, _) = open(&killed);
        let seen = readable(&journal);
        drop(journal);
        for loss in [Loss::All, Loss::Zeroed, Loss::FirstSector(32)] {
            let (journal, _) = open(&killed.crashed_after(killed.ops(), loss));
            check_nothing_lost(&journal, &seen, &format!("killed after {ops}, then {loss:?}"));
        }
    }
}
