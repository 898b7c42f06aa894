//! Every query of every dashboard, expanded as the Grafana plugin does, by the reader that Grafana is, on a known ledger.

use std::path::Path;

use serde_json::Value;

use crate::server::Server;
use crate::spans::request;

/// Puts values in place of the plugin's macros and of the variables; `options` are a variable's values.
fn expand(sql: &str, options: impl Fn(&str) -> Vec<String>) -> String {
    let (from, to) = ("toDateTime(now() - 86400)", "toDateTime(now() + 3600)");
    let mut sql = sql.replace("$__fromTime", from).replace("$__toTime", to);
    for (name, write) in [
        (
            "$__timeFilter(",
            &(|column: &str| format!("{column} >= {from} AND {column} <= {to}")) as &dyn Fn(&str) -> String,
        ),
        ("$__timeInterval(", &|column| {
            format!("toStartOfInterval(toDateTime({column}), INTERVAL 60 second)")
        }),
    ] {
        while let Some(at) = sql.find(name) {
            let end = at + sql[at..].find(')').unwrap();
            let column = sql[at + name.len()..end].to_string();
            sql.replace_range(at..=end, &write(&column));
        }
    }
    for variable in ["tenant", "feature", "model"] {
        let listed: Vec<String> =
            options(variable).iter().map(|option| format!("'{}'", option.replace('\'', "\\'"))).collect();
        sql = sql.replace(&format!("${{{variable}:singlequote}}"), &listed.join(","));
    }
    assert!(!sql.contains('$'), "a macro that this test does not know: {sql}");
    sql
}

/// Scenario: forty calls, settled; each variable lists its values, each panel's query runs with all of them.
/// Guarantees: panels that sum cost agree with the ledger to the last digit (I6).
#[test]
fn every_panel_is_a_sum_over_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.post("application/json", &request(0..40)).unwrap().status, 200);
    server.succeed("settle");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/spend.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let options = |name: &str| -> Vec<String> {
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let variable = variables.iter().find(|variable| variable["name"] == name).unwrap();
        let rows = server.rows(&expand(variable["query"].as_str().unwrap(), |_| Vec::new()));
        rows.iter().map(|row| row["option"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(
        (options("tenant"), options("model")),
        (vec!["acme".to_string()], vec!["gpt-4o-2024-08-06".to_string()])
    );
    let ledger = server.rows("SELECT toString(sum(l.cost)) AS cost FROM ledgerline.ledger AS l");
    let mut summed = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(
            !panel["description"].as_str().unwrap_or_default().is_empty(),
            "a panel answers a question: {}",
            panel["title"]
        );
        for target in panel["targets"].as_array().into_iter().flatten() {
            let sql = expand(target["rawSql"].as_str().unwrap(), options);
            let rows = server.rows(&sql);
            assert!(!rows.is_empty(), "{}: {sql}", panel["title"]);
            if rows[0].get("cost").is_some() {
                let total = server
                    .rows(&format!("SELECT toString(sum(toDecimal128(cost, 12))) AS cost FROM ({sql})"));
                assert_eq!(total, ledger, "{}", panel["title"]);
                summed += 1;
            }
        }
    }
    assert!(summed >= 4, "cost is summed by {summed} panels");
    server.stop();
}
