//! The journal's limits, and how they must relate.
//!
//! Promises: `validate` names every fault at once. Leaves to others: where values come from.

use crate::frame::FRAME_HEADER_BYTES;
use crate::segment::SEGMENT_HEADER_BYTES;

/// Limits of a journal. All sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Bound of all segment files together; appends beyond it are refused with
    /// [`AppendError::Full`](crate::AppendError::Full). Identity and checkpoints (a few KiB) come on top.
    pub capacity_bytes: u64,
    /// Size at which a segment is closed and the next one begun: the unit in which space is freed.
    pub segment_bytes: u64,
    /// The largest append accepted, with its header. It must fit a segment.
    pub frame_bytes_max: usize,
    /// How many bytes one write and one sync may carry; larger favours throughput, smaller the latency of each.
    /// A single append may exceed it, up to `frame_bytes_max`.
    pub group_bytes_max: usize,
    /// Bytes that may wait for the writer or be in its hands; beyond it appends are refused with
    /// [`AppendError::Busy`](crate::AppendError::Busy). Bounds the journal's memory.
    pub queue_bytes_max: usize,
    /// Appends that may wait for the writer or be in its hands.
    pub queue_requests_max: usize,
    /// Which segments are read and checked when the journal opens.
    pub verify_on_open: VerifyOnOpen,
}

/// How much is read at open. The newest segment always is; others can wait for their reader, which checks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyOnOpen {
    /// Only what recovery cannot do without: headers, and the newest segment.
    Newest,
    /// Also every segment holding records that are not yet released.
    Unreleased,
    /// Every segment.
    All,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            capacity_bytes: 10 << 30,
            segment_bytes: 64 << 20,
            frame_bytes_max: 32 << 20,
            // One fdatasync of 64 KiB takes some 0.27 ms and of 1 MiB some 3.4 ms: under load a group is as large as
            // what arrived during the sync before it, and this only caps the latency of a burst.
            group_bytes_max: 1 << 20,
            queue_bytes_max: 64 << 20,
            queue_requests_max: 16_384,
            verify_on_open: VerifyOnOpen::Unreleased,
        }
    }
}

/// Every fault of a [`Config`], each with the key, its value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("journal configuration: {}", faults.join("; "))]
pub struct ConfigError {
    /// One line a fault.
    pub faults: Vec<String>,
}

impl Config {
    /// Checks every relation between the limits.
    ///
    /// # Errors
    /// All faults together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut faults = Vec::new();
        let mut require = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        // Offsets within a group are 32 bits on disk, and a group never spans segments.
        require(
            self.segment_bytes <= u64::from(u32::MAX),
            format!("segment_bytes = {} must be at most {}", self.segment_bytes, u32::MAX),
        );
        require(
            self.frame_bytes_max > FRAME_HEADER_BYTES,
            format!("frame_bytes_max = {} must exceed {FRAME_HEADER_BYTES}", self.frame_bytes_max),
        );
        require(
            self.frame_bytes_max as u64 + SEGMENT_HEADER_BYTES <= self.segment_bytes,
            format!(
                "frame_bytes_max = {} must fit segment_bytes = {} less a header of {SEGMENT_HEADER_BYTES}",
                self.frame_bytes_max, self.segment_bytes
            ),
        );
        // The active segment cannot be freed; with room for two, the other one can.
        require(
            self.capacity_bytes >= self.segment_bytes.saturating_mul(2),
            format!(
                "capacity_bytes = {} must be at least twice segment_bytes = {}",
                self.capacity_bytes, self.segment_bytes
            ),
        );
        require(self.group_bytes_max >= 1, "group_bytes_max = 0 must be at least 1".to_owned());
        require(
            self.queue_bytes_max >= self.frame_bytes_max,
            format!(
                "queue_bytes_max = {} must hold one append of frame_bytes_max = {}",
                self.queue_bytes_max, self.frame_bytes_max
            ),
        );
        require(self.queue_requests_max >= 1, "queue_requests_max = 0 must be at least 1".to_owned());
        if faults.is_empty() { Ok(()) } else { Err(ConfigError { faults }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let config = Config {
            capacity_bytes: 1,
            frame_bytes_max: 128 << 20,
            group_bytes_max: 0,
            queue_bytes_max: 1,
            queue_requests_max: 0,
            ..Config::default()
        };
        let faults = config.validate().expect_err("five faults").faults;
        let keys: Vec<_> = faults.iter().map(|f| f.split(' ').next().unwrap()).collect();
        assert_eq!(
            keys,
            ["frame_bytes_max", "capacity_bytes", "group_bytes_max", "queue_bytes_max", "queue_requests_max"]
        );
    }
}
