//! The ledger held against a provider's file, on a running server.

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;

/// Scenario: OpenAI's usage of a day says what the ledger says; then it says more.
/// Guarantees: exit code 0 and 1, the missing calls and the share no span shows are named, nothing is posted.
#[test]
fn a_providers_statement_is_held_against_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let cached = Call { trace: 2, answer: 2, cached: 400, ..OCTOBER };
    assert_eq!(server.post("application/json", &export(&[OCTOBER, cached])).unwrap().status, 200);
    server.succeed("settle");
    let file = dir.path().join("usage.json");
    let write = |input: u64, output: u64, requests: u64| {
        let page = serde_json::json!({"object": "page", "has_more": false, "data": [
            {"object": "bucket", "start_time": 1_791_590_400, "end_time": 1_791_676_800, "results": [
                {"object": "organization.usage.completions.result", "model": "gpt-4o", "input_tokens": input,
                 "input_cached_tokens": 400, "output_tokens": output, "num_model_requests": requests}]}]});
        std::fs::write(&file, page.to_string()).unwrap();
    };
    let line = format!("reconcile --provider openai --file {} --month 2026-10", file.display());
    write(2_000, 200, 2);
    let said = server.succeed(&line);
    assert!(said.contains("4 figures agree"), "{said}");
    write(3_000, 400, 3);
    let found = server.command(&line);
    let said = String::from_utf8(found.stdout).unwrap();
    assert_eq!(found.status.code(), Some(1), "{said}");
    assert!(said.contains("1 calls that no span shows") && said.contains("50%"), "{said}");
    assert!(server.succeed(&format!("{line} --tolerance 51%")).contains("4 figures agree"));
    let entries = server.rows("SELECT count() AS n FROM ledgerline.ledger");
    assert_eq!(entries[0]["n"], 2);
    server.stop();
}
