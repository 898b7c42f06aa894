//! Rate cards as rows of the table `prices`: kept the first time an entry names them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::price::PriceBook;
use schemas::rows;

use crate::prices::PriceRow;

/// The rows of the named cards, each once. `known_from` is in microseconds since the epoch; `source` names the file of
/// a layer.
pub(super) fn rows_of(
    book: &PriceBook,
    price_ids: &[String],
    known_from: i64,
    source: &dyn Fn(&str) -> String,
) -> Vec<rows::PriceRow> {
    let mut named: BTreeMap<String, rows::PriceRow> = BTreeMap::new();
    for row in PriceRow::of_book(book).into_iter().filter(|row| price_ids.contains(&row.price_id)) {
        // Two layers may state the same price; the one that goes before is where it was read.
        let layer = source(&row.layer);
        named.entry(row.price_id.clone()).or_insert_with(|| to_table(row, layer, known_from));
    }
    named.into_values().collect()
}

fn to_table(row: PriceRow, source: String, known_from: i64) -> rows::PriceRow {
    let nanos = |time: Option<DateTime<Utc>>| time.and_then(|time| time.timestamp_nanos_opt());
    rows::PriceRow {
        price_id: row.price_id,
        provider: row.provider,
        model: row.model,
        valid_from: nanos(row.valid_from),
        valid_to: nanos(row.valid_to),
        daily: row.daily,
        context: row.context.into_iter().collect(),
        rates: row.rates.into_iter().collect(),
        unsupported: row.unsupported,
        minimums: row.minimums.into_iter().collect(),
        source,
        book: row.book_version,
        known_from,
    }
}

impl PriceRow {
    /// The row as the table `prices` holds it.
    pub fn from_table(row: rows::PriceRow) -> Self {
        let time = |nanos: Option<i64>| nanos.map(DateTime::from_timestamp_nanos);
        Self {
            layer: String::new(),
            price_id: row.price_id,
            book_version: row.book,
            provider: row.provider,
            model: row.model,
            valid_from: time(row.valid_from),
            valid_to: time(row.valid_to),
            daily: row.daily,
            context: row.context.into_iter().collect::<BTreeMap<_, _>>(),
            rates: row.rates.into_iter().collect(),
            unsupported: row.unsupported,
            minimums: row.minimums.into_iter().collect(),
        }
    }
}
