//! Plans: what tenants are charged, on entries and at close, and that every figure stays a sum over the ledger.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;

const JSON: &str = "application/json";

fn json(server: &Server, line: &str) -> Value {
    serde_json::from_str(&server.succeed(&format!("{line} --format json"))).unwrap()
}

/// Imports plans, and has the settler charge by them: of itself it looks for new ones every two seconds.
fn import(server: &Server, dir: &Path, text: &str) {
    let path = dir.join("plans.toml");
    std::fs::write(&path, text).unwrap();
    server.succeed(&format!("plans import {}", path.display()));
    server.succeed("settle");
}

/// Charge and cost of October by tenant.
fn october(server: &Server) -> Vec<[String; 3]> {
    let usage = json(server, "usage --month 2026-10 --by tenant");
    let rows = usage["rows"].as_array().unwrap().iter();
    rows.map(|row| ["tenant", "cost", "charge"].map(|key| row[key].as_str().unwrap().to_string())).collect()
}

const PLANS: &str = r#"
[[plan]]
name = "markup"
markup_percent = 20
minimum = "1"

[[plan]]
name = "own"
included = 0.001
[[plan.price]]
provider = "openai"
model = "gpt-4o"
input_mtok = 4
output_mtok = 20

[[plan]]
name = "committed"
commitment = "10"

[[assign]]
tenant = "*"
plan = "markup"
from = "2026-10"
[[assign]]
tenant = "globex"
plan = "own"
[[assign]]
tenant = "quiet"
plan = "committed"

[[credit]]
tenant = "acme"
name = "welcome"
amount = "0.25"
expires = "2027-01"
"#;

/// Scenario: tenants with a markup, with own prices, with a commitment and no usage, with a credit; the month is closed.
/// Guarantees: the charge is what the plan says, to the last digit; cost stays the provider's; invoices add up to the
/// ledger; a plan that changes later changes nothing that stands; closing again changes nothing.
#[test]
fn tenants_are_charged_by_their_plans_and_every_figure_is_one_sum() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    import(&server, dir.path(), PLANS);
    let calls = [OCTOBER, Call { trace: 2, answer: 2, tenant: "globex", ..OCTOBER }];
    assert_eq!(server.post(JSON, &export(&calls)).unwrap().status, 200);
    server.succeed("settle");
    // 1,000 × 2.50 + 100 × 10 dollars a million; a fifth more; 1,000 × 4 + 100 × 20 dollars a million.
    let expected =
        [["acme", "0.003500000000", "0.004200000000"], ["globex", "0.003500000000", "0.006000000000"]];
    assert_eq!(october(&server), expected);
    server.succeed("verify");

    // Other plans, and late evidence: what stands keeps its plan.
    import(&server, dir.path(), &PLANS.replace("markup_percent = 20", "markup_percent = 50"));
    assert_eq!(
        server
            .post(JSON, &export(&[Call { scope: "other", trace: 3, cached: 400, ..OCTOBER }]))
            .unwrap()
            .status,
        200
    );
    server.succeed("settle");
    assert_eq!(october(&server)[0], ["acme", "0.003000000000", "0.003600000000"]);
    server.succeed("verify");
    import(&server, dir.path(), PLANS);

    let preview = json(&server, "plans preview --month 2026-10");
    let out = dir.path().join("foreseen");
    server.succeed(&format!("invoice export --month 2026-10 --out {}", out.display()));
    let foreseen = std::fs::read_to_string(out.join("summary-2026-10.csv")).unwrap();
    assert!(foreseen.contains("quiet,,0,10.000000000000,USD"), "a commitment without usage: {foreseen}");
    let closed = json(&server, "period close --month 2026-10");
    let adjusted = [
        ["acme", "0.003000000000", "0.750000000000"],
        ["globex", "0.003500000000", "0.005000000000"],
        ["quiet", "0.000000000000", "10.000000000000"],
    ];
    assert_eq!(october(&server), adjusted, "{preview}");
    assert_eq!(json(&server, "period close --month 2026-10"), closed);
    server.succeed("invoice issue --month 2026-10");
    server.succeed("verify");

    let out = dir.path().join("out");
    server.succeed(&format!("invoice export --month 2026-10 --out {}", out.display()));
    let acme = std::fs::read_to_string(out.join("invoice-2026-10-acme.csv")).unwrap();
    let lines: Vec<&str> = acme.lines().skip(1).collect();
    let cell = |line: &str, at: usize| line.split(',').nth(at).unwrap().to_string();
    let of = |at: usize| lines.iter().map(|line| cell(line, at)).collect::<Vec<_>>();
    assert_eq!(of(5), ["usage", "usage", "usage", "minimum", "credit"], "{acme}");
    assert_eq!(
        of(12),
        ["0.000600000000", "0.001800000000", "0.001200000000", "0.996400000000", "-0.250000000000"],
        "{acme}"
    );
    assert_eq!(of(11)[0], "0.0000015", "a unit price is the cost's and the markup: {acme}");
    let summary = std::fs::read_to_string(out.join("summary-2026-10.csv")).unwrap();
    assert_eq!(summary.lines().count(), 4, "{summary}");
    assert!(summary.contains("quiet,2026-10-0003,0,10.000000000000,USD"), "{summary}");
    // Margin is a query.
    let margin = server.rows("SELECT tenant, toString(sum(l.charge) - sum(l.cost)) AS margin FROM ledgerline.ledger AS l GROUP BY tenant ORDER BY tenant");
    assert_eq!(margin[1]["margin"], "0.0015", "{margin:?}");
    server.stop();
}

const QUANTITIES: &str = r#"
[[plan]]
name = "by quantity"
[[plan.quantity]]
name = "free calls"
unit = "requests"
model = "gpt-4o-mini"
included = 1
[[plan.quantity]]
name = "tokens"
unit = "tokens"
included = 1_000
[[plan.quantity.tier]]
above = 2_000
discount_percent = 50
[[plan.quantity.tier]]
above = 3_000
price = "1"
per = 1_000_000
[[assign]]
tenant = "*"
plan = "by quantity"
"#;

/// Scenario: a plan includes calls of one model and tokens of all others, with tiers by how many were used; the calls come in
/// another order and portions at another server.
/// Guarantees: each step is a line that says how it came about; the invoice is the sum of the ledger and the same in bytes;
/// `verify` works it out again.
#[test]
fn included_units_and_tiers_by_quantity_are_lines_that_explain_themselves() {
    let dear = Call { tokens: (3_000, 400), ..OCTOBER };
    let mini = Call { model: "gpt-4o-mini", tokens: (1_000_000, 0), ..OCTOBER };
    let calls: Vec<Call<'_>> = [dear, mini, mini, dear]
        .into_iter()
        .zip(1..)
        .map(|(call, n)| Call { trace: n, answer: n, tenant: if n == 4 { "globex" } else { "acme" }, ..call })
        .collect();
    let backwards: Vec<Call<'_>> = calls.iter().rev().copied().collect();
    let exports = [(calls, 4), (backwards, 1)].map(|(calls, at_once)| {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("data"), &[]);
        import(&server, dir.path(), QUANTITIES);
        for calls in calls.chunks(at_once) {
            assert_eq!(server.post(JSON, &export(calls)).unwrap().status, 200);
            server.succeed("settle");
        }
        server.succeed("invoice issue --month 2026-10");
        server.succeed("verify");
        // 0.0115 for 3,400 tokens and 2 × 0.15 for the small model; of the tokens 1,000 are free, 1,000 at half of what they
        // were charged, 400 at a dollar a million; one of the two calls is free.
        let acme = &october(&server)[0];
        assert_eq!(acme[1], "0.311500000000");
        let out = dir.path().join("out");
        server.succeed(&format!("invoice export --month 2026-10 --out {}", out.display()));
        server.stop();
        std::fs::read_to_string(out.join("invoice-2026-10-acme.csv")).unwrap()
    });
    assert_eq!(exports[0], exports[1]);
    let mut reader = csv::Reader::from_reader(exports[0].as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let led_to: Vec<[&str; 3]> =
        rows.iter().filter(|row| &row[5] != "usage").map(|row| [5, 12, 15].map(|at| &row[at])).collect();
    assert_eq!(
        led_to,
        [
            [
                "discount",
                "-0.001691176471",
                "tokens: 1000 of 3400 tokens, beyond 2000: 50 % off 0.003382352942, their share of 0.0115"
            ],
            [
                "adjustment",
                "-0.150000000000",
                "free calls: 1 of 2 calls are included; their share of 0.3 is taken off"
            ],
            [
                "adjustment",
                "-0.003382352941",
                "tokens: 1000 of 3400 tokens are included; their share of 0.0115 is taken off"
            ],
            [
                "adjustment",
                "-0.000952941176",
                "tokens: 400 of 3400 tokens, beyond 3000: at 0.000001 each instead of 0.001352941176"
            ],
        ]
    );
}

/// Scenario: a plan file with every kind of fault.
/// Guarantees: all of them are named, with their lines, and nothing is imported.
#[test]
fn every_fault_of_a_plan_file_is_named_and_nothing_is_imported() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let path = dir.path().join("plans.toml");
    let text = r#"currency = "EUR"
[[plan]]
name = "a"
markup_percent = -5
[[plan]]
name = "b"
minimum = 1e30
[[plan]]
name = "c"
discount_percent = 101
[[plan]]
minimum = 1
[[plan]]
name = "d"
[[plan.tier]]
above = 100
[[plan.price]]
provider = "openai"
model = "gpt-4o"
smell_mtok = 1
[[assign]]
tenant = "acme"
plan = "nobody's"
[[assign]]
tenant = "acme"
plan = "nobody's"
from = "2026-13"
[[credit]]
tenant = "acme"
name = "x"
amount = 0
"#;
    std::fs::write(&path, text).unwrap();
    let refused = server.command(&format!("plans import {}", path.display()));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    for line in [1, 4, 7, 10, 11, 15, 20, 21, 27, 28] {
        assert!(said.contains(&format!("line {line}:")), "line {line}\n{said}");
    }
    assert_eq!(server.rows("SELECT count() AS n FROM ledgerline.plan_sources")[0]["n"], 0);
    server.stop();
}

/// Scenario: tenants with names that are formulas, paths, CSV, long, or run from right to left; the same calls in another
/// order and in other requests at another server.
/// Guarantees: each has a file of its own inside the directory; cells stay inert; the same calls give the same bytes.
#[test]
fn odd_names_are_safe_and_the_order_of_arrival_changes_no_byte() {
    let long = "x".repeat(10 * 1024);
    let names = [
        "=cmd()",
        "'=cmd()",
        "../../x",
        "a,b\"c",
        &long,
        "\u{202e}cba",
        "line\nbreak",
        "nul\0x",
        "\u{1f980}",
        "é",
        "e\u{301}",
        "</bdi><script>",
        "x",
        "X",
    ];
    let calls: Vec<Call<'_>> = names
        .iter()
        .zip(1..)
        .flat_map(|(tenant, n)| {
            let call = Call { tenant, trace: n * 10, answer: n * 10, tokens: (100 * n + 7, n), ..OCTOBER };
            [call, Call { trace: n * 10 + 1, answer: n * 10 + 1, model: "gpt-4o-mini", ..call }]
        })
        .collect();
    let shuffled: Vec<Call<'_>> = calls.iter().rev().copied().collect();
    let plans = PLANS.replace("markup_percent = 20", "markup_percent = 33.333333");
    let exports = [(calls, 16), (shuffled, 3)].map(|(calls, at_once)| {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("data"), &[]);
        import(&server, dir.path(), &plans);
        for calls in calls.chunks(at_once) {
            assert_eq!(server.post(JSON, &export(calls)).unwrap().status, 200);
            server.succeed("settle");
        }
        server.succeed("invoice issue --month 2026-10");
        server.succeed("verify");
        let nobodys = json(&server, "usage --month 2026-10 --by state --tenant=");
        assert_eq!(nobodys["totals"]["calls"], 2);
        let out = dir.path().join("out");
        for format in ["csv", "json", "focus", "html"] {
            server.succeed(&format!("invoice export --month 2026-10 --as {format} --out {}", out.display()));
        }
        server.stop();
        let files = std::fs::read_dir(&out).unwrap().map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())
        });
        files.collect::<std::collections::BTreeMap<_, _>>()
    });
    // A name of 10 KiB is nobody's: the collector takes names of 256 bytes, and the calls are counted without a tenant.
    let files = &exports[0];
    let names: BTreeSet<String> =
        names.iter().filter(|name| name.len() < 256).chain([&"quiet"]).map(ToString::to_string).collect();
    let count = |ending: &str| files.keys().filter(|name| name.ends_with(ending)).count();
    // A file a tenant, also for the one with a commitment, and a summary or a table of all.
    let expected = (names.len() + 2, names.len() + 1, names.len());
    assert_eq!((count(".csv"), count(".json"), count(".html")), expected, "{:?}", files.keys());
    let folded: BTreeSet<String> = files.keys().map(|name| name.to_lowercase()).collect();
    assert_eq!(folded.len(), files.len(), "names differ on file systems that know no capitals");
    let plain =
        |name: &String| name.len() < 160 && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    assert!(files.keys().all(plain), "{:?}", files.keys());
    // Documents and pages say when they were issued.
    for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".csv")) {
        let (one, other) = (bytes, exports[1].get(name).map(Vec::as_slice).unwrap_or_default());
        let line =
            |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
        let differ = line(one).into_iter().zip(line(other)).find(|(one, other)| one != other);
        assert!(one == other, "{name}: the same calls give the same bytes, but {differ:#?}");
    }
    assert!(files.keys().eq(exports[1].keys()));
    for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".csv")) {
        let mut reader = csv::ReaderBuilder::new().from_reader(bytes.as_slice());
        for record in reader.records() {
            let record = record.unwrap();
            assert!(record.iter().all(|cell| !cell.starts_with('=')), "{name}: {record:?}");
        }
    }
    // Whose each document is, as every format says it.
    let of_json = |name: &&String| name.ends_with(".json") && !name.starts_with("summary");
    let tenant =
        |name: &String| -> Value { serde_json::from_slice::<Value>(&files[name]).unwrap()["tenant"].take() };
    let documents: BTreeSet<String> =
        files.keys().filter(of_json).map(|name| tenant(name).as_str().unwrap().to_string()).collect();
    assert_eq!(documents, names);
    let column = |file: &str, column: &str| -> BTreeSet<String> {
        let mut reader = csv::Reader::from_reader(files[file].as_slice());
        let at = reader.headers().unwrap().iter().position(|name| name == column).unwrap();
        // A cell made inert reads `'=`; what read so before has one apostrophe more.
        let text = |cell: &str| cell.strip_prefix('\'').unwrap_or(cell).to_string();
        reader.records().map(|record| text(&record.unwrap()[at])).collect()
    };
    assert_eq!(column("summary-2026-10.csv", "tenant"), names);
    assert_eq!(column("focus-2026-10.csv", "BillingAccountId"), names);
    for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".html")) {
        let page = String::from_utf8(bytes.clone()).unwrap();
        assert!(!page.contains("<script") && !page.contains(['\0', '\u{202e}']), "{name}");
    }
}
