//! The task that cuts batches: first those an earlier run fixed, id by id, then whatever comes.
//!
//! Promises: a batch is handed on only with bounds that a restart finds again; a new one is gathered only when the one
//! before was taken; what fails is tried again and reported. It ends when its input ended and nothing is left, or when
//! nobody takes batches any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::{AppendError, CollectorId, Journal, Records};
use sabotage::{Bug, Point};
use schemas::rows::ObservationRow;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{mpsc, watch};

use super::bounds::Seal;
use super::decide::{Action, Waiting, decide};
use super::gather::{GatherError, Gathered, Gatherer};
use super::open_batch::Limits;
use super::recall::Recalled;
use super::retry::{Attempts, RetryPolicy, Trouble};
use crate::append::{self, Appended, Clock, blocking};

/// How often a segment may fail to be read before what cannot be read is given up as a gap. With the default waits
/// that takes about a minute.
const READ_FAILURES_MAX: u64 = 12;

/// A batch whose bounds are fixed. Only the sealer makes one.
#[derive(Debug)]
pub(crate) struct SealedBatch {
    seal: Seal,
    /// The seal that the rows would get: the same, unless the journal lost records since.
    read: Seal,
    rows: Vec<ObservationRow>,
    completes: bool,
}

impl SealedBatch {
    /// A batch that a test sealed.
    #[cfg(test)]
    pub fn of(seal: Seal, read: Seal, rows: Vec<ObservationRow>) -> Self {
        Self { seal, read, rows, completes: false }
    }

    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    pub fn rows(&self) -> &[ObservationRow] {
        &self.rows
    }

    /// Whether the rows are those that were sealed. If not, the journal lost some since; an earlier run may have sent
    /// them.
    pub fn is_faithful(&self) -> bool {
        self.read == self.seal
    }

    /// Whether it is the last of an id that gets no more records.
    pub fn completes_collector(&self) -> bool {
        self.completes
    }
}

/// What the sealer tells of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct SealerReport {
    /// Under the current id, positions behind this one …
    pub blank_after: u64,
    /// … up to this one hold no evidence.
    pub blank_through: u64,
    /// Positions that hold nothing, and never held anything acknowledged.
    pub void_positions: u64,
    /// Positions whose acknowledged records cannot be read.
    pub lost_positions: u64,
    /// What fails.
    pub trouble: Option<Trouble>,
}

/// The task. See the module.
pub(crate) struct Sealer {
    pub journal: Arc<Journal>,
    pub appended: Appended,
    pub limits: Limits,
    pub interval: Duration,
    pub retry: RetryPolicy,
    pub clock: Clock,
    /// Up to where somebody waits for the current id's positions to be committed.
    pub flush: watch::Receiver<u64>,
    pub batches: mpsc::Sender<SealedBatch>,
    pub report: watch::Sender<SealerReport>,
}

/// Nobody takes batches, or the journal takes no seals, any more.
struct Stopped;

/// Where cutting stands in the positions of one collector id.
struct Course {
    gatherer: Option<Gatherer>,
    next_first: u64,
    /// The last position, of an id that gets no more.
    end: Option<u64>,
}

impl Sealer {
    /// Cuts until there is nothing more to cut.
    pub async fn run(mut self) {
        // Either way the rest stays in the journal.
        let (Ok(()) | Err(Stopped)) = self.seal_all().await;
    }

    async fn seal_all(&mut self) -> Result<(), Stopped> {
        let mut recalled = self.recall().await;
        let current = self.journal.collector_id();
        for range in self.journal.collectors() {
            let end = (range.collector_id != current).then_some(range.last_seq);
            let mut course = self.course(range.collector_id, range.first_seq, end, &mut recalled);
            self.seal_recalled(range.collector_id, &mut course, &mut recalled).await?;
            match end {
                Some(end) => self.cut_through(&mut course, end).await?,
                None => self.follow(&mut course).await?,
            }
        }
        Ok(())
    }

    async fn recall(&mut self) -> Recalled {
        let mut attempts = Attempts::new("recalling sealed batches", self.retry, self.clock.clone());
        loop {
            let journal = Arc::clone(&self.journal);
            let give_up = attempts.trouble().is_some_and(|trouble| trouble.failures >= READ_FAILURES_MAX);
            match blocking(move || Recalled::from_journal(&journal, give_up)).await {
                Ok(recalled) => {
                    attempts.succeeded();
                    self.tell_trouble(&attempts);
                    return recalled;
                }
                Err(error) => self.wait_after(&mut attempts, error).await,
            }
        }
    }

    /// Where to begin with an id. `held` is the first position that the journal still has.
    fn course(&self, id: CollectorId, held: u64, end: Option<u64>, recalled: &mut Recalled) -> Course {
        let shipped = self.journal.checkpoint().get(id).shipped;
        let mut next_first = shipped + 1;
        if shipped == 0 && held > 1 {
            // Segments go only by a checkpoint, and this one knows of none: it is lost. What is gone was settled, and
            // what is sent again is the same rows again, in the batches known to have been.
            next_first = recalled.next_from(id.to_bytes(), 1).map_or(held, |seal| seal.first_seq.min(held));
            tracing::warn!(collector = %id, from = next_first, "journal checkpoint is lost; shipping again what the journal has");
        }
        Course { gatherer: Some(Gatherer::new(Arc::clone(&self.journal), id, next_first)), next_first, end }
    }

    /// Batches whose bounds are fixed already, and new ones where seals between them are lost.
    async fn seal_recalled(
        &mut self,
        id: CollectorId,
        course: &mut Course,
        recalled: &mut Recalled,
    ) -> Result<(), Stopped> {
        while let Some(seal) = recalled.next_from(id.to_bytes(), course.next_first) {
            self.cut_through(course, seal.first_seq - 1).await?;
            let place = self.place().await?;
            let (read, rows, _) = self.gather_through(course, seal.last_seq, Limits::NONE).await;
            // Anew: the sync of what can be read may have failed, and its process been killed over that. Then the next power
            // cut takes these bounds away, and others would be found behind rows that stand under these.
            self.fix(&seal, true).await?;
            hand_on(place, course, seal, read, rows);
        }
        Ok(())
    }

    /// New batches up to a given position, whatever is there.
    async fn cut_through(&mut self, course: &mut Course, through: u64) -> Result<(), Stopped> {
        while course.next_first <= through {
            let place = self.place().await?;
            let (seal, rows, at_limit) = self.gather_through(course, through, self.limits).await;
            self.fix(&seal, at_limit).await?;
            hand_on(place, course, seal, seal, rows);
        }
        Ok(())
    }

    /// New batches as evidence comes, until no more can.
    async fn follow(&mut self, course: &mut Course) -> Result<(), Stopped> {
        let mut scanned = course.next_first - 1;
        let mut since = None;
        let mut open = true;
        loop {
            self.tell_blank(course.next_first - 1, scanned);
            let durable = self.journal.stat().durable_seq;
            let positions = durable.saturating_sub(scanned);
            let now = Instant::now();
            if positions == 0 {
                since = None;
            }
            let since_known = *since.get_or_insert(now);
            let flush = *self.flush.borrow_and_update() > scanned;
            let waiting = Waiting { positions, since: since_known, flush, ended: !open };
            match decide(&waiting, now, self.limits.rows_max, self.interval) {
                Action::Rest if !open => return Ok(()),
                Action::Rest => open = self.wait(None).await,
                Action::Until(due) => open = self.wait(Some(due)).await,
                Action::Cut => {
                    let place = self.place().await?;
                    match self.gather(course, None, self.limits).await {
                        Gathered::Blank { through } => (scanned, since) = (through.max(scanned), None),
                        Gathered::Batch { seal, rows, at_limit } => {
                            let sealed_at = self.fix(&seal, at_limit).await?;
                            // Mostly the seal stands right behind what it seals: then there is no need to look.
                            scanned = seal.last_seq + u64::from(sealed_at == Some(seal.last_seq + 1));
                            hand_on(place, course, seal, seal, rows);
                            // What a limit cut off has waited as long, and is cut next.
                            since = since.filter(|_| at_limit);
                        }
                    }
                }
            }
        }
    }

    /// Waits until something changes; returns whether more can still come.
    async fn wait(&mut self, due: Option<Instant>) -> bool {
        let at_due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            more = self.appended.more() => more,
            // The shipper keeps a sender, so this only ends by a request.
            _ = self.flush.changed() => true,
            () = at_due => true,
        }
    }

    /// A place for one batch: free when the one before was taken.
    async fn place(&self) -> Result<OwnedPermit<SealedBatch>, Stopped> {
        self.batches.clone().reserve_owned().await.map_err(|_| Stopped)
    }

    async fn gather_through(
        &mut self,
        course: &mut Course,
        through: u64,
        limits: Limits,
    ) -> (Seal, Vec<ObservationRow>, bool) {
        match self.gather(course, Some(through), limits).await {
            Gathered::Batch { seal, rows, at_limit } => (seal, rows, at_limit),
            Gathered::Blank { .. } => unreachable!("a range with a given end is a batch, evidence or not"),
        }
    }

    async fn gather(&mut self, course: &mut Course, through: Option<u64>, limits: Limits) -> Gathered {
        let mut attempts = Attempts::new("reading the journal", self.retry, self.clock.clone());
        let first = course.next_first;
        loop {
            let mut gatherer = course.gatherer.take().expect("it is put back below");
            let (mut gatherer, outcome) = blocking(move || {
                let outcome = gatherer.gather(first, through, limits);
                (gatherer, outcome)
            })
            .await;
            let losses = gatherer.take_losses();
            self.report.send_modify(|report| {
                report.void_positions += losses.void;
                report.lost_positions += losses.lost;
            });
            let failures = attempts.trouble().map_or(0, |trouble| trouble.failures);
            if matches!(outcome, Err(GatherError::Read(_))) && failures >= READ_FAILURES_MAX {
                gatherer.skip_unreadable();
            }
            course.gatherer = Some(gatherer);
            match outcome {
                Ok(gathered) => {
                    attempts.succeeded();
                    self.tell_trouble(&attempts);
                    return gathered;
                }
                Err(error) => self.wait_after(&mut attempts, error).await,
            }
        }
    }

    /// Makes bounds durable before anyone sees the batch. Returns the seal's own position; none in a full journal.
    async fn fix(&mut self, seal: &Seal, at_limit: bool) -> Result<Option<u64>, Stopped> {
        if sabotage::is_active(Bug::SealNotSynced) {
            return Ok(None);
        }
        let mut attempts = Attempts::new("sealing a batch in the journal", self.retry, self.clock.clone());
        loop {
            let mut records = Records::new();
            records.push(append::SEAL, &seal.encode());
            let outcome = match append::submit(&self.journal.appender(), records) {
                Ok(durable) => durable.await,
                Err(refused) => Err(refused),
            };
            match outcome {
                Ok(durable) => {
                    sabotage::reached(Point::SealFixed);
                    attempts.succeeded();
                    self.tell_trouble(&attempts);
                    return Ok(Some(durable.first_seq()));
                }
                // Waiting for room would wait for ever: only shipping makes some. The same cut is found again.
                Err(AppendError::Full { .. }) if at_limit => return Ok(None),
                Err(AppendError::Closed) => return Err(Stopped),
                Err(error) => self.wait_after(&mut attempts, error).await,
            }
        }
    }

    async fn wait_after(&self, attempts: &mut Attempts, error: impl std::error::Error) {
        let wait = attempts.failed(&error);
        drop(error);
        self.tell_trouble(attempts);
        tokio::time::sleep(wait).await;
    }

    fn tell_blank(&self, after: u64, through: u64) {
        self.report.send_if_modified(|report| {
            let changed = (report.blank_after, report.blank_through) != (after, through);
            (report.blank_after, report.blank_through) = (after, through);
            changed
        });
    }

    fn tell_trouble(&self, attempts: &Attempts) {
        self.report.send_if_modified(|report| {
            let changed = report.trouble.as_ref() != attempts.trouble();
            report.trouble = attempts.trouble().cloned();
            changed
        });
    }
}

fn hand_on(
    place: OwnedPermit<SealedBatch>,
    course: &mut Course,
    seal: Seal,
    read: Seal,
    rows: Vec<ObservationRow>,
) {
    assert_eq!(seal.first_seq, course.next_first, "batches of a collector are contiguous");
    course.next_first = seal.last_seq + 1;
    place.send(SealedBatch { seal, read, rows, completes: course.end == Some(seal.last_seq) });
}
