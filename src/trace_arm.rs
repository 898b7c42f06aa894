//! The trace arm, put together: what it keeps, and what it is lent of billing.
//!
//! It is lent one thing, the price of a call: `collector` knows no prices, and `billing` no spans.

use std::time::Duration;

use anyhow::Context as _;
use billing::estimate::Estimates;
use billing::settle::SettleStatus;
use collector::append::Clock;
use collector::decode::Decoder;
use collector::forward::{Forwards, Workers};
use collector::trace::{self, PriceCalls, Redactor, Stem, TailRules};
use domain::Cost;
use domain::resolve::ResolvedCall;
use tokio::sync::watch;

use crate::billing_arm::rules;
use crate::config::{ByteSize, Config};
use crate::forwards;
use crate::topology::decode_config;

/// What the arm understands spans and money by.
pub fn stem(config: &Config, settler: watch::Receiver<SettleStatus>, forwards: Forwards) -> Stem {
    let currency = config.billing.currency.code();
    Stem {
        decoder: Decoder::new(&decode_config(config)),
        prices: Box::new(Prices(Estimates::new(settler, currency))),
        clock: Clock::system(),
        forwards,
    }
}

/// Starts the workers of every configured backend, on the current runtime.
pub fn forwards(config: &Config) -> anyhow::Result<(Forwards, Workers)> {
    let targets = config.trace.forwards.as_deref().map(forwards::read).transpose()?.unwrap_or_default();
    Forwards::start(targets)
        .context("the system's certificates cannot be read, which backends are trusted by")
}

/// What it keeps, and how much it may hold.
pub fn config(config: &Config) -> anyhow::Result<trace::Config> {
    let trace = &config.trace;
    let size = |size: ByteSize| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
    Ok(trace::Config {
        enabled: trace.enabled,
        sample_ratio: trace.sample_ratio.get(),
        rules: TailRules {
            errors: trace.keep_errors,
            slow: trace.keep_slow,
            slow_first_token: trace.keep_slow_first_token,
            cost_over: trace.keep_cost_over,
            top_cost: trace.keep_top_cost as usize,
            conflicts: trace.keep_conflicts,
            tenants: trace.keep_tenants.iter().cloned().collect(),
            features: trace.keep_features.iter().cloned().collect(),
        },
        tenant_rate_max: trace.tenant_rate_max.map(std::num::NonZeroU32::get),
        wait: trace.wait,
        hold_bytes_max: size(trace.hold),
        settlement: rules(config),
        keep_content: trace.keep_content,
        queue_bytes_max: size(trace.queue),
        retention_days: Some(days(trace.retention)),
        redactor: Redactor::new(trace.redact, &trace.redact_patterns)?,
        ..trace::Config::default()
    })
}

/// Whole days, at least one.
fn days(time: Duration) -> u32 {
    u32::try_from(time.as_secs().div_ceil(86_400)).unwrap_or(u32::MAX).max(1)
}

#[derive(Debug)]
struct Prices(Estimates);

impl PriceCalls for Prices {
    fn cost(&mut self, call: &ResolvedCall) -> Option<Cost> {
        self.0.cost(call)
    }
}
