//! The world of one seed: collectors with their disks, one clock that jumps, one database, and steps drawn one after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::identity::CollectorId as SettledId;
use domain::observation::Evidence;
use journal::{AppendError, CollectorId, Config, Journal, Place, Records};
use schemas::record;
use schemas::rows::QuarantineRow;

use super::database::Model;
use super::disk::{Attempt, Disk, EIO, Fault, Loss};
use super::evidence;
use super::random::Random;
use super::settlement;
use crate::append::{Clock, EVIDENCE, SEAL};
use crate::seal::{Gathered, Gatherer, Limits, Recalled, Seal, SealedBatch};
use crate::ship::commit::Committer;
use crate::ship::cursor::Cursors;

const LIMITS: Limits = Limits { rows_max: 4, bytes_max: 1 << 20 };
const WHOLE: Limits = Limits { rows_max: u64::MAX, bytes_max: u64::MAX };
const DAY: i64 = 86_400_000_000_000;

/// One collector: what survives it (its disk), and what is gone when it is killed.
struct Collector {
    disk: Disk,
    journal: Arc<Journal>,
    recalled: Recalled,
    next_first: BTreeMap<[u8; 16], u64>,
    pending: Option<SealedBatch>,
    committer: Committer<Model>,
    cursors: Cursors,
}

/// What the clients know, and what was tried.
#[derive(Default)]
struct Clients {
    calls: u64,
    acknowledged: BTreeSet<u64>,
    /// The records of acknowledged reports, as the log keeps them.
    records: BTreeSet<Vec<u8>>,
}

pub struct World {
    draw: Random,
    now: Arc<AtomicI64>,
    runtime: tokio::runtime::Runtime,
    pub model: Model,
    collectors: Vec<Collector>,
    clients: Clients,
    /// Every step and what came of it.
    pub history: u64,
    pub kills: u64,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Figures {
    pub acknowledged: u64,
    pub kills: u64,
    pub faults: u64,
    pub quarantined: u64,
    pub history: u64,
}

fn small() -> Config {
    Config {
        capacity_bytes: 1 << 22,
        segment_bytes: 8192 + 3_000,
        frame_bytes_max: 2_000,
        group_bytes_max: 2_000,
        queue_bytes_max: 1 << 20,
        queue_requests_max: 100,
        verify_on_open: journal::VerifyOnOpen::All,
    }
}

impl Collector {
    fn start(disk: Disk, model: &Model, clock: &Clock) -> Self {
        let opened = Journal::open_on(Arc::new(disk.clone()), &Place::new("machine", "/journal"), small());
        let journal = Arc::new(opened.expect("a journal opens on a disk that works").0);
        Self {
            recalled: Recalled::from_journal(&journal, false).expect("a disk that works is read"),
            next_first: BTreeMap::new(),
            pending: None,
            committer: Committer::new(model.clone(), Duration::from_secs(60), clock.clone()),
            cursors: Cursors::new(Arc::clone(&journal)),
            disk,
            journal,
        }
    }

    /// The next batch, its bounds durable: what the sealer does, one batch at a time.
    fn seal(&mut self) -> Option<SealedBatch> {
        let current = self.journal.collector_id();
        for range in self.journal.collectors() {
            let id = range.collector_id;
            let end = (id != current).then_some(range.last_seq);
            let first = self.first(id, range.first_seq);
            if end.is_some_and(|end| first > end) {
                continue;
            }
            let sealed = self.recalled.next_from(id.to_bytes(), first);
            let (through, limits) = match sealed {
                Some(seal) if seal.first_seq == first => (Some(seal.last_seq), WHOLE),
                Some(seal) => (Some(seal.first_seq - 1), LIMITS),
                None => (end, LIMITS),
            };
            let gathered = Gatherer::new(Arc::clone(&self.journal), id, first).gather(first, through, limits);
            let Gathered::Batch { seal: read, rows, .. } = gathered.expect("a disk that works is read")
            else {
                return None;
            };
            let seal = self.fix(sealed.filter(|seal| seal.first_seq == first).unwrap_or(read))?;
            self.next_first.insert(id.to_bytes(), seal.last_seq + 1);
            return Some(SealedBatch::of(seal, read, rows));
        }
        None
    }

    fn first(&mut self, id: CollectorId, held: u64) -> u64 {
        if let Some(first) = self.next_first.get(&id.to_bytes()) {
            return *first;
        }
        let shipped = self.journal.checkpoint().get(id).shipped;
        if shipped == 0 && held > 1 {
            let known = self.recalled.next_from(id.to_bytes(), 1);
            return known.map_or(held, |seal| seal.first_seq.min(held));
        }
        shipped + 1
    }

    fn fix(&self, seal: Seal) -> Option<Seal> {
        let mut records = Records::new();
        records.push(SEAL, &seal.encode());
        self.journal.appender().append(records).ok().map(|_| seal)
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut draw = Random::new(seed, 0);
        let now = Arc::new(AtomicI64::new(1_800_000_000 * 1_000_000_000));
        let model = Model::new(seed);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let clock = clock(&now);
        let collectors =
            (0..1 + draw.below(2)).map(|_| Collector::start(Disk::empty(), &model, &clock)).collect();
        let clients = Clients::default();
        Self { draw, now, runtime, model, collectors, clients, history: 0, kills: 0 }
    }

    /// One step, drawn.
    pub fn step(&mut self) {
        let at = self.draw.below(self.collectors.len());
        self.now.fetch_add(self.draw.between(1, 3_000_000_000), Ordering::Relaxed);
        let (what, outcome) = match self.draw.below(100) {
            0..28 => ("export", self.export(at)),
            28..60 => ("ship", self.ship(at)),
            60..74 => ("settle", self.settle()),
            74..79 => ("kill", self.kill(at, false)),
            79..82 => ("power cut", self.kill(at, true)),
            82..85 => ("release", self.release(at)),
            85..88 => ("redrive", self.redrive(at)),
            88..91 => ("constraint", self.switch(|state| state.constraint = !state.constraint)),
            91..93 => ("outage", self.switch(|state| state.away = !state.away)),
            93..96 => ("late", self.switch(super::database::State::apply_late)),
            96..98 => ("disk", self.disk_fault(at)),
            _ => ("clock", self.jump()),
        };
        self.note(&format!("{what} {at} {outcome}"));
    }

    fn note(&mut self, event: &str) {
        let state = self.model.state();
        let sums = [state.log.len(), state.batches.len(), state.quarantine.len(), state.entries.len()];
        let text = format!("{event} {sums:?} {}", self.now.load(Ordering::Relaxed));
        self.history = record::fold_hash(self.history, record::hash(text.as_bytes()));
    }

    /// Reports of some calls in one request: new ones, or calls that were reported before, by the one side or the other.
    fn export(&mut self, at: usize) -> String {
        let now = self.now.load(Ordering::Relaxed);
        let mut records = Records::new();
        let (mut calls, mut sent) = (Vec::new(), Vec::new());
        for _ in 0..1 + self.draw.below(5) {
            let known = self.clients.calls > 0 && self.draw.chance(30);
            let n =
                if known { self.draw.below(self.clients.calls as usize) as u64 } else { self.clients.calls };
            self.clients.calls = self.clients.calls.max(n + 1);
            if n % 7 == 3 {
                self.model.state().refused.insert(evidence::trace(n));
            }
            let bytes = evidence::report(n, self.draw.chance(40), now);
            records.push(EVIDENCE, &bytes);
            sent.push(record::without_attributes(&bytes).to_vec());
            calls.push(n);
        }
        match self.collectors[at].journal.appender().append(records) {
            Ok(durable) => {
                self.clients.acknowledged.extend(&calls);
                self.clients.records.extend(sent);
                format!("{calls:?} from {}", durable.first_seq())
            }
            Err(error) => format!("{calls:?} refused: {}", code(&error)),
        }
    }

    fn ship(&mut self, at: usize) -> String {
        let collector = &mut self.collectors[at];
        if collector.pending.is_none() {
            collector.pending = collector.seal();
        }
        let Some(batch) = &collector.pending else { return "nothing".into() };
        let bounds = (batch.seal().first_seq, batch.seal().last_seq);
        match self.runtime.block_on(collector.committer.commit(batch)) {
            Ok(committed) => match collector.cursors.shipped(&committed) {
                Ok(()) => {
                    collector.pending = None;
                    format!("{bounds:?}: {} rows, {} refused", committed.rows(), committed.refused())
                }
                Err(_) => format!("{bounds:?}: cursor not stored"),
            },
            Err(error) => format!("{bounds:?}: {error}"),
        }
    }

    fn ids(&self) -> Vec<[u8; 16]> {
        let ranges = self.collectors.iter().flat_map(|collector| collector.journal.collectors());
        let mut ids: Vec<[u8; 16]> = ranges.map(|range| range.collector_id.to_bytes()).collect();
        // Released segments take their ids with them; the batches stay.
        let state = self.model.state();
        let gone: BTreeSet<[u8; 16]> = state.batches.keys().map(|(id, _)| *id).collect();
        let known: BTreeSet<[u8; 16]> = ids.iter().copied().collect();
        ids.extend(gone.difference(&known));
        ids
    }

    fn settle(&mut self) -> String {
        settlement::pass(&self.model, &self.ids()).into()
    }

    /// The process is gone, perhaps in the middle of an append that nobody was told of; and the machine with it, perhaps.
    fn kill(&mut self, at: usize, power: bool) -> String {
        self.kills += 1;
        let before = self.collectors[at].disk.ops();
        if self.draw.chance(50) {
            let mut records = Records::new();
            let n = self.clients.calls;
            self.clients.calls += 1;
            records.push(EVIDENCE, &evidence::report(n, false, self.now.load(Ordering::Relaxed)));
            // The answer never left.
            let _ = self.collectors[at].journal.appender().append(records);
        }
        let collector = &self.collectors[at];
        collector.journal.close();
        let done = collector.disk.ops();
        let ops = before + self.draw.below(done - before + 1);
        let disk = match power {
            false => collector.disk.killed_after(ops),
            true => {
                let seed = self.draw.next();
                let loss =
                    [Loss::All, Loss::Random { seed, sector: 512 }, Loss::Reordered { seed }, Loss::Zeroed];
                collector.disk.crashed_after(ops, loss[self.draw.below(4)])
            }
        };
        self.collectors[at] = Collector::start(disk, &self.model, &clock(&self.now));
        format!("at {} of {}", ops - before, done - before)
    }

    fn release(&mut self, at: usize) -> String {
        let settled: HashMap<[u8; 16], u64> =
            self.model.state().cursors.iter().map(|(id, seq)| (id.bytes(), *seq)).collect();
        let cursors = &self.collectors[at].cursors;
        if cursors.settled(&settled).is_err() {
            return "cursor not stored".into();
        }
        let released = cursors.release(Duration::ZERO, time(self.now.load(Ordering::Relaxed)));
        released.map_or("failed".into(), |released| format!("{} segments", released.segments))
    }

    /// What `quarantine redrive` does, with a crash between its two writes where the second fails.
    fn redrive(&mut self, at: usize) -> String {
        let held = self.model.state().held();
        let mut sent = 0;
        for row in held {
            let mut evidence = record::decode(&row.record).expect("it was evidence once");
            if let Evidence::Observation(observation) = &mut evidence {
                record::rejoin(observation, row.attributes.clone()).expect("its own attributes");
            }
            let mut records = Records::new();
            records.push(EVIDENCE, &record::encode(&evidence));
            if self.collectors[at].journal.appender().append(records).is_err() {
                break;
            }
            sent += 1;
            let mut state = self.model.state();
            if state.fails() {
                break;
            }
            let noted = QuarantineRow { redriven_at: self.now.load(Ordering::Relaxed) / 1_000, ..row };
            state.quarantine.insert((noted.collector_id, noted.seq), noted);
        }
        format!("{sent} sent")
    }

    fn switch(&mut self, change: impl FnOnce(&mut super::database::State)) -> String {
        let mut state = self.model.state();
        change(&mut state);
        format!("{} {} {}", state.constraint, state.away, state.are_late())
    }

    /// The next sync or write of a disk fails, once.
    fn disk_fault(&mut self, at: usize) -> String {
        let broken = if self.draw.chance(50) { "sync" } else { "write" };
        let mut failed = false;
        self.collectors[at].disk.inject(move |attempt: Attempt<'_>| {
            let strikes = attempt.operation() == broken && !std::mem::replace(&mut failed, true);
            if strikes { Fault::Errno(EIO) } else { Fault::None }
        });
        broken.into()
    }

    /// The collectors' clock jumps by a day, forwards or backwards.
    fn jump(&mut self) -> String {
        let by = if self.draw.chance(50) { DAY } else { -DAY };
        self.now.fetch_add(by, Ordering::Relaxed);
        by.to_string()
    }

    /// All faults stop; what is under way comes to its end.
    pub fn heal(&mut self) {
        {
            let mut state = self.model.state();
            (state.faults, state.away, state.constraint) = (0, false, false);
        }
        self.collectors.iter().for_each(|collector| collector.disk.heal());
        for turn in 0.. {
            assert!(turn < 2_000, "it does not come to an end");
            let mut done = true;
            if self.model.state().are_late() > 0 {
                self.model.state().apply_late();
                done = false;
            }
            for at in 0..self.collectors.len() {
                let shipped = self.ship(at);
                self.note(&shipped);
                done &= shipped == "nothing";
            }
            if done && !self.model.state().held().is_empty() {
                self.redrive(0);
                done = false;
            }
            let settled = self.settle();
            assert_ne!(settled, "a batch is not what was committed");
            done &= settled == "nothing to settle";
            if done {
                return;
            }
        }
    }

    /// What must hold in the end.
    pub fn check(&self) -> Figures {
        let ids = self.ids();
        let state = self.model.state();
        let refused: BTreeSet<_> = state
            .batches
            .iter()
            .flat_map(|((id, _), batch)| batch.refused.iter().map(|seq| (*id, *seq)))
            .collect();
        for position in &refused {
            assert!(state.quarantine.contains_key(position), "what a batch leaves out is in quarantine");
        }
        for row in state.quarantine.values() {
            assert!(state.refused.contains(&row.trace_id), "a row was set aside that nothing is wrong with");
        }
        let kept: BTreeSet<&[u8]> = state.log.values().map(|row| row.record.as_slice()).collect();
        let lost = self.clients.records.iter().find(|record| !kept.contains(record.as_slice()));
        assert!(
            lost.is_none(),
            "an acknowledged report is nowhere: {:?}",
            lost.map(|lost| record::decode(lost))
        );
        let mut calls: BTreeMap<[u8; 16], (i64, i64)> = BTreeMap::new();
        for entry in state.entries.values() {
            let sums = calls.entry(entry.facts.trace.bytes()).or_default();
            sums.0 += entry.quantities.calls;
            sums.1 += entry.quantities.tokens[0];
        }
        for n in 0..self.clients.calls {
            let (count, input) = calls.remove(&evidence::trace(n)).unwrap_or_default();
            let least = i64::from(self.clients.acknowledged.contains(&n));
            assert!((least..=1).contains(&count), "call {n} counts {count} times");
            assert_eq!(input, count * evidence::tokens(n) as i64, "call {n}");
        }
        assert!(calls.is_empty(), "calls that nobody reported: {calls:?}");
        for id in ids {
            let cursor = state.cursors.get(&SettledId::from_bytes(id).unwrap()).copied().unwrap_or(0);
            let last = state.batches.range((id, 0)..=(id, u64::MAX)).next_back();
            assert!(
                last.is_none_or(|(_, batch)| batch.last_seq == cursor),
                "everything committed is settled"
            );
        }
        Figures {
            acknowledged: self.clients.acknowledged.len() as u64,
            kills: self.kills,
            faults: state.struck.values().sum(),
            quarantined: state.quarantine.len() as u64,
            history: self.history,
        }
    }
}

fn code(error: &AppendError) -> &'static str {
    match error {
        AppendError::Full { .. } => "full",
        _ => "failed",
    }
}

fn clock(now: &Arc<AtomicI64>) -> Clock {
    let now = Arc::clone(now);
    Clock::new(move || time(now.load(Ordering::Relaxed)))
}

fn time(nanos: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos.unsigned_abs())
}
