//! Kept spans on their way to one insert, and when they have waited enough.

use std::time::Duration;

use schemas::rows::SpanRow;
use tokio::time::Instant;

/// How many days the spans of one insert may start on. Days are the table's partitions, ClickHouse refuses an insert that
/// touches more than 100 of them, and the days are whatever clients say: one client must not cost others their spans.
const DAYS_MAX: usize = 90;

const NANOS_A_DAY: i64 = 86_400_000_000_000;

/// How large an insert may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) rows_max: usize,
    pub(super) bytes_max: usize,
    pub(super) age_max: Duration,
}

/// Rows that are inserted together.
#[derive(Debug)]
pub(super) struct Batch {
    limits: Limits,
    rows: Vec<SpanRow>,
    bytes: usize,
    days: Vec<i64>,
    opened_at: Option<Instant>,
}

impl Batch {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, rows: Vec::new(), bytes: 0, days: Vec::new(), opened_at: None }
    }

    /// Whether the row can join those that are here. An empty batch takes any row.
    pub(super) fn has_room_for(&self, row: &SpanRow) -> bool {
        self.rows.is_empty()
            || (self.rows.len() < self.limits.rows_max
                && self.bytes + size(row) <= self.limits.bytes_max
                && (self.days.len() < DAYS_MAX || self.days.contains(&day(row))))
    }

    /// Takes a row.
    pub(super) fn push(&mut self, row: SpanRow) {
        self.opened_at.get_or_insert_with(Instant::now);
        self.bytes += size(&row);
        let day = day(&row);
        if !self.days.contains(&day) {
            self.days.push(day);
        }
        self.rows.push(row);
    }

    /// Until when the first row may wait; `None` for an empty batch.
    pub(super) fn due_at(&self) -> Option<Instant> {
        Some(self.opened_at? + self.limits.age_max)
    }

    /// How many rows wait here.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Hands over the rows and begins anew.
    pub(super) fn take(&mut self) -> Vec<SpanRow> {
        let limits = self.limits;
        std::mem::replace(self, Self::new(limits)).rows
    }
}

fn day(row: &SpanRow) -> i64 {
    row.timestamp.div_euclid(NANOS_A_DAY)
}

/// What a row holds in memory, in bytes: its texts, and for each the word that points to it with the allocator's share.
fn size(row: &SpanRow) -> usize {
    const OVERHEAD: usize = 48;
    let text = |text: &String| text.len() + OVERHEAD;
    let map =
        |map: &Vec<(String, String)>| map.iter().map(|(key, value)| text(key) + text(value)).sum::<usize>();
    let texts = [
        &row.trace_id,
        &row.span_id,
        &row.parent_span_id,
        &row.trace_state,
        &row.span_name,
        &row.service_name,
        &row.scope_name,
        &row.scope_version,
        &row.status_message,
    ];
    let events = row.events_name.iter().map(text).sum::<usize>()
        + row.events_attributes.iter().map(map).sum::<usize>();
    let links = row.links_trace_state.iter().map(|state| 4 * OVERHEAD + state.len()).sum::<usize>()
        + row.links_attributes.iter().map(map).sum::<usize>();
    size_of::<SpanRow>()
        + texts.into_iter().map(text).sum::<usize>()
        + map(&row.resource_attributes)
        + map(&row.span_attributes)
        + events
        + links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(rows_max: usize, bytes_max: usize) -> Batch {
        Batch::new(Limits { rows_max, bytes_max, age_max: Duration::from_secs(2) })
    }

    fn row(name: &str, day: i64) -> SpanRow {
        SpanRow { span_name: name.into(), timestamp: day * NANOS_A_DAY, ..SpanRow::default() }
    }

    /// How many equal rows a batch takes.
    fn fill(mut batch: Batch, row: impl Fn(i64) -> SpanRow) -> usize {
        while batch.len() < 1_000 && batch.has_room_for(&row(batch.len() as i64)) {
            batch.push(row(batch.len() as i64));
        }
        batch.len()
    }

    #[test]
    fn a_batch_is_bounded_in_rows_bytes_and_days() {
        assert_eq!(fill(batch(7, usize::MAX), |_| row("a", 0)), 7);
        assert_eq!(fill(batch(1_000, 10 * size(&row("a", 0))), |_| row("a", 0)), 10);
        assert_eq!(fill(batch(1_000, usize::MAX), |index| row("a", index)), DAYS_MAX);
        assert_eq!(fill(batch(1_000, usize::MAX), |index| row("a", index % 50)), 1_000);
    }

    #[test]
    fn a_row_larger_than_a_batch_goes_alone() {
        assert_eq!(fill(batch(10, 1), |_| row("a", 0)), 1);
    }

    #[test]
    fn the_size_grows_with_every_text() {
        let small = size(&SpanRow::default());
        let long = || "x".repeat(1_000);
        let map = || vec![(String::new(), long())];
        for row in [
            SpanRow { span_name: long(), ..SpanRow::default() },
            SpanRow { span_attributes: map(), ..SpanRow::default() },
            SpanRow { resource_attributes: map(), ..SpanRow::default() },
            SpanRow { events_attributes: vec![map()], ..SpanRow::default() },
            SpanRow { links_attributes: vec![map()], ..SpanRow::default() },
            SpanRow { status_message: long(), ..SpanRow::default() },
        ] {
            assert!(size(&row) >= small + 1_000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_due_from_its_first_row_on() {
        let mut batch = batch(10, usize::MAX);
        assert_eq!(batch.due_at(), None);
        let opened = Instant::now();
        batch.push(row("a", 0));
        tokio::time::advance(Duration::from_secs(1)).await;
        batch.push(row("b", 0));
        assert_eq!(batch.due_at(), Some(opened + Duration::from_secs(2)));
        assert_eq!(batch.take().len(), 2);
        assert_eq!((batch.due_at(), batch.len()), (None, 0));
    }
}
