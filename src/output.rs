//! Results on standard output: one description of rows, written as a table, JSON or CSV.
//!
//! Promises: money is a decimal string in JSON and has its twelve decimals everywhere; objects keep the order of the
//! columns; a text that a spreadsheet would run as a formula is made inert in CSV, and one that would move a terminal's
//! cursor is escaped in a table; a reader that goes away (`| head`) is not a failure.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use domain::money::Cost;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A text, perhaps a client's.
    Text(String),
    /// A whole number.
    Count(i64),
    /// Money.
    Money(Cost),
    /// Yes or no.
    Flag(bool),
    /// A moment.
    Time(DateTime<Utc>),
    /// Nothing: `null` in JSON, empty elsewhere.
    Nothing,
}

/// Rows with named columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// One row as an object, for documents that hold more than rows.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    columns: &'a [&'static str],
    cells: &'a [Cell],
}

/// Why a result could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Whoever read standard output has read enough.
    #[error("the reader of standard output is gone")]
    ReaderGone,
    /// Writing failed.
    #[error("cannot write the result to standard output")]
    Write(#[source] io::Error),
}

/// Nothing but a line under the header: what people copy from a terminal should be what they read.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

impl Cell {
    /// A moment, or nothing.
    pub fn time(moment: Option<DateTime<Utc>>) -> Self {
        moment.map_or(Self::Nothing, Self::Time)
    }

    /// A text, or nothing.
    pub fn text(text: Option<String>) -> Self {
        text.map_or(Self::Nothing, Self::Text)
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Count(_) | Self::Money(_))
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Count(number) => write!(f, "{number}"),
            Self::Money(cost) => write!(f, "{cost}"),
            Self::Flag(yes) => write!(f, "{yes}"),
            Self::Time(moment) => f.write_str(&moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Self::Nothing => Ok(()),
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(number) => serializer.serialize_i64(*number),
            Self::Flag(yes) => serializer.serialize_bool(*yes),
            Self::Nothing => serializer.serialize_none(),
            other => serializer.collect_str(other),
        }
    }
}

impl<'a> Object<'a> {
    /// Its values, in the order of the columns.
    pub fn cells(&self) -> &'a [Cell] {
        self.cells
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.columns.len()))?;
        for (column, cell) in self.columns.iter().zip(self.cells) {
            object.serialize_entry(column, cell)?;
        }
        object.end()
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.rows.len()))?;
        for cells in &self.rows {
            rows.serialize_element(&Object { columns: &self.columns, cells })?;
        }
        rows.end()
    }
}

impl Rows {
    /// No rows yet.
    pub fn new(columns: impl IntoIterator<Item = &'static str>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row. Its cells stand in the order of the columns.
    pub fn push(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells: Vec<Cell> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for every column");
        self.rows.push(cells);
    }

    /// The last row as an object.
    pub fn last(&self) -> Option<Object<'_>> {
        Some(Object { columns: &self.columns, cells: self.rows.last()? })
    }

    /// Writes the rows to standard output; as JSON, an array of objects.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn print(&self, format: Format) -> Result<(), OutputError> {
        print(&self.text(format))
    }

    /// The rows as they are printed.
    pub fn text(&self, format: Format) -> String {
        match format {
            Format::Table => self.table(None),
            Format::Json => json(self),
            Format::Csv => self.csv(),
        }
    }

    /// The rows as a table, under a line of their own the totals where there are any: a cell for every column.
    pub fn table(&self, totals: Option<Vec<Cell>>) -> String {
        let mut table = Table::new();
        table
            .load_style(STYLE)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(&self.columns);
        for cells in self.rows.iter().chain(&totals) {
            table.add_row(cells.iter().map(|cell| printable(&cell.to_string())));
        }
        for (at, column) in table.column_iter_mut().enumerate() {
            if self.rows.iter().chain(&totals).any(|cells| cells[at].is_number()) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        // Every row is one line: what would break it was escaped.
        let mut lines: Vec<String> = table.lines().collect();
        if totals.is_some() {
            let rule = lines[1].clone();
            lines.insert(lines.len() - 1, rule);
        }
        if self.rows.is_empty() {
            lines.push(" (no rows)".to_owned());
        }
        lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    /// The rows as CSV (RFC 4180, lines end in `\n`), with a header row.
    pub fn csv(&self) -> String {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        let rows = self.rows.iter().map(|cells| cells.iter().map(inert).collect::<Vec<_>>());
        let header = self.columns.iter().map(|&column| column.to_owned()).collect::<Vec<_>>();
        for row in std::iter::once(header).chain(rows) {
            writer
                .write_record(row)
                .expect("every row has as many cells as the header, and memory takes every write");
        }
        let bytes = writer.into_inner().expect("memory takes every write");
        String::from_utf8(bytes).expect("cells are text")
    }
}

/// A document as JSON, ending in a line feed.
pub fn json(document: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(document);
    text.expect("documents hold texts, numbers and maps with text keys") + "\n"
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes a result to standard output.
///
/// # Errors
/// [`OutputError`].
pub fn print(text: &str) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => OutputError::ReaderGone,
        _ => OutputError::Write(error),
    })
}

/// A cell for a spreadsheet: a text that would be taken for a formula gets an apostrophe before it.
fn inert(cell: &Cell) -> String {
    let text = cell.to_string();
    let formula = matches!(cell, Cell::Text(_)) && text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if formula { format!("'{text}") } else { text }
}

/// A text for a terminal, on one line: clients choose tenants' names, and a name may hold anything.
fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        let mut rows = Rows::new(["tenant", "calls", "cost", "operator", "since"]);
        let since = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        rows.push([
            "acme".into(),
            Cell::Count(12),
            Cell::Money(Cost::parse("0.0145").unwrap()),
            Cell::Flag(true),
            Cell::Time(since),
        ]);
        rows.push([
            "=1+1\u{1b}[2J".into(),
            Cell::Count(-3),
            Cell::Money(Cost::parse("-1").unwrap()),
            Cell::Flag(false),
            Cell::Nothing,
        ]);
        rows
    }

    #[test]
    fn json_keeps_the_order_of_columns_and_writes_money_as_text() {
        let text = serde_json::to_string(&rows()).unwrap();
        assert!(
            text.starts_with(
                r#"[{"tenant":"acme","calls":12,"cost":"0.014500000000","operator":true,"since":"2026-09-21T14:13:20Z"}"#
            ),
            "{text}"
        );
        assert!(text.ends_with(r#""since":null}]"#), "{text}");
    }

    #[test]
    fn csv_makes_formulas_inert_and_leaves_numbers_alone() {
        assert_eq!(
            rows().csv(),
            "tenant,calls,cost,operator,since\nacme,12,0.014500000000,true,2026-09-21T14:13:20Z\n'=1+1\u{1b}[2J,-3,-1.000000000000,false,\n"
        );
    }

    #[test]
    fn a_table_aligns_numbers_right_and_escapes_what_would_move_the_cursor() {
        let totals = vec!["total".into(), Cell::Count(9), Cell::Nothing, Cell::Nothing, Cell::Nothing];
        let expected = r"
 tenant          calls              cost   operator   since
───────────────────────────────────────────────────────────────────────────
 acme               12    0.014500000000   true       2026-09-21T14:13:20Z
 =1+1\u{1b}[2J      -3   -1.000000000000   false
───────────────────────────────────────────────────────────────────────────
 total               9
";
        let table = rows().table(Some(totals));
        assert_eq!(table, &expected[1..], "\n{table}");
    }

    #[test]
    fn a_table_without_rows_says_so() {
        assert!(Rows::new(["tenant"]).table(None).ends_with(" (no rows)\n"));
    }
}
