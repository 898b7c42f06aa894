//! How many traces of one tenant are kept a second, about.
//!
//! A tenant that sends more gets the probability of all its traces scaled by `rate / expected`, where what is expected
//! is the larger of what the second before would have kept and what this one would have kept so far. That looks at the
//! past alone, so estimates stay without bias; and a burst out of nothing keeps at most about `rate · (1 + ln(burst / rate))`.

use std::collections::HashMap;

/// How many tenants are told apart; the others share a rate. Some 100 bytes each.
const TENANTS_MAX: usize = 20_000;

/// The rates of all tenants.
#[derive(Debug)]
pub(super) struct TenantRates {
    rate_max: f64,
    tenants: HashMap<String, Seen>,
}

/// What would have been kept of a tenant without a limit, in expected traces.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    second: i64,
    this: f64,
    before: f64,
}

impl TenantRates {
    /// So many traces a tenant and second.
    pub(super) fn new(rate_max: u32) -> Self {
        Self { rate_max: f64::from(rate_max), tenants: HashMap::new() }
    }

    /// By how much the probability of a tenant's trace is scaled, that would be kept as `likely` without a limit.
    pub(super) fn scale(&mut self, tenant: &str, second: i64, likely: f64) -> f64 {
        if self.tenants.len() >= TENANTS_MAX && !self.tenants.contains_key(tenant) {
            self.tenants.retain(|_, seen| second - seen.second <= 1);
        }
        let full = self.tenants.len() >= TENANTS_MAX && !self.tenants.contains_key(tenant);
        let seen = self.tenants.entry(if full { "" } else { tenant }.to_string()).or_default();
        if second != seen.second {
            let before = if second == seen.second + 1 { seen.this } else { 0.0 };
            *seen = Seen { second, this: 0.0, before };
        }
        let scale = (self.rate_max / seen.before.max(seen.this + likely)).min(1.0);
        seen.this += likely;
        scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many traces a second are kept of so many, in expectation.
    fn kept(rates: &mut TenantRates, tenant: &str, second: i64, traces: usize) -> f64 {
        (0..traces).map(|_| rates.scale(tenant, second, 1.0)).sum()
    }

    #[test]
    fn a_steady_tenant_is_held_to_its_rate_and_others_are_not_touched() {
        let mut rates = TenantRates::new(10);
        let burst = kept(&mut rates, "acme", 100, 1_000);
        assert!((10.0..10.0 * (1.0 + 100_f64.ln()) + 1.0).contains(&burst), "{burst}");
        for second in 101..105 {
            let steady = kept(&mut rates, "acme", second, 1_000);
            assert!((steady - 10.0).abs() < 0.1, "{steady}");
        }
        assert!((kept(&mut rates, "globex", 104, 10) - 10.0).abs() < 1e-9);
        assert!((kept(&mut rates, "acme", 200, 10) - 10.0).abs() < 1e-9, "silence is forgotten");
    }

    #[test]
    fn what_chance_leaves_out_anyway_does_not_count() {
        let mut rates = TenantRates::new(10);
        assert!((0..100).all(|_| (rates.scale("acme", 1, 0.1) - 1.0).abs() < 1e-9));
    }

    #[test]
    fn tenants_beyond_the_bound_share_a_rate() {
        let mut rates = TenantRates::new(1);
        for index in 0..TENANTS_MAX + 10 {
            rates.scale(&index.to_string(), 1, 1.0);
        }
        assert_eq!(rates.tenants.len(), TENANTS_MAX + 1);
        rates.scale("late", 9, 1.0);
        assert_eq!(rates.tenants.len(), 1, "who was silent makes room");
    }
}
