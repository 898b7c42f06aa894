//! How far shipping is, and what is wrong: put together from what each task tells of itself.

use std::time::SystemTime;

use crate::seal::{SealerReport, Trouble};

/// Where everything stands. Positions are the current collector id's, where nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipStatus {
    /// The id under which the journal numbers its records now.
    pub collector_id: [u8; 16],
    /// The last durable position.
    pub appended_seq: u64,
    /// The last position whose batch is committed and noted in the journal's checkpoint.
    pub shipped_seq: u64,
    /// How many durable positions may hold evidence that is not committed, earlier ids included. Our own records at the
    /// end of the journal do not count: 0 means that everything acknowledged is in the database.
    pub unshipped: u64,
    /// Batches committed since the start.
    pub committed_batches: u64,
    /// Their rows.
    pub committed_rows: u64,
    /// Rows that went into quarantine instead since the start: ClickHouse refuses them for what is in them.
    pub quarantined_rows: u64,
    /// When the last one was committed, by the collector's clock.
    pub last_success: Option<SystemTime>,
    /// What fails just now, and is tried again. The database's trouble goes before the journal's.
    pub trouble: Option<Trouble>,
    /// Positions read since the start whose acknowledged records are lost by the disk. Somebody must look.
    pub lost_positions: u64,
    /// Positions read since the start that never held anything acknowledged.
    pub void_positions: u64,
}

/// What the sender tells of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct SenderReport {
    pub shipped_seq: u64,
    /// Of ids before the current one.
    pub earlier_unshipped: u64,
    pub committed_batches: u64,
    pub committed_rows: u64,
    pub quarantined_rows: u64,
    pub last_success: Option<SystemTime>,
    pub trouble: Option<Trouble>,
}

/// Up to where the current id has nothing left that is not committed.
pub(super) fn committed_through(sender: &SenderReport, sealer: &SealerReport) -> u64 {
    if sender.shipped_seq == sealer.blank_after { sealer.blank_through } else { sender.shipped_seq }
}

/// Puts the reports together.
pub(super) fn status(
    collector_id: [u8; 16],
    appended_seq: u64,
    sender: &SenderReport,
    sealer: &SealerReport,
    heartbeat: Option<&Trouble>,
) -> ShipStatus {
    let open = appended_seq.saturating_sub(committed_through(sender, sealer));
    ShipStatus {
        collector_id,
        appended_seq,
        shipped_seq: sender.shipped_seq,
        unshipped: sender.earlier_unshipped + open,
        committed_batches: sender.committed_batches,
        committed_rows: sender.committed_rows,
        quarantined_rows: sender.quarantined_rows,
        last_success: sender.last_success,
        trouble: sender.trouble.as_ref().or(heartbeat).or(sealer.trouble.as_ref()).cloned(),
        lost_positions: sealer.lost_positions,
        void_positions: sealer.void_positions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_records_at_the_end_are_not_unshipped() {
        let sender = SenderReport { shipped_seq: 10, ..SenderReport::default() };
        let open = |blank_after, blank_through| {
            let sealer = SealerReport { blank_after, blank_through, ..SealerReport::default() };
            status([1; 16], 12, &sender, &sealer, None).unshipped
        };
        assert_eq!(open(10, 10), 2, "nobody looked yet");
        assert_eq!(open(10, 11), 1);
        assert_eq!(open(10, 12), 0);
        assert_eq!(open(11, 12), 2, "a batch is on its way");
    }
}
