//! Vouching for what is about to be posted: the settler's chain.
//!
//! ```text
//! voucher (leaves of the pass's entries, head before it) ─▶ entries ─▶ the next voucher, which says that they stand
//! ```
//!
//! Promises: no entry is sent before a row that vouches for it, with the time it will say, is confirmed. A chain goes on only
//! while everything vouched for was confirmed too; whatever goes wrong, the next posting begins another chain, which names
//! the ends of those before it and which of their last entries stood. So a voucher with one behind it, in its chain or in
//! such an end, is of entries that must stand for ever. Stamps never go back, whatever the clock does.
//! Why it is done so: `docs/adr/0023-vouch-before-posting.md`.

use std::collections::HashSet;

use domain::identity::EntryId;
use domain::ledger::{ChainId, End, Entry, Head, Voucher, leaf};
use sabotage::Point;
use schemas::rows::{TipRow, VoucherRow};

use super::{SettleError, Settler};

const MICROS_AN_HOUR: i64 = 3_600_000_000;

/// Where a chain is: to be noted where nobody who may write to the ledger can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// The chain.
    pub chain: ChainId,
    /// Its last voucher.
    pub number: u64,
    /// Its head there.
    pub head: Head,
}

/// The chain that a settler goes on with.
#[derive(Debug)]
pub(super) struct Chain {
    at: ChainHead,
    /// Whether all that was vouched for is confirmed, and a voucher says so.
    is_seen_through: bool,
}

/// What a settler knows of chains.
#[derive(Debug, Default)]
pub(super) struct Vouching {
    /// `None` before the first posting, and while something that was vouched for is not confirmed.
    chain: Option<Chain>,
    /// Where its chain is, or was last.
    head: Option<ChainHead>,
    /// The latest time that was given to anything, microseconds since the epoch.
    stamped: i64,
    /// Whether entries of another chain's last voucher may or may not stand.
    is_another_in_doubt: bool,
    /// The hour in which the log was last told.
    told: i64,
}

impl Settler {
    /// A time for what is written now, later than any before it, in microseconds since the epoch.
    pub(crate) fn stamp(&mut self) -> i64 {
        let vouching = &mut self.vouching;
        vouching.stamped = ((self.clock)() / 1000).max(vouching.stamped + 1);
        vouching.stamped
    }

    /// The latest time that was given to anything, by whatever settler; microseconds since the epoch.
    pub(super) fn stamped(&self) -> i64 {
        self.vouching.stamped
    }

    /// Takes note of what others stamped and how their chains end. `stamped` is the latest stamp of another table.
    pub(super) async fn follow_chains(&mut self, stamped: i64) -> Result<(), SettleError> {
        let tips = self.database.chain_tips().await?;
        let vouching = &mut self.vouching;
        let own = vouching.chain.as_ref().map(|chain| chain.at.chain);
        vouching.is_another_in_doubt = tips.iter().any(|tip| Some(tip.chain) != own && tip.entries > 0);
        let stamps = tips.iter().map(|tip| tip.posted_at).chain([stamped, vouching.stamped]);
        vouching.stamped = stamps.max().unwrap_or_default();
        Ok(())
    }

    /// Where its chain is, once it has posted anything.
    pub fn chain_head(&self) -> Option<ChainHead> {
        self.vouching.head
    }

    /// Begins a chain where it has none: upon the ends of all others.
    pub(super) async fn hold_chain(&mut self) -> Result<(), SettleError> {
        if self.vouching.chain.is_some() {
            return Ok(());
        }
        let tips = self.database.chain_tips().await?;
        let before = if tips.is_empty() { self.database.count_posted_before(None).await? } else { 0 };
        let mut ends = Vec::with_capacity(tips.len());
        for tip in tips {
            let stood = self.stood(&tip).await?;
            self.vouching.stamped = self.vouching.stamped.max(tip.posted_at);
            ends.push(End { chain: tip.chain, number: tip.number, head: tip.head, stood });
        }
        let (chain, posted_at) = (uuid::Uuid::new_v4().into_bytes(), self.stamp());
        let voucher =
            Voucher { chain, number: 1, posted_at, settler: self.id, ends, before, ..Voucher::default() };
        let chain = self.write(voucher, &[0; 32]).await?;
        self.keep(Some(chain));
        self.vouching.is_another_in_doubt = false;
        Ok(())
    }

    /// Vouches for entries that are about to be sent, where there are any. The chain is to be given back ([`Settler::keep`])
    /// once all of them are confirmed; who cannot, drops it.
    pub(super) async fn vouch(
        &mut self,
        entries: &[Entry],
        posted_at: i64,
    ) -> Result<Option<Chain>, SettleError> {
        let chain = self.vouching.chain.take();
        if entries.is_empty() {
            return Ok(chain);
        }
        let before = chain.expect("a chain is held before the time is taken that entries will say");
        let mut leaves: Vec<(EntryId, u64)> = entries.iter().map(|entry| (entry.id, leaf(entry))).collect();
        leaves.sort_unstable();
        leaves.dedup();
        let leaves = leaves.into_iter().map(|(_, leaf)| leaf).collect();
        let voucher = self.next(&before, posted_at, leaves);
        self.write(voucher, &before.at.head).await.map(Some)
    }

    /// The chain may go on: what it vouches for is confirmed.
    pub(super) fn keep(&mut self, chain: Option<Chain>) {
        self.vouching.chain = chain;
    }

    /// Writes down that what it vouched for last stands, or, where another broke off, what of that does. To be called when
    /// nothing is to be posted.
    pub(crate) async fn rest(&mut self) -> Result<(), SettleError> {
        match self.vouching.chain.take() {
            Some(chain) if !chain.is_seen_through => {
                let posted_at = self.stamp();
                let voucher = self.next(&chain, posted_at, Vec::new());
                let chain = self.write(voucher, &chain.at.head).await?;
                self.keep(Some(chain));
            }
            None if self.vouching.is_another_in_doubt => self.hold_chain().await?,
            chain => self.keep(chain),
        }
        Ok(())
    }

    fn next(&self, before: &Chain, posted_at: i64, leaves: Vec<u64>) -> Voucher {
        let ChainHead { chain, number, .. } = before.at;
        Voucher {
            chain,
            number: number + 1,
            posted_at,
            settler: self.id,
            leaves,
            ends: Vec::new(),
            before: 0,
        }
    }

    /// Of the last voucher of a chain that broke off, the leaves whose entries stand.
    async fn stood(&self, tip: &TipRow) -> Result<Vec<u64>, SettleError> {
        if tip.entries == 0 {
            return Ok(Vec::new());
        }
        let at = tip.posted_at;
        let vouchers = self.database.vouchers_within((at, Some(at + 1))).await?;
        let of_tip = |row: &VoucherRow| (row.chain, row.number) == (tip.chain, tip.number);
        let Some(voucher) = vouchers.into_iter().find(of_tip) else { return Ok(Vec::new()) };
        let mut there = HashSet::new();
        let note = |_, _, leaf| {
            there.insert(leaf);
        };
        self.database.each_leaf_at(&[at], note).await?;
        let mut leaves = voucher.into_voucher().leaves;
        leaves.retain(|leaf| there.contains(leaf));
        Ok(leaves)
    }

    async fn write(&mut self, voucher: Voucher, previous: &Head) -> Result<Chain, SettleError> {
        let head = voucher.head(previous);
        let (is_seen_through, posted_at) = (voucher.leaves.is_empty(), voucher.posted_at);
        let at = ChainHead { chain: voucher.chain, number: voucher.number, head };
        let row = VoucherRow::of(voucher, head);
        let inserted = self.database.insert_voucher(&row);
        if is_seen_through {
            inserted.await?;
        } else {
            sabotage::in_flight(Point::SettleVoucherSending, inserted).await?;
            sabotage::reached(Point::SettleVoucherAfter);
        }
        self.vouching.head = Some(at);
        let hour = posted_at / MICROS_AN_HOUR;
        if std::mem::replace(&mut self.vouching.told, hour) != hour {
            let (chain, number, head) = (hex(&at.chain), at.number, hex(&head));
            tracing::info!(%chain, number, %head, "vouched for what is posted; a head noted elsewhere shows a ledger that was rewritten");
        }
        Ok(Chain { at, is_seen_through })
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
