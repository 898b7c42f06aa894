//! The dashboards' queries, as Grafana would ask them: its macros and variables written out, over the time each dashboard shows.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

/// A query of a panel, ready to be asked.
#[derive(Debug, Clone)]
pub struct Panel {
    pub dashboard: String,
    pub title: String,
    /// What the dashboard shows when it is opened.
    pub range: String,
    pub sql: String,
}

/// A ClickHouse, asked as Grafana's data source asks: over HTTP, as the reader.
#[derive(Debug)]
pub struct Reader {
    client: reqwest::Client,
    url: String,
}

impl Reader {
    /// At a URL.
    pub fn at(url: &str) -> Self {
        Self { client: reqwest::Client::new(), url: format!("{url}/?database=ledgerline") }
    }

    /// Asks; how long it took until the last byte was here, and the answer.
    pub async fn ask(&self, sql: &str) -> anyhow::Result<(Duration, String)> {
        let begun = Instant::now();
        let answer = self.client.post(&self.url).body(sql.to_string()).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        anyhow::ensure!(status.is_success(), "{sql}: {text}");
        Ok((begun.elapsed(), text))
    }

    /// The first column of the rows, as text.
    async fn column(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        let (_, text) = self.ask(&format!("{sql}\nFORMAT JSONCompactStrings")).await?;
        let document: Value = serde_json::from_str(&text)?;
        let rows = document["data"].as_array().context("an answer has rows")?;
        Ok(rows.iter().filter_map(|row| row[0].as_str().map(str::to_string)).collect())
    }
}

/// Every query of every panel, with every value of the variables chosen, and of the trace one that is there.
pub async fn all(dir: &Path, reader: &Reader) -> anyhow::Result<Vec<Panel>> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .with_context(|| format!("no dashboards in {}", dir.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let mut panels = Vec::new();
    for file in files {
        let board: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        let range = board["time"]["from"].as_str().context("a dashboard shows some time")?.to_string();
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let mut chosen: Vec<(String, String)> = Vec::new();
        for variable in list(&board, "/templating/list") {
            let variable_name = variable["name"].as_str().unwrap_or_default();
            let values = match variable_name {
                "trace" => reader.column("SELECT min(TraceId) AS option FROM ledgerline.otel_traces").await?,
                _ => {
                    let sql =
                        expand(variable["query"].as_str().unwrap_or_default(), &range, POINT_SECONDS, &[])?;
                    panels.push(Panel {
                        dashboard: name.clone(),
                        title: format!("(the list of {variable_name}s)"),
                        range: range.clone(),
                        sql: sql.clone(),
                    });
                    reader.column(&sql).await?
                }
            };
            // One that takes a single value is opened with its first.
            let shown = if variable["multi"] == true { values.len() } else { 1 };
            let listed: Vec<String> =
                values.iter().take(shown).map(|value| format!("'{}'", value.replace('\'', "\\'"))).collect();
            // All of them are one word, where the dashboard has one for it.
            let all = variable["allValue"].as_str().map_or_else(|| listed.join(","), str::to_string);
            chosen.push((variable_name.to_string(), all));
        }
        for panel in list(&board, "/panels") {
            for target in list(panel, "/targets") {
                panels.push(Panel {
                    dashboard: name.clone(),
                    title: panel["title"].as_str().unwrap_or_default().to_string(),
                    range: range.clone(),
                    sql: expand(
                        target["rawSql"].as_str().unwrap_or_default(),
                        &range,
                        point_seconds(&panel["interval"]),
                        &chosen,
                    )?,
                });
            }
        }
    }
    Ok(panels)
}

fn list<'v>(value: &'v Value, path: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

/// Grafana's own: about a thousand points over the time shown.
const POINT_SECONDS: u64 = 600;

/// What a point of a panel stands for, which says how little it may be.
fn point_seconds(least: &Value) -> u64 {
    if least == "1d" { 86_400 } else { POINT_SECONDS }
}

/// Writes macros and variables out.
fn expand(sql: &str, range: &str, point: u64, chosen: &[(String, String)]) -> anyhow::Result<String> {
    let from = match range {
        "now/M" => "toDateTime(toStartOfMonth(now()))".to_string(),
        ago => {
            let (amount, unit) = ago.trim_start_matches("now-").split_at(ago.len().saturating_sub(5));
            let seconds = match unit {
                "h" => 3_600,
                "d" => 86_400,
                _ => anyhow::bail!("a time that is not known: {range}"),
            };
            format!("toDateTime(now() - {})", amount.parse::<u64>()? * seconds)
        }
    };
    let to = "toDateTime(now())";
    let mut sql = sql.replace("$__fromTime", &from).replace("$__toTime", to);
    type Write<'w> = &'w dyn Fn(&str) -> String;
    let filter = |column: &str| format!("{column} >= {from} AND {column} <= {to}");
    let interval = |column: &str| format!("toStartOfInterval(toDateTime({column}), INTERVAL {point} second)");
    for (name, write) in [("$__timeFilter(", &filter as Write<'_>), ("$__timeInterval(", &interval)] {
        while let Some(at) = sql.find(name) {
            let end = at + sql[at..].find(')').context("a macro ends")?;
            let column = sql[at + name.len()..end].to_string();
            sql.replace_range(at..=end, &write(&column));
        }
    }
    for (variable, values) in chosen {
        sql = sql.replace(&format!("${{{variable}:singlequote}}"), values);
    }
    anyhow::ensure!(!sql.contains('$'), "a macro that is not known: {sql}");
    Ok(sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_and_variables_are_written_out_over_the_time_shown() {
        let chosen = [("tenant".to_string(), "'a','b'".to_string())];
        let sql = "SELECT $__timeInterval(l.at) WHERE $__timeFilter(l.at) AND t IN (${tenant:singlequote})";
        assert_eq!(
            expand(sql, "now-7d", 600, &chosen).unwrap(),
            "SELECT toStartOfInterval(toDateTime(l.at), INTERVAL 600 second) WHERE l.at >= toDateTime(now() - 604800) \
             AND l.at <= toDateTime(now()) AND t IN ('a','b')"
        );
        assert!(expand("$__fromTime", "now-24h", 600, &[]).unwrap().contains("86400"));
        assert!(expand("$__fromTime", "now/M", 600, &[]).unwrap().contains("toStartOfMonth"));
        assert!(expand("$__unknown", "now-6h", 600, &[]).is_err());
    }
}
