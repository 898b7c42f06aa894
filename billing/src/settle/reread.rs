//! Reading evidence anew, as settlement sees it: which spans, what would come of it, and what was set aside before.
//!
//! A new reading is evidence like any other and is settled like any other, once it is in the log. What happens here is the
//! rehearsal: traces are loaded with everything tied to them, resolved with the readings that a decoder of now makes, and
//! compared with what stands. How a span is read is the caller's ([`Reader`]): billing knows no wire format.
//!
//! What was set aside for its age needs no new reading: it is resolved again, by the limits of now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::identity::{CollectorId, Realm, SpanId, TraceId};
use domain::ledger::Entry;
use domain::money::Cost;
use domain::observation::{Evidence, Kind, Observation};
use domain::resolve::{LinkKey, Outcome, Readings, Resolution, SpanRef, resolve};
use domain::time::BillingPeriod;
use schemas::record::{self, DecodeError};
use schemas::{KeptFilter, KeptRow};

use super::gather::GatherError;
use super::late_duplicates::trace_key;
use super::post::Batch;
use super::row::Row;
use super::store::{Position, TraceKey};
use super::{PassSummary, SettleError, Settler};

/// Kept spans that are looked at with one statement.
const SPANS_A_PAGE: u64 = 5_000;
/// Traces in memory at once, without what is tied to them.
const TRACES_A_ROUND: usize = 1_000;

/// Reads a span anew; `None` where that says nothing new.
pub type Reader<'r> = &'r (dyn Fn(&Observation) -> Option<Observation> + Send + Sync);

/// Which spans to read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that a decoder of another version than the newest read, those nobody understood, and those set aside.
    Outdated,
    /// Those of a kind, whoever read them.
    Kind(Kind),
    /// Those set aside: for what they state, or for their age.
    Quarantined,
    /// Every one, whoever read it: after the configuration of names changed.
    All,
}

/// Which spans to read anew, and when they were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// Which.
    pub which: Which,
    /// Received then or later, nanoseconds since the epoch.
    pub since: Option<i64>,
    /// Received before.
    pub until: Option<i64>,
    /// The version of the decoder that reads them now.
    pub version: u32,
}

/// What changes, or would: spans read as one kind that are read as another, and what of the ledger follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// Spans read anew.
    pub spans: u64,
    /// Net calls.
    pub calls: i64,
    /// Whole prompts.
    pub input_tokens: i64,
    /// Everything generated.
    pub output_tokens: i64,
    /// What the provider charges.
    pub cost: Cost,
    /// What the tenant is charged.
    pub charge: Cost,
}

/// What a span was, what it is now, the tenant, the month that takes the difference.
pub type ChangeKey = (&'static str, &'static str, String, BillingPeriod);

/// What reading anew comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rehearsal {
    /// The new readings, to be appended to the log.
    pub readings: Vec<Observation>,
    /// What changes.
    pub changes: BTreeMap<ChangeKey, Changed>,
    /// Entries that would be posted.
    pub entries: u64,
    /// Traces that were looked at; they need not be looked at again.
    pub seen: BTreeSet<TraceKey>,
}

/// The traces in which something may change, a round at a time.
#[derive(Debug)]
pub struct Candidates {
    selection: Selection,
    days: std::vec::IntoIter<u16>,
    at: Option<(u16, ([u8; 16], u64))>,
    /// Traces found and not given out yet.
    open: BTreeSet<TraceKey>,
    set_aside: BTreeSet<SpanRef>,
}

impl Selection {
    fn filter(&self) -> KeptFilter {
        let filter = KeptFilter { since: self.since, until: self.until, ..KeptFilter::default() };
        match self.which {
            Which::Outdated => KeptFilter { read_before: Some(self.version), ..filter },
            Which::Kind(kind) => KeptFilter { kind: Some(kind.name()), ..filter },
            Which::Quarantined => KeptFilter { faulty: true, ..filter },
            Which::All => filter,
        }
    }

    /// Whether a span's reading is to be looked at.
    fn selects(&self, kept: &Observation) -> bool {
        let received = kept.received_at.nanos();
        let in_time = self.since.is_none_or(|since| received >= since)
            && self.until.is_none_or(|until| received < until);
        in_time
            && match self.which {
                Which::Outdated => {
                    kept.decoder_version < self.version
                        || kept.kind == Kind::Unrecognised
                        || kept.fault.is_some()
                }
                Which::Kind(kind) => kept.kind == kind,
                Which::Quarantined => kept.fault.is_some(),
                Which::All => true,
            }
    }
}

impl Candidates {
    /// Begins to look.
    pub async fn of(settler: &Settler, selection: Selection) -> Result<Self, SettleError> {
        let days = settler.database.kept_days(&selection.filter()).await?.into_iter();
        let mut candidates =
            Self { selection, days, at: None, open: BTreeSet::new(), set_aside: BTreeSet::new() };
        if !matches!(selection.which, Which::Kind(_)) {
            for row in settler.database.set_aside(&selection.filter()).await? {
                let ids = (TraceId::from_bytes(row.trace_id), SpanId::from_bytes(row.span_id));
                if let (Some(trace), Some(span)) = ids {
                    candidates.set_aside.insert(SpanRef { trace, span });
                    candidates.open.insert(TraceKey { trace, realm: Realm::new(row.realm) });
                }
            }
        }
        Ok(candidates)
    }

    /// The next traces in which something may change; none once all were given out.
    pub async fn next(
        &mut self,
        settler: &Settler,
        read: Reader<'_>,
    ) -> Result<BTreeSet<TraceKey>, SettleError> {
        while self.open.len() < TRACES_A_ROUND {
            let Some((day, position)) = self.at.or_else(|| Some((self.days.next()?, ([0; 16], 0)))) else {
                break;
            };
            let rows =
                settler.database.kept_after(&self.selection.filter(), day, position, SPANS_A_PAGE).await?;
            self.at = rows.last().map(|row| (day, (row.collector_id, row.seq)));
            for row in rows {
                let kept = observation(row)?;
                if self.selection.selects(&kept) && !settler.frozen.holds(kept.end) && read(&kept).is_some() {
                    let realm = kept.key.realm.clone();
                    self.open.insert(TraceKey { trace: kept.trace, realm });
                }
            }
        }
        let rest = self.open.iter().nth(TRACES_A_ROUND).cloned();
        let rest = rest.map(|first| self.open.split_off(&first)).unwrap_or_default();
        Ok(std::mem::replace(&mut self.open, rest))
    }
}

/// A row of the log with its attributes.
fn observation(row: KeptRow) -> Result<Observation, GatherError> {
    let KeptRow { collector_id, seq, record, attributes } = row;
    let read = || {
        let Evidence::Observation(mut kept) = record::decode(&record)? else {
            return Err(DecodeError::Missing { field: "observation" });
        };
        record::rejoin(&mut kept, attributes)?;
        Ok(*kept)
    };
    read().map_err(|source| match CollectorId::from_bytes(collector_id) {
        Some(collector) => GatherError::Unreadable { collector, seq, source },
        None => GatherError::Changed(source),
    })
}

impl Settler {
    /// What would come of reading the selected spans of some traces anew. Posts nothing. To be called when everything
    /// committed is settled.
    pub async fn rehearse(
        &mut self,
        traces: BTreeSet<TraceKey>,
        candidates: &Candidates,
        read: Reader<'_>,
    ) -> Result<Rehearsal, SettleError> {
        let (loaded, anew) = self.load_with_readings(traces, candidates, read).await?;
        let tied: Vec<TraceKey> = loaded.iter().cloned().collect();
        self.store.touch(&tied);
        let mut rehearsal = Rehearsal::default();
        for component in self.store.due(self.now(), true).map_err(GatherError::Changed)? {
            let (was, resolution) = {
                let held = || component.iter().flat_map(|trace| self.store.held(trace));
                let before: Vec<&Evidence> = held()
                    .filter(|((collector, _), _)| *collector != rehearsing())
                    .map(|(_, piece)| piece)
                    .collect();
                let was = labels(&before, &candidates.set_aside);
                (was, resolve(held().map(|(_, piece)| piece), &self.config.rules))
            };
            let read: Vec<&Observation> =
                anew.iter().filter(|read| component.iter().any(|key| is_of(read, key))).collect();
            let mut batch = Batch::default();
            self.assign(component, &resolution, &mut batch);
            rehearsal.count(&was, &read, &resolution, &batch.entries);
        }
        rehearsal.readings = anew;
        for key in &loaded {
            self.store.forget(key);
        }
        rehearsal.seen = loaded;
        Ok(rehearsal)
    }

    /// Loads traces with everything tied to them, and the new readings of their spans, taken in as if they had been received:
    /// an id that only a new reading states ties a trace to others, too.
    async fn load_with_readings(
        &mut self,
        traces: BTreeSet<TraceKey>,
        candidates: &Candidates,
        read: Reader<'_>,
    ) -> Result<(BTreeSet<TraceKey>, Vec<Observation>), SettleError> {
        let (mut open, mut loaded, mut anew) = (traces, BTreeSet::new(), Vec::new());
        while !open.is_empty() {
            let fresh: BTreeSet<TraceKey> =
                self.load_whole(open).await?.into_iter().filter(|key| !loaded.contains(key)).collect();
            let ids: Vec<[u8; 16]> = fresh.iter().map(|key| key.trace.bytes()).collect();
            let attributes: HashMap<Position, String> = self
                .database
                .attributes_of_traces(&ids)
                .await?
                .into_iter()
                .filter_map(|row| {
                    Some(((CollectorId::from_bytes(row.collector_id)?, row.seq), row.attributes))
                })
                .collect();
            let (mut responses, mut pairs) = (Vec::new(), Vec::new());
            for key in &fresh {
                self.store.wake(key).map_err(GatherError::Changed)?;
                let held: Vec<(Position, &Evidence)> = self.store.held(key).collect();
                for reading in read_anew(&held, &attributes, &candidates.selection, read)? {
                    // Of its call evidence may be gone: what stands for it stays.
                    if self.frozen.holds(reading.end) {
                        continue;
                    }
                    let evidence = Evidence::Observation(Box::new(reading.clone()));
                    let position = (rehearsing(), anew.len() as u64 + 1);
                    let row = Row::new(position, record::encode(&evidence)).map_err(GatherError::Changed)?;
                    for link in &row.links {
                        match link {
                            LinkKey::Response(response) => responses.push(*response),
                            LinkKey::Pair(pair) => pairs.push(*pair),
                        }
                    }
                    self.store.add(row, false, (self.clock)());
                    anew.push(reading);
                }
            }
            loaded.extend(fresh);
            let tied = self.database.link_rows(&responses, &pairs).await?;
            open = tied.iter().filter_map(trace_key).filter(|key| !loaded.contains(key)).collect();
        }
        Ok((loaded, anew))
    }

    /// Settles traces once more by the evidence and the rules of now. To be called when everything committed is settled.
    pub async fn settle_again(&mut self, traces: BTreeSet<TraceKey>) -> Result<u64, SettleError> {
        let loaded = self.load_whole(traces).await?;
        let tied: Vec<TraceKey> = loaded.iter().cloned().collect();
        self.store.touch(&tied);
        let PassSummary { entries, .. } = self.drain().await?;
        for key in &loaded {
            self.store.forget(key);
        }
        Ok(entries)
    }
}

/// Where readings stand that nobody received yet.
fn rehearsing() -> CollectorId {
    CollectorId::from_bytes([0xff; 16]).expect("not all zero")
}

fn is_of(read: &Observation, key: &TraceKey) -> bool {
    read.trace == key.trace && read.key.realm == key.realm
}

/// The readings that differ from those that stand, each once however many copies of it the log holds.
fn read_anew(
    held: &[(Position, &Evidence)],
    attributes: &HashMap<Position, String>,
    selection: &Selection,
    read: Reader<'_>,
) -> Result<Vec<Observation>, GatherError> {
    let evidence: Vec<&Evidence> = held.iter().map(|(_, piece)| *piece).collect();
    let readings = Readings::of(&evidence);
    let mut anew: Vec<Observation> = Vec::new();
    for (position, piece) in held {
        let Evidence::Observation(kept) = piece else { continue };
        if readings.supersede(piece) || !selection.selects(kept) {
            continue;
        }
        let mut kept = kept.clone();
        if let Some(json) = attributes.get(position) {
            record::rejoin(&mut kept, json.clone()).map_err(GatherError::Changed)?;
        }
        anew.extend(read(&kept).filter(|read| !anew.contains(read)));
    }
    Ok(anew)
}

/// What each span was before, in a word.
fn labels(evidence: &[&Evidence], set_aside: &BTreeSet<SpanRef>) -> BTreeMap<SpanRef, &'static str> {
    let readings = Readings::of(evidence);
    let mut labels = BTreeMap::new();
    for piece in evidence.iter().filter(|piece| !readings.supersede(piece)) {
        let Evidence::Observation(kept) = piece else { continue };
        let span = SpanRef { trace: kept.trace, span: kept.span };
        let aside = kept.fault.is_some() || set_aside.contains(&span);
        labels.insert(span, if aside { Outcome::Quarantined.name() } else { kept.kind.name() });
    }
    labels
}

impl Rehearsal {
    /// Adds what follows for one closed set of traces.
    fn count(
        &mut self,
        was: &BTreeMap<SpanRef, &'static str>,
        anew: &[&Observation],
        resolution: &Resolution,
        entries: &[Entry],
    ) {
        let is: BTreeMap<SpanRef, &'static str> = anew
            .iter()
            .map(|read| (SpanRef { trace: read.trace, span: read.span }, read.kind.name()))
            .collect();
        let label = |span: &SpanRef| {
            let was = was.get(span).copied().unwrap_or_default();
            (was, is.get(span).copied().unwrap_or(was))
        };
        let mut of_span: BTreeMap<SpanRef, ChangeKey> = BTreeMap::new();
        for entry in entries {
            let span = SpanRef { trace: entry.facts.trace, span: entry.facts.span };
            let (was, is) = label(&span);
            let key = (was, is, entry.facts.tenant.clone(), entry.period);
            let changed = self.changes.entry(key.clone()).or_default();
            changed.calls += entry.quantities.calls;
            changed.input_tokens += entry.quantities.tokens[0];
            changed.output_tokens += entry.quantities.tokens[4];
            changed.cost += entry.quantities.cost;
            changed.charge += entry.quantities.charge;
            of_span.insert(span, key);
        }
        self.entries += entries.len() as u64;
        for read in anew {
            let span = SpanRef { trace: read.trace, span: read.span };
            let key = of_span.get(&span).cloned().unwrap_or_else(|| {
                let outcome = resolution.outcomes.iter().find(|outcome| outcome.span == span);
                let call = outcome.and_then(|outcome| resolution.calls.get(outcome.call?));
                let tenant = call.map_or(&read.dimensions.tenant, |call| &call.dimensions.tenant);
                let (was, is) = label(&span);
                (was, is, tenant.clone().unwrap_or_default(), BillingPeriod::containing(read.end))
            });
            self.changes.entry(key).or_default().spans += 1;
        }
    }

    /// Adds what another came to.
    pub fn add(&mut self, other: Self) {
        self.readings.extend(other.readings);
        self.entries += other.entries;
        self.seen.extend(other.seen);
        for (key, more) in other.changes {
            let changed = self.changes.entry(key).or_default();
            changed.spans += more.spans;
            changed.calls += more.calls;
            changed.input_tokens += more.input_tokens;
            changed.output_tokens += more.output_tokens;
            changed.cost += more.cost;
            changed.charge += more.charge;
        }
    }
}
