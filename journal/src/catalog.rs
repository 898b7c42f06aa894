//! What is readable, shared between the writer, readers and whoever releases.
//!
//! Promises: a segment appears here after its header is durable, and its end moves only after a sync; one short lock a
//! group. Only the oldest segments go, only when a durable checkpoint released all they hold, and never the newest.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sabotage::Point;

use crate::checkpoint::Checkpoint;
use crate::collector_id::CollectorId;
use crate::error::FileError;
use crate::gap::{Gap, GapReason};
use crate::segment::{SegmentEnd, SegmentHeader, file_name};
use crate::storage::Storage;

/// A segment whose header is durable.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub header: SegmentHeader,
    pub end: SegmentEnd,
    pub file_bytes: u64,
    /// Numbers of the same collector id between the segment before and this one.
    pub gaps_before: Vec<Gap>,
    /// Whether the disk did not give what follows `end`: records may be there that nobody shipped.
    pub end_unreadable: bool,
}

impl Segment {
    /// A segment just begun by the writer: numbers its predecessor ended without are void.
    pub fn begun(header: SegmentHeader, file_bytes: u64) -> Self {
        let from = header
            .predecessor
            .filter(|before| before.collector_id == header.collector_id)
            .map_or(header.first_seq, |before| before.end.seq + 1);
        let to = header.first_seq - 1;
        let void = Gap { from, to, reason: GapReason::Void };
        let end = SegmentEnd { offset: file_bytes, seq: to, confirmed: file_bytes };
        let gaps_before = (from <= to).then_some(void).into_iter().collect();
        Self { header, end, file_bytes, gaps_before, end_unreadable: false }
    }
}

/// The readable numbers of one collector id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectorRange {
    /// The id.
    pub collector_id: CollectorId,
    /// The first number a segment still holds.
    pub first_seq: u64,
    /// The last durable number; one less than `first_seq` when there is none.
    pub last_seq: u64,
}

/// When released segments are unlinked.
#[derive(Debug, Clone, Copy)]
pub struct ReleasePolicy {
    /// Released segments are kept this long after they were closed. When capacity is needed they go at once.
    pub keep: Duration,
    /// The present, against which age is measured.
    pub now: SystemTime,
}

/// What a release unlinked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Released {
    /// Segments.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// The journal's present state, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The id under which records are numbered now.
    pub collector_id: CollectorId,
    /// The bound of all segment files.
    pub capacity_bytes: u64,
    /// Bytes in segment files, those kept for salvage included.
    pub used_bytes: u64,
    /// Segment files, those kept for salvage not included.
    pub segments: usize,
    /// The first number still held under the current id.
    pub first_seq: u64,
    /// The last durable number under the current id.
    pub durable_seq: u64,
    /// Durably shipped, under the current id.
    pub shipped_seq: u64,
    /// Durably released, under the current id.
    pub released_seq: u64,
    /// Records made durable since open.
    pub appended_records: u64,
    /// Appends made durable since open.
    pub appended_frames: u64,
    /// Bytes of frames made durable since open.
    pub appended_bytes: u64,
    /// Group commits, each one write and one sync, since open.
    pub groups: u64,
    /// Appends answered with an error by the writer since open.
    pub failed_appends: u64,
    /// Segments given up after a failed write or sync since open.
    pub abandoned_segments: u64,
    /// Appends waiting or being written.
    pub queued_requests: usize,
    /// Their bytes.
    pub queued_bytes: usize,
}

/// What the writer did, added up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    pub appended_records: u64,
    pub appended_frames: u64,
    pub appended_bytes: u64,
    pub groups: u64,
    pub failed_appends: u64,
    pub abandoned_segments: u64,
}

pub(crate) struct CatalogState {
    pub segments: VecDeque<Segment>,
    pub counters: Counters,
    /// The cursors of the durable checkpoint.
    pub checkpoint: Checkpoint,
    /// Bytes in segment files, `isolated` ones included.
    pub used_bytes: u64,
    current: CollectorId,
    writer_ended: bool,
}

pub(crate) struct Catalog {
    state: Mutex<CatalogState>,
    grown: Condvar,
    /// Held through a release: segments leave in order, whoever frees them.
    releasing: Mutex<()>,
}

/// As good as for ever, without overflowing an `Instant`.
const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Where a number is.
pub(crate) enum Located {
    Segment(Segment),
    Gap(Gap),
    /// Not written yet, or the id ends before it.
    Nothing,
}

impl Catalog {
    pub fn new(
        current: CollectorId,
        segments: Vec<Segment>,
        isolated_bytes: u64,
        checkpoint: Checkpoint,
    ) -> Self {
        let used_bytes = segments.iter().map(|s| s.file_bytes).sum::<u64>() + isolated_bytes;
        let state = CatalogState {
            segments: segments.into(),
            counters: Counters::default(),
            checkpoint,
            used_bytes,
            current,
            writer_ended: false,
        };
        Self { state: Mutex::new(state), grown: Condvar::new(), releasing: Mutex::new(()) }
    }

    /// No code panics while holding the lock half way through a change, so a poisoned state is still whole.
    pub fn lock(&self) -> MutexGuard<'_, CatalogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new newest segment.
    pub fn begin(&self, segment: Segment) {
        let mut state = self.lock();
        state.used_bytes += segment.file_bytes;
        state.segments.push_back(segment);
        self.grown.notify_all();
    }

    /// The newest segment's new durable end, and what became durable with it.
    pub fn publish(&self, end: SegmentEnd, add: impl FnOnce(&mut Counters)) {
        let mut state = self.lock();
        add(&mut state.counters);
        if let Some(newest) = state.segments.back_mut() {
            debug_assert!(
                end.offset >= newest.end.offset && end.seq >= newest.end.seq,
                "an end never moves back"
            );
            newest.end = end;
        }
        state.occupy_newest(end.offset);
        self.grown.notify_all();
    }

    pub fn count(&self, add: impl FnOnce(&mut Counters)) {
        add(&mut self.lock().counters);
    }

    /// Bytes that the newest segment's file may have beyond its durable end, after a failed write.
    pub fn occupy(&self, file_bytes: u64) {
        self.lock().occupy_newest(file_bytes);
    }

    /// Wakes all waiters for good: nothing will be appended any more.
    pub fn writer_ended(&self) {
        self.lock().writer_ended = true;
        self.grown.notify_all();
    }

    /// Waits until the current id has a durable number above `seq`, and returns the last one; less or equal after the
    /// timeout or when the journal closed.
    pub fn wait_past(&self, seq: u64, timeout: Duration) -> u64 {
        let deadline = Instant::now() + timeout.min(WAIT_MAX);
        let mut state = self.lock();
        loop {
            let durable = state.durable_seq();
            let left = deadline.saturating_duration_since(Instant::now());
            if durable > seq || state.writer_ended || left.is_zero() {
                return durable;
            }
            (state, _) = self.grown.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub fn locate(&self, collector_id: CollectorId, seq: u64) -> Located {
        let state = self.lock();
        let released = state.checkpoint.get(collector_id).released;
        for segment in state.segments.iter().filter(|s| s.header.collector_id == collector_id) {
            if let Some(gap) = segment.gaps_before.iter().find(|gap| gap.contains(seq)) {
                return Located::Gap(Gap { from: seq, ..*gap });
            }
            let known_from = segment.gaps_before.first().map_or(segment.header.first_seq, |gap| gap.from);
            if seq < known_from {
                let to = known_from - 1;
                let reason = if to <= released { GapReason::Released } else { GapReason::Missing };
                return Located::Gap(Gap { from: seq, to, reason });
            }
            if seq <= segment.end.seq {
                return Located::Segment(segment.clone());
            }
        }
        Located::Nothing
    }

    /// The present end of a segment, and whether it may still grow; `None` once it was released.
    pub fn end_of(&self, ordinal: u64) -> Option<(SegmentEnd, bool)> {
        let state = self.lock();
        let at = state.segments.binary_search_by_key(&ordinal, |s| s.header.ordinal).ok()?;
        Some((state.segments[at].end, at + 1 == state.segments.len()))
    }

    /// Unlinks what the policy lets go.
    pub fn release(&self, storage: &dyn Storage, policy: &ReleasePolicy) -> Result<Released, FileError> {
        self.unlink_while(storage, |state, _| {
            // A segment is as old as its successor: it was closed when that one began.
            let closed = Duration::from_millis(state.segments[1].header.created_unix_ms);
            let closed = UNIX_EPOCH.checked_add(closed);
            let age = closed.and_then(|closed| policy.now.duration_since(closed).ok());
            age.is_some_and(|age| age >= policy.keep)
        })
    }

    /// Unlinks released segments, however young, until this many bytes are free.
    pub fn make_room(&self, storage: &dyn Storage, bytes: u64) -> Result<Released, FileError> {
        self.unlink_while(storage, |_, released| released.bytes < bytes)
    }

    /// Unlinks from the oldest on, while all a segment holds is released and `more` says so.
    fn unlink_while(
        &self,
        storage: &dyn Storage,
        more: impl Fn(&CatalogState, &Released) -> bool,
    ) -> Result<Released, FileError> {
        let _in_order = self.releasing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut released = Released::default();
        let mut outcome = Ok(());
        loop {
            let oldest = {
                let state = self.lock();
                match state.segments.front() {
                    Some(oldest) if state.may_go(oldest) && more(&state, &released) => oldest.clone(),
                    _ => break,
                }
            };
            if oldest.end_unreadable {
                // It leaves the catalog, so that those behind it can go, and stays on the disk: it may be readable at the
                // next start.
                self.lock().segments.pop_front();
                continue;
            }
            // Out of the lock: unlinking a large file takes the file system milliseconds. The segment leaves the
            // catalog afterwards, so a failure leaves both as they were.
            let name = file_name(oldest.header.ordinal);
            sabotage::reached(Point::UnlinkBefore);
            match storage.remove(&name) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    outcome = Err(FileError::new("removal", &name, error));
                    break;
                }
                _ => {}
            }
            sabotage::reached(Point::UnlinkAfter);
            let mut state = self.lock();
            state.segments.pop_front();
            state.used_bytes -= oldest.file_bytes;
            released.segments += 1;
            released.bytes += oldest.file_bytes;
        }
        if released.segments > 0 {
            // Not for safety (recovery finds these files released again), but so that space is back after a crash.
            outcome = outcome.and(storage.sync_dir().map_err(|e| FileError::new("sync", ".", e)));
        }
        outcome.map(|()| released)
    }
}

impl CatalogState {
    /// The last durable number of the current id.
    pub fn durable_seq(&self) -> u64 {
        self.last_seq(self.current).unwrap_or(0)
    }

    /// The last durable number of an id; `None` when no segment of it is left.
    pub fn last_seq(&self, collector_id: CollectorId) -> Option<u64> {
        self.segments.iter().rev().find(|s| s.header.collector_id == collector_id).map(|s| s.end.seq)
    }

    /// Ids in order of use, with what can be read of each.
    pub fn collectors(&self) -> Vec<CollectorRange> {
        let mut ranges: BTreeMap<CollectorId, usize> = BTreeMap::new();
        let mut ordered: Vec<CollectorRange> = Vec::new();
        for segment in &self.segments {
            let collector_id = segment.header.collector_id;
            let first_seq = segment.header.first_seq;
            let at = *ranges.entry(collector_id).or_insert_with(|| {
                ordered.push(CollectorRange { collector_id, first_seq, last_seq: first_seq - 1 });
                ordered.len() - 1
            });
            ordered[at].last_seq = segment.end.seq;
        }
        ordered
    }

    pub fn current(&self) -> CollectorId {
        self.current
    }

    /// The newest segment never goes: it alone says which number comes next. Nor does the oldest, empty one of an id whose first
    /// numbers were passed over, while nothing of the id is released: it alone says that numbers begin at 1, and who reads
    /// from the first number on would begin behind a hole for ever.
    fn may_go(&self, segment: &Segment) -> bool {
        let Some(next) = self.segments.get(1).map(|next| next.header) else { return false };
        let id = segment.header.collector_id;
        let released = self.checkpoint.get(id).released;
        let passed_over = next.collector_id == id && next.first_seq > segment.end.seq + 1;
        segment.end.seq <= released && (released > 0 || !passed_over)
    }

    fn occupy_newest(&mut self, file_bytes: u64) {
        if let Some(newest) = self.segments.back_mut() {
            let more = file_bytes.saturating_sub(newest.file_bytes);
            newest.file_bytes += more;
            self.used_bytes += more;
        }
    }
}
