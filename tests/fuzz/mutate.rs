//! Mutations by a seed, and the loop that runs a target.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Executions of a target where nothing else is asked for.
const EXECUTIONS: u64 = 1_000;
/// Bytes that mean something in some format: bounds of numbers, ends of texts, brackets, wire types.
const TELLING: [u8; 24] = [
    0, 1, 2, 8, 10, 13, 0x1a, b' ', b'"', b',', b'-', b'.', b'0', b'9', b':', b'[', b'\\', b']', b'e', b'{',
    b'}', 0x7f, 0x80, 0xff,
];

/// A stream of numbers from a seed (SplitMix64).
pub struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound, or zero where the bound is.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() % bound as u64) as usize }
    }
}

/// One of the samples, changed in a few places.
pub fn mutated(samples: &[Vec<u8>], seeded: &mut Seeded) -> Vec<u8> {
    let mut bytes = samples[seeded.below(samples.len())].clone();
    for _ in 0..=seeded.below(6) {
        let at = seeded.below(bytes.len() + 1);
        let to = (at + 1 + seeded.below(32)).min(bytes.len());
        match seeded.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << seeded.below(8),
            1 if at < bytes.len() => bytes[at] = TELLING[seeded.below(TELLING.len())],
            2 if at < to => drop(bytes.drain(at..to)),
            3 if at < to => {
                let again = bytes[at..to].to_vec();
                let place = seeded.below(bytes.len() + 1);
                bytes.splice(place..place, again);
            }
            4 => {
                let few = (0..=seeded.below(9)).map(|_| TELLING[seeded.below(TELLING.len())]);
                let few: Vec<u8> = few.collect();
                bytes.splice(at..at, few);
            }
            5 => bytes.truncate(at),
            6 => {
                let other = &samples[seeded.below(samples.len())];
                let from = seeded.below(other.len() + 1);
                let part = &other[from..(from + seeded.below(200)).min(other.len())];
                bytes.splice(at..at, part.iter().copied());
            }
            _ if at < to => bytes[at..to].fill(TELLING[seeded.below(TELLING.len())]),
            _ => {}
        }
    }
    bytes
}

/// Runs a target on mutations of its samples, as often or as long as the environment asks for.
pub fn run(target: &str, samples: &[Vec<u8>], execute: impl Fn(&[u8])) {
    run_at_cost(1, target, samples, execute);
}

/// The same with a target that costs so many times what others do.
pub fn run_at_cost(cost: u64, target: &str, samples: &[Vec<u8>], execute: impl Fn(&[u8])) {
    assert!(!samples.is_empty(), "{target} has samples");
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("FUZZ_SECONDS").map(Duration::from_secs);
    let executions =
        number("FUZZ_EXECUTIONS").unwrap_or(if seconds.is_some() { u64::MAX } else { EXECUTIONS / cost });
    let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let first = number("FUZZ_SEED").unwrap_or(if seconds.is_some() { day << 40 } else { 0 });
    for sample in samples {
        execute(sample);
    }
    let (begun, mut done) = (Instant::now(), 0);
    while done < executions && seconds.is_none_or(|seconds| begun.elapsed() < seconds) {
        let seed = first + done;
        let bytes = mutated(samples, &mut Seeded(seed));
        if catch_unwind(AssertUnwindSafe(|| execute(&bytes))).is_err() {
            panic!("{target}: FUZZ_SEED={seed} FUZZ_EXECUTIONS=1 cargo test --test fuzz {target}");
        }
        done += 1;
    }
    println!("{target}: {done} executions in {} s from seed {first}", begun.elapsed().as_secs());
}
