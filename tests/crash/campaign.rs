//! The kill campaign: what `try-to-lose-a-call` does on anyone's machine, with every fail point demanded.
//!
//! Thousands of kills, on the machine's own time:
//! `LEDGERLINE_CRASH_KILLS=5000 cargo test --test crash killed_anywhere -- --ignored --nocapture`.

use std::process::Command;

use serde_json::Value;

pub const BINARY: &str = env!("CARGO_BIN_EXE_ledgerline");

/// Kills of one run, unless the variable says otherwise.
const KILLS: &str = "40";

/// Runs a trial; returns what it came to.
pub fn trial(arguments: &[&str], environment: &[(&str, &str)]) -> Value {
    let mut command = Command::new(BINARY);
    command.args(["try-to-lose-a-call", "--format", "json", "--seconds", "0"]).args(arguments);
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{:?}: {said}", output.status))
}

/// Scenario: three collectors are sent overlapping calls over gRPC and HTTP; one hosts the engine, one settles. All of them
/// are killed, at random moments and at every fail point; then a month is closed with a kill between any two steps.
/// Guarantees: every call acknowledged is in the ledger once, with its usage (I1, I2, I3); no call is there twice; the closed
/// month is the one its plans make (I5); `verify` finds nothing.
#[test]
#[ignore = "minutes on a busy machine; tests/end_to_end/crash.rs kills twenty times in CI"]
fn killed_anywhere_nothing_is_lost_and_nothing_doubled() {
    let kills = std::env::var("LEDGERLINE_CRASH_KILLS").unwrap_or_else(|_| KILLS.to_owned());
    let seed = std::env::var("LEDGERLINE_CRASH_SEED").unwrap_or_else(|_| "1".to_owned());
    let outcome = trial(&["--collectors", "3", "--kills", &kills, "--seed", &seed], &[]);
    println!("{outcome:#}");
    assert_eq!(outcome["holds"], true, "{outcome:#}");
    assert_eq!(outcome["points_not_reached"], Value::Array(vec![]), "{outcome:#}");
    let reached = outcome["kills_at_points"].as_object().unwrap();
    let missing: Vec<_> =
        sabotage::Point::ALL.iter().filter(|point| !reached.contains_key(point.name())).collect();
    assert!(missing.is_empty(), "no process died at {missing:?}: {outcome:#}");
    assert!(outcome["kills"].as_u64() >= kills.parse().ok(), "{outcome:#}");
    assert!(outcome["calls_acknowledged"].as_u64() > Some(100), "{outcome:#}");
}

/// Scenario: one collector does everything, and is killed together with the engine in it.
/// Guarantees: the same.
#[test]
fn alone_with_its_engine_it_loses_nothing_either() {
    let outcome = trial(&["--collectors", "1", "--kills", "5", "--seed", "2"], &[]);
    println!("{outcome:#}");
    assert_eq!(outcome["holds"], true, "{outcome:#}");
}
