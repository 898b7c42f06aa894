//! The traces in which AI usage was seen lately: their other spans are worth a link, those of other traces are not.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use domain::{Realm, TraceId};

/// Remembers traces, the older half of them forgotten at a time. Shared by all requests.
///
/// Bounded: about 20 bytes for each trace of its capacity, whatever comes. Forgetting costs links, never usage;
/// two traces that are taken for one (once in 2^64 pairs) cost a link that nobody needed.
#[derive(Debug)]
pub struct AiTraces {
    shards: Vec<Mutex<Generations>>,
}

/// A power of two, so that the top bits of a fingerprint choose.
const SHARDS: usize = 16;

#[derive(Debug, Default)]
struct Generations {
    young: HashSet<u64, BuildHasherDefault<Fingerprint>>,
    old: HashSet<u64, BuildHasherDefault<Fingerprint>>,
    young_max: usize,
}

impl AiTraces {
    /// How many traces are remembered unless configured otherwise: some 10 MiB, minutes of heavy traffic.
    pub const CAPACITY_DEFAULT: usize = 500_000;

    /// A memory of about this many traces.
    pub fn new(capacity: usize) -> Self {
        let young_max = (capacity / SHARDS / 2).max(1);
        let shard = || Mutex::new(Generations { young_max, ..Generations::default() });
        Self { shards: (0..SHARDS).map(|_| shard()).collect() }
    }

    /// Remembers that traces have AI usage.
    pub fn insert_all(&self, realm: &Realm, traces: &[TraceId]) {
        let seed = seed(realm);
        for trace in traces {
            let fingerprint = fingerprint(seed, *trace);
            // A set is whole between any two instructions: a panic elsewhere does not spoil it.
            let mut shard = self.shard(fingerprint).lock().unwrap_or_else(PoisonError::into_inner);
            if shard.young.len() >= shard.young_max {
                let forgotten = std::mem::take(&mut shard.old);
                shard.old = std::mem::replace(&mut shard.young, forgotten);
                shard.young.clear();
            }
            shard.young.insert(fingerprint);
        }
    }

    /// Whether a trace is remembered.
    pub fn contains(&self, realm: &Realm, trace: TraceId) -> bool {
        let fingerprint = fingerprint(seed(realm), trace);
        let shard = self.shard(fingerprint).lock().unwrap_or_else(PoisonError::into_inner);
        shard.young.contains(&fingerprint) || shard.old.contains(&fingerprint)
    }

    fn shard(&self, fingerprint: u64) -> &Mutex<Generations> {
        &self.shards[(fingerprint >> 60) as usize % SHARDS]
    }
}

impl Default for AiTraces {
    fn default() -> Self {
        Self::new(Self::CAPACITY_DEFAULT)
    }
}

fn seed(realm: &Realm) -> u64 {
    xxhash_rust::xxh3::xxh3_64(realm.as_str().as_bytes())
}

fn fingerprint(seed: u64, trace: TraceId) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&trace.bytes(), seed)
}

/// A fingerprint is its own hash.
#[derive(Debug, Default)]
struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64(bytes);
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(n: u128) -> TraceId {
        TraceId::from_bytes(n.to_be_bytes()).unwrap()
    }

    #[test]
    fn a_trace_is_remembered_in_its_realm_only() {
        let traces = AiTraces::default();
        traces.insert_all(&Realm::new("a"), &[trace(7)]);
        assert!(traces.contains(&Realm::new("a"), trace(7)));
        assert!(!traces.contains(&Realm::new("b"), trace(7)));
        assert!(!traces.contains(&Realm::new("a"), trace(8)));
    }

    #[test]
    fn memory_is_bounded_and_the_latest_stay() {
        let (traces, realm) = (AiTraces::new(1000), Realm::new(""));
        (1..=100_000).for_each(|n| traces.insert_all(&realm, &[trace(n)]));
        let held: usize =
            traces.shards.iter().map(|s| s.lock().map(|s| s.young.len() + s.old.len()).unwrap()).sum();
        assert!(held <= 1000 + 2 * SHARDS, "{held}");
        assert!((99_900..=100_000).all(|n| traces.contains(&realm, trace(n))));
    }
}
