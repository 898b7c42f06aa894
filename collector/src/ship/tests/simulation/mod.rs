//! The billing arm by seed: journals on simulated disks, the protocol of commits as it is, settlement's rules, a database in memory;
//! one clock, one thread, every fault drawn. The same seed is the same history.
//!
//! What runs as it is: the journal (`journal`), gathering, sealing's bounds and recall, the whole commit with quarantine
//! (`commit.rs`, `isolate.rs`), the cursors and release, the encoding of evidence, `domain::resolve`, ids and difference.
//! What is a model: the database (`database.rs`), and of settlement that it reads, posts and moves its cursor (`settlement.rs`).
//! What is not here: HTTP, decoding, the tasks and their waits, heartbeats, settlement's memory of hot traces, prices, plans, closing.
//!
//! A hundred seeds run with every test run. More, with the figures printed:
//! `LEDGERLINE_SEEDS=100000 cargo test --release -p ledgerline-collector --lib simulation -- --nocapture`;
//! `LEDGERLINE_SEED=17` repeats one.

mod database;
#[expect(dead_code, reason = "the journal's own tests use the rest of it")]
#[path = "../../../../../journal/tests/promises/disk.rs"]
mod disk;
mod evidence;
#[expect(dead_code, reason = "traces are generated with the rest of it")]
#[path = "../../../../../domain/tests/generated/random.rs"]
mod random;
mod settlement;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use world::{Figures, World};

/// How many seeds a test run plays, and how many steps each has.
const SEEDS: u64 = 100;
const STEPS: u64 = 200;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn play(seed: u64) -> Figures {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.heal();
    world.check()
}

#[test]
fn whatever_is_drawn_everything_acknowledged_is_billed_once() {
    let seeds = match number_from("LEDGERLINE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_from("LEDGERLINE_SEEDS").unwrap_or(SEEDS),
    };
    let mut total = Figures::default();
    for seed in seeds.clone() {
        let played = catch_unwind(AssertUnwindSafe(|| play(seed))).unwrap_or_else(|panic| {
            eprintln!("LEDGERLINE_SEED={seed} repeats this");
            resume_unwind(panic)
        });
        total.acknowledged += played.acknowledged;
        total.kills += played.kills;
        total.faults += played.faults;
        total.quarantined += played.quarantined;
    }
    println!(
        "{} seeds, {} kills and power cuts, {} faults of the database, {} rows quarantined, {} calls acknowledged, 0 lost, 0 doubled",
        seeds.end - seeds.start,
        total.kills,
        total.faults,
        total.quarantined,
        total.acknowledged
    );
}

#[test]
fn the_same_seed_is_the_same_history_and_another_is_another() {
    let histories: Vec<u64> = [1, 1, 2].map(|seed| play(seed).history).to_vec();
    assert_eq!(histories[0], histories[1]);
    assert_ne!(histories[0], histories[2]);
}
