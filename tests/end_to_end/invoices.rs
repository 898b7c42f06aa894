//! Invoices: environments that are not invoiced, whole coins, taxes, corrections of invoiced months, and every format.

use std::collections::BTreeMap;
use std::path::Path;

use domain::money::Cost;
use serde_json::{Value, json};

use crate::money_spans::{Call, export};
use crate::server::Server;

const JSON: &str = "application/json";

const TERMS: &str = r#"
[issuer]
name = "Example AI Ltd"

[[plan]]
name = "coins"
markup_percent = 20
round = "coin"
[[assign]]
tenant = "acme"
plan = "coins"

[[not_invoiced]]
environment = "staging"

[[tax]]
tenant = "acme"
name = "VAT"
percent = 19
"#;

const SEPTEMBER: Call<'static> = Call {
    trace: 1,
    answer: 1,
    scope: "test",
    tenant: "acme",
    model: "gpt-4o",
    at: "2026-09-10T12:00:00Z",
    tokens: (1_000_000, 100_001),
    cached: 0,
};

fn send(server: &Server, environment: &str, calls: &[Call<'_>]) {
    let mut request: Value = serde_json::from_slice(&export(calls)).unwrap();
    let attributes = request["resourceSpans"][0]["resource"]["attributes"].as_array_mut().unwrap();
    attributes.push(json!({"key": "deployment.environment.name", "value": {"stringValue": environment}}));
    assert_eq!(server.post(JSON, request.to_string().as_bytes()).unwrap().status, 200);
    server.succeed("settle");
}

fn usage(server: &Server, line: &str) -> Value {
    serde_json::from_str(&server.succeed(&format!("usage {line} --format json"))).unwrap()
}

/// The files of an export, by name.
fn exported(server: &Server, dir: &Path, month: &str, format: &str) -> BTreeMap<String, String> {
    let out = dir.join(format!("{month}-{format}"));
    server.succeed(&format!("invoice export --month {month} --as {format} --out {}", out.display()));
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap())
    };
    std::fs::read_dir(&out).unwrap().map(file).collect()
}

fn document(files: &BTreeMap<String, String>, name: &str) -> Value {
    serde_json::from_str(&files[name]).unwrap()
}

/// Kind, service month, and amount of each line.
fn lines(document: &Value) -> Vec<[&str; 3]> {
    let line = |line| {
        ["kind", "service_month", "amount"].map(|key| -> &str {
            let line: &Value = line;
            line[key].as_str().unwrap()
        })
    };
    document["lines"].as_array().unwrap().iter().map(line).collect()
}

fn money(value: &Value) -> Cost {
    Cost::parse(value.as_str().unwrap()).unwrap()
}

/// Scenario: a tenant whose plan wants whole coins and who pays a tax, with usage in an environment that is not invoiced;
/// its month is issued; then usage of it comes late and a call of it turns out to be someone else's; the next month is issued.
/// Guarantees: what is not invoiced is a line of zero; lines are coins and add up to the document and to the ledger; the
/// second document is a credit note whose lines name the month and the invoice they correct; all formats say the same;
/// `verify` draws it all up again; issuing again changes nothing.
#[test]
fn an_invoiced_month_is_corrected_by_a_credit_note_of_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    std::fs::write(dir.path().join("plans.toml"), TERMS).unwrap();
    server.succeed(&format!("plans import {}", dir.path().join("plans.toml").display()));
    send(
        &server,
        "production",
        &[SEPTEMBER, Call { trace: 2, answer: 2, model: "gpt-4o-mini", ..SEPTEMBER }],
    );
    send(&server, "staging", &[Call { trace: 3, answer: 3, ..SEPTEMBER }]);
    let totals = usage(&server, "--month 2026-09 --by environment");
    let staging =
        totals["rows"].as_array().unwrap().iter().find(|row| row["environment"] == "staging").unwrap();
    assert_eq!((&staging["cost"], &staging["charge"]), (&json!("3.500010000000"), &json!("0.000000000000")));

    let foreseen = document(&exported(&server, dir.path(), "2026-09", "json"), "invoice-2026-09-acme.json");
    server.succeed("invoice issue --month 2026-09");
    server.succeed("verify");
    let files = exported(&server, dir.path(), "2026-09", "json");
    let acme = document(&files, "invoice-2026-09-acme.json");
    assert_eq!(foreseen["number"], Value::Null);
    for same in ["lines", "subtotals", "amount", "calls"] {
        assert_eq!(foreseen[same], acme[same], "a draft shows what is issued");
    }
    // A million at 2.50 and 100,001 at 10 a million, a fifth more, each line rounded: 3.00 and 1.200012. The small model:
    // 0.15 and 0.60 a million: 0.18 and 0.07200072. In staging: nothing. 19 % of 4.45 is 0.8455.
    let mut amounts: Vec<&str> = lines(&acme).into_iter().map(|[_, _, amount]| amount).collect();
    amounts.sort_unstable();
    let expected = ["0.000000000000", "0.000000000000", "0.070000000000", "0.180000000000", "0.850000000000"];
    assert_eq!(amounts[..5], expected, "{acme:#}");
    assert_eq!(amounts[5..], ["1.200000000000", "3.000000000000"]);
    assert_eq!(lines(&acme).last().unwrap()[0], "tax");
    let says = |text: &str| {
        let lines = acme["lines"].as_array().unwrap().iter();
        lines.filter(|line| line["description"].as_str().unwrap().contains(text)).count()
    };
    assert_eq!(
        (says("not invoiced: environment staging"), says("rounded from 1.200012")),
        (2, 1),
        "{acme:#}"
    );
    assert_eq!(acme["amount"], "5.300000000000");
    assert_eq!(
        usage(&server, "--month 2026-09")["totals"]["charge"],
        acme["amount"],
        "a sum over the ledger"
    );

    // A call of September that came late, and one that turns out to be globex's.
    let late = Call { trace: 4, answer: 4, tokens: (1_000, 100), ..SEPTEMBER };
    send(&server, "production", &[late]);
    let moved = server.rows("SELECT response_id FROM ledgerline.ledger WHERE model = 'gpt-4o' AND environment = 'production' AND period = '2026-09-01'");
    let answer = moved[0]["response_id"].as_str().unwrap();
    server.succeed(&format!(
        "adjust reattribute {answer} --to-tenant globex --reason wrong --by ann --id move --apply"
    ));
    server.succeed("invoice issue --month 2026-10");
    server.succeed("verify");
    let files = exported(&server, dir.path(), "2026-10", "json");
    let note = document(&files, "invoice-2026-10-acme.json");
    assert_eq!(
        (&note["document"], &note["corrects"]),
        (&json!("credit_note"), &json!(["2026-09-0001"])),
        "{note:#}"
    );
    // Late: 0.003 and 0.0012 are no coin; given back: 3.00 and 1.20, and 19 % of 4.20.
    assert!(lines(&note).iter().all(|[kind, month, _]| *kind == "tax" || *month == "2026-09"), "{note:#}");
    assert_eq!(note["amount"], "-5.000000000000", "{note:#}");
    let globex = document(&files, "invoice-2026-10-globex.json");
    assert_eq!(
        (&globex["document"], &globex["corrects"]),
        (&json!("invoice"), &json!([])),
        "it had no invoice"
    );
    assert_eq!(globex["amount"], "3.500010000000", "{globex:#}");
    assert_eq!(
        document(&exported(&server, dir.path(), "2026-09", "json"), "invoice-2026-09-acme.json"),
        acme
    );

    // All formats say the same.
    let focus = exported(&server, dir.path(), "2026-10", "focus");
    let billed: Vec<(String, Cost, String)> = csv::Reader::from_reader(focus["focus-2026-10.csv"].as_bytes())
        .deserialize()
        .map(|row: Result<BTreeMap<String, String>, _>| row.unwrap())
        .map(|row| {
            (row["InvoiceId"].clone(), Cost::parse(&row["BilledCost"]).unwrap(), row["ChargeClass"].clone())
        })
        .collect();
    let table = exported(&server, dir.path(), "2026-10", "csv");
    for document in [&note, &globex] {
        let (number, amount) = (document["number"].as_str().unwrap(), money(&document["amount"]));
        assert_eq!(lines(document).iter().map(|line| Cost::parse(line[2]).unwrap()).sum::<Cost>(), amount);
        let of = billed.iter().filter(|(id, _, _)| id == number);
        assert_eq!(of.map(|(_, billed, _)| *billed).sum::<Cost>(), amount);
        let summed =
            format!("{},{number},{},{amount},USD", document["tenant"].as_str().unwrap(), document["calls"]);
        assert!(table["summary-2026-10.csv"].lines().any(|line| line == summed), "{summed}");
    }
    assert!(billed.iter().any(|(id, _, class)| id == "2026-10-0001" && class == "Correction"));

    let standing = server.succeed("invoice list --format csv");
    server.succeed("invoice issue --month 2026-10");
    assert_eq!(server.succeed("invoice list --format csv"), standing);
    server.stop();
}
