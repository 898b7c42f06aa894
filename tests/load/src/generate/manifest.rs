//! What the requests sent must come to in the ledger, counted by the one who made them.

use std::collections::BTreeMap;
use std::ops::AddAssign;

/// Sums over calls, in the ledger's meaning: input includes cached reads and writes, output includes reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub calls: u64,
    pub input_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_write_tokens: u64,
    pub output_tokens: u64,
    pub reasoning_tokens: u64,
}

/// Sums by tenant.
pub type Manifest = BTreeMap<String, Totals>;

impl Totals {
    /// The same calls so many times.
    pub fn times(self, count: u64) -> Self {
        Self {
            calls: self.calls * count,
            input_tokens: self.input_tokens * count,
            cache_read_tokens: self.cache_read_tokens * count,
            cache_write_tokens: self.cache_write_tokens * count,
            output_tokens: self.output_tokens * count,
            reasoning_tokens: self.reasoning_tokens * count,
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.input_tokens += other.input_tokens;
        self.cache_read_tokens += other.cache_read_tokens;
        self.cache_write_tokens += other.cache_write_tokens;
        self.output_tokens += other.output_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
    }
}

/// Where two manifests differ, in words; empty where they agree.
pub fn differences(expected: &Manifest, found: &Manifest) -> Vec<String> {
    let mut tenants: Vec<&String> = expected.keys().chain(found.keys()).collect();
    tenants.sort();
    tenants.dedup();
    tenants
        .into_iter()
        .filter(|tenant| expected.get(*tenant) != found.get(*tenant))
        .map(|tenant| {
            let side = |manifest: &Manifest| {
                manifest.get(tenant).map_or_else(|| "nothing".to_string(), |totals| format!("{totals:?}"))
            };
            format!("tenant {tenant:?}: sent {}, the ledger has {}", side(expected), side(found))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_a_doubled_and_a_strange_tenant_are_named() {
        let one = Totals { calls: 1, input_tokens: 10, ..Totals::default() };
        let manifest = |tenants: &[(&str, u64)]| -> Manifest {
            tenants.iter().map(|(tenant, count)| ((*tenant).to_string(), one.times(*count))).collect()
        };
        let sent = manifest(&[("exact", 3), ("lost", 2), ("doubled", 1)]);
        assert_eq!(differences(&sent, &sent), Vec::<String>::new());
        let found = manifest(&[("exact", 3), ("doubled", 2), ("strange", 1)]);
        let named = differences(&sent, &found);
        assert_eq!(named.len(), 3, "{named:?}");
        for (text, tenant) in named.iter().zip(["doubled", "lost", "strange"]) {
            assert!(text.contains(tenant), "{text}");
        }
    }
}
