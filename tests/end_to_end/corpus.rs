//! Recorded spans of real SDKs with ground truth: every call exactly once, with its tokens, model, tenant and feature.

use std::path::Path;
use std::process::Command;

use crate::server::BINARY;

/// Scores the binary on the corpus; each scenario has a server and a ledger of its own.
fn check(flags: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3")
        .arg(root.join("tests/tools/score_corpus.py"))
        .arg(root.join("tests/fixtures/genai-spans"))
        .args(["--bin", BINARY, "-v"])
        .args(flags)
        .output()
        .expect("python3 is one of the required tools");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("calls exact 186/186"), "{text}");
}

#[test]
fn every_recorded_call_is_billed_exactly_once() {
    check(&[]);
}

#[test]
fn sent_twice_and_in_another_order_it_is_the_same_ledger() {
    check(&["--twice", "--shuffle", "7"]);
}
