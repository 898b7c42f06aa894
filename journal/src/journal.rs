//! A journal: opened and recovered, appended to, read, checkpointed, released.
//!
//! Promises: opening succeeds whatever the segments look like, says what is wrong with them, and changes nothing in
//! them; opening twice is opening once. Dropping it writes what was queued and frees the directory's lock.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use sabotage::{Bug, Point};

use crate::append::{Appender, Message, Queue};
use crate::catalog::{Catalog, CollectorRange, ReleasePolicy, Released, Stat};
use crate::checkpoint::{Checkpoint, CheckpointStore};
use crate::collector_id::CollectorId;
use crate::config::Config;
use crate::error::{CheckpointError, FileError, OpenError};
use crate::identity::{self, IdentityChange, Place};
use crate::reader::Reader;
use crate::recovered::Recovered;
use crate::segment::{Predecessor, SEGMENT_HEADER_BYTES, file_name};
use crate::storage::{DirLock, DirStorage, Storage, write_all};
use crate::survey::{Survey, survey};
use crate::writer::{Active, Group, Writer};

/// An open journal.
pub struct Journal {
    storage: Arc<dyn Storage>,
    catalog: Arc<Catalog>,
    queue: Arc<Queue>,
    appender: Appender,
    control: Sender<Message>,
    writer: Mutex<Option<JoinHandle<()>>>,
    checkpoints: Mutex<CheckpointStore>,
    capacity_bytes: u64,
    /// Given back after the writer ended.
    _lock: Option<DirLock>,
}

impl Journal {
    /// Opens the journal in a directory, creating it where there is none, and holds its lock.
    ///
    /// # Errors
    /// A faulty configuration, a directory in use or of a newer format, or a disk that cannot be read at all. Damaged
    /// segments are no error: they are reported in [`Recovered`].
    pub fn open(dir: &Path, config: Config) -> Result<(Self, Recovered), OpenError> {
        let (storage, lock) = DirStorage::lock(dir)?;
        let unusable = |source| OpenError::Directory { dir: dir.display().to_string(), source };
        let place = Place::of(dir).map_err(unusable)?;
        let (mut journal, recovered) = Self::open_on(Arc::new(storage), &place, config)?;
        journal._lock = Some(lock);
        Ok((journal, recovered))
    }

    /// Opens a journal on any storage that nobody else writes to.
    ///
    /// # Errors
    /// See [`Journal::open`].
    pub fn open_on(
        storage: Arc<dyn Storage>,
        place: &Place,
        config: Config,
    ) -> Result<(Self, Recovered), OpenError> {
        config.validate()?;
        let mut checkpoints = CheckpointStore::load(storage.as_ref());
        let survey = survey(storage.as_ref(), &checkpoints, config.verify_on_open)?;
        // A killed process leaves whole frames in memory that are not on disk: on disk before anyone reads them.
        let unsynced_tail = sync_newest(storage.as_ref(), &survey).err();
        let (collector_id, identity) = identify(storage.as_ref(), place, &survey)?;
        checkpoints.reserve(storage.as_ref());
        for name in &survey.unborn {
            // It is passed over as well if it stays.
            let _ = storage.remove(name);
        }

        let cursor = checkpoints.current.get(collector_id);
        let next_seq = match identity {
            // What shipped was once durable, even if the disk has lost it since.
            IdentityChange::Kept => survey.highest_seq.max(cursor.shipped) + 1,
            IdentityChange::Created | IdentityChange::Renewed { .. } => 1,
        };
        let isolated_bytes = survey.isolated.iter().map(|file| file.file_bytes).sum();
        let checkpoint = checkpoints.current.clone();
        let segments = survey.segments.clone();
        let catalog = Arc::new(Catalog::new(collector_id, segments, isolated_bytes, checkpoint));
        let capacity_bytes = config.capacity_bytes;
        let queue = Arc::new(Queue::new(&config));
        let mut writer = Writer {
            storage: Arc::clone(&storage),
            catalog: Arc::clone(&catalog),
            config,
            notifiers: Vec::new(),
            collector_id,
            active: None,
            predecessor: last_end(&survey),
            next_seq,
            next_ordinal: survey.highest_ordinal + 1,
            group: Group::default(),
        };
        let continues = identity == IdentityChange::Kept && unsynced_tail.is_none();
        let not_writable = if continues && take_over_empty(&mut writer, &survey) {
            None
        } else {
            match writer.begin_segment() {
                Err(error) if !error.is_out_of_space() => return Err(error.into()),
                begun => begun.err(),
            }
        };

        let recovered = Recovered {
            collector_id,
            identity,
            checkpoint: checkpoints.current.clone(),
            damaged_checkpoints: checkpoints.damaged.clone(),
            collectors: catalog.lock().collectors(),
            segments: survey.segments.len(),
            torn_tail: survey.torn_tail,
            damaged: survey.damaged,
            unsynced_tail,
            not_writable,
        };
        let (control, received) = channel();
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let thread =
            thread.spawn(move || writer.run(&received)).map_err(|source| OpenError::Thread { source })?;
        let journal = Self {
            appender: Appender::new(Arc::clone(&queue), control.clone()),
            storage,
            catalog,
            queue,
            control,
            writer: Mutex::new(Some(thread)),
            checkpoints: Mutex::new(checkpoints),
            capacity_bytes,
            _lock: None,
        };
        Ok((journal, recovered))
    }

    /// A handle to append with.
    pub fn appender(&self) -> Appender {
        self.appender.clone()
    }

    /// The id under which records are numbered now.
    pub fn collector_id(&self) -> CollectorId {
        self.catalog.lock().current()
    }

    /// Every id with records here, in order of use. Those before the last are complete and only need shipping.
    pub fn collectors(&self) -> Vec<CollectorRange> {
        self.catalog.lock().collectors()
    }

    /// A reader of an id's records from a number on (the first is 1).
    pub fn read_from(&self, collector_id: CollectorId, seq: u64) -> Reader {
        Reader::new(Arc::clone(&self.storage), Arc::clone(&self.catalog), collector_id, seq)
    }

    /// Waits until a number above `seq` is durable under the current id, and returns the last durable one. It is not
    /// above `seq` after the timeout, or once the journal closed.
    pub fn wait_durable_past(&self, seq: u64, timeout: Duration) -> u64 {
        self.catalog.wait_past(seq, timeout)
    }

    /// Has `notify` called on the writer's thread with the last durable number: now, and after each group. It must be
    /// short, and must not wait for this journal.
    pub fn on_durable(&self, notify: impl Fn(u64) + Send + 'static) {
        // A closed journal has nothing more to notify of.
        let _ = self.control.send(Message::Notify(Box::new(notify)));
    }

    /// The durable checkpoint.
    pub fn checkpoint(&self) -> Checkpoint {
        self.catalog.lock().checkpoint.clone()
    }

    /// Moves the cursors of the given ids, durably; the others stay. An id without segments is forgotten.
    ///
    /// # Errors
    /// A cursor that moves back, passes the last durable record, or releases what is not shipped; a failed disk. The
    /// checkpoint before stands.
    pub fn store_checkpoint(&self, given: &Checkpoint) -> Result<(), CheckpointError> {
        let mut store = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = store.current.advanced_by(given)?;
        {
            let state = self.catalog.lock();
            for (collector_id, cursor) in given.iter() {
                let durable = match state.last_seq(collector_id) {
                    // All of it was released and is about to be forgotten.
                    None if collector_id != state.current() => continue,
                    last => last.unwrap_or(0),
                };
                let known = durable.max(store.current.get(collector_id).shipped);
                if cursor.shipped > known {
                    return Err(CheckpointError::Ahead { collector_id, given: cursor.shipped, durable });
                }
            }
            next.retain(|id| id == state.current() || state.last_seq(id).is_some());
        }
        if sabotage::is_active(Bug::UnlinkBeforeCursor) {
            self.catalog.lock().checkpoint = next.clone();
            self.release(&ReleasePolicy { keep: Duration::ZERO, now: SystemTime::now() })?;
        }
        sabotage::reached(Point::CheckpointBefore);
        store.store(self.storage.as_ref(), next.clone())?;
        sabotage::reached(Point::CheckpointAfter);
        // Only now may segments go by it.
        self.catalog.lock().checkpoint = next;
        Ok(())
    }

    /// Unlinks segments, oldest first, that the durable checkpoint released entirely and that are old enough. (The
    /// writer unlinks younger ones itself when it needs their space.)
    ///
    /// # Errors
    /// A file could not be unlinked; it is tried again next time.
    pub fn release(&self, policy: &ReleasePolicy) -> Result<Released, FileError> {
        self.catalog.release(self.storage.as_ref(), policy)
    }

    /// The present state.
    pub fn stat(&self) -> Stat {
        let state = self.catalog.lock();
        let collector_id = state.current();
        let cursor = state.checkpoint.get(collector_id);
        let first = state.segments.iter().find(|s| s.header.collector_id == collector_id);
        let counters = state.counters;
        Stat {
            collector_id,
            capacity_bytes: self.capacity_bytes,
            used_bytes: state.used_bytes,
            segments: state.segments.len(),
            first_seq: first.map_or(1, |segment| segment.header.first_seq),
            durable_seq: state.durable_seq(),
            shipped_seq: cursor.shipped,
            released_seq: cursor.released,
            appended_records: counters.appended_records,
            appended_frames: counters.appended_frames,
            appended_bytes: counters.appended_bytes,
            groups: counters.groups,
            failed_appends: counters.failed_appends,
            abandoned_segments: counters.abandoned_segments,
            queued_requests: self.queue.requests(),
            queued_bytes: self.queue.bytes(),
        }
    }

    /// Writes what is queued, answers it, and ends; later appends are refused with
    /// [`AppendError::Closed`](crate::AppendError::Closed). Reading goes on.
    pub fn close(&self) {
        // Failing to send means that the writer ended already.
        let _ = self.control.send(Message::Close);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("journal writer ended by a panic; what it had not answered was refused");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

/// Where the last segment ends, for the next one to state. What the disk does not give behind its last readable frame may
/// have been acknowledged and may be readable again later, so then nobody says that the segment ends there.
fn last_end(survey: &Survey) -> Option<Predecessor> {
    let (last, walk) = (survey.segments.last()?, survey.walks.last()?);
    (!walk.tail_unreadable).then_some(Predecessor {
        ordinal: last.header.ordinal,
        collector_id: last.header.collector_id,
        end: last.end,
    })
}

fn sync_newest(storage: &dyn Storage, survey: &Survey) -> Result<(), FileError> {
    let Some(newest) = survey.segments.last() else { return Ok(()) };
    let name = file_name(newest.header.ordinal);
    let file = storage.open(&name).map_err(|e| FileError::new("opening", &name, e))?;
    file.sync_data().map_err(|e| FileError::new("sync", &name, e))?;
    storage.sync_dir().map_err(|e| FileError::new("sync", ".", e))
}

/// Continues the recorded id or records a new one.
fn identify(
    storage: &dyn Storage,
    place: &Place,
    survey: &Survey,
) -> Result<(CollectorId, IdentityChange), FileError> {
    let recorded = identity::load(storage);
    let change = identity::decide(recorded.as_ref(), place, survey.newest);
    match (change, recorded) {
        (IdentityChange::Kept, Some((collector_id, _))) => Ok((collector_id, change)),
        _ => {
            let collector_id = CollectorId::random();
            identity::store(storage, collector_id, place)?;
            Ok((collector_id, change))
        }
    }
}

/// Continues an empty newest segment, so that a process that keeps restarting does not leave a file each time. Its header is
/// written anew: the sync of it may have failed, and its process been killed over that. What such a sync left behind can be
/// read, and no later sync saves it. Where it cannot be written, nothing is continued.
fn take_over_empty(writer: &mut Writer, survey: &Survey) -> bool {
    let Some(newest) = survey.segments.last() else { return false };
    let untouched = newest.file_bytes == SEGMENT_HEADER_BYTES && newest.header.first_seq == writer.next_seq;
    if !untouched {
        return false;
    }
    let name = file_name(newest.header.ordinal);
    let rewritten = writer.storage.open(&name).and_then(|file| {
        write_all(file.as_ref(), &newest.header.encode(), 0)?;
        file.sync_data()?;
        Ok(file)
    });
    let Ok(file) = rewritten else { return false };
    writer.active = Some(Active {
        file,
        ordinal: newest.header.ordinal,
        salt: newest.header.salt,
        offset: SEGMENT_HEADER_BYTES,
        seq: writer.next_seq - 1,
    });
    true
}
