//! Reading: from any number, while being written, and being woken.

use std::sync::mpsc::channel;
use std::time::Duration;

use journal::{CollectorId, ReadItem};

use crate::disk::Disk;
use crate::ledger::{Ledger, open, read_all};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn reading_starts_at_any_number() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    for n in 0..12 {
        ledger.append(&journal, &disk, n, &[60, 20, 40]).unwrap();
    }
    assert!(journal.stat().segments > 2);
    let id = journal.collector_id();
    let (all, gaps) = read_all(&journal, id, 0);
    assert_eq!((all.len(), gaps), (36, vec![]));
    for from in 1..=37 {
        let (records, gaps) = read_all(&journal, id, from);
        assert_eq!((&records[..], gaps), (&all[from as usize - 1..], vec![]), "from {from}");
    }
}

#[test]
fn a_reader_at_the_end_goes_on_when_there_is_more() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    let mut reader = journal.read_from(journal.collector_id(), 1);
    for n in 0..20 {
        assert_eq!(reader.next_item().unwrap(), None);
        ledger.append(&journal, &disk, n, &[150]).unwrap();
        let Some(ReadItem::Record(record)) = reader.next_item().unwrap() else { panic!("a record") };
        assert_eq!(record.seq, n + 1);
    }
}

#[test]
fn another_thread_reads_everything_while_it_is_written() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    let appends = 500;
    let mut reader = journal.read_from(journal.collector_id(), 1);
    std::thread::scope(|scope| {
        let read = scope.spawn(|| {
            let mut seqs = Vec::new();
            while seqs.len() < 2 * appends {
                match reader.next_item().unwrap() {
                    Some(ReadItem::Record(record)) => seqs.push(record.seq),
                    Some(ReadItem::Gap(gap)) => panic!("{gap}"),
                    None => assert!(journal.wait_durable_past(seqs.len() as u64, LONG) > seqs.len() as u64),
                }
            }
            seqs
        });
        for n in 0..appends {
            ledger.append(&journal, &disk, n as u64, &[30, 30]).unwrap();
        }
        assert_eq!(read.join().unwrap(), (1..=2 * appends as u64).collect::<Vec<_>>());
    });
}

#[test]
fn a_notifier_hears_the_present_and_every_group() {
    let (disk, ledger) = (Disk::empty(), Ledger::default());
    let (journal, _) = open(&disk);
    ledger.append(&journal, &disk, 0, &[10, 10]).unwrap();
    let (notify, heard) = channel();
    journal.on_durable(move |seq| notify.send(seq).unwrap());
    assert_eq!(heard.recv().unwrap(), 2);
    ledger.append(&journal, &disk, 1, &[10]).unwrap();
    assert_eq!(heard.recv().unwrap(), 3);
}

#[test]
fn waiting_ends_at_the_timeout_and_when_the_journal_closes() {
    let (journal, _) = open(&Disk::empty());
    assert_eq!(journal.wait_durable_past(0, Duration::ZERO), 0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| journal.wait_durable_past(0, LONG));
        journal.close();
        assert_eq!(waiting.join().unwrap(), 0);
    });
}

#[test]
fn an_unknown_id_has_nothing() {
    let (journal, _) = open(&Disk::empty());
    assert_eq!(read_all(&journal, CollectorId::random(), 1), (vec![], vec![]));
}
