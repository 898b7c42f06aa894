//! Prices that come, change and go, on a running server: what had no price gets one, what has one keeps it until asked.

use std::path::Path;

use serde_json::Value;

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;

const JSON: &str = "application/json";

fn json(server: &Server, line: &str) -> Value {
    serde_json::from_str(&server.succeed(&format!("{line} --format json"))).unwrap()
}

fn import(server: &Server, dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    server.succeed(&format!("prices import {}", path.display()));
}

fn send(server: &Server, calls: &[Call<'_>]) {
    assert_eq!(server.post(JSON, &export(calls)).unwrap().status, 200);
    server.succeed("settle");
}

/// Cost of October by tenant and model, and its calls without a price.
fn october(server: &Server) -> Vec<(String, String, i64)> {
    let usage = json(server, "usage --month 2026-10 --by tenant,model");
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_string();
    let rows = usage["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let who = format!("{} {}", text(row, "tenant"), text(row, "model"));
        (who, text(row, "cost"), row["unpriced_calls"].as_i64().unwrap())
    })
    .collect()
}

fn rows(expected: &[(&str, &str, i64)]) -> Vec<(String, String, i64)> {
    expected.iter().map(|(who, cost, unpriced)| (who.to_string(), cost.to_string(), *unpriced)).collect()
}

const OWN: &str = "provider,model,unit,price\nopenai,house-9,input_mtok,10\nopenai,house-9,output_mtok,20\n";

/// Scenario: a call of a model nobody knows, then its price is imported.
/// Guarantees: it is visible without a price (I9), priced once the price is there, once only, and all sums hold.
#[test]
fn a_price_that_arrives_prices_what_had_none() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let house = Call { model: "house-9", trace: 2, answer: 2, ..OCTOBER };
    send(&server, &[OCTOBER, house]);
    let before = rows(&[("acme gpt-4o", "0.003500000000", 0), ("acme house-9", "0.000000000000", 1)]);
    assert_eq!(october(&server), before);

    let dry = server.succeed("reprice");
    assert!(dry.contains("nothing differs") && dry.contains("1 calls (model_unknown)"), "{dry}");
    import(&server, dir.path(), "own.csv", OWN);
    server.succeed("settle");
    let after = rows(&[("acme gpt-4o", "0.003500000000", 0), ("acme house-9", "0.012000000000", 0)]);
    assert_eq!(october(&server), after);
    let outcomes = server.rows("SELECT outcome, count() AS n FROM ledgerline.observations GROUP BY outcome");
    assert_eq!((outcomes.len(), outcomes[0]["outcome"].as_str()), (1, Some("billed")), "{outcomes:?}");

    // The same evidence again, and settling again, posts nothing.
    let entries = || server.rows("SELECT count() AS n FROM ledgerline.ledger")[0]["n"].as_i64().unwrap();
    assert_eq!(entries(), 4, "two calls, a reversal and its replacement");
    send(&server, &[OCTOBER, house]);
    assert_eq!(entries(), 4);
    let books = server.rows("SELECT count() AS n FROM ledgerline.price_books");
    assert_eq!(books[0]["n"], 2, "each book that was rated with is on record");
    server.succeed("verify");
    server.stop();
}

/// Scenario: a call is priced; then its model gets another price; late evidence of the call comes.
/// Guarantees: the call keeps its price until someone asks; asking first shows, then posts a linked correction.
#[test]
fn another_price_changes_what_stands_only_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let mini = Call { model: "gpt-4o-mini", trace: 3, answer: 3, tenant: "globex", ..OCTOBER };
    send(&server, &[OCTOBER, mini]);
    let known_before = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let own = "provider,model,unit,price\nopenai,gpt-4o,input_mtok,1\nopenai,gpt-4o,output_mtok,1\n";
    import(&server, dir.path(), "own.csv", own);
    // Another library's report of the first call, which knows what was cached: at the price that stands,
    // 600 × 2.50 + 400 × 1.25 + 100 × 10 dollars a million.
    send(&server, &[Call { scope: "other", trace: 4, cached: 400, ..OCTOBER }]);
    let kept = october(&server);
    assert_eq!(kept[0], rows(&[("acme gpt-4o", "0.003000000000", 0)])[0]);

    let entries = || server.rows("SELECT count() AS n FROM ledgerline.ledger")[0]["n"].as_i64().unwrap();
    let before = entries();
    let dry = json(&server, "reprice --priced --month 2026-10");
    assert_eq!((dry.as_array().unwrap().len(), dry[0]["tenant"].as_str()), (1, Some("acme")), "{dry}");
    assert_eq!((entries(), october(&server)), (before, kept), "a dry run posts nothing");

    server.succeed("reprice --priced --tenant globex --apply");
    assert_eq!(entries(), before, "another tenant's calls are not in scope");
    server.succeed("reprice --priced --month 2026-10 --apply");
    let now = october(&server);
    assert_eq!(now[0], rows(&[("acme gpt-4o", "0.001100000000", 0)])[0]);
    assert_eq!(now[1].0, "globex gpt-4o-mini");
    let again = server.succeed("reprice --priced --apply");
    assert!(again.contains("nothing differs"), "{again}");
    server.succeed("verify");

    // What was known then is still known to have been.
    let show = |at: &str| {
        let quotes =
            json(&server, &format!("prices show gpt-4o --provider openai --at 2026-10-10 --known-at {at}"));
        let quotes = quotes.as_array().unwrap().clone();
        let input = quotes.iter().find(|row| row["unit"] == "input").unwrap();
        (input["unit_price"].as_str().unwrap().to_string(), input["layer"].as_str().unwrap().to_string())
    };
    assert_eq!(show(&known_before), ("0.0000025".into(), "bundled".into()));
    assert_eq!(show("2100-01-01"), ("0.000001".into(), "own".into()));
    let sources = json(&server, "prices sources");
    let origins: Vec<&str> =
        sources.as_array().unwrap().iter().map(|row| row["origin"].as_str().unwrap()).collect();
    assert_eq!(origins, ["bundled", "own"]);
    server.stop();
}

/// Scenario: files with faults, and the same file twice.
/// Guarantees: nothing of a file with a fault is imported, every fault is named; the same file is in force already.
#[test]
fn a_price_file_is_imported_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let path = dir.path().join("own.csv");
    std::fs::write(&path, format!("{OWN}openai,bad,input_mtok,-1\nopenai,worse,smell,1\n")).unwrap();
    let line = format!("prices import {}", path.display());
    let refused = server.command(&line);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("line 4") && said.contains("line 5"), "{said}");
    let own = "SELECT count() AS n FROM ledgerline.price_sources WHERE origin = 'own'";
    assert_eq!(server.rows(own)[0]["n"], 0);

    std::fs::write(&path, OWN).unwrap();
    let dry = server.succeed(&format!("{line} --dry-run"));
    assert!(dry.contains("house-9") && dry.contains("would be in force"), "{dry}");
    assert_eq!(server.rows(own)[0]["n"], 0);
    assert!(server.succeed(&line).contains("2 rates new"));
    assert!(server.succeed(&line).contains("in force already"));
    assert_eq!(server.rows(own)[0]["n"], 1);
    server.stop();
}

/// Scenario: a model whose own price has a tier for the tokens beyond it; a call beyond, and a late report of what was cached.
/// Guarantees: only the tokens beyond have the tier's price, in the ledger, in `explain`, on the invoice, line by line; what
/// is refined later is a difference like any other; `verify` recomputes it all.
#[test]
fn a_marginal_tier_prices_the_tokens_beyond_it_and_shows_them() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let own = "provider,model,unit,price,beyond\nopenai,house-9,input_mtok,1,\nopenai,house-9,input_mtok,2,200000\n\
               openai,house-9,cache_read_mtok,0.5,\nopenai,house-9,output_mtok,10,\n";
    import(&server, dir.path(), "own.csv", own);
    let shown = json(&server, "prices show house-9 --provider openai");
    let input = shown.as_array().unwrap().iter().find(|row| row["unit"] == "input").unwrap();
    assert_eq!(input["unit_price"], "0.000001; 0.000002 beyond 200000");

    let call = Call { model: "house-9", tokens: (250_000, 100), ..OCTOBER };
    send(&server, &[call]);
    // 200,000 at 1, 50,000 at 2 and 100 at 10 dollars a million.
    assert_eq!(october(&server), rows(&[("acme house-9", "0.301000000000", 0)]));
    let entry = server.rows("SELECT entry_id FROM ledgerline.ledger")[0]["entry_id"].to_string();
    let told = server.succeed(&format!("explain {}", entry.trim_matches('"')));
    for said in ["200000 input ", "50000 input>200000 ", "× 0.000002 "] {
        assert!(told.contains(said), "{said}\n{told}");
    }
    server.succeed("verify");

    // What was cached stands first: 100,000 at 0.50, 100,000 at 1, 50,000 at 2.
    send(&server, &[Call { scope: "other", trace: 4, cached: 100_000, ..call }]);
    assert_eq!(october(&server), rows(&[("acme house-9", "0.251000000000", 0)]));
    server.succeed("verify");
    server.succeed("invoice issue --month 2026-10");
    let out = dir.path().join("out");
    server.succeed(&format!("invoice export --month 2026-10 --out {}", out.display()));
    let invoice = std::fs::read_to_string(out.join("invoice-2026-10-acme.csv")).unwrap();
    for line in [",input,100000,0.000001,0.100000000000,", ",input>200000,50000,0.000002,0.100000000000,"] {
        assert!(invoice.contains(line), "{line}\n{invoice}");
    }
    server.succeed("verify");
    server.stop();
}
