//! A flipped bit in any byte of a journal, and files that vanish or are exchanged.

use std::collections::BTreeMap;

use journal::{Cursor, DamagedPart, GapReason, IdentityChange, Lost, inspect_on};

use crate::disk::Disk;
use crate::ledger::{Ledger, Position, open, read_all, readable};

/// Three segments, a checkpoint in both generations; nothing released.
fn sample() -> (BTreeMap<String, Vec<u8>>, BTreeMap<Position, Vec<u8>>) {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    for n in 0..6 {
        ledger.append(&journal, &disk, n, &[130, 100]).unwrap();
        let mut checkpoint = journal.checkpoint();
        checkpoint.set(journal.collector_id(), Cursor { shipped: n, released: 0 });
        journal.store_checkpoint(&checkpoint).unwrap();
    }
    assert_eq!(journal.stat().segments, 3);
    drop(journal);
    (disk.files(), ledger.acknowledged())
}

#[test]
fn a_flipped_bit_in_any_byte_never_yields_a_wrong_record_and_is_named() {
    let (files, written) = sample();
    let every = std::env::var_os("LEDGERLINE_EVERY_BYTE").is_some();
    let mut flips = 0;
    for (name, bytes) in &files {
        for at in 0..bytes.len() {
            // The zeros behind a header are alike: some of them do, unless all are asked for.
            if !every && name.ends_with(".seg") && at < 8192 && at % 4096 > 150 && at % 97 != 0 {
                continue;
            }
            let mut flipped = files.clone();
            flipped.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            let disk = Disk::of(flipped);
            let context = format!("{name} byte {at}");
            let (journal, recovered) = open(&disk);
            let readable = readable(&journal);
            for (position, content) in &readable {
                assert_eq!(written.get(position), Some(content), "{context}");
            }
            let lost = written.len() - readable.len();
            let named = !recovered.damaged.is_empty()
                || recovered.torn_tail.is_some()
                || !recovered.damaged_checkpoints.is_empty()
                || recovered.identity != IdentityChange::Kept;
            if name.ends_with(".seg") || name.starts_with("checkpoint") {
                assert!(named, "{context}: {recovered:?}");
            }
            assert!(lost <= 2, "{context}: one append is lost at most, not {lost} records");
            let said: u64 = recovered
                .damaged
                .iter()
                .map(|damaged| match damaged.lost {
                    Lost::Nothing => 0,
                    Lost::Seqs { from, to } => to - from + 1,
                    Lost::Unknown => panic!("{context}: {damaged}"),
                })
                .sum();
            let torn = recovered.torn_tail.is_some();
            assert!(said == lost as u64 || torn, "{context}: lost {lost}, said {said}: {recovered:?}");
            drop(journal);
            let inspected = inspect_on(&disk).unwrap();
            assert_eq!(inspected.damaged, recovered.damaged, "{context}");
            flips += 1;
        }
    }
    println!("{flips} bytes with a flipped bit, each named, 0 wrong records");
}

#[test]
fn a_damaged_frame_in_an_older_segment_is_a_gap_and_the_frames_around_it_are_read() {
    let (mut files, written) = sample();
    let name = files.keys().find(|name| name.ends_with(".seg")).unwrap().clone();
    // The length of the first frame: without the header's checksum the walk would lose its way.
    files.get_mut(&name).unwrap()[8192 + 5] ^= 0x40;
    let (journal, recovered) = open(&Disk::of(files));
    let [damaged] = &recovered.damaged[..] else { panic!("{recovered:?}") };
    assert_eq!((damaged.part, damaged.lost), (DamagedPart::Frames, Lost::Seqs { from: 1, to: 2 }));
    let (records, gaps) = read_all(&journal, journal.collector_id(), 1);
    assert_eq!(records.len(), written.len() - 2);
    assert_eq!(
        gaps.iter().map(|g| (g.from, g.to, g.reason)).collect::<Vec<_>>(),
        [(1, 2, GapReason::Damaged)]
    );
}

#[test]
fn a_segment_without_any_header_is_named_with_its_records_and_kept_for_salvage() {
    let (files, _) = sample();
    let segments: Vec<_> = files.keys().filter(|name| name.ends_with(".seg")).cloned().collect();
    let mut files = files.clone();
    files.get_mut(&segments[1]).unwrap()[..8192].fill(0xAA);
    let disk = Disk::of(files);
    let (journal, recovered) = open(&disk);
    let [damaged] = &recovered.damaged[..] else { panic!("{recovered:?}") };
    assert_eq!((damaged.part, damaged.lost), (DamagedPart::Header, Lost::Seqs { from: 5, to: 8 }));
    assert_eq!(&damaged.file, &segments[1]);
    let (_, gaps) = read_all(&journal, journal.collector_id(), 1);
    assert_eq!(
        gaps.iter().map(|g| (g.from, g.to, g.reason)).collect::<Vec<_>>(),
        [(5, 8, GapReason::Damaged)]
    );
    drop(journal);
    assert!(disk.files().contains_key(&segments[1]));
}

#[test]
fn a_newest_segment_without_header_ends_the_id_so_that_no_number_is_given_twice() {
    let (files, written) = sample();
    let newest = files.keys().rfind(|name| name.ends_with(".seg")).unwrap().clone();
    let mut files = files.clone();
    files.get_mut(&newest).unwrap()[..8192].fill(0xAA);
    let disk = Disk::of(files);
    let (journal, recovered) = open(&disk);
    let (old, _) = *written.keys().next().unwrap();
    assert!(matches!(recovered.identity, IdentityChange::Renewed { previous, .. } if previous == old));
    assert_eq!(recovered.damaged[0].lost, Lost::Unknown);
    assert_eq!(read_all(&journal, old, 1).0.len(), 8);
    let ledger = Ledger::default();
    let next = ledger.append(&journal, &disk, 77, &[10]).unwrap();
    assert_ne!(next.collector_id(), old);
    drop(journal);
    let (journal, again) = open(&disk);
    assert_eq!(again.identity, IdentityChange::Kept, "renewed once");
    assert_eq!(journal.collector_id(), next.collector_id());
}

#[test]
fn a_missing_segment_is_named_with_its_records() {
    let (mut files, _) = sample();
    let segments: Vec<_> = files.keys().filter(|name| name.ends_with(".seg")).cloned().collect();
    files.remove(&segments[1]);
    let (journal, recovered) = open(&Disk::of(files));
    let [damaged] = &recovered.damaged[..] else { panic!("{recovered:?}") };
    assert_eq!((damaged.part, damaged.lost), (DamagedPart::File, Lost::Seqs { from: 5, to: 8 }));
    assert_eq!(&damaged.file, &segments[1]);
    let (_, gaps) = read_all(&journal, journal.collector_id(), 1);
    assert_eq!(
        gaps.iter().map(|g| (g.from, g.to, g.reason)).collect::<Vec<_>>(),
        [(5, 8, GapReason::Missing)]
    );
}

#[test]
fn a_missing_oldest_segment_is_named_unless_it_was_released() {
    let (mut files, _) = sample();
    let oldest = files.keys().find(|name| name.ends_with(".seg")).unwrap().clone();
    files.remove(&oldest);
    let (journal, recovered) = open(&Disk::of(files));
    let [damaged] = &recovered.damaged[..] else { panic!("{recovered:?}") };
    assert_eq!((damaged.part, damaged.lost), (DamagedPart::File, Lost::Seqs { from: 1, to: 4 }));
    let (_, gaps) = read_all(&journal, journal.collector_id(), 1);
    assert_eq!(
        gaps.iter().map(|g| (g.from, g.to, g.reason)).collect::<Vec<_>>(),
        [(1, 4, GapReason::Missing)]
    );
}

#[test]
fn a_segment_under_anothers_name_is_not_read_as_that_one() {
    let (mut files, written) = sample();
    let segments: Vec<_> = files.keys().filter(|name| name.ends_with(".seg")).cloned().collect();
    let copy = files[&segments[0]].clone();
    files.insert(segments[1].clone(), copy);
    let (journal, recovered) = open(&Disk::of(files));
    assert_eq!(recovered.damaged[0].part, DamagedPart::Header);
    for (position, bytes) in readable(&journal) {
        assert_eq!(written.get(&position), Some(&bytes));
    }
}

/// What a client sends may look like a frame: behind a damaged header the walk must not take it for one.
#[test]
fn bytes_inside_a_record_never_pass_as_a_frame() {
    let (donor, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&donor);
    ledger.append(&journal, &donor, 1, &[60]).unwrap();
    drop(journal);
    let segment = donor.files().into_iter().find(|(name, _)| name.ends_with(".seg")).unwrap().1;

    let disk = Disk::empty();
    let (journal, _) = open(&disk);
    let mut records = journal::Records::new();
    records.push(journal::Kind::new(1), &segment[8192..]);
    journal.appender().append(records).unwrap();
    ledger.append(&journal, &disk, 2, &[30]).unwrap();
    let id = journal.collector_id();
    drop(journal);
    let mut files = disk.files();
    let name = files.keys().find(|name| name.ends_with(".seg")).unwrap().clone();
    files.get_mut(&name).unwrap()[8192 + 8] ^= 1;
    let (journal, _) = open(&Disk::of(files));
    let (records, gaps) = read_all(&journal, id, 1);
    assert_eq!(records.iter().map(|r| r.0).collect::<Vec<_>>(), [2]);
    assert_eq!((gaps[0].from, gaps[0].to), (1, 1));
}
