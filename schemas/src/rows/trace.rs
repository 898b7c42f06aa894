//! Rows of `otel_traces`: the table of the OpenTelemetry Collector's ClickHouse exporter, column for column.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

/// Names and values in the order they were sent; a ClickHouse `Map`.
pub type TextMap = Vec<(String, String)>;

/// One sampled span. The columns of `Events` and of `Links` hold one element an event or link each, so the arrays of a
/// group have the same length.
#[derive(Debug, Clone, Default, PartialEq, Eq, Row, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SpanRow {
    /// When it started, nanoseconds since the epoch.
    pub timestamp: i64,
    /// Lowercase hexadecimal.
    pub trace_id: String,
    /// Lowercase hexadecimal.
    pub span_id: String,
    /// Lowercase hexadecimal; empty for a root.
    pub parent_span_id: String,
    /// W3C trace state.
    pub trace_state: String,
    /// The span's name.
    pub span_name: String,
    /// `Unspecified`, `Internal`, `Server`, `Client`, `Producer`, `Consumer`.
    pub span_kind: String,
    /// `service.name` of the resource.
    pub service_name: String,
    /// Of the resource.
    pub resource_attributes: TextMap,
    /// The instrumentation.
    pub scope_name: String,
    /// Its version.
    pub scope_version: String,
    /// Of the span.
    pub span_attributes: TextMap,
    /// Nanoseconds.
    pub duration: u64,
    /// `Unset`, `Ok`, `Error`.
    pub status_code: String,
    /// What the status says.
    pub status_message: String,
    /// Nanoseconds since the epoch.
    #[serde(rename = "Events.Timestamp")]
    pub events_timestamp: Vec<i64>,
    /// The events' names.
    #[serde(rename = "Events.Name")]
    pub events_name: Vec<String>,
    /// The events' attributes.
    #[serde(rename = "Events.Attributes")]
    pub events_attributes: Vec<TextMap>,
    /// Lowercase hexadecimal.
    #[serde(rename = "Links.TraceId")]
    pub links_trace_id: Vec<String>,
    /// Lowercase hexadecimal.
    #[serde(rename = "Links.SpanId")]
    pub links_span_id: Vec<String>,
    /// W3C trace state.
    #[serde(rename = "Links.TraceState")]
    pub links_trace_state: Vec<String>,
    /// The links' attributes.
    #[serde(rename = "Links.Attributes")]
    pub links_attributes: Vec<TextMap>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::{Layout, MIGRATIONS};

    /// The columns of the migration, nested ones as `Group.Name`.
    fn columns_of_the_table() -> Vec<String> {
        let statements = MIGRATIONS.iter().flat_map(|migration| migration.statements(&Layout::default()));
        let table = statements
            .into_iter()
            .find(|statement| statement.contains(".otel_traces \n") || statement.contains(".otel_traces\n"));
        let mut columns = Vec::new();
        let mut group = None;
        for line in table.expect("the migrations make otel_traces").lines().skip(2).map(str::trim) {
            let name = line.split_whitespace().next().unwrap_or_default();
            match (name, group) {
                ("INDEX", _) => break,
                (")", _) => group = None,
                (name, _) if line.ends_with("Nested (") => group = Some(name),
                (name, Some(group)) => columns.push(format!("{group}.{name}")),
                (name, None) => columns.push(name.to_string()),
            }
        }
        columns
    }

    #[test]
    fn a_row_has_the_columns_of_the_table_in_their_order() {
        assert_eq!(SpanRow::COLUMN_NAMES, columns_of_the_table());
    }
}
