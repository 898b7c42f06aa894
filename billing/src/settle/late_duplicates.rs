//! The full duplicate check: reports of one call that came further apart than live settlement remembers.
//!
//! Live settlement matches what is received within the dedupe window. A report that comes later, in another trace, is
//! settled alone and posts its call a second time. Before a month is closed, the whole log of that month and the one
//! before is searched for link keys that span more than the window; the traces they tie together are read with everything
//! tied to them, and resolved once more. What comes out is posted as a difference, like everything else.

use std::collections::{BTreeMap, BTreeSet};

use domain::identity::{CollectorId, Realm, TraceId};
use domain::observation::Evidence;
use domain::resolve::LinkKey;
use domain::time::BillingPeriod;
use schemas::LinkRow;

use super::gather::decode;
use super::store::{PAIR_SLACK_NANOS, TraceKey};
use super::{PassSummary, SettleError, Settler};

/// Keys whose traces are in memory at once.
const KEYS_A_ROUND: usize = 500;

/// Less than the window by as long as settlement may lag behind what is received.
pub(super) const LAG_SECS: u64 = 3600;

/// What reports with a pair key say: scope, start, end.
type Spans = Vec<(String, i64, i64)>;

impl Settler {
    /// Resolves once more whatever was reported further apart than the dedupe window, over a month and the one before.
    /// To be called when everything committed is settled.
    pub async fn settle_late_duplicates(&mut self, month: BillingPeriod) -> Result<PassSummary, SettleError> {
        let apart = self.config.dedupe_window.as_secs().saturating_sub(LAG_SECS);
        let [responses, pairs] = self.database.split_keys(month.previous(), apart).await?;
        let mut total = PassSummary::default();
        let rounds = responses.chunks(KEYS_A_ROUND).map(|keys| (keys, &[][..]));
        for (responses, pairs) in rounds.chain(pairs.chunks(KEYS_A_ROUND).map(|keys| (&[][..], keys))) {
            let rows = self.database.link_rows(responses, pairs).await?;
            let traces = rows.iter().filter_map(trace_key).collect();
            let loaded = self.load_whole(traces).await?;
            let tied: Vec<TraceKey> = loaded.iter().cloned().collect();
            self.store.touch(&tied);
            let pass = self.drain().await?;
            total.entries += pass.entries;
            total.decisions += pass.decisions;
            total.resolved += pass.resolved;
            for key in &loaded {
                self.store.forget(key);
            }
        }
        Ok(total)
    }

    /// Reads traces and everything that link keys tie to them, however long ago, and what stands for them.
    pub(super) async fn load_whole(
        &mut self,
        traces: BTreeSet<TraceKey>,
    ) -> Result<BTreeSet<TraceKey>, SettleError> {
        let (mut open, mut loaded) = (traces, BTreeSet::new());
        let mut known: BTreeSet<u64> = BTreeSet::new();
        let mut pairs: BTreeMap<u64, Spans> = BTreeMap::new();
        while !open.is_empty() {
            let ids: Vec<[u8; 16]> = open.iter().map(|key| key.trace.bytes()).collect();
            let rows = self.database.records_of_traces(&ids, 0).await?;
            loaded.append(&mut open);
            let now = (self.clock)();
            let mut responses: BTreeSet<u64> = BTreeSet::new();
            let mut asked: BTreeSet<u64> = BTreeSet::new();
            for row in rows {
                let Some(collector) = CollectorId::from_bytes(row.collector_id) else { continue };
                let row = decode(collector, row)?;
                if let Evidence::Observation(observation) = &row.evidence {
                    for &key in &row.links {
                        match key {
                            LinkKey::Response(key) if known.insert(key) => drop(responses.insert(key)),
                            LinkKey::Response(_) => {}
                            LinkKey::Pair(key) => {
                                let span = (
                                    observation.scope.name.clone(),
                                    observation.start.nanos(),
                                    observation.end.nanos(),
                                );
                                pairs.entry(key).or_default().push(span);
                                asked.insert(key);
                            }
                        }
                    }
                }
                self.store.add(row, false, now);
            }
            let responses: Vec<u64> = responses.into_iter().collect();
            let asked: Vec<u64> = asked.into_iter().collect();
            for row in self.database.link_rows(&responses, &asked).await? {
                let by_id = responses.binary_search(&row.response_key).is_ok();
                let beside =
                    pairs.get(&row.pair_key).is_some_and(|spans| spans.iter().any(|span| touch(span, &row)));
                if by_id || beside {
                    open.extend(trace_key(&row).filter(|key| !loaded.contains(key)));
                }
            }
        }
        self.load_standing(loaded.iter()).await?;
        Ok(loaded)
    }
}

pub(super) fn trace_key(row: &LinkRow) -> Option<TraceKey> {
    Some(TraceKey { realm: Realm::new(row.realm.clone()), trace: TraceId::from_bytes(row.trace_id)? })
}

/// Whether two reports without a common id may be of one call: other instrumentations, times that touch.
fn touch((scope, start, end): &(String, i64, i64), row: &LinkRow) -> bool {
    *scope != row.scope_name
        && *start <= row.ended_at.saturating_add(PAIR_SLACK_NANOS)
        && row.started_at <= end.saturating_add(PAIR_SLACK_NANOS)
}
