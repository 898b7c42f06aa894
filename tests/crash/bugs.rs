//! Known bugs, each switched on in turn: what is there to find it must fail, and must pass without it.
//!
//! `cargo test --features bugs --test crash every_known_bug -- --nocapture` builds the program once with all of them (they
//! are chosen at run time) and prints the table of `docs/correctness.md`.

use std::process::Command;

use sabotage::{Bug, Point};

use crate::points::CHOICE;

/// What finds a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Catcher {
    /// A test beside this one, by name.
    Here(&'static str),
    /// A kill at a fail point, and what is in the ledger afterwards.
    KillAt(Point),
    /// A test of a room: package, target, name.
    Room(&'static str, &'static [&'static str], &'static str),
}
use Catcher::{Here, KillAt, Room};

const PROMISES: &[&str] = &["--test", "promises"];
const UNIT: &[&str] = &["--lib"];

const CAUGHT_BY: &[(Bug, Catcher)] = &[
    (Bug::FailOpenAck, Here("limits::a_full_journal_refuses_properly_and_heals_by_itself")),
    (Bug::AckBeforeWrite, Room("ledgerline-journal", PROMISES, "crash_points::")),
    (Bug::AckBeforeSync, Room("ledgerline-journal", PROMISES, "crash_points::")),
    (Bug::TornTailTooLong, Room("ledgerline-journal", PROMISES, "crash_points::")),
    (Bug::TrustedDedupeCache, Here("limits::a_full_journal_refuses_properly_and_heals_by_itself")),
    (Bug::CursorBeforeConfirm, Room("ledgerline-collector", UNIT, "ship::tests::faults::")),
    (Bug::UnlinkBeforeCursor, Room("ledgerline-journal", PROMISES, "release::")),
    (Bug::SealNotSynced, Room("ledgerline-collector", UNIT, "ship::tests::restarts::")),
    (Bug::RetryAsNewRows, Room("ledgerline-collector", UNIT, "ship::tests::faults::")),
    (Bug::DropOnMemoryLimit, Room("ledgerline-collector", UNIT, "ship::tests::faults::")),
    (Bug::CountUnchecked, Here("limits::evidence_that_is_not_what_was_committed_is_not_settled")),
    (Bug::CursorPastWaiting, KillAt(Point::SettleCursorAfter)),
    (Bug::CursorBeforeEntries, KillAt(Point::SettleEntriesBefore)),
    (Bug::MemoryTrusted, Here("points::a_posting_that_failed_is_done_again")),
    (Bug::WrapperIsCall, KillAt(Point::AnswerBefore)),
    (Bug::StandingUnread, KillAt(Point::AnswerBefore)),
    (Bug::CloseBeforeAdjusting, KillAt(Point::CloseWritten)),
];

/// Whether a catcher is content with the program, given this bug.
fn passes(catcher: Catcher, bug: &str) -> bool {
    let environment = [(sabotage::BUG_VARIABLE, bug)];
    match catcher {
        Here(name) => test_here(name).envs(environment).output().unwrap().status.success(),
        KillAt(point) => {
            let mut test = test_here("points::killed_at_any_point_the_ledger_is_exact");
            test.env(CHOICE, point.name()).envs(environment).output().unwrap().status.success()
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

/// One of the tests beside this one, ignored or not.
fn test_here(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--include-ignored"]);
    command
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
