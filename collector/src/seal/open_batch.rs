//! How far to cut: a batch that takes rows until the next one does not belong into it.
//!
//! Where a cut made at a limit ends depends on the records from its first position on and on the limits, on nothing
//! else: not on time, and not on how much was durable when it was read.

use schemas::record;
use schemas::rows::ObservationRow;

use super::bounds::Seal;

/// The most rows one insert may have and stay one part of the table, and so appear at once or not at all.
const ONE_PART_ROWS: u64 = 1_048_449;

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most rows.
    pub rows_max: u64,
    /// The most bytes of records, less what the last record exceeds it by. Rows take about three times as much.
    pub bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        // At 10,000 rows an insert the engine's cost a row is flat; two batches of 16 MiB of records are some 100 MiB.
        Self { rows_max: 20_000, bytes_max: 16 << 20 }
    }
}

impl Limits {
    /// No limit: a batch whose bounds are given is taken whole.
    pub(super) const NONE: Self = Self { rows_max: u64::MAX, bytes_max: u64::MAX };

    /// Checks the limits.
    ///
    /// # Errors
    /// One line a fault: the key, its value, what is allowed.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        if !(1..ONE_PART_ROWS).contains(&self.rows_max) {
            faults.push(format!("rows_max = {} must be 1 to {}", self.rows_max, ONE_PART_ROWS - 1));
        }
        if !(1..=128 << 20).contains(&self.bytes_max) {
            // Twice that is ClickHouse's bound of a part in bytes; columns for people come on top of the records.
            faults.push(format!("bytes_max = {} must be 1 to 128 MiB", self.bytes_max));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

/// What became of a row offered to a batch.
#[derive(Debug)]
pub enum Taken {
    /// It is in, and more may follow.
    Open,
    /// It is in, and no more will be taken.
    Full,
    /// It belongs to another day, so to the next batch.
    OtherDay(Box<ObservationRow>),
}

/// A batch being gathered.
#[derive(Debug)]
pub struct OpenBatch {
    collector_id: [u8; 16],
    first_seq: u64,
    limits: Limits,
    rows: Vec<ObservationRow>,
    bytes: u64,
    content_hash: u64,
}

impl OpenBatch {
    /// An empty batch that begins at a position.
    pub fn new(collector_id: [u8; 16], first_seq: u64, limits: Limits) -> Self {
        Self { collector_id, first_seq, limits, rows: Vec::new(), bytes: 0, content_hash: 0 }
    }

    /// Offers the next row. Rows come in order of position.
    pub fn take(&mut self, row: ObservationRow) -> Taken {
        let (day, last_seq) =
            self.rows.last().map_or((row.received_day, 0), |last| (last.received_day, last.seq));
        assert!(row.seq >= self.first_seq && row.seq > last_seq, "rows of a batch come in order of position");
        if row.received_day != day {
            return Taken::OtherDay(Box::new(row));
        }
        self.bytes += (row.record.len() + row.attributes.len()) as u64;
        self.content_hash = record::fold_hash(self.content_hash, record::hash(&row.record));
        self.rows.push(row);
        let full = self.rows.len() as u64 >= self.limits.rows_max || self.bytes >= self.limits.bytes_max;
        if full { Taken::Full } else { Taken::Open }
    }

    /// The position of the last row; `None` without rows.
    pub fn last_row_seq(&self) -> Option<u64> {
        self.rows.last().map(|row| row.seq)
    }

    /// Ends the batch at a position, with the bounds that are to be sealed and the rows.
    pub fn close(self, last_seq: u64) -> (Seal, Vec<ObservationRow>) {
        assert!(last_seq >= self.last_row_seq().unwrap_or(self.first_seq), "a batch covers all of its rows");
        let seal = Seal {
            collector_id: self.collector_id,
            first_seq: self.first_seq,
            last_seq,
            rows: self.rows.len() as u64,
            content_hash: self.content_hash,
            received_day: self.rows.first().map_or(0, |row| row.received_day),
        };
        (seal, self.rows)
    }
}
