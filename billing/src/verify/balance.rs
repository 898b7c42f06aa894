//! The balance: everything received came to something, and the calls among it are those of the ledger.
//!
//! ```text
//! of each collector   appended = shipped + unshipped
//! of distinct spans   seen = billed + unpriced + unmetered + merged + wrapper + … + quarantined + pending
//! of positions        what a batch leaves out is in quarantine
//! of calls            billed + unpriced + unmetered = net calls of the ledger, give or take what is pending
//! ```
//!
//! One function draws it, for `verify` and for the metrics of a running server.

use std::collections::BTreeMap;

use schemas::{Database, DatabaseError};

/// A collector's positions, by its last heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// Where it runs.
    pub host: String,
    /// Durable in its journal.
    pub appended: u64,
    /// Of these in the database.
    pub shipped: u64,
}

/// The balance, as drawn at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Balance {
    /// Of each collector.
    pub collectors: Vec<Positions>,
    /// Distinct spans by what they came to.
    pub outcomes: BTreeMap<String, u64>,
    /// Distinct spans of which nothing is left, by what they had come to when their day went by retention.
    pub retired: BTreeMap<String, u64>,
    /// Net calls of the ledger and of entries that went by retention, before the spans were counted and after.
    pub calls: (i64, i64),
    /// Rows that the database refused for what is in them, links too, and that nobody sent anew. Their spans are among
    /// those that came to `quarantined`, unless another copy of them was taken.
    pub held: u64,
    /// Positions that batches leave out and that are not in quarantine. Zero where the promise is kept.
    pub gone: u64,
}

impl Balance {
    /// Draws it. It reads every observation's outcome: on a large ledger that takes its time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn draw(database: &Database) -> Result<Self, DatabaseError> {
        let collectors = database.collectors().await?.into_iter().map(|row| Positions {
            host: row.host,
            appended: row.appended_seq,
            shipped: row.shipped_seq,
        });
        let mut retired = database.retired().await?;
        let (before, outcomes, after) = loop {
            let (before, outcomes) = (database.net_calls().await?, database.outcome_counts().await?);
            let after = database.net_calls().await?;
            let now = database.retired().await?;
            if now == retired {
                break (before + retired.calls, outcomes, after + retired.calls);
            }
            // A partition went meanwhile: what was counted is neither with it nor without.
            retired = now;
        };
        Ok(Self {
            collectors: collectors.collect(),
            outcomes: outcomes.into_iter().map(|row| (row.outcome, row.spans)).collect(),
            retired: retired.outcomes,
            calls: (before, after),
            held: database.count_held_in_quarantine().await?,
            gone: database.refused_and_gone().await?,
        })
    }

    /// Spans of one outcome, those that are gone among them.
    pub fn spans(&self, outcome: &str) -> u64 {
        let of = |spans: &BTreeMap<String, u64>| spans.get(outcome).copied().unwrap_or(0);
        of(&self.outcomes) + of(&self.retired)
    }

    /// All spans seen.
    pub fn seen(&self) -> u64 {
        self.outcomes.values().chain(self.retired.values()).sum()
    }

    /// Spans by what they came to, those that are gone among them.
    pub fn by_outcome(&self) -> BTreeMap<&str, u64> {
        let names = self.outcomes.keys().chain(self.retired.keys());
        names.map(|name| (name.as_str(), self.spans(name))).collect()
    }

    /// Spans that stand for a call each.
    pub fn standing(&self) -> u64 {
        self.spans("billed") + self.spans("unpriced") + self.spans("unmetered")
    }

    /// By how many calls spans and ledger differ beyond what pending spans, and postings while it was drawn, explain. Zero
    /// where the promise is kept.
    pub fn calls_off(&self) -> u64 {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let (standing, pending) = (whole(self.standing()), whole(self.spans("pending")));
        let (least, most) = (self.calls.0.min(self.calls.1), self.calls.0.max(self.calls.1));
        let short = least.saturating_sub(pending).saturating_sub(standing);
        let over = standing.saturating_sub(most.saturating_add(pending));
        short.max(over).max(0).unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By how many calls a balance is off, with so many spans billed and pending and net calls before and after.
    fn check(billed: u64, pending: u64, calls: (i64, i64)) -> u64 {
        let outcomes = [("billed", billed), ("pending", pending), ("merged", 1_000)];
        let outcomes = outcomes.map(|(name, spans)| (name.to_owned(), spans)).into();
        Balance { outcomes, calls, ..Balance::default() }.calls_off()
    }

    #[test]
    fn spans_and_ledger_agree_but_for_what_is_under_way() {
        assert_eq!(check(10, 0, (10, 10)), 0);
        assert_eq!(check(10, 0, (9, 9)), 1, "a call that is not in the ledger");
        assert_eq!(check(10, 0, (12, 12)), 2, "calls that no span stands for");
        assert_eq!(check(10, 3, (13, 13)), 0, "posted, and the cursor did not pass it yet");
        assert_eq!(check(10, 3, (14, 14)), 1, "more than is pending");
        assert_eq!(check(10, 0, (8, 12)), 0, "posted while it was drawn");
        let gone =
            Balance { retired: [("billed".to_string(), 4)].into(), calls: (4, 4), ..Balance::default() };
        assert_eq!(
            (gone.calls_off(), gone.seen(), gone.standing()),
            (0, 4, 4),
            "what is gone counts as it did"
        );
        assert_eq!(check(0, 0, (-1, -1)), 1, "a ledger that fell below nothing");
    }
}
