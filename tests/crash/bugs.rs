//! Known bugs, each switched on in turn: what is there to find it must fail, and must pass without it.
//!
//! `cargo test --features bugs --test crash every_known_bug -- --nocapture` builds the program once with all of them (they
//! are chosen at run time) and prints the table of `docs/correctness.md`.

use std::process::Command;

use sabotage::Bug;

use crate::campaign::BINARY;

/// What finds a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Catcher {
    /// The kill campaign.
    Campaign,
    /// A test beside this one, by name.
    Here(&'static str),
    /// A test of a room: package, target, name.
    Room(&'static str, &'static [&'static str], &'static str),
}
use Catcher::{Campaign, Here, Room};

const PROMISES: &[&str] = &["--test", "promises"];
const UNIT: &[&str] = &["--lib"];

const CAUGHT_BY: &[(Bug, Catcher)] = &[
    (Bug::FailOpenAck, Here("limits::a_full_journal_refuses_properly_and_heals_by_itself")),
    (Bug::AckBeforeWrite, Campaign),
    (Bug::AckBeforeSync, Room("ledgerline-journal", PROMISES, "crash_points::")),
    (Bug::TornTailTooLong, Campaign),
    (Bug::TrustedDedupeCache, Here("limits::a_full_journal_refuses_properly_and_heals_by_itself")),
    (Bug::CursorBeforeConfirm, Campaign),
    (Bug::UnlinkBeforeCursor, Room("ledgerline-journal", PROMISES, "release::")),
    (Bug::SealNotSynced, Room("ledgerline-collector", UNIT, "ship::tests::restarts::")),
    (Bug::RetryAsNewRows, Room("ledgerline-collector", UNIT, "ship::tests::faults::")),
    (Bug::DropOnMemoryLimit, Room("ledgerline-collector", UNIT, "ship::tests::faults::")),
    (Bug::CountUnchecked, Here("limits::evidence_that_is_not_what_was_committed_is_not_settled")),
    (Bug::CursorPastWaiting, Campaign),
    (Bug::CursorBeforeEntries, Campaign),
    (Bug::MemoryTrusted, Campaign),
    (Bug::WrapperIsCall, Campaign),
    (Bug::StandingUnread, Campaign),
    (Bug::CloseBeforeAdjusting, Campaign),
];

/// Whether a catcher is content with the program, given this bug.
fn passes(catcher: Catcher, bug: &str) -> bool {
    let environment = [(sabotage::BUG_VARIABLE, bug)];
    match catcher {
        Campaign => {
            let run = Command::new(BINARY)
                .args([
                    "try-to-lose-a-call",
                    "--format",
                    "json",
                    "--seconds",
                    "0",
                    "--kills",
                    "40",
                    "--chasing",
                    "90",
                    "--seed",
                    "3",
                ])
                .envs(environment)
                .output()
                .unwrap();
            run.status.success()
        }
        Here(name) => {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .args([name, "--exact", "--include-ignored"])
                .envs(environment)
                .output()
                .unwrap()
                .status
                .success()
        }
        Room(package, target, name) => {
            let mut command = Command::new(env!("CARGO"));
            command.current_dir(env!("CARGO_MANIFEST_DIR"));
            command
                .args(["test", "--quiet", "--package", package, "--features", "sabotage/bugs"])
                .args(target);
            command.arg(name).envs(environment).output().unwrap().status.success()
        }
    }
}

/// Scenario: the program with each known bug in turn.
/// Guarantees: the test named for it fails, and passes without the bug.
#[test]
fn every_known_bug_is_found() {
    let mut without = Vec::new();
    for (_, catcher) in CAUGHT_BY {
        if !without.contains(catcher) {
            assert!(passes(*catcher, ""), "{catcher:?} fails without any bug");
            without.push(*catcher);
        }
    }
    let mut missed = Vec::new();
    for (bug, catcher) in CAUGHT_BY {
        let found = !passes(*catcher, bug.name());
        println!("| `{}` | {catcher:?} | {} |", bug.name(), if found { "found" } else { "MISSED" });
        if !found {
            missed.push(bug);
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
    let named: Vec<Bug> = CAUGHT_BY.iter().map(|(bug, _)| *bug).collect();
    let unnamed: Vec<_> = Bug::ALL.iter().filter(|bug| !named.contains(bug)).collect();
    assert!(unnamed.is_empty(), "nothing is named to find {unnamed:?}");
}
