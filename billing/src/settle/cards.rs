//! Rate cards as rows of the table `prices`: kept the first time an entry names them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::price::PriceBook;
use schemas::rows;

use crate::prices::{BUNDLED_SOURCE, PriceRow};

/// The rows of the named cards. `known_from` is in microseconds since the epoch.
pub(super) fn rows_of(book: &PriceBook, price_ids: &[String], known_from: i64) -> Vec<rows::PriceRow> {
    let named = PriceRow::of_book(book).into_iter().filter(|row| price_ids.contains(&row.price_id));
    named.map(|row| to_table(row, known_from)).collect()
}

fn to_table(row: PriceRow, known_from: i64) -> rows::PriceRow {
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
        source: BUNDLED_SOURCE.to_string(),
        book: row.book_version,
        known_from,
    }
}

impl PriceRow {
    /// The row as the table `prices` holds it.
    pub fn from_table(row: rows::PriceRow) -> Self {
        let time = |nanos: Option<i64>| nanos.map(DateTime::from_timestamp_nanos);
        Self {
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
