//! Limits and times of shipping, with their defaults and the relations between them.

use std::time::Duration;

use crate::seal::{Limits, RetryPolicy};

/// How to cut, send and release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How large a batch may be.
    pub limits: Limits,
    /// How long evidence may wait for its batch to fill.
    pub interval: Duration,
    /// How long one insert may take before it counts as failed. What it did nevertheless is done again.
    pub insert_timeout: Duration,
    /// How long to wait between attempts.
    pub retry: RetryPolicy,
    /// How often to tell the database that this collector lives.
    pub heartbeat_interval: Duration,
    /// How long settled segments are kept: a database's yes is only as durable as its disks. When the journal needs
    /// the space they go earlier.
    pub keep: Duration,
    /// How long to go on shipping after the last append, before the rest is left to the next start.
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            interval: Duration::from_secs(1),
            insert_timeout: Duration::from_secs(60),
            retry: RetryPolicy::default(),
            heartbeat_interval: Duration::from_secs(10),
            keep: Duration::from_secs(24 * 60 * 60),
            drain_timeout: Duration::from_secs(15),
        }
    }
}

/// Every fault of a [`Config`], each with the key, its value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ship configuration: {}", faults.join("; "))]
pub struct ConfigError {
    /// One line a fault.
    pub faults: Vec<String>,
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// All faults together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut faults = self.limits.validate().err().unwrap_or_default();
        for (key, value) in [
            ("insert_timeout", self.insert_timeout),
            ("retry.first", self.retry.first),
            ("heartbeat_interval", self.heartbeat_interval),
        ] {
            if value.is_zero() {
                faults.push(format!("{key} = 0 must be longer"));
            }
        }
        if self.retry.max < self.retry.first {
            faults.push(format!(
                "retry.max = {:?} must be at least retry.first = {:?}",
                self.retry.max, self.retry.first
            ));
        }
        if faults.is_empty() { Ok(()) } else { Err(ConfigError { faults }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_every_fault_is_named_at_once() {
        assert_eq!(Config::default().validate(), Ok(()));
        let config = Config {
            limits: Limits { rows_max: 1_048_449, bytes_max: 0 },
            insert_timeout: Duration::ZERO,
            retry: RetryPolicy { first: Duration::from_secs(2), max: Duration::from_secs(1) },
            heartbeat_interval: Duration::ZERO,
            ..Config::default()
        };
        let faults = config.validate().expect_err("five faults").faults;
        let keys: Vec<_> = faults.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
        assert_eq!(keys, ["rows_max", "bytes_max", "insert_timeout", "heartbeat_interval", "retry.max"]);
    }
}
