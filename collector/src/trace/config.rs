//! What the trace arm keeps and how much it may hold, with the defaults.

use std::time::Duration;

use domain::resolve::Rules;

use super::judge::TailRules;
use super::redact::Redactor;

const MIB: usize = 1024 * 1024;

/// Settings of the trace arm. Its memory is bounded by `queue_bytes_max + hold_bytes_max + 2 * batch_bytes_max`, one
/// request, and some 20 MB of what is remembered of traces and tenants.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether there is an arm.
    pub enabled: bool,
    /// The share that is kept of traces that no rule names, 0 (none) to 1 (all).
    pub sample_ratio: f64,
    /// Which traces are kept for certain.
    pub rules: TailRules,
    /// How many traces a second are kept of one tenant, about.
    pub tenant_rate_max: Option<u32>,
    /// How long a trace waits for its spans before it is decided.
    pub wait: Duration,
    /// What traces that wait may hold together, in bytes; beyond it the oldest are decided early.
    pub hold_bytes_max: usize,
    /// The limits on the age of usage that settlement goes by.
    pub settlement: Rules,
    /// Whether prompts, completions, tool arguments and their like are stored with the spans.
    pub keep_content: bool,
    /// What is replaced in kept texts.
    pub redactor: Redactor,
    /// What requests waiting to be sampled may hold together, in bytes; a request beyond it is dropped.
    pub queue_bytes_max: usize,
    /// How many requests may wait to be sampled; a request beyond it is dropped.
    pub queue_requests_max: usize,
    /// For how many days the database keeps spans; `None`: as its tables say.
    pub retention_days: Option<u32>,
    /// How many spans are inserted together at most.
    pub batch_rows_max: usize,
    /// How large spans inserted together may be, in bytes of memory.
    pub batch_bytes_max: usize,
    /// How long a kept span waits for others before it is inserted.
    pub batch_age_max: Duration,
    /// How long one attempt to insert may take.
    pub insert_timeout: Duration,
    /// How often an insert is tried before its spans are dropped.
    pub insert_attempts_max: u32,
    /// The pause after a first failed attempt; it doubles after each further one.
    pub retry_pause: Duration,
    /// How long the arm goes on inserting after the last request came in.
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            sample_ratio: 0.1,
            rules: TailRules::default(),
            tenant_rate_max: None,
            wait: Duration::from_secs(10),
            hold_bytes_max: 64 * MIB,
            settlement: Rules::default(),
            keep_content: false,
            redactor: Redactor::new(true, &[])
                .expect("the known forms are regular expressions, which a test compiles"),
            queue_bytes_max: 32 * MIB,
            queue_requests_max: 4096,
            retention_days: None,
            batch_rows_max: 10_000,
            batch_bytes_max: 8 * MIB,
            batch_age_max: Duration::from_secs(2),
            insert_timeout: Duration::from_secs(10),
            insert_attempts_max: 4,
            retry_pause: Duration::from_millis(250),
            drain: Duration::from_secs(3),
        }
    }
}

impl Config {
    /// What is wrong with it, all at once; each text names the key, its value and what is allowed.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            faults.push(format!(
                "trace.sample_ratio is {}; allowed is 0 (only what a rule names) to 1 (every trace)",
                self.sample_ratio
            ));
        }
        let numbers = [
            ("trace.queue_bytes_max", self.queue_bytes_max),
            ("trace.hold_bytes_max", self.hold_bytes_max),
            ("trace.queue_requests_max", self.queue_requests_max),
            ("trace.batch_rows_max", self.batch_rows_max),
            ("trace.batch_bytes_max", self.batch_bytes_max),
            ("trace.insert_attempts_max", self.insert_attempts_max as usize),
        ];
        faults.extend(
            numbers
                .into_iter()
                .filter(|(_, value)| *value == 0)
                .map(|(key, _)| format!("{key} is 0; allowed is 1 or more")),
        );
        if self.insert_timeout.is_zero() {
            faults.push("trace.insert_timeout is 0 s; allowed is more".into());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed() {
        assert_eq!(Config::default().faults(), Vec::<String>::new());
    }

    #[test]
    fn all_faults_come_together_each_with_its_key() {
        for ratio in [-0.1, 1.5, f64::NAN] {
            let config = Config {
                sample_ratio: ratio,
                batch_rows_max: 0,
                insert_timeout: Duration::ZERO,
                ..Config::default()
            };
            let faults = config.faults();
            assert_eq!(faults.len(), 3, "{faults:?}");
            for (fault, key) in faults.iter().zip(["sample_ratio", "batch_rows_max", "insert_timeout"]) {
                assert!(fault.contains(key), "{fault}");
            }
        }
    }
}
