//! Corrections that people order: that they stand whatever comes later, are made once, and never touch a closed month.

use serde_json::Value;

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;

const JSON: &str = "application/json";
const GLOBEX: Call<'static> = Call { trace: 2, answer: 2, tenant: "globex", ..OCTOBER };

fn json(server: &Server, line: &str) -> Value {
    serde_json::from_str(&server.succeed(&format!("{line} --format json"))).unwrap()
}

fn send(server: &Server, calls: &[Call<'_>]) {
    assert_eq!(server.post(JSON, &export(calls)).unwrap().status, 200);
    server.succeed("settle");
}

/// Tenant, net calls and charge of everything that happened in October, whenever it is billed.
fn october(server: &Server) -> String {
    let usage = json(server, "usage --from 2026-10-01 --to 2026-11-01 --by tenant");
    let rows = usage["rows"].as_array().unwrap().iter();
    let shown = rows.map(|row| {
        let charge = row["charge"].as_str().unwrap().trim_end_matches('0');
        format!("{} {} {charge}", row["tenant"].as_str().unwrap(), row["calls"])
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn entries(server: &Server) -> i64 {
    server.rows("SELECT count() AS n FROM ledgerline.ledger")[0]["n"].as_i64().unwrap()
}

fn answer(server: &Server, trace: u64) -> String {
    let trace = format!("{:016x}{:016x}", trace + 1, !trace);
    let sql = format!("SELECT response_id FROM ledgerline.ledger WHERE trace_id = '{trace}' LIMIT 1");
    server.rows(&sql)[0]["response_id"].as_str().unwrap().to_string()
}

/// Scenario: a call is moved to another tenant; late evidence of it comes; it is repriced; the server restarts; the same
/// order is given again, and another under its id; then the order is revoked.
/// Guarantees: what was ordered stands through all of that, is made once, and revoking it brings back what the evidence says.
#[test]
fn a_call_that_was_moved_stays_moved_whatever_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    send(&server, &[OCTOBER, GLOBEX]);
    assert_eq!(october(&server), "acme 1 0.0035, globex 1 0.0035");
    let order = format!(
        "adjust reattribute {} --to-tenant initech --reason wrong-key --by ann --id move",
        answer(&server, 1)
    );

    let before = entries(&server);
    let dry = json(&server, &order);
    assert_eq!((dry.as_array().unwrap().len(), entries(&server)), (2, before), "{dry}");
    assert_eq!(october(&server), "acme 1 0.0035, globex 1 0.0035", "a dry run posts nothing");
    server.succeed(&format!("{order} --apply"));
    assert_eq!(october(&server), "globex 1 0.0035, initech 1 0.0035");
    assert_eq!(entries(&server), before + 2);
    server.succeed("verify");

    // Another library's report of the same call, in another trace, which knows what was cached.
    send(&server, &[Call { scope: "other", trace: 3, cached: 400, ..OCTOBER }]);
    assert_eq!(october(&server), "globex 1 0.0035, initech 1 0.003");
    let own = dir.path().join("own.csv");
    std::fs::write(
        &own,
        "provider,model,unit,price\nopenai,gpt-4o,input_mtok,1\nopenai,gpt-4o,output_mtok,1\n",
    )
    .unwrap();
    server.succeed(&format!("prices import {}", own.display()));
    server.succeed("reprice --priced --apply");
    assert_eq!(october(&server), "globex 1 0.0011, initech 1 0.0011");

    server.stop();
    let server = Server::start(&dir.path().join("data"), &[]);
    send(&server, &[OCTOBER, Call { scope: "third", trace: 4, cached: 400, ..OCTOBER }]);
    assert_eq!(october(&server), "globex 1 0.0011, initech 1 0.0011");
    let before = entries(&server);
    assert!(server.succeed(&format!("{order} --apply")).contains("was carried out"));
    let other = server.command("adjust reverse --tenant globex --reason other --by bob --id move --apply");
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("by ann"), "{other:?}");
    assert_eq!(entries(&server), before);
    let told = server.succeed(&format!("explain {}", answer(&server, 1)));
    assert!(
        told.contains("by ann: wrong-key") && told.contains("tenant \"initech\" by override move"),
        "{told}"
    );
    server.succeed("verify");

    server.succeed("adjust revoke move --reason mistaken --by ann --apply");
    assert_eq!(october(&server), "acme 1 0.0011, globex 1 0.0011");
    let twice = server.command("adjust revoke move --reason again --by ann --apply");
    assert!(String::from_utf8_lossy(&twice.stderr).contains("revoked already"), "{twice:?}");
    server.succeed("verify");
    server.stop();
}

/// Scenario: a tenant's calls of a time are taken back by a filter; then they are repriced and reported again; the month
/// is closed; then what was closed is moved.
/// Guarantees: what was taken back is not billed and says why; I5: the closed month stands, its correction is in the open one.
#[test]
fn calls_that_were_taken_back_stay_so_and_a_closed_month_is_corrected_in_the_open_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let later = Call { trace: 5, answer: 5, at: "2026-10-20T00:00:00Z", ..OCTOBER };
    send(&server, &[OCTOBER, GLOBEX, later]);
    server.succeed(
        "adjust reverse --tenant acme --from 2026-10-01 --to 2026-10-20 --reason outage --by ann --apply",
    );
    assert_eq!(october(&server), "acme 1 0.0035, globex 1 0.0035");
    let none =
        server.command("adjust reverse --tenant acme --to 2026-10-20 --reason outage --by ann --apply");
    assert!(String::from_utf8_lossy(&none.stderr).contains("no call that stands"), "{none:?}");
    server.succeed("reprice --priced --apply");
    send(&server, &[OCTOBER, Call { scope: "other", trace: 3, cached: 400, ..OCTOBER }]);
    assert_eq!(october(&server), "acme 1 0.0035, globex 1 0.0035");
    let outcomes = server.rows(
        "SELECT outcome, rule, outcome_reason FROM ledgerline.observations WHERE rule = 'override' ORDER BY outcome",
    );
    assert_eq!((outcomes.len(), outcomes[0]["outcome"].as_str()), (1, Some("not_billable")), "{outcomes:?}");
    server.succeed("verify");

    let closed = json(&server, "period close --month 2026-10");
    server.succeed("adjust reattribute --tenant globex --to-tenant acme --reason merger --by ann --apply");
    assert_eq!(october(&server), "acme 2 0.007");
    let month = |month: &str| json(&server, &format!("usage --month {month}"))["totals"]["calls"].clone();
    assert_eq!((month("2026-10"), month("2026-11")), (2.into(), 0.into()));
    assert_eq!(json(&server, "period close --month 2026-10"), closed);
    server.succeed("verify");
    server.stop();
}

/// Scenario: credits: one given at once, one that expires, one twice, one revoked; the month is closed.
/// Guarantees: each is posted once; months never use up more than they come to; verify holds orders and ledger together.
#[test]
fn credits_are_posted_once_and_used_up_as_months_close() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    send(&server, &[OCTOBER, GLOBEX]);
    let credit =
        |line: &str| server.succeed(&format!("adjust credit --by ann --month 2026-10 {line} --apply"));
    credit("--tenant acme --amount 0.001 --reason apology");
    assert!(credit("--tenant acme --amount 0.001 --reason apology").contains("was carried out"));
    credit("--tenant globex --amount 0.005 --reason launch --expires 2027-01 --id launch");
    credit("--tenant globex --amount 1 --reason slip --id slip");
    server.succeed("adjust revoke slip --reason slip --by ann --apply");
    let invoiced = |tenant: &str| {
        let rows = server.rows(&format!(
            "SELECT toString(sum(charge)) AS charge FROM ledgerline.ledger WHERE tenant = '{tenant}' AND period = '2026-10-01'"
        ));
        rows[0]["charge"].as_str().unwrap().to_string()
    };
    assert_eq!((invoiced("acme").as_str(), invoiced("globex").as_str()), ("0.0025", "0.0035"));
    server.succeed("verify");
    server.succeed("invoice issue --month 2026-10");
    assert_eq!((invoiced("acme").as_str(), invoiced("globex").as_str()), ("0.0025", "0"));
    // What is given in a closed month is posted in the open one, and 0.0015 of the other are left for it.
    credit("--tenant acme --amount 0.002 --reason more");
    send(&server, &[Call { trace: 6, answer: 6, at: "2026-11-02T00:00:00Z", tenant: "globex", ..OCTOBER }]);
    let preview = json(&server, "plans preview --month 2026-11");
    assert!(preview.to_string().contains("-0.001500000000"), "{preview}");
    server.succeed("verify");
    let list = json(&server, "adjust list");
    assert_eq!(list.as_array().unwrap().len(), 5, "{list}");
    server.stop();
}

/// Scenario: a person charges a tenant what streams without usage were estimated at, twice by the same words; another charge is
/// revoked; a credit that expires is there to be used; the month is closed, and charged again.
/// Guarantees: a charge is posted once, of no call, and stands on the invoice with its reason; months use credits for it; verify holds
/// orders and ledger together.
#[test]
fn a_charge_is_posted_once_and_invoiced_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    send(&server, &[OCTOBER, GLOBEX]);
    let charge =
        |line: &str| server.succeed(&format!("adjust charge --by ann --month 2026-10 {line} --apply"));
    let sums = |month: &str| {
        let rows = server.rows(&format!(
            "SELECT tenant, sum(l.calls) AS calls, toString(sum(l.cost)) AS cost, toString(sum(l.charge)) AS charge \
             FROM ledgerline.ledger AS l WHERE period = '{month}-01' GROUP BY tenant ORDER BY tenant"
        ));
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_string();
        let shown = rows.iter().map(|row| {
            format!("{} {} {} {}", text(row, "tenant"), row["calls"], text(row, "cost"), text(row, "charge"))
        });
        shown.collect::<Vec<_>>()
    };
    server.succeed("adjust charge --tenant acme --amount 0.014 --by ann --month 2026-10 --reason dry");
    charge("--tenant acme --amount 0.014 --reason unmetered-streams --id streams");
    assert!(
        charge("--tenant acme --amount 0.014 --reason unmetered-streams --id streams")
            .contains("was carried out")
    );
    charge("--tenant globex --amount 1 --reason slip --id slip");
    server.succeed("adjust revoke slip --reason slip --by ann --apply");
    assert_eq!(sums("2026-10"), ["acme 1 0.0035 0.0175", "globex 1 0.0035 0.0035"]);
    server.succeed("verify");

    server.succeed("adjust credit --by ann --month 2026-10 --tenant acme --amount 0.01 --reason launch --expires 2027-01 --apply");
    server.succeed("invoice issue --month 2026-10");
    assert_eq!(sums("2026-10"), ["acme 1 0.0035 0.0075", "globex 1 0.0035 0.0035"]);
    let lines = server.rows(
        "SELECT description, toString(amount) AS amount FROM ledgerline.invoice_lines WHERE tenant = 'acme' AND kind = 'adjustment'",
    );
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["amount"], "0.014");
    assert!(lines[0]["description"].as_str().unwrap().contains("unmetered-streams (streams)"), "{lines:?}");
    charge("--tenant acme --amount 0.5 --reason later");
    assert_eq!(sums("2026-11"), ["acme 0 0 0.5"], "the closed month stands");
    server.succeed("verify");
    server.stop();
}

/// Scenario: calls keep coming while their tenant's are moved, over and over.
/// Guarantees: every call is billed once, by whoever it was moved to or by the evidence; nothing is lost or doubled.
#[test]
fn adjusting_while_calls_are_settled_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    const ROUNDS: u64 = 6;
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for round in 0..ROUNDS {
                let calls: Vec<Call<'_>> = (0..20)
                    .map(|n| Call { trace: 100 + round * 20 + n, answer: 100 + round * 20 + n, ..OCTOBER })
                    .collect();
                assert_eq!(server.post(JSON, &export(&calls)).unwrap().status, 200);
                // Each again, from another library.
                let again: Vec<Call<'_>> = calls
                    .iter()
                    .map(|call| Call { scope: "other", trace: call.trace + 10_000, ..*call })
                    .collect();
                assert_eq!(server.post(JSON, &export(&again)).unwrap().status, 200);
            }
        });
        for round in 0..ROUNDS {
            // None may stand yet.
            drop(server.command(&format!(
                "adjust reattribute --tenant acme --to-tenant initech --reason race --by ann --id race-{round} --apply"
            )));
        }
    });
    server.succeed("settle");
    let calls = json(&server, "usage --month 2026-10")["totals"]["calls"].clone();
    assert_eq!(calls, ROUNDS * 20);
    server.succeed("verify");
    server.stop();
}
