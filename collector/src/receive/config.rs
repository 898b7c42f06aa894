//! Addresses, limits and time limits of receiving, with their defaults and the relations between them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const MIB: usize = 1024 * 1024;

/// Where to listen and what to allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The OTLP/gRPC address; port 0 takes a free one.
    pub grpc_addr: SocketAddr,
    /// The OTLP/HTTP address; port 0 takes a free one.
    pub http_addr: SocketAddr,
    /// Whether a request needs an API key; unset: needed on every address but loopback.
    pub auth_required: Option<bool>,
    /// Limits of size and number.
    pub limits: Limits,
    /// Limits of time.
    pub time_limits: TimeLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grpc_addr: (Ipv4Addr::LOCALHOST, 4317).into(),
            http_addr: (Ipv4Addr::LOCALHOST, 4318).into(),
            auth_required: None,
            limits: Limits::default(),
            time_limits: TimeLimits::default(),
        }
    }
}

/// Limits of size and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest body as it arrives, compressed or not, in bytes.
    pub body_bytes_max: usize,
    /// The largest body after decompression, in bytes.
    pub decompressed_bytes_max: usize,
    /// What all requests together may hold in memory, in bytes: bodies being read and bodies being answered.
    pub in_flight_bytes_max: usize,
    /// How many requests are in work at once.
    pub requests_max: usize,
    /// How many connections are open at once, over both addresses. Each may hold [`Limits::CONNECTION_WINDOW_BYTES`]
    /// of unread HTTP/2 data beside the budget, but only by stalling its own requests.
    pub connections_max: usize,
    /// How many requests one HTTP/2 connection may have open at once.
    pub streams_per_connection_max: u32,
}

impl Limits {
    /// What an HTTP/2 connection may send ahead of what is read, in bytes: enough for 100 MB/s at 10 ms.
    pub const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
    /// The same of one of its requests.
    pub const STREAM_WINDOW_BYTES: u32 = 512 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * MIB,
            decompressed_bytes_max: 64 * MIB,
            in_flight_bytes_max: 128 * MIB,
            requests_max: 1024,
            connections_max: 4096,
            streams_per_connection_max: 256,
        }
    }
}

/// Limits of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeLimits {
    /// From accepting a connection to the head of its first request.
    pub first_head: Duration,
    /// Between two pieces of a body.
    pub body_pause: Duration,
    /// For a whole body.
    pub body: Duration,
    /// How long a connection may be without a request. Long, because a client may send its next one just as the
    /// connection closes, and over HTTP/1 not every exporter sends it again.
    pub idle: Duration,
    /// How long a request waits for memory or a place before it is refused as busy.
    pub patience: Duration,
    /// What a refused client is told to wait.
    pub retry_after: Duration,
    /// How long a refused body is still read, so that an HTTP/1 client sees the answer instead of a reset connection.
    pub linger: Duration,
    /// How long requests may go on after the shutdown signal.
    pub drain: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            first_head: Duration::from_secs(10),
            body_pause: Duration::from_secs(10),
            body: Duration::from_secs(60),
            idle: Duration::from_secs(300),
            patience: Duration::from_millis(500),
            retry_after: Duration::from_secs(1),
            linger: Duration::from_secs(2),
            drain: Duration::from_secs(15),
        }
    }
}

impl Config {
    /// What is wrong with it, all at once; each text names the key, its value and what is allowed.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let limits = &self.limits;
        let numbers = [
            ("receive.limits.body_bytes_max", limits.body_bytes_max),
            ("receive.limits.decompressed_bytes_max", limits.decompressed_bytes_max),
            ("receive.limits.requests_max", limits.requests_max),
            ("receive.limits.connections_max", limits.connections_max),
            ("receive.limits.streams_per_connection_max", limits.streams_per_connection_max as usize),
        ];
        faults.extend(
            numbers
                .into_iter()
                .filter(|(_, value)| *value == 0)
                .map(|(key, _)| format!("{key} is 0; allowed is 1 or more")),
        );
        let largest = limits.body_bytes_max.max(limits.decompressed_bytes_max);
        if limits.in_flight_bytes_max < largest {
            faults.push(format!(
                "receive.limits.in_flight_bytes_max is {}; allowed is {largest} (one body of the largest size) or more",
                limits.in_flight_bytes_max
            ));
        }
        let times = &self.time_limits;
        let durations = [
            ("receive.time_limits.first_head", times.first_head),
            ("receive.time_limits.body_pause", times.body_pause),
            ("receive.time_limits.body", times.body),
            ("receive.time_limits.idle", times.idle),
        ];
        faults.extend(
            durations
                .into_iter()
                .filter(|(_, value)| value.is_zero())
                .map(|(key, _)| format!("{key} is 0 s; allowed is more")),
        );
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
        let mut config = Config::default();
        config.limits.requests_max = 0;
        config.limits.in_flight_bytes_max = 1;
        config.time_limits.idle = Duration::ZERO;
        let faults = config.faults();
        assert_eq!(faults.len(), 3, "{faults:?}");
        for (fault, key) in faults.iter().zip(["requests_max", "in_flight_bytes_max", "idle"]) {
            assert!(fault.contains(key), "{fault}");
        }
    }
}
