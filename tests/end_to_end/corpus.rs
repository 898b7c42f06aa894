//! Recorded spans of real SDKs with ground truth: every call exactly once, with its tokens, model, tenant and feature.

use std::path::Path;
use std::process::Command;

use crate::server::BINARY;

/// A set of recorded scenarios, and how many calls it asks for.
const GIVEN: (&str, &str) = ("tests/fixtures/genai-spans", "calls exact 186/186");
/// Recorded like it, from libraries it lacks.
const FURTHER: (&str, &str) = ("tests/fixtures/recorded", "calls exact 934/934");

/// Scores the binary on a corpus; each scenario has a server and a ledger of its own.
fn check((corpus, exact): (&str, &str), flags: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3")
        .arg(root.join("tests/tools/score_corpus.py"))
        .arg(root.join(corpus))
        .args(["--bin", BINARY, "-v"])
        .args(flags)
        .output()
        .expect("python3 is one of the required tools");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(exact), "{text}");
}

#[test]
fn every_recorded_call_is_billed_exactly_once() {
    check(GIVEN, &[]);
    check(FURTHER, &[]);
}

#[test]
fn sent_twice_and_in_another_order_it_is_the_same_ledger() {
    check(GIVEN, &["--twice", "--shuffle", "7"]);
    check(FURTHER, &["--twice", "--shuffle", "7"]);
}
