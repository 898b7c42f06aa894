//! Writing what was decided: prices, then who vouches for entries, then entries, decisions, the cursor. Each step may be repeated, so a
//! crash between any two leaves nothing that the next run does not finish.

use std::collections::HashMap;
use std::sync::Arc;

use domain::identity::{CollectorId, IdHasher};
use domain::ledger::Entry;
use sabotage::{Bug, Point};
use schemas::rows::{CursorRow, DecisionRow};

use super::cards;
use super::store::TraceKey;
use super::target::split_price_id;
use super::{PassSummary, SettleError, Settler};

/// Entries are inserted this many at a time: well below what ClickHouse makes one part of, and above where syncing each
/// insert costs anything.
const ENTRIES_AN_INSERT: usize = 100_000;

/// What a pass wants written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub entries: Vec<Entry>,
    pub decisions: Vec<DecisionRow>,
    pub settled: Vec<TraceKey>,
}

/// A hash of what a decision says, without when.
pub(super) fn decision_hash(row: &DecisionRow) -> u64 {
    let mut hasher = IdHasher::new("decision");
    hasher
        .part(row.outcome.as_bytes())
        .part(row.outcome_reason.as_bytes())
        .part(row.rule.as_bytes())
        .part(&row.call_id)
        .part(&row.winner_trace_id)
        .part(&row.winner_span_id);
    u64::from_le_bytes(hasher.finish()[..8].try_into().expect("sixteen bytes hold eight"))
}

impl Settler {
    /// Writes a batch, takes it into what stands, and returns the traces that are settled by it.
    pub(super) async fn post(
        &mut self,
        mut batch: Batch,
        summary: &mut PassSummary,
    ) -> Result<Vec<TraceKey>, SettleError> {
        let now = (self.clock)();
        self.hold_currency().await?;
        if !batch.entries.is_empty() {
            self.hold_chain().await?;
        }
        let now_micros = self.stamp();
        if sabotage::is_active(Bug::CursorBeforeEntries) {
            self.move_cursors(now_micros).await?;
        }
        if sabotage::is_active(Bug::MemoryTrusted) {
            batch.entries.iter().for_each(|entry| self.store.stand(Arc::new(entry.clone())));
            self.store.settle(&batch.settled, now);
        }
        self.keep_prices(&batch.entries, now_micros).await?;

        if !batch.entries.is_empty() {
            sabotage::reached(Point::SettleEntriesBefore);
        }
        let chain = self.vouch(&batch.entries, now_micros).await?;
        for entries in batch.entries.chunks(ENTRIES_AN_INSERT) {
            let inserted = self.database.insert_entries(entries, now_micros);
            sabotage::in_flight(Point::SettleEntriesSending, inserted).await?;
            sabotage::reached(Point::SettleEntriesAfter);
        }
        self.keep(chain);
        for row in &mut batch.decisions {
            row.decided_at = now_micros;
        }
        for rows in batch.decisions.chunks(ENTRIES_AN_INSERT) {
            self.database.insert_decisions(rows).await?;
            sabotage::reached(Point::SettleDecisionsAfter);
        }

        summary.entries += batch.entries.len() as u64;
        summary.decisions += batch.decisions.len() as u64;
        for entry in batch.entries {
            *summary.by_state.entry(entry.facts.state.name()).or_default() += entry.quantities.calls;
            self.store.stand(Arc::new(entry));
        }
        for row in &batch.decisions {
            self.store.decided(row, decision_hash(row));
        }
        self.store.settle(&batch.settled, now);
        self.move_cursors(now_micros).await?;
        Ok(batch.settled)
    }

    /// Refuses to post into a ledger of another currency: amounts of two currencies would be added up, and two settlers
    /// would reverse each other's entries for ever.
    async fn hold_currency(&mut self) -> Result<(), SettleError> {
        if self.is_currency_held {
            return Ok(());
        }
        match self.database.ledger_currency().await? {
            Some(ledger) if ledger != self.config.currency => {
                Err(SettleError::Currency { ledger, configured: self.config.currency.clone() })
            }
            found => {
                self.is_currency_held = found.is_some();
                Ok(())
            }
        }
    }

    /// Keeps the rate cards that entries name and that are not kept yet.
    async fn keep_prices(&mut self, entries: &[Entry], now_micros: i64) -> Result<(), SettleError> {
        let mut fresh: Vec<String> = Vec::new();
        for entry in entries {
            let (card, _) = split_price_id(&entry.facts.price_id);
            if !card.is_empty() && !self.shelf.is_kept(card) && !fresh.iter().any(|known| known == card) {
                fresh.push(card.to_string());
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let rows =
            cards::rows_of(self.prices.book(), &fresh, now_micros, &|layer| self.shelf.source_name(layer));
        sabotage::reached(Point::SettlePricesBefore);
        self.database.insert_prices(&rows).await?;
        sabotage::reached(Point::SettlePricesAfter);
        self.shelf.keep(rows);
        Ok(())
    }

    /// Moves each collector's cursor to just before its first evidence that waits.
    async fn move_cursors(&mut self, now_micros: i64) -> Result<(), SettleError> {
        let waiting = match sabotage::is_active(Bug::CursorPastWaiting) {
            true => Default::default(),
            false => self.store.unsettled(),
        };
        let mut moved: HashMap<CollectorId, u64> = HashMap::new();
        for (&collector, &gathered) in &self.gathered {
            let to = waiting.get(&collector).map_or(gathered, |first| gathered.min(first - 1));
            if to > self.saved.get(&collector).copied().unwrap_or(0) {
                moved.insert(collector, to);
            }
        }
        if moved.is_empty() {
            return Ok(());
        }
        let rows: Vec<CursorRow> = moved
            .iter()
            .map(|(collector, seq)| CursorRow {
                collector_id: collector.bytes(),
                seq: *seq,
                settler: self.id,
                at: now_micros,
            })
            .collect();
        sabotage::reached(Point::SettleCursorBefore);
        self.database.insert_cursors(&rows).await?;
        sabotage::reached(Point::SettleCursorAfter);
        self.saved.extend(moved);
        Ok(())
    }
}
