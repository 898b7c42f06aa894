//! The DDL: numbered migrations, rendered for one server or a cluster.

/// Settings that make a committed row survive power loss, through merges too; see the design note in
/// `docs/adr/0001-key-the-billing-tables.md`. The window for repeated inserts is of an earlier time and not used
/// (`docs/adr/0024-insert-by-keys-alone.md`).
const DURABLE: &str = "fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, \
min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480, non_replicated_deduplication_window = 10000";

/// On a cluster durability against power loss is a quorum's.
const DURABLE_REPLICATED: &str = "fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, \
min_compressed_bytes_to_fsync_after_merge = 1, replicated_deduplication_window = 10000";

/// One numbered step of the schema. Released steps are never edited.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its number, from 1, without gaps.
    pub version: u32,
    /// What it is.
    pub name: &'static str,
    text: &'static str,
}

/// Every migration, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "billing", text: include_str!("../migrations/0001_billing.sql") },
    Migration { version: 2, name: "reading", text: include_str!("../migrations/0002_reading.sql") },
    Migration { version: 3, name: "traces", text: include_str!("../migrations/0003_traces.sql") },
    Migration {
        version: 4,
        name: "price_sources",
        text: include_str!("../migrations/0004_price_sources.sql"),
    },
    Migration { version: 5, name: "manifests", text: include_str!("../migrations/0005_manifests.sql") },
    Migration { version: 6, name: "plans", text: include_str!("../migrations/0006_plans.sql") },
    Migration { version: 7, name: "overrides", text: include_str!("../migrations/0007_overrides.sql") },
    Migration {
        version: 8,
        name: "invoice_lines",
        text: include_str!("../migrations/0008_invoice_lines.sql"),
    },
    Migration {
        version: 9,
        name: "sampled_spans",
        text: include_str!("../migrations/0009_sampled_spans.sql"),
    },
    Migration { version: 10, name: "readings", text: include_str!("../migrations/0010_readings.sql") },
    Migration {
        version: 11,
        name: "reading_by_time",
        text: include_str!("../migrations/0011_reading_by_time.sql"),
    },
    Migration { version: 12, name: "quarantine", text: include_str!("../migrations/0012_quarantine.sql") },
    Migration {
        version: 13,
        name: "exchange_rates",
        text: include_str!("../migrations/0013_exchange_rates.sql"),
    },
    Migration { version: 14, name: "retirements", text: include_str!("../migrations/0014_retirements.sql") },
    Migration { version: 15, name: "vouchers", text: include_str!("../migrations/0015_vouchers.sql") },
    Migration { version: 16, name: "rolled days", text: include_str!("../migrations/0016_rolled_days.sql") },
];

/// Where the DDL is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The database's name.
    pub database: String,
    /// The cluster, for `ON CLUSTER` and replicated engines.
    pub cluster: Option<String>,
}

impl Default for Layout {
    fn default() -> Self {
        Self { database: "ledgerline".into(), cluster: None }
    }
}

impl Migration {
    /// The migration's statements, rendered, each without its final semicolon.
    pub fn statements(&self, layout: &Layout) -> Vec<String> {
        let rendered = render(self.text, layout);
        split(&rendered)
    }

    /// The whole text, rendered, for people.
    pub fn text(&self, layout: &Layout) -> String {
        render(self.text, layout)
    }
}

/// The table that records which migrations a database has had.
pub fn history_statements(layout: &Layout) -> Vec<String> {
    split(&render(
        "CREATE DATABASE IF NOT EXISTS {db} {cluster};
         CREATE TABLE IF NOT EXISTS {db}.schema_history {cluster}
         (version UInt32, name String, applied_at DateTime64(6, 'UTC') DEFAULT now64(6))
         ENGINE = {replacing} ORDER BY version SETTINGS {durable};",
        layout,
    ))
}

fn render(text: &str, layout: &Layout) -> String {
    let on_cluster = layout.cluster.as_ref().map(|name| format!("ON CLUSTER '{name}'")).unwrap_or_default();
    let mut out = text.replace("{db}", &layout.database).replace("{cluster}", &on_cluster);
    out = match &layout.cluster {
        None => out
            .replace("{replacing}", "ReplacingMergeTree")
            .replace("{mergetree}", "MergeTree")
            .replace("{durable}", DURABLE),
        Some(_) => out
            .replace("{replacing}", "ReplicatedReplacingMergeTree")
            .replace("{mergetree}", "ReplicatedMergeTree")
            .replace("{durable}", DURABLE_REPLICATED),
    };
    let engine = if layout.cluster.is_some() { "ReplicatedReplacingMergeTree" } else { "ReplacingMergeTree" };
    // `{replacing(version)}` → `ReplacingMergeTree(version)`
    while let Some(at) = out.find("{replacing(") {
        let end = at + out[at..].find(")}").expect("migrations close their placeholders");
        let version = out[at + "{replacing(".len()..end].to_string();
        out.replace_range(at..end + 2, &format!("{engine}({version})"));
    }
    // `CREATE TABLE x  \n(` where the cluster is empty.
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

/// Splits at semicolons that end a line. Comments and literals of our own migrations hold none there.
fn split(text: &str) -> Vec<String> {
    let without_comments: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    without_comments
        .join("\n")
        .split(";\n")
        .map(|statement| statement.trim().trim_end_matches(';').to_string())
        .filter(|statement| !statement.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_gaps_and_leave_no_placeholder() {
        for layout in [Layout::default(), Layout { cluster: Some("main".into()), ..Layout::default() }] {
            for (at, migration) in MIGRATIONS.iter().enumerate() {
                assert_eq!(migration.version as usize, at + 1);
                for statement in migration.statements(&layout) {
                    for left in ["{db}", "{cluster}", "{replacing", "{durable}", "{mergetree}"] {
                        assert!(!statement.contains(left), "{statement}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_cluster_gets_replicated_engines() {
        let layout = Layout { cluster: Some("main".into()), ..Layout::default() };
        let text = MIGRATIONS[0].text(&layout);
        assert!(text.contains("ENGINE = ReplicatedReplacingMergeTree(seq)"), "{text}");
        assert!(text.contains("ON CLUSTER 'main'"));
    }
}
