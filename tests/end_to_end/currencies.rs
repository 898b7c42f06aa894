//! Invoices in other currencies than the ledger's: refused without a rate, converted once, and never again.

use std::collections::BTreeMap;
use std::path::Path;

use domain::money::Cost;
use serde_json::{Value, json};

use crate::money_spans::{Call, export};
use crate::server::Server;

const PLANS: &str = r#"
[[plan]]
name = "euros"
invoice_currency = "EUR"
[[plan]]
name = "yen"
invoice_currency = "JPY"
[[assign]]
tenant = "acme"
plan = "euros"
from = "2026-09"
[[assign]]
tenant = "globex"
plan = "yen"
[[tax]]
tenant = "*"
name = "VAT"
percent = 19
"#;

const RATES: &str = r#"
source = "ECB euro reference rates"
[[rate]]
base = "USD"
quote = "EUR"
rate = 0.8571
date = 2026-09-30
[[rate]]
base = "USD"
quote = "JPY"
rate = 149.325
date = 2026-09-30
until = "2027-01"
source = "Bank of Japan"
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

fn import(server: &Server, dir: &Path, what: &str, text: &str) {
    let path = dir.join(format!("{what}.toml"));
    std::fs::write(&path, text).unwrap();
    server.succeed(&format!("{what} import {}", path.display()));
}

/// What a command that must fail says.
fn refused(server: &Server, line: &str) -> String {
    let run = server.command(line);
    assert_eq!(run.status.code(), Some(1), "{line}: {run:?}");
    String::from_utf8(run.stderr).unwrap()
}

/// The findings of `verify`.
fn findings(server: &Server) -> String {
    String::from_utf8(server.command("verify").stdout).unwrap()
}

/// The files of an export in every format, by name.
fn exported(server: &Server, dir: &Path, month: &str) -> BTreeMap<String, String> {
    let out = dir.join(month);
    for format in ["csv", "json", "focus", "html"] {
        server.succeed(&format!("invoice export --month {month} --as {format} --out {}", out.display()));
    }
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap())
    };
    std::fs::read_dir(&out).unwrap().map(file).collect()
}

/// Kind, amount, currency of each line of a tenant's CSV.
fn lines(files: &BTreeMap<String, String>, month: &str, tenant: &str) -> Vec<String> {
    let file = &files[&format!("invoice-{month}-{tenant}.csv")];
    let mut reader = csv::Reader::from_reader(file.as_bytes());
    let shown = |row: csv::StringRecord| {
        format!("{} {} {}", &row[5], Cost::parse(&row[12]).unwrap().shown(), &row[13])
    };
    let lines: Vec<String> = reader.records().map(|row| shown(row.unwrap())).collect();
    let summary = &files[&format!("summary-{month}.csv")];
    let mut summed = csv::Reader::from_reader(summary.as_bytes());
    let of_tenant = summed.records().map(Result::unwrap).find(|row| &row[0] == tenant).unwrap();
    let mut reader = csv::Reader::from_reader(file.as_bytes());
    let sum: Cost = reader.records().map(|row| Cost::parse(&row.unwrap()[12]).unwrap()).sum();
    assert_eq!((sum.to_string().as_str(), lines[0].rsplit(' ').next()), (&of_tenant[3], Some(&of_tenant[4])));
    lines
}

fn alter(server: &Server, table: &str, change: &str) {
    server.as_owner(&format!("ALTER TABLE ledgerline.{table} UPDATE {change} SETTINGS mutations_sync = 2"));
}

/// Scenario: tenants are invoiced in euros, yen and the ledger's dollars; the month is closed without rates, with rates that
/// are none, with rates; before it is issued other rates of the same days and other plans are imported; then a call of the month
/// turns out to be someone else's, and somebody changes what was stored.
/// Guarantees: without a rate nothing is posted, closed or issued, and the text says what to do; each line is converted once
/// and rounded to its currency's coin, and says how; what is issued never changes; a correction gives back what was paid;
/// the ledger stays in dollars and is what the invoices say it is; `verify` names every change.
#[test]
fn invoices_are_converted_once_at_the_rate_their_month_was_closed_with() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    import(&server, dir.path(), "plans", PLANS);
    let calls = [
        SEPTEMBER,
        Call { trace: 2, answer: 2, tenant: "globex", ..SEPTEMBER },
        Call { trace: 3, answer: 3, tenant: "hooli", ..SEPTEMBER },
    ];
    assert_eq!(server.post("application/json", &export(&calls)).unwrap().status, 200);
    server.succeed("settle");
    let entries = || server.rows("SELECT count() AS n FROM ledgerline.ledger")[0]["n"].clone();
    let before = entries();

    // No rate.
    let missing = "no rate of USD in EUR holds in 2026-09, and \"acme\" is invoiced in EUR; state one with `ledgerline rates import`";
    for line in ["period close --month 2026-09", "invoice issue --month 2026-09"] {
        let said = refused(&server, line);
        assert!(said.contains(missing), "{said}");
    }
    assert_eq!(entries(), before, "nothing was posted");
    assert!(server.succeed("invoice list --format csv").lines().count() == 1);
    let preview = server.succeed("invoice preview --month 2026-09 --tenant acme --format csv");
    assert!(
        preview.contains("USD") && preview.contains("not in EUR: no rate of USD in EUR holds in 2026-09 yet"),
        "{preview}"
    );

    // Rates that are none.
    let bad = dir.path().join("bad.toml");
    std::fs::write(
        &bad,
        "[[rate]]\nbase = \"USD\"\nquote = \"eur\"\nrate = -1\n[[rate]]\nbase = \"EUR\"\nquote = \"USD\"\n",
    )
    .unwrap();
    let said = refused(&server, &format!("rates import {}", bad.display()));
    assert!(["line 3:", "line 4:", "line 6:"].iter().all(|line| said.contains(line)), "{said}");
    assert_eq!(server.as_owner("SELECT count() FROM ledgerline.rate_sources").trim(), "0");

    import(&server, dir.path(), "rates", RATES);
    let listed = server.succeed("rates list --format csv");
    assert_eq!(listed.lines().nth(2), Some("USD,JPY,149.325,2026-09-30,2027-01,Bank of Japan"), "{listed}");
    let foreseen = exported(&server, dir.path(), "2026-09");
    server.succeed("period close --month 2026-09");
    // Between closing and issuing: other rates of the same days, one of the next month, other currencies.
    let later = RATES.replace("0.8571", "0.5").replace("149.325", "1")
        + "[[rate]]\nbase = \"USD\"\nquote = \"EUR\"\nrate = 0.9\ndate = 2026-10-30\n";
    import(&server, dir.path(), "rates", &later);
    import(&server, dir.path(), "plans", &PLANS.replace("EUR", "KWD").replace("JPY", "EUR"));
    server.succeed("invoice issue --month 2026-09");
    server.succeed("verify");
    let issued = exported(&server, dir.path(), "2026-09");
    // 2.50 and 1.00001 dollars at 0.8571 and at 149.325; 19 % of 3.00 and of 522.
    assert_eq!(lines(&issued, "2026-09", "acme"), ["usage 2.14 EUR", "usage 0.86 EUR", "tax 0.57 EUR"]);
    assert_eq!(lines(&issued, "2026-09", "globex"), ["usage 373 JPY", "usage 149 JPY", "tax 99 JPY"]);
    assert_eq!(
        lines(&issued, "2026-09", "hooli"),
        ["usage 2.5 USD", "usage 1.00001 USD", "tax 0.6650019 USD"]
    );
    for tenant in ["acme", "globex", "hooli"] {
        assert_eq!(
            lines(&foreseen, "2026-09", tenant),
            lines(&issued, "2026-09", tenant),
            "a draft shows what is issued"
        );
    }
    let acme = &issued["invoice-2026-09-acme.csv"];
    assert!(
        acme.contains("\"2.5 USD at 1 USD = 0.8571 EUR (ECB euro reference rates, 2026-09-30)\""),
        "{acme}"
    );
    assert!(issued["invoice-2026-09-globex.html"].contains("1 USD = 149.325 JPY"));
    let document: Value = serde_json::from_str(&issued["invoice-2026-09-acme.json"]).unwrap();
    assert_eq!(
        (&document["amount"], &document["ledger_amount"]),
        (&json!("3.570000000000"), &json!("4.165011900000"))
    );
    let focus = csv::Reader::from_reader(issued["focus-2026-09.csv"].as_bytes())
        .deserialize()
        .map(|row: Result<BTreeMap<String, String>, _>| row.unwrap())
        .find(|row| row["BillingAccountId"] == "acme" && row["SkuMeter"] == "input")
        .unwrap();
    for (column, value) in [
        ("BilledCost", "2.140000000000"),
        ("BillingCurrency", "EUR"),
        ("PricingCurrency", "USD"),
        ("PricingCurrencyEffectiveCost", "2.500000000000"),
        ("PricingCurrencyContractedUnitPrice", "0.0000025"),
        ("ContractedUnitPrice", "0.00000214275"),
        ("x_ExchangeRate", "0.8571"),
    ] {
        assert_eq!(focus[column], value, "{column}");
    }
    // The ledger has one currency, and is what the invoices say that they were made of.
    let sums = server.rows(
        "SELECT toString((SELECT sum(charge) FROM ledgerline.ledger)) AS ledger, toString(sum(ledger_amount)) AS invoices, \
         (SELECT groupUniqArray(currency) FROM ledgerline.ledger) AS currencies FROM ledgerline.invoices",
    );
    assert_eq!(
        (&sums[0]["ledger"], &sums[0]["currencies"]),
        (&sums[0]["invoices"], &json!(["USD"])),
        "{sums:?}"
    );

    import(&server, dir.path(), "plans", PLANS);
    let status = server.succeed("period status --month 2026-09 --format json");
    server.succeed("invoice issue --month 2026-09");
    assert_eq!(exported(&server, dir.path(), "2026-09"), issued, "what is issued never changes");
    assert_eq!(server.succeed("period status --month 2026-09 --format json"), status);
    server.succeed("verify");
    // A call that turns out to be globex's.
    let moved =
        server.rows("SELECT response_id FROM ledgerline.ledger WHERE tenant = 'acme' AND response_id != ''");
    let answer = moved[0]["response_id"].as_str().unwrap();
    server.succeed(&format!(
        "adjust reattribute {answer} --to-tenant globex --reason wrong --by ann --id move --apply"
    ));
    server.succeed("invoice issue --month 2026-10");
    server.succeed("verify");
    let october = exported(&server, dir.path(), "2026-10");
    assert_eq!(
        lines(&october, "2026-10", "acme"),
        ["usage -2.14 EUR", "usage -0.86 EUR", "tax -0.57 EUR"],
        "what was paid, at the rate it was paid at, though October's is another"
    );
    // Its September had an invoice, too, which these lines correct.
    assert_eq!(lines(&october, "2026-10", "globex"), ["usage 373 JPY", "usage 149 JPY", "tax 99 JPY"]);

    // Somebody changes what is stored.
    let number = "invoice_number = '2026-09-0001'";
    alter(&server, "issued_invoices", &format!("rate = toDecimal128('1', 12) WHERE {number}"));
    let said = findings(&server);
    let expected = "I5 closed: invoice 2026-09-0001 was converted by 1 USD = 1 EUR (ECB euro reference rates, 2026-09-30); 2026-09 was closed with 1 USD = 0.8571 EUR";
    assert!(said.contains(expected), "{said}");
    alter(&server, "issued_invoices", &format!("rate = toDecimal128('0.8571', 12) WHERE {number}"));
    alter(&server, "issued_invoices", &format!("ledger_amount = toDecimal128('4', 12) WHERE {number}"));
    let said = findings(&server);
    assert!(
        said.contains("invoice 2026-09-0001 says that its entries add up to 4.000000000000 USD"),
        "{said}"
    );
    alter(
        &server,
        "issued_invoices",
        &format!("ledger_amount = toDecimal128('4.1650119', 12) WHERE {number}"),
    );
    alter(
        &server,
        "issued_invoice_lines",
        &format!("amount = toDecimal128('2.15', 12) WHERE {number} AND unit = 'input'"),
    );
    assert!(findings(&server).contains("invoice 2026-09-0001 is not what the entries of 2026-09 add up to"));
    alter(
        &server,
        "issued_invoice_lines",
        &format!("amount = toDecimal128('2.14', 12) WHERE {number} AND unit = 'input'"),
    );
    server.succeed("verify");
    alter(&server, "rate_sources", "content = replaceAll(content, '0.8571', '0.8572') WHERE 1");
    let said = findings(&server);
    assert!(said.contains("is not in the table rate_sources as it was imported"), "{said}");
    server.stop();
}
