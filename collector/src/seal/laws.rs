//! The laws of batches, over random journals, limits and moments of reading.

use std::sync::Arc;

use journal::{Config, Journal, Records};
use proptest::prelude::*;
use schemas::record;

use super::bounds::Seal;
use super::gather::{Gathered, Gatherer};
use super::open_batch::Limits;
use super::recall::Recalled;
use crate::append::samples::link;
use crate::append::{EVIDENCE, SEAL};

/// What happens to a journal that is being shipped.
#[derive(Debug, Clone)]
enum Event {
    /// A request's evidence, each received on a day.
    Append(Vec<u16>),
    /// A record of our own.
    Seal,
    /// A batch is gathered from what is durable now.
    Cut,
    /// A batch is gathered up to some position ahead.
    CutThrough(u64),
    /// Whoever gathers starts over.
    Restart,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => prop::collection::vec(20_000..20_002u16, 1..12).prop_map(Event::Append),
        2 => Just(Event::Seal),
        3 => Just(Event::Cut),
        1 => (0..6u64).prop_map(Event::CutThrough),
        1 => Just(Event::Restart),
    ];
    prop::collection::vec(event, 1..40)
}

fn open() -> (tempfile::TempDir, Arc<Journal>) {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), Config::default()).unwrap();
    (dir, Arc::new(journal))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batches_cover_every_position_once_and_never_two_days(
        events in events(),
        rows_max in 1..8u64,
        bytes_max in 1..600u64,
    ) {
        let limits = Limits { rows_max, bytes_max };
        let (_dir, journal) = open();
        let id = journal.collector_id();
        let (mut appended, mut batches) = (Vec::new(), Vec::<(Seal, Vec<u64>)>::new());
        let mut gatherer = Gatherer::new(Arc::clone(&journal), id, 1);
        let mut next_first = 1;
        let mut blank_through = 0;
        // Whatever is left is gathered at the end.
        for event in events.into_iter().chain(std::iter::repeat_n(Event::Cut, 500)) {
            let through = match event {
                Event::Append(days) => {
                    let mut records = Records::new();
                    let first = journal.stat().durable_seq + 1;
                    for (seq, day) in (first..).zip(days) {
                        records.push(EVIDENCE, &link(seq, day));
                        appended.push((seq, day));
                    }
                    journal.appender().append(records).unwrap();
                    continue;
                }
                Event::Seal => {
                    let mut records = Records::new();
                    records.push(SEAL, b"whatever it says");
                    journal.appender().append(records).unwrap();
                    continue;
                }
                Event::Restart => {
                    gatherer = Gatherer::new(Arc::clone(&journal), id, next_first);
                    continue;
                }
                Event::Cut => None,
                Event::CutThrough(ahead) => Some((next_first + ahead).min(journal.stat().durable_seq)),
            };
            if next_first > journal.stat().durable_seq {
                continue;
            }
            match gatherer.gather(next_first, through, limits).unwrap() {
                Gathered::Blank { through } => blank_through = through,
                Gathered::Batch { seal, rows, at_limit } => {
                    prop_assert_eq!(seal.first_seq, next_first, "contiguous");
                    prop_assert!(rows.len() as u64 <= rows_max);
                    let bytes = |rows: &[schemas::rows::ObservationRow]| rows.iter().map(|row| row.record.len() as u64).sum::<u64>();
                    prop_assert!(rows.is_empty() || bytes(&rows[..rows.len() - 1]) < bytes_max);
                    prop_assert!(rows.iter().all(|row| row.received_day == seal.received_day), "one day");
                    prop_assert_eq!(rows.len() as u64, seal.rows);
                    let hash = rows.iter().fold(0, |hash, row| record::fold_hash(hash, record::hash(&row.record)));
                    prop_assert_eq!(hash, seal.content_hash);
                    if at_limit {
                        // Found again from nothing but the position and the limits.
                        let again = Gatherer::new(Arc::clone(&journal), id, seal.first_seq).gather(seal.first_seq, None, limits);
                        let Gathered::Batch { seal: found, .. } = again.unwrap() else { panic!("a batch") };
                        prop_assert_eq!(found, seal);
                    }
                    next_first = seal.last_seq + 1;
                    batches.push((seal, rows.iter().map(|row| row.seq).collect()));
                }
            }
        }
        let rows: Vec<u64> = batches.iter().flat_map(|(_, rows)| rows.iter().copied()).collect();
        prop_assert_eq!(rows, appended.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), "every row once, in order");
        let covered = batches.last().map_or(0, |(seal, _)| seal.last_seq);
        let durable = journal.stat().durable_seq;
        prop_assert!(covered == durable || blank_through == durable, "{} {} {}", covered, blank_through, durable);
    }
}

#[test]
fn a_seal_alone_makes_no_batch() {
    let (_dir, journal) = open();
    let mut records = Records::new();
    records.push(EVIDENCE, &link(1, 20_000));
    journal.appender().append(records).unwrap();
    let mut gatherer = Gatherer::new(Arc::clone(&journal), journal.collector_id(), 1);
    let Gathered::Batch { seal, .. } = gatherer.gather(1, None, Limits::default()).unwrap() else {
        panic!("a batch")
    };
    let mut records = Records::new();
    records.push(SEAL, &seal.encode());
    journal.appender().append(records).unwrap();
    let next = gatherer.gather(seal.last_seq + 1, None, Limits::default()).unwrap();
    assert!(matches!(next, Gathered::Blank { through: 2 }), "{next:?}");
}

#[test]
fn seals_that_are_not_shipped_are_recalled_in_order() {
    let (_dir, journal) = open();
    let id = journal.collector_id().to_bytes();
    let seal = |first_seq, last_seq| Seal {
        collector_id: id,
        first_seq,
        last_seq,
        rows: 1,
        content_hash: 7,
        received_day: 20_000,
    };
    let mut records = Records::new();
    for seq in 1..=9 {
        records.push(EVIDENCE, &link(seq, 20_000));
    }
    for seal in [seal(1, 3), seal(4, 6), seal(7, 9)] {
        records.push(SEAL, &seal.encode());
    }
    journal.appender().append(records).unwrap();
    let mut shipped = journal::Checkpoint::default();
    shipped.set(journal.collector_id(), journal::Cursor { shipped: 3, released: 0 });
    journal.store_checkpoint(&shipped).unwrap();

    let mut recalled = Recalled::from_journal(&journal, false).unwrap();
    assert_eq!(recalled.next_from(id, 1), Some(seal(4, 6)));
    assert_eq!(recalled.next_from(id, 7), Some(seal(7, 9)));
    assert_eq!(recalled.next_from(id, 10), None);
    assert_eq!(recalled.next_from([0; 16], 1), None);
}
