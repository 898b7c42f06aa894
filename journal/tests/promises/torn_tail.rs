//! The end of the newest segment after a crash.

use journal::GapReason;

use crate::disk::Disk;
use crate::ledger::{Ledger, open, read_all, readable};

fn newest(disk: &Disk) -> String {
    disk.files().keys().rfind(|name| name.ends_with(".seg")).expect("a segment").clone()
}

#[test]
fn a_last_append_cut_at_any_byte_is_gone_as_a_whole_and_the_rest_stays() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    ledger.append(&journal, &disk, 1, &[40, 30]).unwrap();
    let before = ledger.acknowledged();
    let whole_until = disk.files()[&newest(&disk)].len();
    ledger.append(&journal, &disk, 2, &[50, 60]).unwrap();
    drop(journal);
    let files = disk.files();
    let name = newest(&disk);
    let whole = files[&name].clone();

    for cut in whole_until..whole.len() {
        for tail in [0, 64] {
            let mut files = files.clone();
            let mut torn = whole[..cut].to_vec();
            torn.resize(cut + tail, 0);
            let torn_bytes = torn.len() - whole_until;
            files.insert(name.clone(), torn);
            let disk = Disk::of(files);

            let (journal, recovered) = open(&disk);
            assert!(recovered.damaged.is_empty(), "cut at {cut}: {recovered:?}");
            let torn_tail = recovered.torn_tail.map(|torn| torn.bytes).unwrap_or(0);
            assert_eq!(torn_tail, torn_bytes as u64, "cut at {cut}");
            assert_eq!(readable(&journal), before, "cut at {cut}");
            let next = ledger_of_next(&journal, &disk);
            let (records, gaps) = read_all(&journal, journal.collector_id(), 1);
            assert_eq!(records.last().expect("records").0, next, "cut at {cut}");
            assert!(gaps.iter().all(|gap| gap.reason == GapReason::Void), "cut at {cut}: {gaps:?}");
            if torn_bytes > 0 {
                assert!(next > 3, "cut at {cut}: a number that may have been seen is not given again");
            }
            drop(journal);
            let (journal, again) = open(&disk);
            assert!(again.torn_tail.is_none(), "cut once: {again:?}");
            assert_eq!(read_all(&journal, journal.collector_id(), 1), (records, gaps), "cut at {cut}");
        }
    }
}

fn ledger_of_next(journal: &journal::Journal, disk: &Disk) -> u64 {
    Ledger::default().append(journal, disk, 9, &[20]).unwrap().first_seq()
}

#[test]
fn a_zero_filled_tail_of_any_length_is_no_damage() {
    for zeros in [1, 31, 32, 5000, 300_000] {
        let (disk, ledger) = (Disk::empty(), Ledger::default());
        let (journal, _) = open(&disk);
        ledger.append(&journal, &disk, 1, &[40, 30]).unwrap();
        drop(journal);
        let mut files = disk.files();
        let file = files.get_mut(&newest(&disk)).unwrap();
        file.resize(file.len() + zeros, 0);
        let disk = Disk::of(files);
        let (journal, recovered) = open(&disk);
        assert!(recovered.damaged.is_empty(), "{recovered:?}");
        ledger.append(&journal, &disk, 2, &[40]).unwrap();
        assert_eq!(readable(&journal), ledger.acknowledged());
    }
}

/// Pages of one group may reach the disk in any order: a hole before whole frames, all within the group of a crash, is
/// no damage, and the whole frames stay.
#[test]
fn a_hole_in_the_last_group_is_void_and_what_follows_it_is_kept() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    let appends: Vec<_> = (1..=4).map(|n| (n, vec![50])).collect();
    let positions: Vec<_> =
        ledger.append_group(&journal, &disk, &appends).into_iter().map(Result::unwrap).collect();
    drop(journal);
    let mut files = disk.files();
    let frame = 32 + 2 + 50;
    let second = 8192 + frame;
    files.get_mut(&newest(&disk)).unwrap()[second..second + 40].fill(0);
    let disk = Disk::of(files);

    for _ in 0..2 {
        let (journal, recovered) = open(&disk);
        assert!(recovered.damaged.is_empty() && recovered.torn_tail.is_none(), "{recovered:?}");
        let (records, gaps) = read_all(&journal, positions[0].collector_id(), 1);
        assert_eq!(records.iter().map(|r| r.0).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(
            gaps.iter().map(|g| (g.from, g.to, g.reason)).collect::<Vec<_>>(),
            [(2, 2, GapReason::Void)]
        );
    }
}
