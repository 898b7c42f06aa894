//! The kill campaign: what `try-to-lose-a-call` does on anyone's machine, at fail points too.
//!
//! Tens of kills here, at as many points as processes get to in the time; thousands with every point demanded, on the
//! machine's own time:
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
/// are killed, at random moments and at fail points; then a month is closed with a kill between any two steps.
/// Guarantees: every call acknowledged is in the ledger once, with its usage (I1, I2, I3); no call is there twice; the closed
/// month is the one its plans make (I5); `verify` finds nothing.
#[test]
#[ignore = "minutes on a busy machine; tests/end_to_end/crash.rs kills twenty times in CI"]
fn killed_anywhere_nothing_is_lost_and_nothing_doubled() {
    let asked_for = std::env::var("LEDGERLINE_CRASH_KILLS").ok();
    let kills = asked_for.clone().unwrap_or_else(|| KILLS.to_owned());
    let chasing = if asked_for.is_some() { "3600" } else { "30" };
    let seed = std::env::var("LEDGERLINE_CRASH_SEED").unwrap_or_else(|_| "1".to_owned());
    let outcome =
        trial(&["--collectors", "3", "--kills", &kills, "--seed", &seed, "--chasing", chasing], &[]);
    println!("{outcome:#}");
    assert_eq!(outcome["holds"], true, "{outcome:#}");
    let reached = outcome["kills_at_points"].as_object().unwrap();
    let missing: Vec<_> =
        sabotage::Point::ALL.iter().filter(|point| !reached.contains_key(point.name())).collect();
    // How many are reached in half a minute depends on the machine; given time, all of them are.
    assert!(asked_for.is_none() || missing.is_empty(), "no process died at {missing:?}: {outcome:#}");
    assert!(reached.len() > 5, "{outcome:#}");
    assert!(outcome["kills"].as_u64() >= kills.parse().ok(), "{outcome:#}");
    assert!(outcome["calls_acknowledged"].as_u64() > Some(100), "{outcome:#}");
}

/// Scenario: one collector does everything, and is killed together with the engine in it.
/// Guarantees: the same.
#[test]
#[ignore = "minutes: each restart is one of the engine"]
fn alone_with_its_engine_it_loses_nothing_either() {
    let outcome = trial(&["--collectors", "1", "--kills", "5", "--seed", "2", "--chasing", "10"], &[]);
    println!("{outcome:#}");
    assert_eq!(outcome["holds"], true, "{outcome:#}");
}
