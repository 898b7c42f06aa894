//! Rows of `vouchers`: what settlers were about to post.

use clickhouse::Row;
use domain::ledger::{ChainId, End, Head, Voucher};
use serde::{Deserialize, Serialize};

/// A voucher, and the head of its chain with it.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct VoucherRow {
    /// Microseconds since the epoch.
    pub posted_at: i64,
    /// The chain.
    pub chain: ChainId,
    /// From 1, without gaps.
    pub number: u64,
    settler: [u8; 16],
    leaves: Vec<u64>,
    ends: Vec<(ChainId, u64, Head, Vec<u64>)>,
    before: u64,
    /// The head of the chain with this voucher.
    pub head: Head,
}

impl VoucherRow {
    /// The row of a voucher.
    pub fn of(voucher: Voucher, head: Head) -> Self {
        let Voucher { chain, number, posted_at, settler, leaves, ends, before } = voucher;
        let ends = ends.into_iter().map(|end| (end.chain, end.number, end.head, end.stood)).collect();
        Self { posted_at, chain, number, settler, leaves, ends, before, head }
    }

    /// The voucher of a row.
    pub fn into_voucher(self) -> Voucher {
        let Self { posted_at, chain, number, settler, leaves, ends, before, head: _ } = self;
        let end = |(chain, number, head, stood)| End { chain, number, head, stood };
        let ends = ends.into_iter().map(end).collect();
        Voucher { chain, number, posted_at, settler, leaves, ends, before }
    }
}

/// The last voucher of a chain, without what it vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct TipRow {
    /// The chain.
    pub chain: ChainId,
    /// How far it goes.
    pub number: u64,
    /// Its head there.
    pub head: Head,
    /// Microseconds since the epoch.
    pub posted_at: i64,
    /// How many entries it vouches for.
    pub entries: u64,
}

/// An entry as a person finds it.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct NamedEntryRow {
    /// The entry.
    pub entry_id: [u8; 16],
    /// Its call.
    pub call_id: [u8; 16],
    /// Its payer.
    pub tenant: String,
    /// Microseconds since the epoch.
    pub posted_at: i64,
}
