//! What a test remembers of a journal's answers, and the oracle: what must be readable, and what must not.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use journal::{
    AppendError, Appender, CollectorId, Config, Durable, Gap, Journal, Kind, Place, ReadItem, Records,
    Recovered,
};

use crate::disk::Disk;

pub const SEGMENT_HEADER: u64 = 8192;
pub const FRAME_HEADER: usize = 32;

pub type Position = (CollectorId, u64);

/// Segments with room for some 600 bytes of frames, so that a few appends span several.
pub fn small() -> Config {
    Config {
        capacity_bytes: 1 << 20,
        segment_bytes: SEGMENT_HEADER + 600,
        frame_bytes_max: 500,
        group_bytes_max: 400,
        queue_bytes_max: 1 << 20,
        queue_requests_max: 1000,
        verify_on_open: journal::VerifyOnOpen::All,
    }
}

pub fn here() -> Place {
    Place::new("machine", "/journal")
}

pub fn open(disk: &Disk) -> (Journal, Recovered) {
    open_with(disk, small())
}

pub fn open_with(disk: &Disk, config: Config) -> (Journal, Recovered) {
    Journal::open_on(Arc::new(disk.clone()), &here(), config).expect("a journal always opens")
}

/// Records whose content tells which append they came from: no two appends of a test are alike.
pub fn records(append: u64, lens: &[usize]) -> Records {
    let mut records = Records::new();
    for (i, len) in lens.iter().enumerate() {
        records.push(Kind::new((append % 100) as u8), &content(append, i, *len));
    }
    records
}

pub fn content(append: u64, i: usize, len: usize) -> Vec<u8> {
    format!("append {append} record {i} ").into_bytes().into_iter().cycle().take(len.max(18)).collect()
}

/// Everything that a reader yields for an id from a number on.
pub fn read_all(journal: &Journal, id: CollectorId, from: u64) -> (Vec<(u64, Vec<u8>)>, Vec<Gap>) {
    let mut reader = journal.read_from(id, from);
    let (mut records, mut gaps) = (Vec::new(), Vec::new());
    let mut expected = from.max(1);
    while let Some(item) = reader.next_item().expect("the disk can be read") {
        match item {
            ReadItem::Record(record) => {
                assert_eq!(record.seq, expected, "numbers are yielded in order, each once");
                expected += 1;
                records.push((record.seq, record.bytes.to_vec()));
            }
            ReadItem::Gap(gap) => {
                assert_eq!(gap.from, expected, "a gap follows what was yielded");
                assert!(gap.to >= gap.from, "a gap is not empty");
                expected = gap.to + 1;
                gaps.push(gap);
            }
        }
        assert_eq!(reader.next_seq(), expected);
    }
    (records, gaps)
}

/// A record's bytes, and how many operations the disk had done when it was answered.
type Acknowledged = (Vec<u8>, usize);

/// What was answered, and when: for every acknowledged record its content and the operations done by then.
#[derive(Clone, Default)]
pub struct Ledger {
    acknowledged: Arc<Mutex<BTreeMap<Position, Acknowledged>>>,
}

pub type Outcome = Receiver<Result<Durable, AppendError>>;

impl Ledger {
    /// Submits an append; its outcome comes through the receiver and, if durable, into the ledger.
    pub fn submit(&self, appender: &Appender, disk: &Disk, append: u64, lens: &[usize]) -> Outcome {
        let (outcome, told) = channel();
        let (ledger, on_disk, lens_kept) = (self.clone(), disk.clone(), lens.to_vec());
        let submitted = appender.submit(records(append, lens), move |result| {
            if let Ok(durable) = &result {
                ledger.acknowledge(durable, append, &lens_kept, on_disk.ops());
            }
            // The test may have lost interest.
            let _ = outcome.send(result);
        });
        submitted.expect("the queue has room");
        told
    }

    pub fn append(
        &self,
        journal: &Journal,
        disk: &Disk,
        append: u64,
        lens: &[usize],
    ) -> Result<Durable, AppendError> {
        self.submit(&journal.appender(), disk, append, lens).recv().expect("every append is answered")
    }

    /// Appends in one group: they are queued while the writer is held in the answer of an append of its own.
    pub fn append_group(
        &self,
        journal: &Journal,
        disk: &Disk,
        appends: &[(u64, Vec<usize>)],
    ) -> Vec<Result<Durable, AppendError>> {
        let (held, hold) = (channel(), channel());
        let appender = journal.appender();
        let (append, lens) = &appends[0];
        let (ledger, on_disk, lens_kept, first) = (self.clone(), disk.clone(), lens.clone(), *append);
        let (outcome, told) = channel();
        let submitted = appender.submit(records(*append, lens), move |result| {
            if let Ok(durable) = &result {
                ledger.acknowledge(durable, first, &lens_kept, on_disk.ops());
            }
            held.0.send(()).expect("the test waits");
            hold.1.recv().expect("the test lets go");
            outcome.send(result).expect("the test waits");
        });
        submitted.expect("the queue has room");
        held.1.recv().expect("the first append is answered");
        let rest: Vec<_> =
            appends[1..].iter().map(|(n, lens)| self.submit(&appender, disk, *n, lens)).collect();
        hold.0.send(()).expect("the writer is held");
        std::iter::once(told).chain(rest).map(|told| told.recv().expect("every append is answered")).collect()
    }

    fn acknowledge(&self, durable: &Durable, append: u64, lens: &[usize], ops: usize) {
        let mut acknowledged = self.acknowledged.lock().unwrap();
        assert_eq!(durable.last_seq() - durable.first_seq() + 1, lens.len() as u64);
        for (i, len) in lens.iter().enumerate() {
            let position = (durable.collector_id(), durable.first_seq() + i as u64);
            let before = acknowledged.insert(position, (content(append, i, *len), ops));
            assert!(before.is_none(), "{position:?} was given twice");
        }
    }

    /// What had been acknowledged after this many operations.
    pub fn acknowledged_by(&self, ops: usize) -> BTreeMap<Position, Vec<u8>> {
        let acknowledged = self.acknowledged.lock().unwrap();
        let by_then = acknowledged.iter().filter(|(_, (_, at))| *at <= ops);
        by_then.map(|(position, (bytes, _))| (*position, bytes.clone())).collect()
    }

    pub fn acknowledged(&self) -> BTreeMap<Position, Vec<u8>> {
        self.acknowledged_by(usize::MAX)
    }
}

/// Everything readable in a journal, by position.
pub fn readable(journal: &Journal) -> BTreeMap<Position, Vec<u8>> {
    let mut all = BTreeMap::new();
    for range in journal.collectors() {
        let (records, _) = read_all(journal, range.collector_id, 1);
        all.extend(records.into_iter().map(|(seq, bytes)| ((range.collector_id, seq), bytes)));
    }
    all
}

/// Every acknowledged record that the checkpoint has not released is read back as it was.
pub fn check_nothing_lost(journal: &Journal, acknowledged: &BTreeMap<Position, Vec<u8>>, context: &str) {
    let checkpoint = journal.checkpoint();
    let readable = readable(journal);
    for (position, bytes) in acknowledged {
        if position.1 > checkpoint.get(position.0).released {
            assert_eq!(readable.get(position), Some(bytes), "{context}: {position:?} was acknowledged");
        }
    }
}
