//! Every query of every dashboard and alert rule, expanded as the Grafana plugin does, by the reader that Grafana is, on a
//! known ledger.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use billing::rollup;
use serde_json::Value;

use crate::money_spans::{Call, OCTOBER};
use crate::server::Server;
use crate::settlers::{now, send, settler};
use crate::spans::request;
use crate::vouchers::{ledger_of, start};

/// The time that a dashboard shows, its ends included.
#[derive(Clone, Copy)]
struct Shown {
    from: &'static str,
    to: &'static str,
}

const TODAY: Shown = Shown { from: "toDateTime(now() - 86400)", to: "toDateTime(now() + 60)" };

/// Puts values in place of the plugin's macros and of the variables; `options` are a variable's values.
fn expand(sql: &str, shown: Shown, point_seconds: u64, options: impl Fn(&str) -> Vec<String>) -> String {
    let Shown { from, to } = shown;
    let mut sql = sql.replace("$__fromTime", from).replace("$__toTime", to);
    for (name, write) in [
        (
            "$__timeFilter(",
            &(|column: &str| format!("{column} >= {from} AND {column} <= {to}")) as &dyn Fn(&str) -> String,
        ),
        ("$__timeInterval(", &|column| {
            format!("toStartOfInterval(toDateTime({column}), INTERVAL {point_seconds} second)")
        }),
    ] {
        while let Some(at) = sql.find(name) {
            let end = at + sql[at..].find(')').unwrap();
            let column = sql[at + name.len()..end].to_string();
            sql.replace_range(at..=end, &write(&column));
        }
    }
    for variable in ["tenant", "feature", "model", "trace"] {
        let listed: Vec<String> =
            options(variable).iter().map(|option| format!("'{}'", option.replace('\'', "\\'"))).collect();
        sql = sql.replace(&format!("${{{variable}:singlequote}}"), &listed.join(","));
    }
    assert!(!sql.contains('$'), "a macro that this test does not know: {sql}");
    sql
}

/// What a point of a panel stands for at least, in seconds.
fn least_point(panel: &Value) -> u64 {
    if panel["interval"] == "1d" { 86_400 } else { 60 }
}

fn dashboards() -> Vec<(PathBuf, Value)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut boards: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path, serde_json::from_str(&text).unwrap())
        })
        .collect();
    boards.sort_by(|one: &(PathBuf, Value), two| one.0.cmp(&two.0));
    assert!(boards.len() >= 8);
    boards
}

fn list<'v>(value: &'v Value, path: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

/// The values of a dashboard's variables, by the queries that Grafana would ask; the trace is one that was kept.
fn variables(server: &Server, dashboard: &Value, shown: Shown) -> BTreeMap<String, Vec<String>> {
    let values = |variable: &Value| {
        let name = variable["name"].as_str().unwrap().to_string();
        let sql = match name.as_str() {
            "trace" => "SELECT min(TraceId) AS option FROM ledgerline.otel_traces".to_string(),
            _ => expand(variable["query"].as_str().unwrap(), shown, 60, |_| Vec::new()),
        };
        let rows = server.rows(&sql);
        (name, rows.iter().map(|row| row["option"].as_str().unwrap().to_string()).collect())
    };
    list(dashboard, "/templating/list").map(values).collect()
}

/// The queries of the provisioned alert rules.
fn alert_queries() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/provisioning/alerting/ledgerline.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let query = |rest: &str| {
        let lines = rest.lines().take_while(|line| line.starts_with(&" ".repeat(16)));
        lines.map(str::trim).collect::<Vec<_>>().join("\n")
    };
    text.split("rawSql: |\n").skip(1).map(query).collect()
}

/// A server that keeps every trace, with forty calls in its ledger.
fn seeded(dir: &Path) -> Server {
    let variables = [("LEDGERLINE_TRACE_SAMPLE_RATIO", "1"), ("LEDGERLINE_TRACE_WAIT", "100ms")];
    let server = Server::start_with(dir, &[], &variables);
    assert_eq!(server.post("application/json", &request(0..40)).unwrap().status, 200);
    server.succeed("settle");
    while server.rows("SELECT count() AS spans FROM ledgerline.otel_traces")[0]["spans"] != 40 {
        std::thread::yield_now();
    }
    server
}

/// Scenario: forty calls, settled, their traces kept; each variable lists its values, each panel's query runs with all of them.
/// Guarantees: panels that sum cost agree with the ledger to the last digit (I6); every one asks a question and finds rows; every
/// alert rule has a query that says what its threshold is compared with.
#[test]
fn every_panel_answers_its_question_and_its_cost_is_a_sum_over_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let server = seeded(dir.path());
    let ledger = server.rows("SELECT toString(sum(l.cost)) AS cost FROM ledgerline.ledger AS l");
    let (mut asked, mut summed) = (0, 0);
    for (path, dashboard) in dashboards() {
        let variables = variables(&server, &dashboard, TODAY);
        for panel in list(&dashboard, "/panels") {
            let what = format!("{}: {}", path.file_name().unwrap().display(), panel["title"]);
            assert!(panel["description"].as_str().unwrap_or_default().contains('?'), "{what} asks nothing");
            for target in list(panel, "/targets") {
                let options = |name: &str| variables.get(name).cloned().unwrap_or_default();
                let sql = expand(target["rawSql"].as_str().unwrap(), TODAY, least_point(panel), options);
                let rows = server.rows(&sql);
                asked += 1;
                // What finds nothing on sound books.
                let quiet = ["Failures by kind", "Unpriced models", "Issued invoices"];
                assert!(
                    !rows.is_empty() || quiet.iter().any(|title| panel["title"] == *title),
                    "{what}: {sql}"
                );
                if rows.first().is_some_and(|row| row.get("cost").is_some()) {
                    let total = format!("SELECT toString(sum(toDecimal128(cost, 12))) AS cost FROM ({sql})");
                    assert_eq!(server.rows(&total), ledger, "{what}");
                    summed += 1;
                }
            }
        }
    }
    assert!(asked >= 50 && summed >= 12, "{asked} queries, cost summed by {summed}");
    let rules = alert_queries();
    assert!(rules.len() >= 4);
    for sql in rules {
        assert_eq!(server.rows(&sql).len(), 1, "{sql}");
    }
    server.stop();
}

/// Scenario: every query of a dashboard that reads the ledger, explained.
/// Guarantees: it prunes by the sorting key or by the partition, so that its cost follows the time shown and not the history.
#[test]
fn every_ledger_query_uses_the_sorting_key() {
    let dir = tempfile::tempdir().unwrap();
    let server = seeded(dir.path());
    let mut explained = 0;
    for (path, dashboard) in dashboards() {
        let variables = variables(&server, &dashboard, TODAY);
        for target in list(&dashboard, "/panels").flat_map(|panel| list(panel, "/targets")) {
            let sql = target["rawSql"].as_str().unwrap();
            if !sql.contains("ledgerline.ledger AS") && !sql.contains("ledgerline.usage_between(") {
                continue;
            }
            let sql = expand(sql, TODAY, 60, |name: &str| variables.get(name).cloned().unwrap_or_default());
            let plan = server.as_owner(&format!("EXPLAIN indexes = 1 {sql}"));
            let readings = plan.split("ReadFromMergeTree (ledgerline.").skip(1);
            for reading in readings.filter(|reading| reading.starts_with("ledger_entries)")) {
                let prunes = reading.lines().any(|line| {
                    line.contains("Condition:") && (line.contains("occurred_at") || line.contains("period"))
                });
                assert!(prunes, "{}: {sql}\n{plan}", path.display());
            }
            explained += 1;
        }
    }
    assert!(explained >= 40, "{explained}");
    server.stop();
}

/// Scenario: two days of October that are over, entry by entry and then rolled up; every panel of every dashboard, with every value
/// chosen, and with All in the one word that dashboards have for it.
/// Guarantees: a panel shows the same, to the last digit, whatever is rolled up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panels_show_the_same_whatever_is_rolled_up() {
    const OCTOBER_DAYS: Shown =
        Shown { from: "toDateTime('2026-10-10 06:00:00')", to: "toDateTime('2026-10-12 00:00:00')" };
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    let database = ledger_of(&server);
    let mut settler = settler(&database, 7, "USD", now).await;
    let calls = (1..=12).map(|n| Call {
        trace: n,
        answer: n,
        tenant: ["acme", "globex", ""][n as usize % 3],
        at: ["2026-10-10T12:00:00Z", "2026-10-11T00:00:00Z", "2026-10-11T23:30:00Z"][n as usize % 3],
        tokens: (1_000 + n, 10),
        ..OCTOBER
    });
    send(&server, &calls.collect::<Vec<_>>());
    settler.drain().await.unwrap();

    let shown = |all_in_one_word: bool| {
        let mut answers = Vec::new();
        for (path, dashboard) in dashboards() {
            let listed = variables(&server, &dashboard, OCTOBER_DAYS);
            let all = list(&dashboard, "/templating/list")
                .filter_map(|variable| Some((variable["name"].as_str()?, variable["allValue"].as_str()?)))
                .collect::<BTreeMap<_, _>>();
            let options = |name: &str| match all.get(name) {
                Some(word) if all_in_one_word => vec![word.trim_matches('\'').to_string()],
                _ => listed.get(name).cloned().unwrap_or_default(),
            };
            for panel in list(&dashboard, "/panels") {
                for target in list(panel, "/targets") {
                    let sql = target["rawSql"].as_str().unwrap();
                    let sql = expand(sql, OCTOBER_DAYS, least_point(panel), options);
                    if sql.contains("ledgerline.ledger AS") || sql.contains("ledgerline.usage_between(") {
                        answers.push((format!("{}: {}", path.display(), panel["title"]), server.rows(&sql)));
                    }
                }
            }
        }
        answers
    };
    let by_entries = shown(false);
    assert!(by_entries.len() >= 40, "{}", by_entries.len());
    assert_eq!(shown(true), by_entries, "All, in one word");
    let step = rollup::step(&database, now() + 3_600_000_000_000).await.unwrap();
    assert_eq!((step.days, step.more), (2, false));
    assert_eq!(shown(false), by_entries, "rolled up");
    assert_eq!(shown(true), by_entries, "rolled up, and All in one word");
    server.stop();
}
