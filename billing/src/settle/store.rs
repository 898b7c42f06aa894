//! Evidence in memory: whole traces while they are hot, and an index of the dedupe window.
//!
//! A trace is *hot* while its evidence and what stands for it are in memory; *known* once any row of it was seen within
//! the window; a known trace that is not hot is loaded before it is resolved. Traces that share a link key are resolved
//! together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use domain::identity::{CallId, CollectorId, Realm, SpanId, TraceId};
use domain::ledger::{Entry, Standing};
use domain::observation::Evidence;
use domain::resolve::{LinkKey, link_keys};
use schemas::IndexRow;
use schemas::rows::DecisionRow;

use super::{SettleConfig, nanos};

/// A trace of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceKey {
    /// The account.
    pub realm: Realm,
    /// The trace.
    pub trace: TraceId,
}

/// A position in a collector's journal.
pub(super) type Position = (CollectorId, u64);

#[derive(Debug, Default)]
struct Trace {
    evidence: BTreeMap<Position, Evidence>,
    /// Positions that the cursor must not pass yet.
    unsettled: BTreeSet<Position>,
    /// Calls that have, or had, an entry whose winning span lies here.
    calls: BTreeSet<CallId>,
    /// What the log of decisions says of spans, by a hash of what it says.
    decisions: HashMap<SpanId, u64>,
    keys: BTreeSet<LinkKey>,
    first_gathered: i64,
    last_gathered: i64,
}

/// One occurrence of a link key.
#[derive(Debug, Clone)]
struct Occurrence {
    trace: TraceKey,
    scope: u64,
    start: i64,
    end: i64,
}

/// What is kept of evidence that is no longer hot, an hour of receipt at a time.
#[derive(Debug, Default)]
struct Hour {
    traces: HashSet<u64>,
    responses: HashSet<u64>,
    /// Pair key to the instrumentation that reported it, [`MANY`] for several.
    pairs: HashMap<u64, u64>,
}

const MANY: u64 = 0;

/// The evidence in memory.
#[derive(Debug, Default)]
pub(super) struct Store {
    hot: HashMap<TraceKey, Trace>,
    standing: HashMap<CallId, Standing>,
    links: HashMap<LinkKey, Vec<Occurrence>>,
    dirty: BTreeSet<TraceKey>,
    waiting: BTreeSet<TraceKey>,
    hours: BTreeMap<u32, Hour>,
}

const NANOS_AN_HOUR: i64 = 3_600_000_000_000;

impl Store {
    /// Takes a row of the past into the index.
    pub fn remember(&mut self, row: &IndexRow) {
        let Some(trace) = TraceId::from_bytes(row.trace_id) else { return };
        let hour = self.hours.entry(row.hour).or_default();
        hour.traces.insert(trace_hash(&row.realm, trace));
        if row.response_key != 0 {
            hour.responses.insert(row.response_key);
        }
        if row.pair_key != 0 {
            hour.note_pair(row.pair_key, scope_hash(&row.scope_name));
        }
    }

    /// Takes a trace of the past into the index, at an hour that is always within the window.
    pub fn remember_trace(&mut self, realm: &str, trace: [u8; 16]) {
        let Some(trace) = TraceId::from_bytes(trace) else { return };
        self.hours.entry(u32::MAX).or_default().traces.insert(trace_hash(realm, trace));
    }

    /// Takes one piece of evidence; `due` says that the cursor stands before it.
    pub fn add(&mut self, position: Position, evidence: Evidence, due: bool, now: i64) {
        let key = TraceKey { realm: evidence.realm().clone(), trace: evidence.trace() };
        let hour = u32::try_from(evidence.received_at().nanos() / NANOS_AN_HOUR).unwrap_or(0);
        let index = self.hours.entry(hour).or_default();
        index.traces.insert(trace_hash(key.realm.as_str(), key.trace));
        let trace = self.hot.entry(key.clone()).or_default();
        if trace.first_gathered == 0 {
            trace.first_gathered = now;
        }
        trace.last_gathered = now;
        if due {
            trace.unsettled.insert(position);
            self.dirty.insert(key.clone());
        }
        if trace.evidence.contains_key(&position) {
            return;
        }
        if let Evidence::Observation(observation) = &evidence {
            let scope = scope_hash(&observation.scope.name);
            for link in link_keys(observation) {
                match link {
                    LinkKey::Response(response) => {
                        index.responses.insert(response);
                    }
                    LinkKey::Pair(pair) => index.note_pair(pair, scope),
                }
                trace.keys.insert(link);
                self.links.entry(link).or_default().push(Occurrence {
                    trace: key.clone(),
                    scope,
                    start: observation.start.nanos(),
                    end: observation.end.nanos(),
                });
            }
        }
        trace.evidence.insert(position, evidence);
    }

    /// Takes an entry that stands in the ledger. One of a trace that is not in memory is left out: what stands for that
    /// is read as a whole when it comes back.
    pub fn stand(&mut self, realm: &Realm, entry: &Entry) {
        let key = TraceKey { realm: realm.clone(), trace: entry.facts.trace };
        let hot = self.hot.get_mut(&key).map(|trace| trace.calls.insert(entry.call)).is_some();
        if hot || self.standing.contains_key(&entry.call) {
            self.standing.entry(entry.call).or_default().add(entry);
        }
    }

    /// Takes a decision that stands.
    pub fn decided(&mut self, row: &DecisionRow, hash: u64) {
        let (Some(trace), Some(span)) = (TraceId::from_bytes(row.trace_id), SpanId::from_bytes(row.span_id))
        else {
            return;
        };
        let key = TraceKey { realm: Realm::new(row.realm.clone()), trace };
        if let Some(trace) = self.hot.get_mut(&key) {
            trace.decisions.insert(span, hash);
        }
    }

    /// Whether a trace must be loaded before evidence of it is taken in: seen before, and not in memory.
    pub fn is_cold(&self, key: &TraceKey) -> bool {
        if self.hot.contains_key(key) {
            return false;
        }
        let hash = trace_hash(key.realm.as_str(), key.trace);
        self.hours.values().any(|hour| hour.traces.contains(&hash))
    }

    /// The link keys of evidence that some trace not in memory may hold too.
    pub fn cold_keys(&self, evidence: &Evidence) -> Vec<LinkKey> {
        let Evidence::Observation(observation) = evidence else { return Vec::new() };
        let scope = scope_hash(&observation.scope.name);
        link_keys(observation)
            .filter(|key| match key {
                LinkKey::Response(response) => {
                    !self.links.contains_key(key)
                        && self.hours.values().any(|hour| hour.responses.contains(response))
                }
                LinkKey::Pair(pair) => {
                    let strange = |hour: &Hour| hour.pairs.get(pair).is_some_and(|other| *other != scope);
                    !self.links.contains_key(key) && self.hours.values().any(strange)
                }
            })
            .collect()
    }

    /// The closed sets of traces that have unsettled evidence and whose time has come.
    pub fn due(&mut self, now: i64, force: bool, config: &SettleConfig) -> Vec<Vec<TraceKey>> {
        let waited: Vec<TraceKey> = if force {
            self.waiting.iter().cloned().collect()
        } else {
            self.waiting.iter().filter(|key| self.trace_is_quiet(key, now, config)).cloned().collect()
        };
        for key in waited {
            self.waiting.remove(&key);
            self.dirty.insert(key);
        }
        let mut components = Vec::new();
        while let Some(first) = self.dirty.pop_first() {
            let component = self.closure(first);
            for key in &component {
                self.dirty.remove(key);
                self.waiting.remove(key);
            }
            components.push(component);
        }
        components
    }

    /// A trace and all traces that link keys tie to it, through any number of steps.
    fn closure(&self, first: TraceKey) -> Vec<TraceKey> {
        let mut found = BTreeSet::from([first.clone()]);
        let mut open = vec![first];
        while let Some(key) = open.pop() {
            let Some(trace) = self.hot.get(&key) else { continue };
            for link in &trace.keys {
                let Some(occurrences) = self.links.get(link) else { continue };
                if occurrences.len() < 2 {
                    continue;
                }
                for tied in tied_traces(*link, occurrences, &key) {
                    if found.insert(tied.clone()) {
                        open.push(tied.clone());
                    }
                }
            }
        }
        found.into_iter().collect()
    }

    /// All evidence of a hot trace.
    pub fn evidence(&self, key: &TraceKey) -> impl Iterator<Item = &Evidence> {
        self.hot.get(key).into_iter().flat_map(|trace| trace.evidence.values())
    }

    /// The calls that stand for any of the traces.
    pub fn calls(&self, component: &[TraceKey]) -> BTreeSet<CallId> {
        component
            .iter()
            .filter_map(|key| self.hot.get(key))
            .flat_map(|trace| trace.calls.iter().copied())
            .collect()
    }

    /// What stands for a call.
    pub fn standing(&self, call: CallId) -> Standing {
        self.standing.get(&call).cloned().unwrap_or_default()
    }

    /// The hash of the decision that stands for a span.
    pub fn decision(&self, key: &TraceKey, span: SpanId) -> Option<u64> {
        self.hot.get(key)?.decisions.get(&span).copied()
    }

    /// Marks a set as settled: the cursor may pass its evidence.
    pub fn settle(&mut self, component: &[TraceKey]) {
        for key in component {
            if let Some(trace) = self.hot.get_mut(key) {
                trace.unsettled.clear();
            }
        }
    }

    /// Puts a set aside until it is quiet.
    pub fn wait(&mut self, component: &[TraceKey]) {
        for key in component {
            if self.hot.get(key).is_some_and(|trace| !trace.unsettled.is_empty()) {
                self.waiting.insert(key.clone());
            }
        }
    }

    /// Whether every trace of a set is quiet, or has been waited for long enough.
    pub fn is_quiet(&self, component: &[TraceKey], now: i64, config: &SettleConfig) -> bool {
        component.iter().all(|key| self.trace_is_quiet(key, now, config))
    }

    fn trace_is_quiet(&self, key: &TraceKey, now: i64, config: &SettleConfig) -> bool {
        self.hot.get(key).is_none_or(|trace| {
            now - trace.last_gathered >= nanos(config.quiet)
                || now - trace.first_gathered >= nanos(config.patience)
        })
    }

    /// How many traces wait.
    pub fn pending(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// The first position of each collector that must stay after the cursor.
    pub fn unsettled(&self) -> HashMap<CollectorId, u64> {
        let mut first: HashMap<CollectorId, u64> = HashMap::new();
        for key in self.waiting.iter().chain(&self.dirty) {
            let positions = self.hot.get(key).into_iter().flat_map(|trace| &trace.unsettled);
            for &(collector, seq) in positions {
                first.entry(collector).and_modify(|least| *least = (*least).min(seq)).or_insert(seq);
            }
        }
        first
    }

    /// Drops settled traces that have been quiet for long, and hours beyond the window.
    pub fn evict(&mut self, now: i64, config: &SettleConfig) {
        let settled =
            |(key, trace): &(&TraceKey, &Trace)| trace.unsettled.is_empty() && !self.dirty.contains(key);
        let mut idle: Vec<(i64, TraceKey)> =
            self.hot.iter().filter(settled).map(|(key, trace)| (trace.last_gathered, key.clone())).collect();
        let surplus = idle.len().saturating_sub(config.hot_traces_max);
        if surplus > 0 {
            idle.select_nth_unstable(surplus - 1);
        }
        let keep = nanos(config.keep_hot);
        let old: Vec<TraceKey> = idle
            .into_iter()
            .enumerate()
            .filter(|(at, (gathered, _))| *at < surplus || now - gathered >= keep)
            .map(|(_, (_, key))| key)
            .collect();
        for key in old {
            self.forget(&key);
        }
        let oldest = (now - nanos(config.dedupe_window)).max(0) / NANOS_AN_HOUR;
        let oldest = u32::try_from(oldest).unwrap_or(0);
        self.hours = self.hours.split_off(&oldest);
    }

    /// Has traces resolved in the next pass though nothing new came.
    pub fn touch(&mut self, traces: Vec<TraceKey>) {
        self.dirty.extend(traces);
    }

    /// Drops a trace from memory.
    pub fn forget(&mut self, key: &TraceKey) {
        let Some(trace) = self.hot.remove(key) else { return };
        for call in trace.calls {
            self.standing.remove(&call);
        }
        for link in trace.keys {
            if let Some(occurrences) = self.links.get_mut(&link) {
                occurrences.retain(|occurrence| occurrence.trace != *key);
                if occurrences.is_empty() {
                    self.links.remove(&link);
                }
            }
        }
    }
}

impl Hour {
    fn note_pair(&mut self, pair: u64, scope: u64) {
        self.pairs
            .entry(pair)
            .and_modify(|known| *known = if *known == scope { scope } else { MANY })
            .or_insert(scope);
    }
}

/// The traces that a key ties to one: by a response id all, by a pair key those of another instrumentation whose times
/// touch.
fn tied_traces<'o>(link: LinkKey, occurrences: &'o [Occurrence], key: &TraceKey) -> Vec<&'o TraceKey> {
    match link {
        LinkKey::Response(_) => occurrences.iter().map(|occurrence| &occurrence.trace).collect(),
        LinkKey::Pair(_) => {
            let own: Vec<&Occurrence> =
                occurrences.iter().filter(|occurrence| occurrence.trace == *key).collect();
            occurrences
                .iter()
                .filter(|other| {
                    own.iter().any(|mine| {
                        mine.scope != other.scope
                            && mine.start <= other.end.saturating_add(PAIR_SLACK_NANOS)
                            && other.start <= mine.end.saturating_add(PAIR_SLACK_NANOS)
                    })
                })
                .map(|occurrence| &occurrence.trace)
                .collect()
        }
    }
}

/// Wider than the slack by which resolution compares clocks, so that no pair it would make is left out of its set.
pub(super) const PAIR_SLACK_NANOS: i64 = 1_000_000_000;

fn trace_hash(realm: &str, trace: TraceId) -> u64 {
    let bytes = trace.bytes();
    let low = u64::from_le_bytes(bytes[..8].try_into().expect("sixteen bytes hold eight"));
    let high = u64::from_le_bytes(bytes[8..].try_into().expect("sixteen bytes hold eight"));
    low ^ high.rotate_left(23) ^ scope_hash(realm)
}

/// FNV-1a; any fixed hash would do, it never leaves the process. Never [`MANY`].
fn scope_hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.max(1)
}
