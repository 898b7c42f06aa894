//! A batch that the database refuses for what is in it: the rows it is about go into quarantine, all others into the log.
//!
//! ```text
//! refused for its content ─▶ what is there? ─▶ halves of the rest … ─▶ rows refused alone, beside rows taken
//!                                                                            └═insert═▶ quarantine
//! ```
//!
//! Promises: a row is set aside only where it stood alone, an error of a closed list named its content, it is not in the
//! log after all, and the database took another row meanwhile. Everything else is a failure like any other, to be tried again:
//! too many such rows (that is about the table), no row that it takes at all, any other error on the way.
//! Crashes: parts are rows under the keys they always have. What is in quarantine for a position *is* the decision about
//! it, for good: it stands before the batch row that leaves the position out, and whoever sends the batch again leaves it
//! out too. A decision that did not get so far is made anew.

use std::collections::BTreeSet;

use schemas::Refusal;
use schemas::rows::{ObservationRow, QuarantineRow};

use super::bisect::Bisection;
use super::commit::{CommitError, Committer};
use super::log::Log;
use crate::seal::Seal;

/// The most rows of one batch that are set aside. A table that refuses more is to be mended; what is quarantined would be
/// half the ledger, and each row costs an insert of its own for every halving.
pub(super) const REFUSED_ROWS_MAX: usize = 64;

impl<L: Log> Committer<L> {
    /// Takes a batch apart. Returns the positions that are in quarantine now; the others are in the log.
    pub(super) async fn isolate(
        &self,
        seal: &Seal,
        rows: &[&ObservationRow],
        refusal: Refusal,
    ) -> Result<BTreeSet<u64>, CommitError> {
        let rows = self.not_there(seal, rows).await?;
        if rows.is_empty() {
            // A view behind the log failed; what it is about is all in the log.
            return Ok(BTreeSet::new());
        }
        let mut bisection = Bisection::of(rows.len(), refusal);
        while let Some(part) = bisection.next() {
            let part = &rows[part];
            match self.in_time(self.database.insert_observations(part)).await {
                Ok(()) => bisection.taken(),
                Err(error) => match error.refusal() {
                    Some(refusal) => bisection.refused(refusal),
                    None => return Err(error),
                },
            }
            if bisection.alone().len() > REFUSED_ROWS_MAX {
                return Err(self.refuses(seal, "more rows of a batch than can be poisoned by chance"));
            }
        }
        if bisection.rows_taken() == 0 && !self.takes_anything(seal).await? {
            return Err(self.refuses(seal, "every row"));
        }
        let refused: Vec<(&ObservationRow, &Refusal)> =
            bisection.alone().iter().map(|(row, refusal)| (rows[*row], refusal)).collect();
        self.quarantine(seal, &refused).await
    }

    async fn not_there<'r>(
        &self,
        seal: &Seal,
        rows: &[&'r ObservationRow],
    ) -> Result<Vec<&'r ObservationRow>, CommitError> {
        let there = self.positions_there(seal).await?;
        Ok(rows.iter().copied().filter(|row| !there.contains(&row.seq)).collect())
    }

    /// Whether the log takes a row that it has: the same row under the same key, which changes nothing.
    async fn takes_anything(&self, seal: &Seal) -> Result<bool, CommitError> {
        let Some(known) = self.in_time(self.database.any_row_taken(seal.collector_id)).await? else {
            return Ok(false);
        };
        match self.in_time(self.database.insert_observations(&[&known])).await {
            Ok(()) => Ok(true),
            Err(error) if error.refusal().is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn quarantine(
        &self,
        seal: &Seal,
        refused: &[(&ObservationRow, &Refusal)],
    ) -> Result<BTreeSet<u64>, CommitError> {
        let there = self.positions_there(seal).await?;
        let now = self.clock.unix_micros();
        let held: Vec<QuarantineRow> = refused
            .iter()
            .filter(|(row, _)| !there.contains(&row.seq))
            .map(|(row, refusal)| QuarantineRow::new(row, (seal.first_seq, seal.last_seq), refusal, now))
            .collect();
        if let Some(first) = held.first() {
            self.in_time(self.database.insert_quarantine(&held)).await?;
            tracing::error!(
                rows = held.len(),
                from = seal.first_seq,
                through = seal.last_seq,
                code = first.code,
                "clickhouse refuses rows for what is in them; they are in quarantine and not billed, see `ledgerline quarantine list`"
            );
        }
        Ok(held.into_iter().map(|row| row.seq).collect())
    }

    fn refuses(&self, seal: &Seal, what: &'static str) -> CommitError {
        CommitError::Refused { url: self.database.url(), what, first: seal.first_seq, last: seal.last_seq }
    }
}
