//! Markdown tables, and progress for whoever waits.

use std::fmt;

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use indicatif::{ProgressBar, ProgressStyle};

/// A titled table.
#[derive(Debug)]
pub struct Section {
    title: String,
    table: Table,
}

impl Section {
    /// Without rows yet.
    pub fn new(title: &str, header: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN).set_header(header);
        Self { title: title.to_string(), table }
    }

    /// Adds a row of as many cells as the header has.
    pub fn row(&mut self, cells: &[String]) {
        self.table.add_row(cells);
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "## {}\n\n{}\n", self.title, self.table)
    }
}

/// A figure with about three digits that mean something.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => thousands(value.round()),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// What is being done, on a terminal; nothing elsewhere.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Starts the clock.
    pub fn start() -> anyhow::Result<Self> {
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{elapsed_precise} {msg}")?);
        Ok(Self { bar })
    }

    /// Says what comes next.
    pub fn say(&self, what: &str) {
        self.bar.set_message(what.to_string());
        self.bar.tick();
    }

    /// Wipes the line.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_about_three_digits() {
        for (value, text) in [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.4, "1,234"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_section_is_markdown() {
        let mut section = Section::new("Title", &["requests", "spans/s"]);
        section.row(&["gRPC × 1".into(), "10".into()]);
        let text = section.to_string();
        assert!(text.starts_with("## Title\n\n| requests "), "{text}");
        assert!(text.contains("| gRPC × 1 "), "{text}");
        assert!(text.lines().nth(3).unwrap().starts_with("|-"), "{text}");
    }
}
