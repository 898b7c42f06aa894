//! The way in: a bounded queue to the writer, and the proof that comes back.
//!
//! Promises: a refused append is refused at once and its completion is dropped uncalled; an accepted one has its
//! completion called exactly once, with an error if the writer ends first. Leaves writing to `writer`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SendError, Sender, channel};

use crate::collector_id::CollectorId;
use crate::config::Config;
use crate::error::AppendError;
use crate::frame::frame_bytes;
use crate::record::Records;

/// Proof that records are on disk. Only the writer makes one, after the sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    collector_id: CollectorId,
    first_seq: u64,
    last_seq: u64,
}

impl Durable {
    pub(crate) fn new(collector_id: CollectorId, first_seq: u64, last_seq: u64) -> Self {
        Self { collector_id, first_seq, last_seq }
    }

    /// The id under which the records are numbered.
    pub fn collector_id(&self) -> CollectorId {
        self.collector_id
    }

    /// The number of the first record.
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// The number of the last record; those between are the records between, in order.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }
}

/// Submits records to a journal. Clones share its queue.
#[derive(Clone)]
pub struct Appender {
    queue: Arc<Queue>,
    writer: Sender<Message>,
}

pub(crate) enum Message {
    Append(Request),
    Notify(Notifier),
    /// Write what was queued before this, then end.
    Close,
}

/// Told the last durable number after each group.
pub(crate) type Notifier = Box<dyn Fn(u64) + Send>;

/// One append on its way to the disk.
pub(crate) struct Request {
    pub records: Records,
    pub payload_crc: u32,
    completion: Completion,
    _place: Place,
}

impl Appender {
    pub(crate) fn new(queue: Arc<Queue>, writer: Sender<Message>) -> Self {
        Self { queue, writer }
    }

    /// Queues records to become durable together. `completion` is called on the writer's thread, so it must be short
    /// and must not wait for this journal; what it is told is the outcome, and until then nothing is known.
    ///
    /// # Errors
    /// Refused at once: too much is queued, the records can never fit, there are none, or the journal is closed.
    /// `completion` is then not called.
    pub fn submit(
        &self,
        records: Records,
        completion: impl FnOnce(Result<Durable, AppendError>) + Send + 'static,
    ) -> Result<(), AppendError> {
        if records.is_empty() {
            return Err(AppendError::Empty);
        }
        let bytes = frame_bytes(&records);
        if bytes > self.queue.frame_bytes_max {
            return Err(AppendError::TooLarge { bytes, frame_bytes_max: self.queue.frame_bytes_max });
        }
        let place = Place::take(&self.queue, bytes)?;
        // Summed here, on one of many threads, rather than on the one that writes.
        let payload_crc = crc32c::crc32c(records.payload());
        let completion = Completion(Some(Box::new(completion)));
        let request = Request { records, payload_crc, completion, _place: place };
        self.writer.send(Message::Append(request)).map_err(|SendError(message)| {
            if let Message::Append(mut request) = message {
                request.completion.0 = None;
            }
            AppendError::Closed
        })
    }

    /// Appends and waits for the outcome, blocking this thread.
    ///
    /// # Errors
    /// Whatever the append meets, refusals included.
    pub fn append(&self, records: Records) -> Result<Durable, AppendError> {
        let (outcome, told) = channel();
        self.submit(records, move |result| {
            // The receiver waits below for as long as this can be called.
            let _ = outcome.send(result);
        })?;
        told.recv().unwrap_or(Err(AppendError::Closed))
    }
}

impl Request {
    pub fn frame_bytes(&self) -> usize {
        frame_bytes(&self.records)
    }

    pub fn complete(mut self, outcome: Result<Durable, AppendError>) {
        self.completion.call(outcome);
    }
}

type Callback = Box<dyn FnOnce(Result<Durable, AppendError>) + Send>;

/// Fails closed: dropped without an outcome, it says that the journal is closed.
struct Completion(Option<Callback>);

impl Completion {
    fn call(&mut self, outcome: Result<Durable, AppendError>) {
        if let Some(callback) = self.0.take() {
            callback(outcome);
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.call(Err(AppendError::Closed));
    }
}

/// How much is on its way, against its bounds.
pub(crate) struct Queue {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    requests_max: usize,
    bytes_max: usize,
    frame_bytes_max: usize,
}

impl Queue {
    pub fn new(config: &Config) -> Self {
        Self {
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            requests_max: config.queue_requests_max,
            bytes_max: config.queue_bytes_max,
            frame_bytes_max: config.frame_bytes_max,
        }
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A request's place in the queue, given back when the request is done with. The counts bound memory and order
/// nothing, so relaxed atomics do.
struct Place {
    queue: Arc<Queue>,
    bytes: usize,
}

impl Place {
    fn take(queue: &Arc<Queue>, bytes: usize) -> Result<Self, AppendError> {
        let requests_before = queue.requests.fetch_add(1, Ordering::Relaxed);
        let bytes_before = queue.bytes.fetch_add(bytes, Ordering::Relaxed);
        let place = Self { queue: Arc::clone(queue), bytes };
        if requests_before >= queue.requests_max || bytes_before.saturating_add(bytes) > queue.bytes_max {
            return Err(AppendError::Busy { queued_requests: requests_before, queued_bytes: bytes_before });
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.requests.fetch_sub(1, Ordering::Relaxed);
        self.queue.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
