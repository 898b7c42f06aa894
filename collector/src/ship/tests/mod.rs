//! Shipping to a ClickHouse that fails in every way there is.
//!
//! Each test asks the same in the end: every position that was appended is in the log once, as it was appended; batches
//! are contiguous and vouch for exactly their rows; the journal's cursor is never ahead of a commit. A position that its
//! batch leaves out is in quarantine, as it was appended.

mod clickhouse;
mod faults;
mod poison;
mod restarts;
mod running;
mod simulation;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use journal::{Journal, Records};
use schemas::{Database, record};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Config, Host, ShipHandle, Shipper, Summary};
use crate::append::samples::link;
use crate::append::{Append, Clock, EVIDENCE, channel};
use crate::seal::{Limits, RetryPolicy};
use clickhouse::{ClickHouse, Store, number};

const DAY: u16 = 20_700;

/// Quick to try again, and with nothing left to timers that a test would have to wait for.
fn config() -> Config {
    Config {
        limits: Limits { rows_max: 5, ..Limits::default() },
        interval: Duration::ZERO,
        retry: RetryPolicy { first: Duration::from_millis(1), max: Duration::from_millis(5) },
        ..Config::default()
    }
}

/// Batches only where they are full or wanted.
fn patient() -> Config {
    Config { interval: Duration::from_secs(3_600), ..config() }
}

/// A shipper at work on a journal.
struct Running {
    journal: Arc<Journal>,
    append: Append,
    handle: ShipHandle,
    task: JoinHandle<Summary>,
    settled: watch::Sender<HashMap<[u8; 16], u64>>,
}

impl Running {
    fn start(journal: Arc<Journal>, database: Database, config: Config) -> Self {
        let (append, appended) = channel(&journal);
        let (settled, settled_told) = watch::channel(HashMap::new());
        let host = Host { name: "test".into(), version: "0".into(), settles: false };
        let (shipper, handle) = Shipper::new(
            Arc::clone(&journal),
            appended,
            database,
            settled_told,
            host,
            Clock::system(),
            config,
        );
        let task = tokio::spawn(shipper.run());
        Self { journal, append, handle, task, settled }
    }

    async fn flush(&self) {
        self.handle.flush(far()).await.unwrap();
    }

    /// Ends the input, waits for the end.
    async fn finish(self) -> Summary {
        drop(self.append);
        self.task.await.unwrap()
    }

    /// As good as a kill: what was not durable never was.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        // What it had running on other threads lets go of the journal, which can then be opened again.
        while Arc::strong_count(&self.journal) > 1 {
            tokio::task::yield_now().await;
        }
    }
}

/// A deadline that no test reaches.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

fn open(dir: &Path) -> Arc<Journal> {
    Arc::new(Journal::open(dir, journal::Config::default()).unwrap().0)
}

/// Appends evidence in one request, received on the given days; returns the first position.
fn append(journal: &Journal, days: &[u16]) -> u64 {
    let mut records = Records::new();
    let first = journal.stat().durable_seq + 1;
    for (n, day) in (first..).zip(days) {
        records.push(EVIDENCE, &link(n, *day));
    }
    let durable = journal.appender().append(records).unwrap();
    durable.first_seq()
}

/// The law: what `journal` holds of evidence is what the log holds, in batches that vouch for it.
fn assert_exact(store: &Store, journal: &Journal) {
    let log = store.rows("observation_log");
    let batches = store.rows("batches");
    let quarantine = store.rows("quarantine");
    let checkpoint = journal.checkpoint();
    let mut evidence_rows = 0;
    for range in journal.collectors() {
        let id = range.collector_id;
        let mut reader = journal.read_from(id, 1);
        let mut expected = Vec::new();
        while let Some(item) = reader.next_item().unwrap() {
            match item {
                journal::ReadItem::Record(record) if record.kind == EVIDENCE => {
                    expected.push((record.seq, record.bytes.to_vec()));
                }
                journal::ReadItem::Record(_) => {}
                journal::ReadItem::Gap(gap) => panic!("{gap}"),
            }
        }
        let mine = |row: &&&clickhouse::Row| row["collector_id"] == id.to_bytes();
        let held = |rows: &[&clickhouse::Row]| -> Vec<(u64, Vec<u8>)> {
            rows.iter().filter(mine).map(|row| (number(row, "seq"), row["record"].clone())).collect()
        };
        let (found, refused) = (held(&log), held(&quarantine));
        let mut all = [found.clone(), refused.clone()].concat();
        all.sort();
        assert_eq!(all, expected, "every position once, as appended");
        evidence_rows += found.len();

        let mut next_first = 1;
        for batch in batches.iter().filter(mine) {
            let (first, last) = (number(batch, "first_seq"), number(batch, "last_seq"));
            assert_eq!(first, next_first, "batches are contiguous");
            let rows: Vec<_> = found.iter().filter(|(seq, _)| (first..=last).contains(seq)).collect();
            assert_eq!(number(batch, "rows"), rows.len() as u64);
            let hash = rows.iter().fold(0, |hash, (_, bytes)| record::fold_hash(hash, record::hash(bytes)));
            assert_eq!(number(batch, "content_hash"), hash);
            let left_out = refused.iter().map(|(seq, _)| *seq).filter(|seq| (first..=last).contains(seq));
            let left_out: Vec<u8> = left_out.flat_map(u64::to_le_bytes).collect();
            assert_eq!(batch["refused"], left_out, "what it leaves out is in quarantine");
            next_first = last + 1;
        }
        assert!(expected.last().is_none_or(|(seq, _)| *seq < next_first), "all evidence is vouched for");
        assert_eq!(checkpoint.get(id).shipped, next_first - 1, "the cursor is at the last commit");
    }
    assert_eq!(log.len(), evidence_rows, "nothing else is in the log");
}

/// Whatever was sent more than once was the same rows, byte for byte.
fn assert_repeats_are_identical(store: &Store) {
    let mut first = HashMap::new();
    for row in store.inserts_into("observation_log").into_iter().flat_map(|insert| &insert.rows) {
        let earlier = first.entry((&row["collector_id"], &row["seq"])).or_insert(row);
        assert_eq!(*earlier, row, "a position is bound to its row");
    }
}

async fn exact_after(ch: &ClickHouse, running: Running) {
    let journal = Arc::clone(&running.journal);
    running.flush().await;
    let summary = running.finish().await;
    assert!(summary.drained, "{summary:?}");
    assert_exact(&ch.store(), &journal);
    assert_repeats_are_identical(&ch.store());
}
