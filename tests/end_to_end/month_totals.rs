//! What a month's total is, where the month also takes late usage and corrects others: which of them minimums look at, and
//! when a month may be closed at all.

use serde_json::Value;

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;

const JSON: &str = "application/json";

const PLANS: &str = r#"
[[plan]]
name = "at least one"
minimum = "1"
[[assign]]
tenant = "*"
plan = "at least one"
"#;

const SEPTEMBER: Call<'static> = Call { at: "2026-09-10T12:00:00Z", ..OCTOBER };

fn send(server: &Server, call: Call<'_>) {
    assert_eq!(server.post(JSON, &export(&[call])).unwrap().status, 200);
    server.succeed("settle");
}

/// Kind, amount and description of each line of a month's invoice of a tenant.
fn lines(server: &Server, month: &str) -> Vec<[String; 3]> {
    let rows = server.rows(&format!(
        "SELECT kind, toString(amount) AS amount, description FROM ledgerline.invoice_lines \
         WHERE period_start = '{month}-01' AND tenant = 'acme' ORDER BY line"
    ));
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_string();
    rows.iter().map(|row| ["kind", "amount", "description"].map(|key| text(row, key))).collect()
}

/// Scenario: a plan has a minimum; a month is issued; then a call of it is taken back, and another of it comes late, learnt of in
/// parts, while the next month has usage of its own.
/// Guarantees: the minimum looks at the month's own and at late usage, however that was learnt of; what is given back stands
/// outside, so that no minimum eats it up, and it alone is said to correct.
#[test]
fn a_minimum_looks_at_late_usage_and_not_at_what_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let path = dir.path().join("plans.toml");
    std::fs::write(&path, PLANS).unwrap();
    server.succeed(&format!("plans import {}", path.display()));
    server.succeed("settle");
    send(&server, SEPTEMBER);
    server.succeed("invoice issue --month 2026-09");
    let answer = server.rows("SELECT response_id FROM ledgerline.ledger WHERE response_id != ''");
    let answer = answer[0]["response_id"].as_str().unwrap().to_string();

    send(&server, Call { trace: 2, answer: 2, ..OCTOBER });
    let late = Call { trace: 3, answer: 3, ..SEPTEMBER };
    send(&server, late);
    // 400 of its thousand tokens were read from the cache, as another library knows: half a thousandth less.
    send(&server, Call { scope: "other", trace: 4, cached: 400, ..late });
    server.succeed(&format!("adjust reverse {answer} --reason wrong --by ann --id back --apply"));
    server.succeed("invoice issue --month 2026-10");
    server.succeed("verify");

    let lines = lines(&server, "2026-10");
    let sum = |of: &dyn Fn(&[String; 3]) -> bool| -> domain::money::Cost {
        let amounts = lines.iter().filter(|line| of(line)).map(|[_, amount, _]| amount);
        amounts.map(|amount| domain::money::Cost::parse(amount).unwrap()).sum()
    };
    let says = |text: &'static str| move |line: &[String; 3]| line[2].contains(text);
    assert_eq!(sum(&says("corrects 2026-09-0001")).shown(), "-0.0035", "{lines:#?}");
    assert_eq!(sum(&says("reported after that month was closed")).shown(), "0.003", "{lines:#?}");
    // 1 less 0.0035 of October and 0.003 that came late.
    assert_eq!(sum(&|line| line[0] == "minimum").shown(), "0.9935", "{lines:#?}");
    assert_eq!(sum(&|_| true).shown(), "0.9965", "{lines:#?}");
    server.stop();
}

/// Scenario: a month that is over and still takes late usage is closed, and then closed without waiting.
/// Guarantees: it is refused, with the day from which on it is not, and done where it is asked for.
#[test]
fn a_month_that_takes_late_usage_is_closed_only_by_who_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], &[("LEDGERLINE_BILLING_GRACE", "36500d")]);
    send(&server, SEPTEMBER);
    for line in ["period close --month 2026-09", "invoice issue --month 2026-09"] {
        let refused = server.command(line);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(
            said.contains("2026-09 takes late usage until 2126-") && said.contains("--without-grace"),
            "{said}"
        );
    }
    assert_eq!(server.rows("SELECT count() AS n FROM ledgerline.invoices")[0]["n"], 0);
    server.succeed("period close --without-grace --month 2026-09");
    server.succeed("invoice issue --month 2026-09");
    server.succeed("verify");
    server.stop();
}

/// Scenario: a span is said to stand for a call that the ledger does not have, when a month is to be closed.
/// Guarantees: it is refused before anything is posted, with what is off, and done where that is asked for.
#[test]
fn a_month_is_not_closed_while_a_call_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    send(&server, SEPTEMBER);
    send(&server, Call { scope: "other", trace: 2, ..SEPTEMBER });
    server.as_owner(
        "INSERT INTO ledgerline.decisions SELECT * REPLACE ('billed' AS outcome, now64(6) AS decided_at) \
         FROM ledgerline.decisions AS d FINAL WHERE d.outcome = 'merged'",
    );
    let refused = server.command("period close --month 2026-09");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("2 spans stand for a call, the ledger has 1 calls"), "{said}");
    assert!(said.contains("--unbalanced"), "{said}");
    assert_eq!(server.command("invoice issue --month 2026-09").status.code(), Some(1));
    server.succeed("period close --unbalanced --month 2026-09");
    server.succeed("invoice issue --month 2026-09");
    server.stop();
}

/// Scenario: closing a month posts what its total leads to and stops there, because an entry was altered; that is mended, more
/// usage comes, and the month is closed again.
/// Guarantees: what the first attempt posted is made up for; the month has one minimum, that of all its usage.
#[test]
fn what_a_close_posted_that_went_no_further_is_corrected_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let path = dir.path().join("plans.toml");
    std::fs::write(&path, PLANS).unwrap();
    server.succeed(&format!("plans import {}", path.display()));
    server.succeed("settle");
    send(&server, SEPTEMBER);
    let alter = |change: &str| {
        server.as_owner(&format!(
            "ALTER TABLE ledgerline.ledger_entries UPDATE cost = cost {change} WHERE entry_type = 'usage' SETTINGS mutations_sync = 2"
        ));
    };
    alter("+ 1");
    let refused = server.command("period close --month 2026-09");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && said.contains("2026-09 does not verify"), "{said}");
    let charge = || charge(&server);
    assert_eq!(charge(), "1.000000000000", "the minimum of 0.9965 stands");
    alter("- 1");
    send(&server, Call { trace: 2, answer: 2, ..SEPTEMBER });
    server.succeed("period close --month 2026-09");
    assert_eq!(charge(), "1.000000000000", "0.007 of usage, and a minimum of 0.993");
    server.succeed("verify");
    server.stop();
}

/// What September is charged.
fn charge(server: &Server) -> String {
    let usage: Value = serde_json::from_str(&server.succeed("usage --month 2026-09 --format json")).unwrap();
    usage["totals"]["charge"].as_str().unwrap().to_string()
}
