//! Random histories against a model: what was acknowledged, what was ever seen, how far it was released.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use journal::{AppendError, CollectorId, Config, Cursor, Journal, Lost, Place, ReleasePolicy};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::disk::{Attempt, Disk, EIO, ENOSPC, Fault, Loss};
use crate::ledger::{Ledger, Position, check_nothing_lost, read_all, readable, small};

#[derive(Debug, Clone)]
enum Action {
    Append(Vec<usize>),
    Group(Vec<Vec<usize>>),
    /// The machine stops; what was not synced is lost in some way.
    Crash(Loss),
    /// The process is killed: everything written can be read, though what was not synced may go later.
    Kill,
    Close,
    /// The directory is copied to another place, and the copy goes on.
    Copy,
    FailSync,
    FillDisk,
    /// Percent of what is durable, and of that what is released.
    Checkpoint(u64, u64),
    Release,
    Read(u64),
}

fn action() -> impl Strategy<Value = Action> {
    let lens = || vec(18usize..120, 1..4);
    let loss = prop_oneof![
        Just(Loss::All),
        Just(Loss::Nothing),
        Just(Loss::Zeroed),
        (0usize..600).prop_map(Loss::After),
        (any::<u64>(), prop_oneof![Just(8usize), Just(64), Just(512)])
            .prop_map(|(seed, sector)| Loss::Random { seed, sector }),
    ];
    prop_oneof![
        8 => lens().prop_map(Action::Append),
        3 => vec(lens(), 2..6).prop_map(Action::Group),
        2 => loss.prop_map(Action::Crash),
        1 => Just(Action::Kill),
        1 => Just(Action::Close),
        1 => Just(Action::Copy),
        1 => Just(Action::FailSync),
        1 => Just(Action::FillDisk),
        2 => (0u64..=100, 0u64..=100).prop_map(|(shipped, released)| Action::Checkpoint(shipped, released)),
        2 => Just(Action::Release),
        2 => (0u64..=100).prop_map(Action::Read),
    ]
}

struct World {
    disk: Disk,
    journal: Option<Journal>,
    ledger: Ledger,
    /// Every position ever read or acknowledged, with its bytes.
    seen: BTreeMap<Position, Vec<u8>>,
    /// What was ever released; the journal forgets an id once all its segments are unlinked.
    released: BTreeMap<CollectorId, u64>,
    place: u64,
    appends: u64,
}

impl World {
    fn new() -> Self {
        let (disk, ledger) = (Disk::empty(), Ledger::default());
        let (seen, released) = (BTreeMap::new(), BTreeMap::new());
        let mut world = Self { disk, journal: None, ledger, seen, released, place: 0, appends: 0 };
        world.open();
        world
    }

    fn open(&mut self) {
        let place = Place::new("machine", &format!("/{}", self.place));
        let config = Config { capacity_bytes: 6 * small().segment_bytes, ..small() };
        let (journal, recovered) =
            Journal::open_on(Arc::new(self.disk.clone()), &place, config).expect("a journal always opens");
        assert!(recovered.damaged.iter().all(|d| d.lost == Lost::Nothing), "{recovered:?}");
        self.journal = Some(journal);
        self.check();
    }

    fn reopen_on(&mut self, disk: Disk) {
        self.journal = None;
        self.disk = disk;
        self.open();
    }

    fn journal(&self) -> &Journal {
        self.journal.as_ref().expect("open between actions")
    }

    fn next_append(&mut self) -> u64 {
        self.appends += 1;
        self.appends
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Append(lens) => {
                let n = self.next_append();
                self.expect_full_or_done(&self.ledger.append(self.journal(), &self.disk, n, lens));
            }
            Action::Group(group) => {
                let appends: Vec<_> = group.iter().map(|lens| (self.next_append(), lens.clone())).collect();
                for outcome in self.ledger.append_group(self.journal(), &self.disk, &appends) {
                    self.expect_full_or_done(&outcome);
                }
            }
            Action::Crash(loss) => self.reopen_on(self.disk.crashed_after(self.disk.ops(), *loss)),
            Action::Kill => self.reopen_on(self.disk.killed_after(self.disk.ops())),
            Action::Close => self.reopen_on(self.disk.clone()),
            Action::Copy => {
                self.place += 1;
                self.reopen_on(Disk::of(self.disk.files()));
            }
            Action::FailSync => self.append_on_broken_disk(Attempt::Sync, EIO),
            Action::FillDisk => self.append_on_broken_disk(Attempt::Write { offset: 0, len: 0 }, ENOSPC),
            Action::Checkpoint(shipped, released) => self.checkpoint(*shipped, *released),
            Action::Release => {
                let policy = ReleasePolicy { keep: Duration::ZERO, now: SystemTime::now() };
                self.journal().release(&policy).unwrap();
            }
            Action::Read(percent) => {
                for range in self.journal().collectors() {
                    let from = 1 + range.last_seq * percent / 100;
                    let (records, gaps) = read_all(self.journal(), range.collector_id, from);
                    let yielded = records.len() as u64 + gaps.iter().map(|g| g.to - g.from + 1).sum::<u64>();
                    assert_eq!(
                        yielded,
                        (range.last_seq + 1).saturating_sub(from),
                        "every number is accounted for"
                    );
                }
            }
        }
        self.check();
    }

    fn append_on_broken_disk(&mut self, broken: Attempt<'static>, errno: i32) {
        let n = self.next_append();
        self.disk.inject(move |attempt| {
            let same = std::mem::discriminant(&attempt) == std::mem::discriminant(&broken);
            if same { Fault::Errno(errno) } else { Fault::None }
        });
        self.ledger.append(self.journal(), &self.disk, n, &[40, 40]).unwrap_err();
        self.disk.heal();
    }

    fn checkpoint(&mut self, shipped: u64, released: u64) {
        let mut checkpoint = self.journal().checkpoint();
        for range in self.journal().collectors() {
            let before = checkpoint.get(range.collector_id);
            let shipped = before.shipped.max(range.last_seq * shipped / 100);
            let released = before.released.max(shipped * released / 100);
            checkpoint.set(range.collector_id, Cursor { shipped, released });
        }
        self.journal().store_checkpoint(&checkpoint).unwrap();
        self.released.extend(checkpoint.iter().map(|(id, cursor)| (id, cursor.released)));
    }

    fn expect_full_or_done(&self, outcome: &Result<journal::Durable, AppendError>) {
        assert!(matches!(outcome, Ok(_) | Err(AppendError::Full { .. })), "{outcome:?}");
    }

    fn check(&mut self) {
        let now = readable(self.journal());
        for (position, bytes) in self.ledger.acknowledged().into_iter().chain(now) {
            let before = self.seen.entry(position).or_insert_with(|| bytes.clone());
            assert_eq!(*before, bytes, "{position:?} was seen with other bytes");
        }
        let mut needed = self.ledger.acknowledged();
        let known: Vec<_> = self.journal().collectors().iter().map(|range| range.collector_id).collect();
        needed.retain(|(id, seq), _| known.contains(id) || Some(seq) > self.released.get(id));
        check_nothing_lost(self.journal(), &needed, "after an action");
        let stat = self.journal().stat();
        let on_disk = self.disk.files().into_iter().filter(|(name, _)| name.ends_with(".seg"));
        let on_disk: usize = on_disk.map(|(_, bytes)| bytes.len()).sum();
        assert!(stat.used_bytes >= on_disk as u64, "{} used, {on_disk} on disk", stat.used_bytes);
    }
}

/// As many as `PROPTEST_CASES` says, else what a test run has time for.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn acknowledged_records_stay_readable_in_order_and_unchanged_through_any_history(
        actions in vec(action(), 1..40),
    ) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
        }
    }
}
