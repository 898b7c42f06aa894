//! The console over HTTP: its files, its figures, and whom it answers.

use crate::server::Server;
use crate::spans::{request, response_id};
use crate::wire::http;

/// Scenario: forty calls, settled; the console's documents are asked for as its page does.
/// Guarantees: they are what the commands print, to the byte (I6); nobody of another origin is answered.
#[test]
fn the_console_says_what_the_commands_say_and_to_this_machine_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.post("application/json", &request(0..40)).unwrap().status, 200);
    server.succeed("settle");
    let address = server.admin.trim_start_matches("http://").to_string();
    let get = |path: &str| http(&address, "GET", path, &[], b"").unwrap();

    let page = get("/console");
    assert_eq!(page.status, 200);
    let policy = page.head.lines().find_map(|line| line.strip_prefix("content-security-policy: "));
    let policy = policy.unwrap_or_else(|| panic!("{}", page.head));
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for file in ["/console/console.css", "/console/console.js"] {
        assert!(page.body.contains(file));
        assert_eq!(get(file).status, 200, "{file}");
    }
    let month =
        server.rows("SELECT toString(any(period)) AS month FROM ledgerline.ledger")[0]["month"].clone();
    let month = &month.as_str().unwrap()[..7];
    let explained = response_id(7);
    for (path, command) in [
        (
            format!("/console/api/usage?month={month}&by=tenant,model"),
            format!("usage --month {month} --by tenant,model"),
        ),
        (format!("/console/api/explain?id={explained}"), format!("explain {explained}")),
    ] {
        let shown = get(&path);
        assert_eq!(shown.status, 200, "{path}: {}", shown.body);
        assert_eq!(shown.body, server.succeed(&format!("{command} --format json")), "{path}");
    }
    let invoices: serde_json::Value =
        serde_json::from_str(&get(&format!("/console/api/invoices?month={month}")).body).unwrap();
    let ledger = server.rows("SELECT toString(sum(l.charge)) AS charge FROM ledgerline.ledger AS l");
    let amount = |text: &serde_json::Value| text.as_str().unwrap().trim_end_matches('0').to_string();
    assert_eq!(amount(&invoices["invoices"][0]["amount"]), amount(&ledger[0]["charge"]));
    let file = get(&format!("/console/api/invoice.csv?month={month}&tenant=acme"));
    assert!(file.body.starts_with("invoice_number,tenant,"), "{}", file.body);
    assert_eq!(get(&format!("/console/api/invoice.csv?month={month}&tenant=nobody")).status, 404);
    assert_eq!(get("/console/api/usage?by=tenant").status, 400);

    for headers in [[("sec-fetch-site", "cross-site")], [("sec-fetch-site", "same-site")]] {
        let answer = http(&address, "GET", "/console/api/usage?month=2026-01", &headers, b"").unwrap();
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    assert_eq!(http(&address, "POST", "/console/api/usage", &[], b"").unwrap().status, 405);
    server.stop();
}
