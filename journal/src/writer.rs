//! The one thread that writes: takes everything queued, writes it at once, syncs once, and answers.
//!
//! Promises, in order for each group: write, sync, publish to readers, answer. Nothing is answered `Durable` unless the
//! sync of its bytes succeeded. After a failed sync nothing of the group is trusted, nor that sync repeated: the
//! segment is abandoned at its last confirmed end, and the numbers of the group are never used again.
//! A full disk is not a failed disk: the partial write is cut off, the numbers are free, the next group tries again.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{SystemTime, UNIX_EPOCH};

use sabotage::{Bug, Point};

use crate::append::{Durable, Message, Notifier, Request};
use crate::catalog::{Catalog, Segment};
use crate::collector_id::CollectorId;
use crate::config::Config;
use crate::error::{AppendError, FileError, FullCause};
use crate::frame::FrameHeader;
use crate::segment::{Predecessor, SEGMENT_HEADER_BYTES, SegmentEnd, SegmentHeader, file_name};
use crate::storage::{Storage, StorageFile, write_all};

pub(crate) struct Writer {
    pub storage: Arc<dyn Storage>,
    pub catalog: Arc<Catalog>,
    pub config: Config,
    pub notifiers: Vec<Notifier>,
    pub collector_id: CollectorId,
    /// The segment being written; `None` before the first, between two, and while none can be created.
    pub active: Option<Active>,
    /// The end of the segment before the next one to be created.
    pub predecessor: Option<Predecessor>,
    pub next_seq: u64,
    pub next_ordinal: u64,
    pub group: Group,
}

/// The segment being written. What it says is durable.
pub(crate) struct Active {
    pub file: Box<dyn StorageFile>,
    pub ordinal: u64,
    pub salt: u64,
    pub offset: u64,
    pub seq: u64,
}

/// Appends encoded for one write to the active segment.
#[derive(Default)]
pub(crate) struct Group {
    bytes: Vec<u8>,
    appends: Vec<Encoded>,
}

struct Encoded {
    request: Request,
    first_seq: u64,
    last_seq: u64,
}

impl Writer {
    /// Writes until the journal closes.
    pub fn run(mut self, queue: &Receiver<Message>) {
        let _ended = EndOfWriter(Arc::clone(&self.catalog));
        let mut open = true;
        while open {
            let Ok(message) = queue.recv() else { break };
            open = self.take(message);
            // Whatever came while the last group was being synced goes into this one.
            while open && self.group.bytes.len() < self.config.group_bytes_max {
                let Ok(message) = queue.try_recv() else { break };
                open = self.take(message);
            }
            self.commit();
        }
    }

    /// Whether to go on.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Append(request) => self.add(request),
            Message::Notify(notifier) => {
                let durable = self.catalog.lock().durable_seq();
                notifier(durable);
                self.notifiers.push(notifier);
            }
            Message::Close => return false,
        }
        true
    }

    /// Encodes an append behind the others of its group, in the segment that has room for it.
    fn add(&mut self, request: Request) {
        let salt = match self.segment_for(request.frame_bytes() as u64) {
            Ok(salt) => salt,
            Err(error) => {
                self.catalog.count(|counters| counters.failed_appends += 1);
                return request.complete(Err(error));
            }
        };
        let header = FrameHeader {
            payload_bytes: request.records.payload_bytes() as u32,
            first_seq: self.next_seq,
            count: request.records.count(),
            payload_crc: request.payload_crc,
            group_offset: self.group.bytes.len() as u32,
        };
        self.group.bytes.extend_from_slice(&header.encode(salt));
        self.group.bytes.extend_from_slice(request.records.payload());
        let (first_seq, last_seq) = (header.first_seq, header.last_seq());
        self.group.appends.push(Encoded { request, first_seq, last_seq });
        self.next_seq = last_seq + 1;
    }

    /// Sees to it that this many bytes fit the active segment and the capacity; returns the segment's salt.
    fn segment_for(&mut self, bytes: u64) -> Result<u64, AppendError> {
        let grown_to = |active: &Active, group: &Group| active.offset + group.bytes.len() as u64 + bytes;
        if self.active.as_ref().is_some_and(|a| grown_to(a, &self.group) > self.config.segment_bytes) {
            self.commit();
            self.close_segment();
        }
        let header_bytes = if self.active.is_some() { 0 } else { SEGMENT_HEADER_BYTES };
        self.find_room(self.group.bytes.len() as u64 + bytes + header_bytes)?;
        if self.active.is_none() {
            self.begin_segment().map_err(|error| self.append_error(error))?;
        }
        Ok(self.active.as_ref().expect("a segment was begun where there was none").salt)
    }

    fn find_room(&self, bytes: u64) -> Result<(), AppendError> {
        let over = || (self.catalog.lock().used_bytes + bytes).saturating_sub(self.config.capacity_bytes);
        if over() > 0 {
            self.free(over());
        }
        if over() > 0 { Err(self.full(FullCause::Capacity)) } else { Ok(()) }
    }

    /// Unlinks released segments that were only kept for a while.
    fn free(&self, bytes: u64) {
        if let Err(error) = self.catalog.make_room(self.storage.as_ref(), bytes) {
            tracing::warn!(%error, cause = %error.source, "journal is full and could not unlink a released segment");
        }
    }

    /// Creates the next segment, durable with its name before anything is written behind its header.
    pub fn begin_segment(&mut self) -> Result<(), FileError> {
        let header = SegmentHeader {
            ordinal: self.next_ordinal,
            collector_id: self.collector_id,
            first_seq: self.next_seq,
            salt: rand::random(),
            created_unix_ms: unix_ms(SystemTime::now()),
            predecessor: self.predecessor,
        };
        // A name is used once: what a failed creation leaves behind is not written over.
        self.next_ordinal += 1;
        let name = file_name(header.ordinal);
        let file = match self.create(&name, &header.encode()) {
            Ok(file) => file,
            Err(error) => {
                // As good as it goes: an empty segment that stays does no harm.
                let _ = self.storage.remove(&name);
                return Err(error);
            }
        };
        let (ordinal, salt) = (header.ordinal, header.salt);
        let (offset, seq) = (SEGMENT_HEADER_BYTES, self.next_seq - 1);
        self.active = Some(Active { file, ordinal, salt, offset, seq });
        self.catalog.begin(Segment::begun(header, SEGMENT_HEADER_BYTES));
        Ok(())
    }

    fn create(&self, name: &str, header: &[u8]) -> Result<Box<dyn StorageFile>, FileError> {
        let file = self.storage.create(name).map_err(|e| FileError::new("creation", name, e))?;
        write_all(file.as_ref(), header, 0).map_err(|e| FileError::new("write", name, e))?;
        file.sync_data().map_err(|e| FileError::new("sync", name, e))?;
        self.storage.sync_dir().map_err(|e| FileError::new("sync", ".", e))?;
        Ok(file)
    }

    /// The next append begins a segment that states where this one ends.
    fn close_segment(&mut self) {
        if let Some(Active { ordinal, offset, seq, .. }) = self.active.take() {
            let end = SegmentEnd { offset, seq, confirmed: offset };
            self.predecessor = Some(Predecessor { ordinal, collector_id: self.collector_id, end });
        }
    }

    /// Writes and syncs the group, then answers everyone in it.
    fn commit(&mut self) {
        let mut appends = std::mem::take(&mut self.group.appends);
        let Some(last) = appends.last() else { return };
        let (first_seq, last_seq, frames) = (appends[0].first_seq, last.last_seq, appends.len() as u64);
        if sabotage::is_active(Bug::AckBeforeWrite) {
            self.answer(&mut appends);
        }
        sabotage::reached(Point::JournalEncoded);
        let outcome = self.write_and_sync(first_seq, last_seq);
        let bytes = self.group.bytes.len() as u64;
        self.group.bytes.clear();
        // One huge append does not keep its memory.
        self.group.bytes.shrink_to(4 * self.config.group_bytes_max);
        match outcome {
            Ok(end) => {
                self.catalog.publish(end, |counters| {
                    counters.groups += 1;
                    counters.appended_frames += frames;
                    counters.appended_records += last_seq - first_seq + 1;
                    counters.appended_bytes += bytes;
                });
                self.answer(&mut appends);
                self.notifiers.iter().for_each(|notify| notify(last_seq));
            }
            Err(error) => {
                self.catalog.count(|counters| counters.failed_appends += frames);
                for Encoded { request, .. } in appends {
                    request.complete(Err(error.clone()));
                }
            }
        }
    }

    fn answer(&self, appends: &mut Vec<Encoded>) {
        for Encoded { request, first_seq, last_seq } in appends.drain(..) {
            request.complete(Ok(Durable::new(self.collector_id, first_seq, last_seq)));
        }
    }

    fn write_and_sync(&mut self, first_seq: u64, last_seq: u64) -> Result<SegmentEnd, AppendError> {
        let active = self.active.as_mut().expect("appends are encoded for the active segment only");
        let written = write_all(active.file.as_ref(), &self.group.bytes, active.offset);
        if let Err(error) = written {
            let error = FileError::new("write", &file_name(active.ordinal), error);
            if error.is_out_of_space() && active.file.truncate(active.offset).is_ok() {
                // Nothing of the group was synced or seen: its numbers are free again.
                self.next_seq = first_seq;
            } else {
                self.abandon_segment(&error);
            }
            return Err(self.append_error(error));
        }
        sabotage::reached(Point::JournalWritten);
        let unsynced = sabotage::is_active(Bug::AckBeforeSync);
        if let Err(error) = if unsynced { Ok(()) } else { active.file.sync_data() } {
            let error = FileError::new("sync", &file_name(active.ordinal), error);
            self.abandon_segment(&error);
            return Err(self.append_error(error));
        }
        sabotage::reached(Point::JournalSynced);
        active.offset += self.group.bytes.len() as u64;
        active.seq = last_seq;
        Ok(SegmentEnd { offset: active.offset, seq: last_seq, confirmed: active.offset })
    }

    /// What was written since the last sync may be on disk or not, now or after a crash. The next segment's header says
    /// that it does not count, and that numbering goes on behind it.
    fn abandon_segment(&mut self, error: &FileError) {
        tracing::error!(%error, cause = %error.source, "journal segment abandoned; its last appends were refused");
        if let Some(active) = &self.active {
            self.catalog.occupy(active.offset + self.group.bytes.len() as u64);
        }
        self.catalog.count(|counters| counters.abandoned_segments += 1);
        self.close_segment();
    }

    /// What an append is told of a failed operation. A full disk is given the space that can be spared, for the next.
    fn append_error(&self, source: FileError) -> AppendError {
        if !source.is_out_of_space() {
            return AppendError::Storage { source };
        }
        self.free(self.config.segment_bytes);
        self.full(FullCause::Disk)
    }

    fn full(&self, cause: FullCause) -> AppendError {
        let used_bytes = self.catalog.lock().used_bytes;
        AppendError::Full { cause, used_bytes, capacity_bytes: self.config.capacity_bytes }
    }
}

/// Wakes those who wait, however the writer ends.
struct EndOfWriter(Arc<Catalog>);

impl Drop for EndOfWriter {
    fn drop(&mut self) {
        self.0.writer_ended();
    }
}

fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
