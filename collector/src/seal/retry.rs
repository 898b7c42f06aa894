//! Trying again, for as long as it takes: how long to wait in between, and what to tell of it.

use std::error::Error;
use std::time::{Duration, SystemTime};

use crate::append::Clock;

/// How long to wait between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// After the first failure; doubled with each that follows.
    pub first: Duration,
    /// At most.
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), max: Duration::from_secs(10) }
    }
}

/// Something that fails, and is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The last error, with its causes.
    pub error: String,
    /// When it began to fail, by the collector's clock.
    pub since: SystemTime,
    /// How often it failed since.
    pub failures: u64,
}

/// How much of an error's text is kept. A database may quote a statement.
const ERROR_CHARS_MAX: usize = 500;

/// The attempts at one thing.
pub(crate) struct Attempts {
    what: &'static str,
    policy: RetryPolicy,
    clock: Clock,
    trouble: Option<Trouble>,
}

impl Attempts {
    pub fn new(what: &'static str, policy: RetryPolicy, clock: Clock) -> Self {
        Self { what, policy, clock, trouble: None }
    }

    /// Notes a failure, and gives the time to wait before the next attempt.
    pub fn failed(&mut self, error: &dyn Error) -> Duration {
        let error = chain(error);
        let now = self.clock.now();
        let trouble = self.trouble.get_or_insert(Trouble { error: String::new(), since: now, failures: 0 });
        trouble.failures += 1;
        // The first and then ever fewer: at the longest wait, one an hour and more.
        if trouble.failures.is_power_of_two() {
            tracing::warn!(what = self.what, %error, failures = trouble.failures, "failed, and is tried again");
        }
        trouble.error = error;
        let doublings = u32::try_from(trouble.failures - 1).unwrap_or(u32::MAX).min(31);
        let wait = self.policy.first.saturating_mul(1 << doublings).min(self.policy.max);
        // Between half and all of it, so that collectors that failed together do not come back together.
        wait.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Notes a success.
    pub fn succeeded(&mut self) {
        if let Some(Trouble { failures, .. }) = self.trouble.take() {
            tracing::info!(what = self.what, failures, "works again");
        }
    }

    /// What is wrong, if anything is.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }
}

/// An error and its causes on one line, cut to a length that fits a log and a status page.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    match text.char_indices().nth(ERROR_CHARS_MAX) {
        Some((at, _)) => text[..at].to_owned() + "…",
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_never_below_half() {
        let policy = RetryPolicy { first: Duration::from_millis(100), max: Duration::from_secs(10) };
        let mut attempts = Attempts::new("test", policy, Clock::system());
        for nominal in [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
            let wait = attempts.failed(&std::io::Error::other("gone")).as_millis();
            assert!((nominal / 2..=nominal).contains(&wait), "{wait} for {nominal}");
        }
        assert_eq!(attempts.trouble().map(|trouble| trouble.failures), Some(9));
        attempts.succeeded();
        assert_eq!(attempts.trouble(), None);
        assert!(attempts.failed(&std::io::Error::other("gone")).as_millis() <= 100);
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_cut() {
        #[derive(Debug, thiserror::Error)]
        #[error("clickhouse failed to answer")]
        struct Outer(#[source] std::io::Error);
        let text = chain(&Outer(std::io::Error::other("x".repeat(1_000))));
        assert!(text.starts_with("clickhouse failed to answer: xxx") && text.ends_with('…'));
        assert_eq!(text.chars().count(), ERROR_CHARS_MAX + 1);
    }
}
