//! Numbers that hold no readable record, and why.
//!
//! Promises: a reader accounts for every number in order, by a record or by a gap.

use std::fmt;

/// A range of sequence numbers without readable records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first number of the range.
    pub from: u64,
    /// The last number of the range, at least `from`.
    pub to: u64,
    /// Why nothing can be read there.
    pub reason: GapReason,
}

/// Why a range of numbers holds no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// Nothing is lost: the numbers belonged to appends that were never acknowledged (torn by a crash, or a failed
    /// sync), or were passed over so as not to be given twice.
    Void,
    /// Acknowledged records were here and their bytes no longer match their checksum.
    Damaged,
    /// Acknowledged records were here and their segment file is gone, though no checkpoint had released them.
    Missing,
    /// The records were released by a durable checkpoint and their segment was unlinked.
    Released,
}

impl GapReason {
    /// A stable word for logs and metric labels.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Void => "void",
            Self::Damaged => "damaged",
            Self::Missing => "missing",
            Self::Released => "released",
        }
    }

    /// Whether acknowledged, unreleased records may be lost: someone must look.
    pub const fn is_loss(self) -> bool {
        matches!(self, Self::Damaged | Self::Missing)
    }
}

impl Gap {
    pub(crate) fn contains(&self, seq: u64) -> bool {
        (self.from..=self.to).contains(&seq)
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records {}..={}", self.reason.code(), self.from, self.to)
    }
}
