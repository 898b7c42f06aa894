//! What was kept estimates what came: without bias, and within the error that it states itself.
//!
//! The traffic is made: costs with a heavy tail, tenants of very different size, failures, bursts. Seeds are fixed, so
//! that a result is the same in every run.

use domain::{Cost, TraceId};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::trace::judge::{Judge, Moment, TailRules};
use crate::trace::portrait::Portrait;
use crate::trace::sample::randomness;

const TRACES: u64 = 20_000;
const TENANTS: usize = 8;
const SEEDS: u64 = 12;

/// A number from 0 to 1, the same for the same question.
fn chance(seed: u64, trace: u64, question: u64) -> f64 {
    let hash = xxh3_128_with_seed(&[trace.to_le_bytes(), question.to_le_bytes()].concat(), seed);
    (hash as u64 >> 11) as f64 / (1_u64 << 53) as f64
}

/// A trace: of few tenants most, of many tenants some; one in a hundred costs a thousand times the middle.
fn made(seed: u64, index: u64) -> (TraceId, Portrait, usize) {
    let id = xxh3_128_with_seed(&index.to_le_bytes(), seed).to_be_bytes();
    let tenant = (chance(seed, index, 1).powi(3) * TENANTS as f64) as usize;
    let micros = 50.0 * (1.0 / (1.0 - chance(seed, index, 2))).powf(1.5);
    let portrait = Portrait {
        payer: format!("tenant-{tenant}"),
        cost: Cost::from_picos(micros.min(5e7) as i128 * 1_000_000),
        failed: chance(seed, index, 3) < 0.02,
        conflict: chance(seed, index, 4) < 0.01,
        ..Portrait::default()
    };
    (TraceId::from_bytes(id).unwrap(), portrait, tenant)
}

/// What came and what was kept of one tenant, of one measure (its traces, or their cost).
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    truth: f64,
    estimate: f64,
    /// Of the estimate, as it follows from the probabilities of all that came.
    variance: f64,
    /// Of the estimate, as it follows from what was kept alone: the sum of `weight · (weight − 1) · value²`.
    stated: f64,
}

fn run(seed: u64, rate_max: Option<u32>) -> [[Sums; 2]; TENANTS] {
    let rules = TailRules {
        errors: true,
        conflicts: true,
        cost_over: Some(Cost::parse("0.02").unwrap()),
        top_cost: 5,
        ..TailRules::default()
    };
    let mut judge = Judge::new(rules, 0.1, rate_max);
    let mut sums = [[Sums::default(); 2]; TENANTS];
    for index in 0..TRACES {
        let (trace, portrait, tenant) = made(seed, index);
        // Every tenth second brings ten times as much.
        let second = (index / 4_000) * 10 + (index % 4_000 / 200).min(9);
        let verdict = judge.judge(&portrait, Moment { second: second as i64 });
        let sampler = verdict.sampler.expect("every trace has a chance");
        let probability = sampler.mark(u64::MAX >> 8, "").probability;
        let kept = sampler.keeps(randomness(trace));
        for (sums, value) in sums[tenant].iter_mut().zip([1.0, portrait.cost.picos() as f64 / 1e9]) {
            sums.truth += value;
            sums.variance += value * value * (1.0 - probability) / probability;
            if kept {
                let weight = 1.0 / probability;
                sums.estimate += weight * value;
                sums.stated += weight * (weight - 1.0) * value * value;
            }
        }
    }
    sums
}

#[test]
fn estimates_from_kept_traces_are_unbiased_and_within_the_error_they_state() {
    let runs: Vec<_> = (1..=SEEDS).map(|seed| run(seed, [Some(20), None][seed as usize % 2])).collect();
    let sums: Vec<Sums> = runs.into_iter().flatten().flatten().collect();
    let scores: Vec<f64> =
        sums.iter().map(|sums| (sums.estimate - sums.truth) / sums.variance.sqrt()).collect();
    let count = scores.len() as f64;
    assert!(scores.iter().all(|score| score.abs() < 4.5), "an estimate is too far off: {scores:?}");
    let mean = scores.iter().sum::<f64>() / count;
    assert!(mean.abs() < 4.0 / count.sqrt(), "the mean of {count} standardised errors is {mean}");
    let spread = scores.iter().map(|score| score * score).sum::<f64>() / count;
    assert!((0.6..1.5).contains(&spread), "their mean square is {spread}");
    let covered = sums.iter().filter(|sums| (sums.estimate - sums.truth).abs() <= 1.96 * sums.stated.sqrt());
    let covered = covered.count() as f64 / count;
    assert!(covered > 0.88, "95 % intervals from what was kept hold the truth in {covered}");
}

#[test]
fn far_less_is_kept_than_came_and_the_money_is_known_better_than_by_chance_alone() {
    let sums = run(1, None);
    let total = |pick: fn(&Sums) -> f64, measure: usize| sums.iter().map(|s| pick(&s[measure])).sum::<f64>();
    let error = total(|s| s.variance, 1).sqrt() / total(|s| s.truth, 1);
    assert!(error < 0.05, "the cost of all tenants is known to {error}");
}
