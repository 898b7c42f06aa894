//! Evidence in memory: whole traces while they are hot.
//!
//! A trace is *hot* while its evidence and what stands for it are in memory. One that is not hot, and of which the window
//! says that something may have been received, is *cold*: it is loaded before it is resolved. Traces that share a link key
//! are resolved together.
//!
//! What a trace costs in memory follows its state. Until it is settled its evidence is held decoded; afterwards only as
//! the bytes of its records, which are decoded anew should more of it come. Time is the settler's clock, in nanoseconds.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use domain::identity::{CallId, CollectorId, Realm, SpanId, TraceId};
use domain::ledger::{Entry, Standing};
use domain::observation::Evidence;
use domain::overrides::{Effect, Override};
use domain::resolve::{LinkKey, ResolvedCall};
use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use schemas::IndexRow;
use schemas::record::{self, DecodeError};
use schemas::rows::DecisionRow;
use smallvec::{SmallVec, smallvec};

use super::clock::window_start;
use super::row::{Row, scope_hash, trace_hash};
use super::window::Window;
use super::{SettleConfig, nanos};
use crate::retire::Frozen;

/// A trace of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceKey {
    /// The trace.
    pub trace: TraceId,
    /// The account.
    pub realm: Realm,
}

/// A position in a collector's journal.
pub(super) type Position = (CollectorId, u64);

/// Traces that are resolved together.
pub(super) type Component = SmallVec<[TraceKey; 1]>;

#[derive(Debug, Default)]
struct Trace {
    /// In the order of positions.
    evidence: Vec<Held>,
    /// Positions that the cursor must not pass yet.
    unsettled: Vec<Position>,
    /// Calls that have, or had, an entry whose winning span lies here.
    calls: SmallVec<[CallId; 1]>,
    /// What the log of decisions says of spans, by a hash of what it says.
    decisions: HashMap<SpanId, u64>,
    /// What people decided about calls by their reports here.
    overrides: Vec<(SpanId, Override)>,
    links: SmallVec<[LinkKey; 2]>,
    /// The earliest and the latest that its evidence speaks of.
    extent: (i64, i64),
    /// All that was received of it from then on is here.
    whole_since: i64,
    first_gathered: i64,
    last_gathered: i64,
    /// When it was last put into `Store::kept`.
    kept_at: i64,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing to do.
    #[default]
    Resting,
    /// To be resolved in the next pass.
    Dirty,
    /// To be resolved when it is quiet, which is then.
    Waiting(i64),
}

/// One record of a trace.
#[derive(Debug)]
struct Held {
    position: Position,
    record: Box<[u8]>,
    /// `None` while the trace is settled.
    evidence: Option<Evidence>,
}

/// One occurrence of a link key.
#[derive(Debug, Clone)]
struct Occurrence {
    trace: TraceKey,
    scope: u64,
    start: i64,
    end: i64,
}

/// The evidence in memory.
#[derive(Debug)]
pub(super) struct Store {
    hot: HashMap<TraceKey, Trace>,
    standing: HashMap<CallId, Standing>,
    links: HashMap<LinkKey, SmallVec<[Occurrence; 1]>>,
    dirty: Vec<TraceKey>,
    /// By when their time comes.
    waiting: BTreeSet<(i64, TraceKey)>,
    /// Positions of waiting traces, which the cursor must not pass.
    held_back: BTreeSet<Position>,
    /// Traces by when they were last settled or loaded, for forgetting; an entry is void once `Trace::kept_at` differs.
    kept: VecDeque<(i64, TraceKey)>,
    window: Window,
    /// By how much less than was received something may lie that touches it in time: a client's clock may run ahead by so much.
    slack: i64,
    /// The latest end, by clients' clocks, of any call in the window that is not in memory.
    gone_until: i64,
    /// The latest time of receipt.
    newest: i64,
}

pub(super) const NANOS_AN_HOUR: i64 = 3_600_000_000_000;

impl Store {
    /// An empty store. The window will be told of all that was received since a moment, which ended before `gone_until`.
    pub fn new(config: &SettleConfig, since: i64, gone_until: i64) -> Self {
        Self {
            hot: HashMap::new(),
            standing: HashMap::new(),
            links: HashMap::new(),
            dirty: Vec::new(),
            waiting: BTreeSet::new(),
            held_back: BTreeSet::new(),
            kept: VecDeque::new(),
            window: Window::new(config.dedupe_window, hour_of(since).saturating_add(1)),
            slack: config.rules.future_limit_nanos.saturating_add(PAIR_SLACK_NANOS),
            gone_until,
            newest: i64::MIN,
        }
    }

    /// Takes a row of the past into the window.
    pub fn remember(&mut self, row: &IndexRow) {
        let Some(trace) = TraceId::from_bytes(row.trace_id) else { return };
        self.window.note_trace(row.hour, trace_hash(&row.realm, trace));
        if row.response_key != 0 {
            self.window.note_response(row.hour, row.response_key);
        }
        if row.pair_key != 0 {
            self.window.note_pair(row.hour, row.pair_key, scope_hash(&row.scope_name));
        }
    }

    /// Takes a trace of the past into the window, for good.
    pub fn remember_trace(&mut self, realm: &str, trace: [u8; 16]) {
        if let Some(trace) = TraceId::from_bytes(trace) {
            self.window.note_trace_for_good(trace_hash(realm, trace));
        }
    }

    /// Takes one row in; `due` says that the cursor stands before it.
    pub fn add(&mut self, row: Row, due: bool, now: i64) {
        let key = row.trace_key();
        let received_at = row.evidence.received_at().nanos();
        self.newest = self.newest.max(received_at);
        let hour = hour_of(received_at);
        self.window.note_trace(hour, row.trace_hash());
        let extent = row.extent();
        if !self.hot.contains_key(&key) {
            let whole_since = hour_start(self.window.from());
            let trace = Trace { first_gathered: now, kept_at: now, extent, whole_since, ..Trace::default() };
            self.hot.insert(key.clone(), trace);
            self.kept.push_back((now, key.clone()));
        }
        if due {
            self.mark_dirty(&key);
        }
        let trace = self.hot.get_mut(&key).expect("it was put there");
        trace.last_gathered = now;
        trace.extent = (trace.extent.0.min(extent.0), trace.extent.1.max(extent.1));
        if due {
            trace.unsettled.push(row.position);
        }
        let Err(at) = trace.evidence.binary_search_by_key(&row.position, |held| held.position) else {
            return;
        };
        if let Evidence::Observation(observation) = &row.evidence {
            for &link in &row.links {
                match link {
                    LinkKey::Response(response) => self.window.note_response(hour, response),
                    LinkKey::Pair(pair) => self.window.note_pair(hour, pair, row.scope),
                }
                if let Err(at) = trace.links.binary_search(&link) {
                    trace.links.insert(at, link);
                }
                self.links.entry(link).or_default().push(Occurrence {
                    trace: key.clone(),
                    scope: row.scope,
                    start: observation.start.nanos(),
                    end: observation.end.nanos(),
                });
            }
        }
        let Row { position, record, evidence, .. } = row;
        trace.evidence.insert(at, Held { position, record, evidence: Some(evidence) });
    }

    /// Takes an entry that stands in the ledger. One of a trace that is not in memory is left out: what stands for that
    /// is read as a whole when it comes back.
    pub fn stand(&mut self, entry: Arc<Entry>) {
        let key = TraceKey { realm: entry.facts.realm.clone(), trace: entry.facts.trace };
        match self.hot.get_mut(&key) {
            Some(trace) if !trace.calls.contains(&entry.call) => trace.calls.push(entry.call),
            None if !self.standing.contains_key(&entry.call) => return,
            _ => {}
        }
        self.standing.entry(entry.call).or_default().add(entry);
    }

    /// Takes a decision that stands.
    pub fn decided(&mut self, row: &DecisionRow, hash: u64) {
        let (Some(trace), Some(span)) = (TraceId::from_bytes(row.trace_id), SpanId::from_bytes(row.span_id))
        else {
            return;
        };
        let key = TraceKey { realm: Realm::new(row.realm.as_str()), trace };
        if let Some(trace) = self.hot.get_mut(&key) {
            trace.decisions.insert(span, hash);
        }
    }

    /// Takes what a person decided about a report. Of a trace that is not in memory it is read when that comes back.
    pub fn overrule(&mut self, key: &TraceKey, span: SpanId, decided: Override) {
        if let Some(trace) = self.hot.get_mut(key)
            && !trace.overrides.iter().any(|known| known.0 == span && known.1 == decided)
        {
            trace.overrides.push((span, decided));
        }
    }

    /// What people decided about a call, by any of its reports.
    pub fn effect(&self, call: &ResolvedCall) -> Effect {
        let decided = call.members.iter().flat_map(|member| {
            let key = TraceKey { realm: call.realm.clone(), trace: member.trace };
            let overrides = self.hot.get(&key).map_or(&[][..], |trace| trace.overrides.as_slice());
            overrides.iter().filter(|(span, _)| *span == member.span).map(|(_, decided)| decided)
        });
        Effect::of(decided)
    }

    /// The traces in memory.
    pub fn traces(&self) -> impl Iterator<Item = &TraceKey> {
        self.hot.keys()
    }

    /// Since when, by time of receipt, a row's trace must be loaded before the row is taken in; `None` where that is in memory.
    ///
    /// Within the window that is whatever was received. Before it, it is what touches the row in time: a copy of its span, a
    /// span around it or within it. That was received after the row's span began, but for the slack of clocks.
    pub fn cold_since(&self, row: &Row) -> Option<i64> {
        let touching = self.touching(row);
        if let Some(trace) = self.hot.get(&row.trace_key()) {
            return (touching < trace.whole_since).then_some(touching);
        }
        let noted = self.window.trace_since(row.trace_hash()).map(hour_start);
        let late = (touching < hour_start(self.window.from())).then_some(touching);
        noted.map(|noted| noted.min(touching)).or(late)
    }

    /// Since when, by time of receipt, there may be evidence that touches a row in time.
    pub fn touching(&self, row: &Row) -> i64 {
        row.extent().0.saturating_sub(self.slack)
    }

    /// Since when a trace must be loaded that a link key led to, whose evidence with that key speaks of nothing earlier than
    /// `earliest`; `None` where it is in memory.
    pub fn absent_since(&self, key: &TraceKey, earliest: i64) -> Option<i64> {
        (!self.hot.contains_key(key)).then(|| self.reach(key, earliest))
    }

    /// Since when all of a trace was received that is matched with evidence of a moment.
    pub fn reach(&self, key: &TraceKey, earliest: i64) -> i64 {
        let touching = earliest.saturating_sub(self.slack);
        let noted = self.window.trace_since(trace_hash(key.realm.as_str(), key.trace)).map(hour_start);
        noted.map_or(touching, |noted| noted.min(touching))
    }

    /// Notes that all of a trace that was received since a moment is in memory.
    pub fn is_whole(&mut self, key: &TraceKey, since: i64) {
        if let Some(trace) = self.hot.get_mut(key) {
            trace.whole_since = trace.whole_since.min(since);
        }
    }

    /// The earliest and the latest that the evidence of a trace in memory speaks of: its entries lie between.
    pub fn extent(&self, key: &TraceKey) -> Option<(i64, i64)> {
        self.hot.get(key).map(|trace| trace.extent)
    }

    /// The link keys of a row that some trace not in memory may hold too, and since when.
    pub fn cold_links(&self, row: &Row) -> impl Iterator<Item = (LinkKey, i64)> {
        row.links.iter().filter_map(|key| {
            let since = match key {
                // Traces that share an answer come and go together: one in memory means all of them are.
                LinkKey::Response(_) if self.links.contains_key(key) => None,
                LinkKey::Response(response) => self.window.response_since(*response),
                // Here one may be in memory, and another, at another time, not.
                LinkKey::Pair(_) if row.start() > self.gone_until.saturating_add(PAIR_SLACK_NANOS) => None,
                LinkKey::Pair(pair) => self.window.pair_of_another_since(*pair, row.scope),
            };
            Some((*key, hour_start(since?)))
        })
    }

    /// The closed sets of traces that have unsettled evidence and whose time has come, their evidence decoded.
    ///
    /// # Errors
    /// Never where [`Row::new`] read the same bytes before; a record that cannot be read is not taken in.
    pub fn due(&mut self, now: i64, force: bool) -> Result<Vec<Component>, DecodeError> {
        let cut = if force { i64::MAX } else { now };
        let come: Vec<TraceKey> =
            self.waiting.iter().take_while(|(due, _)| *due <= cut).map(|(_, key)| key.clone()).collect();
        for key in come {
            self.mark_dirty(&key);
        }
        let mut components = Vec::with_capacity(self.dirty.len());
        for first in std::mem::take(&mut self.dirty) {
            // An earlier component may have taken it along.
            if self.hot.get(&first).is_none_or(|trace| trace.state != State::Dirty) {
                continue;
            }
            let component = self.closure(first);
            for key in &component {
                self.rest(key);
                self.wake(key)?;
            }
            components.push(component);
        }
        Ok(components)
    }

    /// A trace and all traces that link keys tie to it, through any number of steps; sorted.
    fn closure(&self, first: TraceKey) -> Component {
        let mut found = Component::new();
        let mut seen = HashSet::new();
        let mut open: Component = smallvec![first.clone()];
        while let Some(key) = open.pop() {
            let links = self.hot.get(&key).map(|trace| trace.links.as_slice()).unwrap_or_default();
            for link in links {
                let Some(occurrences) = self.links.get(link).filter(|known| known.len() > 1) else {
                    continue;
                };
                for tied in tied_traces(*link, occurrences, &key) {
                    if *tied != key && *tied != first && seen.insert(tied.clone()) {
                        open.push(tied.clone());
                    }
                }
            }
            found.push(key);
        }
        found.sort();
        found
    }

    /// All evidence of a hot trace that [`Store::due`] returned.
    pub fn evidence(&self, key: &TraceKey) -> impl Iterator<Item = &Evidence> {
        self.hot
            .get(key)
            .into_iter()
            .flat_map(|trace| &trace.evidence)
            .filter_map(|held| held.evidence.as_ref())
    }

    /// The same with where each piece stands.
    pub fn held(&self, key: &TraceKey) -> impl Iterator<Item = (Position, &Evidence)> {
        let held = self.hot.get(key).into_iter().flat_map(|trace| &trace.evidence);
        held.filter_map(|held| Some((held.position, held.evidence.as_ref()?)))
    }

    /// What stands for the calls of any of the traces.
    pub fn standing(&self, component: &[TraceKey]) -> SmallVec<[(CallId, &Standing); 1]> {
        let mut calls: SmallVec<[CallId; 1]> = component
            .iter()
            .filter_map(|key| self.hot.get(key))
            .flat_map(|trace| trace.calls.iter().copied())
            .collect();
        calls.sort_unstable();
        calls.dedup();
        calls.iter().filter_map(|call| Some((*call, self.standing.get(call)?))).collect()
    }

    /// Spans of which the log holds nothing that was settled before, sorted. What is in memory may be gone from there.
    pub fn fresh_spans(&self, component: &[TraceKey], frozen: &Frozen) -> BTreeSet<(TraceKey, SpanId)> {
        let mut fresh = BTreeSet::new();
        let mut known = BTreeSet::new();
        for (key, trace) in component.iter().filter_map(|key| Some((key, self.hot.get(key)?))) {
            for held in &trace.evidence {
                if let Some(Evidence::Observation(observation)) = &held.evidence {
                    let unsettled = trace.unsettled.contains(&held.position);
                    if !unsettled && frozen.has_gone_from_log(held.position, observation.received_at.nanos())
                    {
                        continue;
                    }
                    let spans = if unsettled { &mut fresh } else { &mut known };
                    spans.insert((key.clone(), observation.span));
                }
            }
        }
        fresh.retain(|span| !known.contains(span));
        fresh
    }

    /// The hash of the decision that stands for a span.
    pub fn decision(&self, key: &TraceKey, span: SpanId) -> Option<u64> {
        self.hot.get(key)?.decisions.get(&span).copied()
    }

    /// Marks traces as settled: the cursor may pass their evidence, and it is kept as bytes alone.
    pub fn settle(&mut self, traces: &[TraceKey], now: i64) {
        for key in traces {
            let Some(trace) = self.hot.get_mut(key) else { continue };
            trace.unsettled = Vec::new();
            for held in &mut trace.evidence {
                held.evidence = None;
            }
            if trace.kept_at != now {
                trace.kept_at = now;
                self.kept.push_back((now, key.clone()));
            }
        }
    }

    /// Puts a set aside until all of it is quiet.
    pub fn wait(&mut self, component: &[TraceKey], config: &SettleConfig) {
        let due = component.iter().filter_map(|key| self.quiet_at(key, config)).max().unwrap_or(0);
        for key in component {
            let Some(trace) = self.hot.get_mut(key).filter(|trace| !trace.unsettled.is_empty()) else {
                continue;
            };
            trace.state = State::Waiting(due);
            self.held_back.extend(&trace.unsettled);
            self.waiting.insert((due, key.clone()));
        }
    }

    /// Whether every trace of a set is quiet, or has been waited for long enough.
    pub fn is_quiet(&self, component: &[TraceKey], now: i64, config: &SettleConfig) -> bool {
        component.iter().all(|key| self.quiet_at(key, config).is_none_or(|at| at <= now))
    }

    fn quiet_at(&self, key: &TraceKey, config: &SettleConfig) -> Option<i64> {
        let trace = self.hot.get(key)?;
        let quiet = trace.last_gathered.saturating_add(nanos(config.quiet));
        Some(quiet.min(trace.first_gathered.saturating_add(nanos(config.patience))))
    }

    /// How many traces wait.
    pub fn pending(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// The first position of each collector that must stay after the cursor.
    pub fn unsettled(&self) -> HashMap<CollectorId, u64> {
        let dirty = self.dirty.iter().filter_map(|key| self.hot.get(key)).flat_map(|trace| &trace.unsettled);
        let mut first: HashMap<CollectorId, u64> = HashMap::new();
        for &(collector, seq) in self.held_back.iter().chain(dirty) {
            first.entry(collector).and_modify(|least| *least = (*least).min(seq)).or_insert(seq);
        }
        first
    }

    /// Drops traces that have been settled for long, or are the oldest of too many, and hours beyond the window.
    pub fn evict(&mut self, now: i64, config: &SettleConfig) {
        let long_ago = now.saturating_sub(nanos(config.keep_hot));
        while let Some((kept_at, _)) = self.kept.front()
            && (*kept_at <= long_ago || self.hot.len() > config.hot_traces_max)
        {
            let (kept_at, key) = self.kept.pop_front().expect("there is a front");
            if self.hot.get(&key).is_none_or(|trace| trace.kept_at != kept_at) {
                continue;
            }
            // What is tied goes together, with the one that is kept longest: of a call that is half in memory, new
            // evidence would be judged without the other half.
            let tied = self.closure(key);
            let goes = |trace: &Trace| {
                trace.kept_at <= kept_at && trace.state == State::Resting && trace.unsettled.is_empty()
            };
            if tied.iter().all(|key| self.hot.get(key).is_none_or(goes)) {
                for key in &tied {
                    self.forget(key);
                }
            }
        }
        self.window.forget_before(hour_of(window_start(now, self.newest, config)));
    }

    /// Has traces resolved in the next pass though nothing new came.
    pub fn touch(&mut self, traces: &[TraceKey]) {
        for key in traces {
            self.mark_dirty(key);
        }
    }

    /// Drops a trace from memory.
    pub fn forget(&mut self, key: &TraceKey) {
        self.rest(key);
        let Some(trace) = self.hot.remove(key) else { return };
        for call in trace.calls {
            self.standing.remove(&call);
        }
        for link in trace.links {
            if let Some(occurrences) = self.links.get_mut(&link) {
                for occurrence in occurrences.iter().filter(|occurrence| occurrence.trace == *key) {
                    self.gone_until = self.gone_until.max(occurrence.end);
                }
                occurrences.retain(|occurrence| occurrence.trace != *key);
                if occurrences.is_empty() {
                    self.links.remove(&link);
                }
            }
        }
    }

    fn mark_dirty(&mut self, key: &TraceKey) {
        if self.hot.get(key).is_some_and(|trace| trace.state != State::Dirty) {
            self.rest(key);
            self.hot.get_mut(key).expect("it was there").state = State::Dirty;
            self.dirty.push(key.clone());
        }
    }

    /// Takes a trace out of waiting, or from among the dirty.
    fn rest(&mut self, key: &TraceKey) {
        let Some(trace) = self.hot.get_mut(key) else { return };
        if let State::Waiting(due) = std::mem::take(&mut trace.state) {
            for position in &trace.unsettled {
                self.held_back.remove(position);
            }
            self.waiting.remove(&(due, key.clone()));
        }
    }

    /// Has a trace's evidence in memory decoded, settled or not.
    ///
    /// # Errors
    /// As [`Store::due`].
    pub fn wake(&mut self, key: &TraceKey) -> Result<(), DecodeError> {
        let Some(trace) = self.hot.get_mut(key) else { return Ok(()) };
        for held in trace.evidence.iter_mut().filter(|held| held.evidence.is_none()) {
            held.evidence = Some(record::decode(&held.record)?);
        }
        Ok(())
    }
}

fn hour_of(nanos: i64) -> u32 {
    u32::try_from(nanos / NANOS_AN_HOUR).unwrap_or(0)
}

fn hour_start(hour: u32) -> i64 {
    i64::from(hour) * NANOS_AN_HOUR
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
