//! Loading what new evidence may be tied to: older evidence of its traces and of traces that share a link key with it, and
//! what stands in the ledger for them, and what people decided about them.
//!
//! What is read is bounded by time, never by the size of the log or the ledger: evidence by when it can have been received,
//! entries by when their calls can have ended. Both bounds follow from the evidence at hand, so nothing that belongs to it is
//! left out; where what was read reaches further back than was asked for, it is asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::identity::{CollectorId, Realm, TraceId};
use domain::resolve::LinkKey;
use sabotage::Bug;

use super::gather::decode;
use super::row::Row;
use super::store::{NANOS_AN_HOUR, TraceKey};
use super::target::split_price_id;
use super::{SettleError, Settler, post};

/// What to look for, each since a time of receipt in nanoseconds.
#[derive(Debug, Default)]
struct Wanted {
    traces: BTreeMap<TraceKey, i64>,
    keys: BTreeMap<LinkKey, i64>,
}

impl Wanted {
    fn trace(&mut self, key: TraceKey, since: i64) {
        self.traces.entry(key).and_modify(|earliest| *earliest = since.min(*earliest)).or_insert(since);
    }

    fn keys(&mut self, keys: impl Iterator<Item = (LinkKey, i64)>) {
        for (key, since) in keys {
            self.keys.entry(key).and_modify(|earliest| *earliest = since.min(*earliest)).or_insert(since);
        }
    }
}

impl Settler {
    /// Takes new evidence into the store, and first whatever older evidence it may be tied to.
    pub(super) async fn take(&mut self, rows: Vec<Row>) -> Result<(), SettleError> {
        // What is read anew may be older than the window remembers, and so may everything that link keys tie to it.
        let anew: BTreeSet<TraceKey> =
            rows.iter().filter(|row| row.is_read_anew()).map(Row::trace_key).collect();
        if !anew.is_empty() {
            for key in self.load_whole(anew).await? {
                self.store.is_whole(&key, i64::MIN);
            }
        }
        let mut wanted = Wanted::default();
        for row in &rows {
            let cold = self.store.cold_since(row);
            // Where another settler posts, nothing in memory is believed to stand.
            let asked = if self.shared { Some(self.store.touching(row)) } else { None };
            if let Some(since) = cold.into_iter().chain(asked).min() {
                wanted.trace(row.trace_key(), since);
            }
            wanted.keys(self.store.cold_links(row));
        }
        let loaded = self.load(wanted).await?;
        let now = (self.clock)();
        for row in rows {
            self.store.add(row, true, now);
        }
        for (key, since) in &loaded {
            self.store.is_whole(key, *since);
        }
        Ok(())
    }

    /// Loads traces, the traces that link keys lead to, and so on until nothing new turns up; then what stands for them.
    /// Returns since when each was loaded.
    async fn load(&mut self, mut wanted: Wanted) -> Result<BTreeMap<TraceKey, i64>, SettleError> {
        let mut loaded: BTreeMap<TraceKey, i64> = BTreeMap::new();
        loop {
            self.follow_keys(&mut wanted).await?;
            wanted.traces.retain(|key, since| loaded.get(key).is_none_or(|earlier| *since < *earlier));
            if wanted.traces.is_empty() {
                self.load_standing(loaded.keys()).await?;
                return Ok(loaded);
            }
            let traces = std::mem::take(&mut wanted.traces);
            let asks = traces.iter().map(|(key, since)| (key.trace.bytes(), *since));
            let mut rows = Vec::new();
            for (since, ids) in by_age(asks, (self.clock)()) {
                rows.append(&mut self.database.records_of_traces(&ids, since).await?);
            }
            let now = (self.clock)();
            for row in rows {
                let Some(collector) = CollectorId::from_bytes(row.collector_id) else { continue };
                let row = decode(collector, row)?;
                // A trace id may occur in other accounts, too; there it was not asked for.
                let Some(since) = traces.get(&row.trace_key()) else { continue };
                let touching = self.store.touching(&row);
                if touching < *since {
                    wanted.trace(row.trace_key(), touching);
                }
                wanted.keys(self.store.cold_links(&row));
                self.store.add(row, false, now);
            }
            for (key, since) in &traces {
                self.store.is_whole(key, *since);
            }
            loaded.extend(traces);
        }
    }

    /// Turns wanted keys into the wanted traces that they lead to.
    async fn follow_keys(&mut self, wanted: &mut Wanted) -> Result<(), SettleError> {
        for (since, keys) in by_age(std::mem::take(&mut wanted.keys), (self.clock)()) {
            let pick =
                |wanted: fn(&LinkKey) -> Option<u64>| keys.iter().filter_map(wanted).collect::<Vec<u64>>();
            let responses = pick(|key| if let LinkKey::Response(key) = key { Some(*key) } else { None });
            let pairs = pick(|key| if let LinkKey::Pair(key) = key { Some(*key) } else { None });
            for row in self.database.traces_of_keys(&responses, &pairs, since).await? {
                let Some(trace) = TraceId::from_bytes(row.trace_id) else { continue };
                let key = TraceKey { trace, realm: Realm::new(row.realm) };
                let since = if self.shared {
                    Some(self.store.reach(&key, row.earliest))
                } else {
                    self.store.absent_since(&key, row.earliest)
                };
                if let Some(since) = since {
                    wanted.trace(key, since);
                }
            }
        }
        Ok(())
    }

    /// Reads again what stands for traces that were just posted, and has them resolved once more in the next pass:
    /// another settler may have posted at the same time, and the one that looks last sees both.
    pub(super) async fn look_again(&mut self, traces: Vec<TraceKey>) -> Result<(), SettleError> {
        let mut wanted = Wanted::default();
        for key in &traces {
            if let Some((earliest, _)) = self.store.extent(key) {
                wanted.trace(key.clone(), self.store.reach(key, earliest));
            }
            self.store.forget(key);
        }
        self.load(wanted).await?;
        self.store.touch(&traces);
        Ok(())
    }

    /// Reads the entries, decisions and overrides that stand for traces in memory.
    pub(super) async fn load_standing(
        &mut self,
        traces: impl Iterator<Item = &TraceKey>,
    ) -> Result<(), SettleError> {
        if sabotage::is_active(Bug::StandingUnread) {
            return Ok(());
        }
        let extents: BTreeMap<&TraceKey, (i64, i64)> =
            traces.filter_map(|key| Some((key, self.store.extent(key)?))).collect();
        let asks = extents.iter().map(|(key, (earliest, _))| (*key, *earliest));
        let mut unknown_card = false;
        for (earliest, keys) in by_age(asks, (self.clock)()) {
            let latest = keys.iter().map(|key| extents[key].1).max().unwrap_or(i64::MAX);
            let ids: BTreeSet<[u8; 16]> = keys.iter().map(|key| key.trace.bytes()).collect();
            let ids: Vec<[u8; 16]> = ids.into_iter().collect();
            for entry in self.database.entries_of_traces(&ids, earliest..=latest).await? {
                let key = TraceKey { trace: entry.facts.trace, realm: entry.facts.realm.clone() };
                // What ended before all of the evidence here is of evidence that was not asked for, and stays as it is.
                if extents.get(&key).is_some_and(|(earliest, _)| entry.facts.occurred_at.nanos() >= *earliest)
                {
                    let (card, _) = split_price_id(&entry.facts.price_id);
                    unknown_card |= !card.is_empty() && !self.shelf.is_kept(card);
                    self.store.stand(Arc::new(entry));
                }
            }
            for row in self.database.decisions_of_traces(&ids).await? {
                let hash = post::decision_hash(&row);
                self.store.decided(&row, hash);
            }
            self.load_overrides(&ids).await?;
        }
        if unknown_card {
            // Another settler's, by a book this one does not have. A price is written before the entries that name it.
            self.shelf.keep(self.database.prices().await?);
        }
        Ok(())
    }
}

/// Puts together what is to be looked for since about the same time, so that one thing of long ago does not have everything
/// looked for since then: each group reaches eight times as far back as the one before.
fn by_age<T>(asks: impl IntoIterator<Item = (T, i64)>, now: i64) -> Vec<(i64, Vec<T>)> {
    let mut groups: BTreeMap<u32, (i64, Vec<T>)> = BTreeMap::new();
    for (what, since) in asks {
        let hours = now.saturating_sub(since).max(0) / NANOS_AN_HOUR;
        let group =
            groups.entry(hours.checked_ilog(8).map_or(0, |power| power + 1)).or_insert((since, Vec::new()));
        group.0 = group.0.min(since);
        group.1.push(what);
    }
    groups.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_ago_is_looked_for_apart_from_what_is_not() {
        let now = 100_000 * NANOS_AN_HOUR;
        let ago = |hours: i64| now - hours * NANOS_AN_HOUR;
        let groups =
            by_age([("a", ago(0)), ("b", ago(5)), ("c", ago(7)), ("d", ago(25)), ("e", i64::MIN)], now);
        assert_eq!(
            groups,
            [(ago(0), vec!["a"]), (ago(7), vec!["b", "c"]), (ago(25), vec!["d"]), (i64::MIN, vec!["e"])]
        );
    }
}
