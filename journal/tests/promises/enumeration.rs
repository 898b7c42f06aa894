//! Crash points without end: histories made from seeds, each crashed behind every one of its operations; and one history
//! in which every single operation fails, in every way an operation can.
//!
//! A few seeds run with every test run. For more, with the figures printed:
//! `LEDGERLINE_CRASH_SEEDS=2000 cargo test --release -p ledgerline-journal --test promises enumeration -- --nocapture`;
//! `LEDGERLINE_CRASH_SEED=17` repeats one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use journal::{Cursor, Journal, ReleasePolicy};

use crate::crash_points::{checkpoint_and_release, recover_at_every_crash_point};
use crate::disk::{Attempt, Disk, EINTR, EIO, ENOSPC, Fault, Loss, mix};
use crate::ledger::{Ledger, check_nothing_lost, here, open, readable, small};

/// How many histories a test run makes; each is some hundreds to a thousand crash points.
const SEEDS: u64 = 4;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Draws numbers from a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0) % bound
    }

    fn lens(&mut self) -> Vec<usize> {
        (0..=self.below(3)).map(|_| 20 + self.below(140) as usize).collect()
    }
}

/// A history of appends, groups, faults, checkpoints, releases and restarts.
fn history(seed: u64) -> (Disk, Ledger) {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let mut draw = Draw(mix(seed));
    let (mut journal, _) = open(&disk);
    let mut append = 0;
    let mut next = || {
        append += 1;
        append
    };
    for _ in 0..8 + draw.below(8) {
        match draw.below(10) {
            0..=3 => assert!(ledger.append(&journal, &disk, next(), &draw.lens()).is_ok()),
            4 | 5 => {
                let group: Vec<_> = (0..2 + draw.below(3)).map(|_| (next(), draw.lens())).collect();
                ledger
                    .append_group(&journal, &disk, &group)
                    .into_iter()
                    .for_each(|done| assert!(done.is_ok()));
            }
            6 => fail_once(&journal, &disk, &ledger, next(), "sync", EIO),
            7 => {
                fail_once(
                    &journal,
                    &disk,
                    &ledger,
                    next(),
                    "write",
                    if draw.below(2) == 0 { EIO } else { ENOSPC },
                );
            }
            8 => {
                let durable = journal.stat().durable_seq;
                let before = journal.checkpoint().get(journal.collector_id());
                let shipped = before.shipped.max(draw.below(durable + 1));
                checkpoint_and_release(&journal, shipped, before.released.max(draw.below(shipped + 1)));
            }
            _ => {
                drop(journal);
                (journal, _) = open(&disk);
            }
        }
    }
    drop(journal);
    (disk, ledger)
}

fn fail_once(journal: &Journal, disk: &Disk, ledger: &Ledger, append: u64, broken: &'static str, errno: i32) {
    let mut failed = false;
    disk.inject(move |attempt| {
        let same = attempt.operation() == broken;
        if same && !std::mem::replace(&mut failed, true) { Fault::Errno(errno) } else { Fault::None }
    });
    // A new segment may be begun first, and its header's write or sync be what fails.
    ledger.append(journal, disk, append, &[50, 50]).unwrap_err();
    disk.heal();
}

#[test]
fn made_histories_crashed_behind_every_operation_lose_nothing_acknowledged() {
    let seeds = match number_from("LEDGERLINE_CRASH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_from("LEDGERLINE_CRASH_SEEDS").unwrap_or(SEEDS),
    };
    let (mut points, mut states, mut records) = (0, 0, 0);
    for seed in seeds.clone() {
        let (disk, ledger) = history(seed);
        records += ledger.acknowledged().len();
        let context = format!("LEDGERLINE_CRASH_SEED={seed} repeats this");
        let recovered = recover_at_every_crash_point(&disk, &ledger, &[512, 4096], &context);
        points += disk.ops() + 1;
        states += recovered;
    }
    println!(
        "{} histories, {points} crash points, {states} states of the disk, {records} records acknowledged, 0 lost",
        seeds.end - seeds.start
    );
}

/// A life of a journal that goes on after whatever fails: only what was acknowledged counts.
fn live_through(disk: &Disk, ledger: &Ledger) {
    let mut append = 0;
    for _ in 0..2 {
        // A disk that fails while the journal opens may keep it from opening, not the next attempt.
        let opened = (0..3).find_map(|_| Journal::open_on(Arc::new(disk.clone()), &here(), small()).ok());
        let Some((journal, _)) = opened else { continue };
        for lens in [&[60, 40][..], &[150], &[120, 90], &[200], &[180, 20]] {
            append += 1;
            // Whether this one is durable or refused, the ledger of the test knows.
            let _ = ledger.append(&journal, disk, append, lens);
        }
        let durable = journal.stat().durable_seq;
        let mut checkpoint = journal.checkpoint();
        checkpoint.set(journal.collector_id(), Cursor { shipped: durable, released: durable / 2 });
        // Neither is promised on a disk that fails.
        let _ = journal.store_checkpoint(&checkpoint);
        let _ = journal.release(&ReleasePolicy { keep: Duration::ZERO, now: SystemTime::now() });
    }
}

/// The disk's answer to its `at`-th operation, and where it stays broken, to all like it that follow.
fn break_at(disk: &Disk, at: usize, fault: Fault, stays: bool) {
    let (mut count, mut broken) = (0, None);
    disk.inject(move |attempt| {
        count += 1;
        let operation = attempt.operation();
        if count - 1 == at {
            broken = Some(operation);
            return fault_for(attempt, fault);
        }
        if stays && broken == Some(operation) { fault_for(attempt, fault) } else { Fault::None }
    });
}

/// Only reads and writes are interrupted or cut short.
fn fault_for(attempt: Attempt<'_>, fault: Fault) -> Fault {
    let transfers = matches!(attempt, Attempt::Read { .. } | Attempt::Write { .. });
    match fault {
        Fault::Short(_) | Fault::Errno(EINTR) if !transfers => Fault::None,
        fault => fault,
    }
}

#[test]
fn any_single_operation_may_fail_in_any_way_and_nothing_acknowledged_is_lost() {
    let counted = Arc::new(AtomicUsize::new(0));
    {
        let (disk, count) = (Disk::empty(), Arc::clone(&counted));
        disk.inject(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Fault::None
        });
        live_through(&disk, &Ledger::default());
    }
    let operations = counted.load(Ordering::Relaxed);
    let faults = [
        (Fault::Errno(EIO), false),
        (Fault::Errno(EIO), true),
        (Fault::Errno(ENOSPC), false),
        (Fault::Errno(ENOSPC), true),
        (Fault::Errno(EINTR), false),
        (Fault::Short(1), false),
    ];
    let mut injected = 0;
    for at in 0..operations {
        for (fault, stays) in faults {
            let context = format!("operation {at} of {operations}, {fault:?}, stays: {stays}");
            let (disk, ledger) = (Disk::empty(), Ledger::default());
            break_at(&disk, at, fault, stays);
            live_through(&disk, &ledger);
            disk.heal();
            injected += 1;
            let acknowledged = ledger.acknowledged();
            for loss in [Loss::All, Loss::Random { seed: at as u64, sector: 64 }] {
                let crashed = disk.crashed_after(disk.ops(), loss);
                let (journal, _) = open(&crashed);
                check_nothing_lost(&journal, &acknowledged, &format!("{context}, then {loss:?}"));
            }
            // Where the disk is well again, the journal takes records again.
            let (journal, _) = open(&disk);
            let seen = readable(&journal);
            let next = ledger.append(&journal, &disk, 90, &[40]).unwrap_or_else(|e| panic!("{context}: {e}"));
            assert!(!seen.contains_key(&(next.collector_id(), next.first_seq())), "{context}");
            check_nothing_lost(&journal, &ledger.acknowledged(), &context);
        }
    }
    println!("{injected} faults injected into {operations} operations, 0 acknowledged records lost");
}
