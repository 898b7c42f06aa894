//! ClickHouse in memory, as far as a batch is concerned: keys that replace, a constraint that comes
//! and goes, and every way to fail, drawn from the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use clickhouse::error::Error;
use domain::identity::{CollectorId, EntryId};
use domain::ledger::Entry;
use schemas::DatabaseError;
use schemas::rows::{BatchRow, ObservationRow, QuarantineRow, RecordRow};

use super::random::Random;
use crate::ship::log::Log;

/// The database. Clones are the same one.
#[derive(Clone)]
pub struct Model(Arc<Mutex<State>>);

/// An insert: what came, whoever hears of it.
#[derive(Clone)]
pub enum Insert {
    Rows(Vec<ObservationRow>),
    Batch(BatchRow),
    Quarantine(Vec<QuarantineRow>),
}

pub struct State {
    draw: Random,
    /// Of a hundred statements, how many fail in some way.
    pub faults: u64,
    pub away: bool,
    /// The traces that a constraint refuses while it is on.
    pub refused: BTreeSet<[u8; 16]>,
    pub constraint: bool,
    late: Vec<Insert>,
    pub log: BTreeMap<([u8; 16], u64), ObservationRow>,
    pub batches: BTreeMap<([u8; 16], u64), BatchRow>,
    pub quarantine: BTreeMap<([u8; 16], u64), QuarantineRow>,
    pub entries: BTreeMap<EntryId, Arc<Entry>>,
    pub cursors: BTreeMap<CollectorId, u64>,
    /// How often each fault struck.
    pub struck: BTreeMap<&'static str, u64>,
}

impl Model {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            draw: Random::new(seed, 1),
            faults: 30,
            away: false,
            refused: BTreeSet::new(),
            constraint: false,
            late: Vec::new(),
            log: BTreeMap::new(),
            batches: BTreeMap::new(),
            quarantine: BTreeMap::new(),
            entries: BTreeMap::new(),
            cursors: BTreeMap::new(),
            struck: BTreeMap::new(),
        })))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn error(text: &str) -> DatabaseError {
    let source = Error::BadResponse(text.to_owned());
    DatabaseError::Statement { what: "do as it was told".into(), url: "memory".into(), source }
}

fn refusal() -> DatabaseError {
    error("Code: 469. DB::Exception: Constraint `odd` is violated. (VIOLATED_CONSTRAINT)")
}

impl State {
    fn strike(&mut self, fault: &'static str) {
        *self.struck.entry(fault).or_default() += 1;
    }

    /// Whether a question, or a write of settlement's, fails without having been heard.
    pub fn fails(&mut self) -> bool {
        let fails = self.away || self.draw.chance(self.faults / 4);
        if fails {
            self.strike("not heard");
        }
        fails
    }

    /// Whether a write that was done is not answered.
    pub fn reply_lost(&mut self) -> bool {
        let lost = self.draw.chance(self.faults / 4);
        if lost {
            self.strike("reply lost");
        }
        lost
    }

    fn insert(&mut self, insert: Insert) -> Result<(), DatabaseError> {
        if self.fails() {
            return Err(error("Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)"));
        }
        if self.draw.chance(self.faults) {
            match self.draw.below(4) {
                0 => {
                    self.strike("applied late");
                    self.late.push(insert);
                }
                1 => {
                    self.strike("half");
                    let half = insert.first_half();
                    // Whoever asked hears of no refusal either.
                    let _ = self.apply(half);
                }
                _ => {
                    self.strike("reply lost");
                    let _ = self.apply(insert);
                }
            }
            return Err(error("connection closed"));
        }
        self.apply(insert)
    }

    fn apply(&mut self, insert: Insert) -> Result<(), DatabaseError> {
        if let Insert::Rows(rows) = &insert
            && self.constraint
            && rows.iter().any(|row| self.refused.contains(&row.trace_id))
        {
            self.strike("rows refused");
            return Err(refusal());
        }
        match insert {
            Insert::Rows(rows) => {
                self.log.extend(rows.into_iter().map(|row| ((row.collector_id, row.seq), row)));
            }
            Insert::Batch(row) => {
                let stands = self.batches.entry((row.collector_id, row.first_seq)).or_insert(row.clone());
                if row.committed_at >= stands.committed_at {
                    *stands = row;
                }
            }
            Insert::Quarantine(rows) => {
                for row in rows {
                    let stands = self.quarantine.entry((row.collector_id, row.seq)).or_insert(row.clone());
                    if row.redriven_at >= stands.redriven_at {
                        *stands = row;
                    }
                }
            }
        }
        Ok(())
    }

    /// Applies one of the inserts that are late, the first or the last.
    pub fn apply_late(&mut self) {
        if !self.late.is_empty() {
            let at = if self.draw.chance(50) { 0 } else { self.late.len() - 1 };
            let insert = self.late.remove(at);
            let _ = self.apply(insert);
        }
    }

    pub fn are_late(&self) -> usize {
        self.late.len()
    }

    pub fn held(&self) -> Vec<QuarantineRow> {
        self.quarantine.values().filter(|row| row.redriven_at == 0).cloned().collect()
    }
}

impl Insert {
    fn first_half(self) -> Self {
        match self {
            Self::Rows(mut rows) => {
                rows.truncate(rows.len().div_ceil(2));
                Self::Rows(rows)
            }
            Self::Quarantine(mut rows) => {
                rows.truncate(rows.len().div_ceil(2));
                Self::Quarantine(rows)
            }
            one @ Self::Batch(_) => one,
        }
    }
}

impl Log for Model {
    async fn insert_observations(&self, rows: &[&ObservationRow]) -> Result<(), DatabaseError> {
        self.state().insert(Insert::Rows(rows.iter().copied().cloned().collect()))
    }

    async fn insert_batch(&self, batch: &BatchRow) -> Result<(), DatabaseError> {
        self.state().insert(Insert::Batch(batch.clone()))
    }

    async fn insert_quarantine(&self, rows: &[QuarantineRow]) -> Result<(), DatabaseError> {
        self.state().insert(Insert::Quarantine(rows.to_vec()))
    }

    async fn quarantined_from(&self, collector: [u8; 16], first: u64) -> Result<Vec<u64>, DatabaseError> {
        let mut state = self.state();
        if state.fails() {
            return Err(error("connection refused"));
        }
        Ok(state
            .quarantine
            .range((collector, first)..=(collector, u64::MAX))
            .map(|((_, seq), _)| *seq)
            .collect())
    }

    async fn positions_between(
        &self,
        collector: [u8; 16],
        day: u16,
        first: u64,
        last: u64,
    ) -> Result<Vec<u64>, DatabaseError> {
        let rows = self.records_between(collector, day, first, last).await?;
        Ok(rows.into_iter().map(|row| row.seq).collect())
    }

    async fn records_between(
        &self,
        collector: [u8; 16],
        day: u16,
        first: u64,
        last: u64,
    ) -> Result<Vec<RecordRow>, DatabaseError> {
        let mut state = self.state();
        if state.fails() {
            return Err(error("connection refused"));
        }
        let rows = state.log.range((collector, first)..=(collector, last)).map(|(_, row)| row);
        let rows = rows.filter(|row| row.received_day == day);
        Ok(rows
            .map(|row| RecordRow { collector_id: collector, seq: row.seq, record: row.record.clone() })
            .collect())
    }

    async fn any_row_taken(&self, collector: [u8; 16]) -> Result<Option<ObservationRow>, DatabaseError> {
        let mut state = self.state();
        if state.fails() {
            return Err(error("connection refused"));
        }
        let mut own = state.log.range((collector, 0)..=(collector, u64::MAX));
        Ok(own.next_back().or_else(|| state.log.iter().next()).map(|(_, row)| row.clone()))
    }

    async fn forget_tables(&self) {}

    fn url(&self) -> String {
        "memory".into()
    }
}
