//! What people decided about calls, as settlement sees it: evidence above all other.
//!
//! Overrides are read with what stands for a trace, so whoever settles a call, whenever and wherever, settles it by them.
//! Making one is the ordinary path, too: the calls it is of are read again with everything tied to them, resolved and
//! posted as a difference.

use std::collections::BTreeSet;

use domain::identity::{Realm, TraceId};
use domain::ledger::Entry;
use schemas::rows::OverrideCallRow;

use super::post::Batch;
use super::store::TraceKey;
use super::{PassSummary, SettleError, Settler};

/// Calls that are in memory at once, with everything tied to them.
const CALLS_A_ROUND: usize = 2_000;

impl Settler {
    /// Reads what was decided about calls of some traces.
    pub(super) async fn load_overrides(&mut self, traces: &[[u8; 16]]) -> Result<(), SettleError> {
        // Hardly any ledger has one; another settler may have just made the first.
        if self.overrides_seen == 0 && !self.shared {
            return Ok(());
        }
        for row in self.database.override_calls_of_traces(traces).await? {
            self.overrule(row);
        }
        Ok(())
    }

    /// Takes over what was decided elsewhere about calls in memory.
    pub(super) async fn follow_overrides(&mut self) -> Result<(), SettleError> {
        let seen = self.database.override_calls_count().await?;
        if seen != self.overrides_seen {
            self.overrides_seen = seen;
            let traces: BTreeSet<[u8; 16]> = self.store.traces().map(|key| key.trace.bytes()).collect();
            let traces: Vec<[u8; 16]> = traces.into_iter().collect();
            self.load_overrides(&traces).await?;
        }
        Ok(())
    }

    fn overrule(&mut self, row: OverrideCallRow) {
        match row.decided() {
            Some((realm, span, decided)) => {
                self.store.overrule(&TraceKey { realm, trace: span.trace }, span.span, decided);
            }
            None => {
                tracing::warn!("an override is of a kind this version does not know; run a newer ledgerline")
            }
        }
    }

    /// Settles calls once more, by what was decided about them (`rows`), and tells `each` what is posted. Without `apply`
    /// nothing is. To be called when everything committed is settled, and, to apply, with the rows written down.
    pub async fn settle_overrides(
        &mut self,
        rows: &[OverrideCallRow],
        apply: bool,
        mut each: impl FnMut(&Entry),
    ) -> Result<(), SettleError> {
        self.follow_overrides().await?;
        for rows in rows.chunks(CALLS_A_ROUND) {
            let traces = rows.iter().filter_map(|row| {
                let trace = TraceId::from_bytes(row.trace_id)?;
                Some(TraceKey { trace, realm: Realm::new(row.realm.clone()) })
            });
            let loaded = self.load_whole(traces.collect()).await?;
            for row in rows {
                self.overrule(row.clone());
            }
            let tied: Vec<TraceKey> = loaded.iter().cloned().collect();
            self.store.touch(&tied);
            let mut summary = PassSummary::default();
            let batch: Batch = self.judge(self.now(), true, &mut summary)?;
            batch.entries.iter().for_each(&mut each);
            if apply {
                let settled = self.post(batch, &mut summary).await?;
                if self.shared && summary.entries > 0 {
                    self.look_again(settled).await?;
                    self.drain().await?;
                }
            }
            for key in &loaded {
                self.store.forget(key);
            }
        }
        Ok(())
    }
}
