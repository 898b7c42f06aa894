//! Statements on vouchers, and on entries by when they were posted.
//!
//! Rows are read as they lie in the tables, without `FINAL`: copies of an entry that were posted at two times are vouched for
//! twice, and one that was put beside another under the same key must not hide it.

use clickhouse::Row;
use domain::identity::EntryId;
use domain::ledger::{ChainId, Head};
use domain::time::BillingPeriod;
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};
use crate::literal::{number_list, unhex, unhex_list};
use crate::rows::{LedgerRow, NamedEntryRow, TipRow, VoucherRow};

/// Microseconds since the epoch: from, and where there is an end, before.
pub type PostedWithin = (i64, Option<i64>);

/// Things that one statement names at most.
const NAMES_A_STATEMENT: usize = 1_000;

/// How many entries a voucher vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct VoucherSize {
    /// Microseconds since the epoch.
    pub posted_at: i64,
    /// The chain.
    pub chain: ChainId,
    /// Its number there.
    pub number: u64,
    /// So many.
    pub entries: u64,
}

#[derive(Debug, Row, Deserialize)]
struct HeadRow {
    chain: ChainId,
    number: u64,
    head: Head,
}

#[derive(Debug, Row, Deserialize)]
struct ExtentRow {
    rows: u64,
    first: i64,
    last: i64,
}

fn within((from, until): PostedWithin) -> String {
    let until =
        until.map(|until| format!(" AND posted_at < fromUnixTimestamp64Micro({until})")).unwrap_or_default();
    format!("posted_at >= fromUnixTimestamp64Micro({from}){until}")
}

fn moments(times: &[i64]) -> String {
    let times: Vec<String> = times.iter().map(|at| format!("fromUnixTimestamp64Micro({at})")).collect();
    format!("posted_at IN ({})", times.join(", "))
}

impl Database {
    /// Writes a voucher, before what it vouches for.
    pub async fn insert_voucher(&self, row: &VoucherRow) -> Result<(), DatabaseError> {
        self.insert_rows("vouchers", std::slice::from_ref(row)).await
    }

    /// Where chains end that no later one was begun upon.
    pub async fn chain_tips(&self) -> Result<Vec<TipRow>, DatabaseError> {
        let sql = "SELECT ?fields FROM (SELECT v.chain AS chain, max(v.number) AS number, argMax(v.head, v.number) AS head, \
                     argMax(v.posted_at, v.number) AS posted_at, argMax(length(v.leaves), v.number) AS entries \
                   FROM vouchers AS v GROUP BY v.chain) AS tips \
                   WHERE (chain, number) NOT IN (SELECT ended.1, ended.2 FROM vouchers ARRAY JOIN ends AS ended) ORDER BY chain";
        self.client().query(sql).fetch_all().await.map_err(self.failed("find the ends of chains"))
    }

    /// Tells of every voucher how much it vouches for, in order of time.
    pub async fn each_voucher_size(&self, mut each: impl FnMut(VoucherSize)) -> Result<(), DatabaseError> {
        let failed = || self.failed("list vouchers");
        let sql = "SELECT posted_at, chain, number, length(leaves) AS entries FROM vouchers ORDER BY posted_at, chain, number";
        let mut rows = self.client().query(sql).fetch::<VoucherSize>().map_err(failed())?;
        while let Some(row) = rows.next().await.map_err(failed())? {
            each(row);
        }
        Ok(())
    }

    /// The vouchers of a stretch of time, in order of time.
    pub async fn vouchers_within(&self, stretch: PostedWithin) -> Result<Vec<VoucherRow>, DatabaseError> {
        let sql = format!(
            "SELECT ?fields FROM vouchers WHERE {} ORDER BY posted_at, chain, number",
            within(stretch)
        );
        self.client().query(&sql).fetch_all().await.map_err(self.failed("read vouchers"))
    }

    /// The heads of vouchers by chain and number; several where there are several of a number.
    pub async fn heads_of(
        &self,
        vouchers: &[(ChainId, u64)],
    ) -> Result<Vec<(ChainId, u64, Head)>, DatabaseError> {
        let mut heads = Vec::new();
        for some in vouchers.chunks(NAMES_A_STATEMENT) {
            let names: Vec<String> =
                some.iter().map(|(chain, number)| format!("({}, {number})", unhex(*chain))).collect();
            let sql = format!("SELECT ?fields FROM vouchers WHERE (chain, number) IN ({})", names.join(", "));
            let found = self.client().query(&sql).fetch_all::<HeadRow>().await;
            let found = found.map_err(self.failed("read the heads of vouchers"))?;
            heads.extend(found.into_iter().map(|row| (row.chain, row.number, row.head)));
        }
        Ok(heads)
    }

    /// Tells of every voucher that may hold one of the leaves; of all vouchers where they are many.
    pub async fn each_voucher_with(
        &self,
        leaves: &[u64],
        mut each: impl FnMut(VoucherRow),
    ) -> Result<(), DatabaseError> {
        let failed = || self.failed("look for vouchers");
        let only = match leaves.len() {
            0 => return Ok(()),
            1..=NAMES_A_STATEMENT => {
                format!("WHERE hasAny(leaves, [{}])", number_list(leaves.iter().copied()))
            }
            _ => String::new(),
        };
        let sql = format!("SELECT ?fields FROM vouchers {only}");
        let mut rows = self.client().query(&sql).fetch::<VoucherRow>().map_err(failed())?;
        while let Some(row) = rows.next().await.map_err(failed())? {
            each(row);
        }
        Ok(())
    }

    /// Tells of every entry posted in a stretch of time: when, its id, its leaf.
    pub async fn each_leaf_within(
        &self,
        stretch: PostedWithin,
        each: impl FnMut(i64, EntryId, u64),
    ) -> Result<(), DatabaseError> {
        self.each_leaf(&within(stretch), each).await
    }

    /// The same of entries posted at some moments.
    pub async fn each_leaf_at(
        &self,
        times: &[i64],
        mut each: impl FnMut(i64, EntryId, u64),
    ) -> Result<(), DatabaseError> {
        for some in times.chunks(NAMES_A_STATEMENT) {
            self.each_leaf(&moments(some), &mut each).await?;
        }
        Ok(())
    }

    async fn each_leaf(
        &self,
        condition: &str,
        mut each: impl FnMut(i64, EntryId, u64),
    ) -> Result<(), DatabaseError> {
        let failed = || self.failed("read entries by when they were posted");
        let sql = format!("SELECT ?fields FROM ledger_entries WHERE {condition}");
        let mut rows = self.client().query(&sql).fetch::<LedgerRow>().map_err(failed())?;
        while let Some(row) = rows.next().await.map_err(failed())? {
            if let Some(id) = row.entry_id() {
                each(row.posted_at(), id, row.leaf());
            }
        }
        Ok(())
    }

    /// Calls and tenants of entries, as they say now. Each with the time at which it is looked for.
    pub async fn named_entries(
        &self,
        entries: &[(i64, EntryId)],
    ) -> Result<Vec<NamedEntryRow>, DatabaseError> {
        let mut named = Vec::new();
        for some in entries.chunks(NAMES_A_STATEMENT) {
            let times: Vec<i64> = some.iter().map(|(at, _)| *at).collect();
            let ids = unhex_list(some.iter().map(|(_, id)| id.bytes()));
            let sql = format!(
                "SELECT DISTINCT ?fields FROM ledger_entries WHERE {} AND entry_id IN ({ids})",
                moments(&times)
            );
            let found = self.client().query(&sql).fetch_all::<NamedEntryRow>().await;
            named.extend(found.map_err(self.failed("name entries"))?);
        }
        Ok(named)
    }

    /// How many entries there are that say they were posted before a moment; all of them without one. Copies count once.
    pub async fn count_posted_before(&self, at: Option<i64>) -> Result<u64, DatabaseError> {
        let only =
            at.map(|at| format!("WHERE posted_at < fromUnixTimestamp64Micro({at})")).unwrap_or_default();
        let sql = format!("SELECT count() FROM ledger_entries FINAL {only}");
        self.client().query(&sql).fetch_one().await.map_err(self.failed("count entries by when posted"))
    }

    /// The first and the last time at which entries of a month were posted; nothing where it has none.
    pub async fn posted_extent(&self, period: BillingPeriod) -> Result<Option<(i64, i64)>, DatabaseError> {
        let sql = format!(
            "SELECT count() AS rows, toUnixTimestamp64Micro(min(posted_at)) AS first, toUnixTimestamp64Micro(max(posted_at)) AS last \
             FROM ledger_entries WHERE period = toDate('{}')",
            period.first_day()
        );
        let found = self.client().query(&sql).fetch_one::<ExtentRow>().await;
        let found = found.map_err(self.failed("find when a month was posted"))?;
        Ok((found.rows > 0).then_some((found.first, found.last)))
    }
}
