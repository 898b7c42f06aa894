//! The task of the trace arm: takes requests from the queue, holds their spans until their traces are decided, and keeps
//! one insert under way.
//!
//! It holds one batch that grows and one that is being inserted, and takes nothing more from the queue while both are
//! full: a database that stalls fills the queue, and a full queue drops.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use domain::TraceId;
use domain::observation::KeyStamp;
use domain::resolve::Rules;
use futures::FutureExt as _;
use schemas::rows::SpanRow;
use tokio::sync::mpsc;
use tokio::task::{JoinError, coop};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Stem;
use super::batch::Batch;
use super::decided::{Decided, Fate};
use super::frame::Frame;
use super::gather::Gathered;
use super::hold::{HeldTrace, Hold, Source};
use super::judge::{Judge, Moment};
use super::portrait::{Portrait, late_costs};
use super::queue::Queued;
use super::row::{Mark, ResourceColumns, RowMaker};
use super::sample::{randomness, stated_randomness};
use super::ship::{ShipError, Sink};
use super::stats::{Snapshot, TraceStats, add};
use crate::decode::AiTraces;
use crate::otlp::{
    ExportRequest, RawSpan, ResourceSpans, ResourceView, ScopeSpans, ScopeView, SpanView, WalkError,
};
use crate::receive::Signal;

/// How long the arm rests after a panic.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// Everything the task owns.
#[derive(Debug)]
pub(super) struct Arm {
    pub(super) queue: mpsc::Receiver<Queued>,
    /// Cancelled when no handle is left to fill the queue.
    pub(super) closed: CancellationToken,
    pub(super) drain: Duration,
    pub(super) stem: Stem,
    pub(super) ai_traces: AiTraces,
    pub(super) settlement: Rules,
    pub(super) judge: Judge,
    pub(super) hold: Hold,
    pub(super) decided: Decided,
    pub(super) maker: RowMaker,
    pub(super) frame: Frame,
    pub(super) batch: Batch,
    pub(super) in_flight: Option<InFlight>,
    pub(super) sink: Sink,
    pub(super) stats: Arc<TraceStats>,
    /// A span whose name makes the walk panic.
    #[cfg(test)]
    pub(super) trap: Option<&'static str>,
}

/// An insert under way; it ends with the arm.
#[derive(Debug)]
pub(super) struct InFlight {
    rows: usize,
    insert: AbortOnDropHandle<Result<(), ShipError>>,
}

impl Arm {
    /// Works until no handle is left and everything kept is inserted or dropped, or the drain's time is over.
    pub(super) async fn run(mut self) -> Snapshot {
        let (closed, drain) = (self.closed.clone(), self.drain);
        let overdue = async move {
            closed.cancelled().await;
            sleep(drain).await;
        };
        tokio::select! {
            () = self.work_on() => {}
            () = overdue => {}
        }
        self.abandon();
        let stats = self.stats.snapshot();
        tracing::info!(inserted = stats.spans_inserted, kept = stats.spans_kept, "trace arm stopped");
        stats
    }

    /// Works, and starts again where it failed. The request it failed over is lost, the batch stands.
    async fn work_on(&mut self) {
        while AssertUnwindSafe(self.work()).catch_unwind().await.is_err() {
            add(&self.stats.panics, 1);
            tracing::error!(
                "the trace arm failed and goes on without the request it failed over; billing is not affected"
            );
            // A fault that does not go away must not keep a processor busy.
            sleep(RESTART_PAUSE).await;
        }
    }

    async fn work(&mut self) {
        loop {
            let due_at = self.batch.due_at().filter(|_| self.in_flight.is_none());
            let decision_at = self.hold.due_at();
            tokio::select! {
                queued = self.queue.recv() => match queued {
                    Some(queued) => self.take_in(queued).await,
                    None => break,
                },
                ended = ended(&mut self.in_flight) => self.settle(ended),
                () = until(due_at) => self.send(),
                () = until(decision_at) => {}
            }
            self.decide_due().await;
        }
        self.decide_all().await;
        self.make_room().await;
        self.finish_insert().await;
    }

    /// Takes in one request that waits, and decides what is due.
    #[cfg(test)]
    pub(super) async fn take_next(&mut self) {
        let queued = self.queue.recv().await.expect("a request waits");
        self.take_in(queued).await;
        self.decide_due().await;
    }

    async fn take_in(&mut self, queued: Queued) {
        if let Err(error) = self.walk(queued.body(), queued.key()).await {
            add(&self.stats.requests_malformed, 1);
            tracing::debug!(%error, "the rest of a malformed request is not sampled");
        }
        queued.walked();
    }

    /// Holds the spans of a request; those of traces that are decided follow the decision at once.
    async fn walk(&mut self, body: &[u8], key: &KeyStamp) -> Result<(), WalkError> {
        let mut gathered = Gathered::default();
        let received_at = self.stem.clock.received_at();
        let decoded = self.stem.decoder.read(body, key, received_at, &self.ai_traces, &mut gathered);
        for group in ExportRequest::new(body).resource_spans() {
            let group = group?;
            for scope in group.scope_spans() {
                self.walk_scope(&group, &scope?, &gathered).await?;
            }
        }
        for (trace, evidence, bytes) in gathered.into_traces() {
            self.hold.add_evidence(trace, evidence, bytes);
        }
        decoded.map(drop)
    }

    async fn walk_scope(
        &mut self,
        group: &ResourceSpans<'_>,
        scope: &ScopeSpans<'_>,
        gathered: &Gathered,
    ) -> Result<(), WalkError> {
        let mut source = None;
        for span in scope.spans() {
            // A large request must not keep the billing arm's tasks off this thread.
            coop::consume_budget().await;
            let Ok(span) = span?.read() else {
                add(&self.stats.spans_unreadable, 1);
                continue;
            };
            #[cfg(test)]
            assert_ne!(self.trap, Some(span.name), "the trap of a test");
            match self.decided.get(span.trace_id) {
                Some(Fate::Left) => {
                    add(&self.stats.spans_late, 1);
                    add(&self.stats.spans_sampled_out, 1);
                }
                Some(Fate::Kept { sampler, randomness, reason }) => {
                    add(&self.stats.spans_late, 1);
                    let prices = self.stem.prices.as_mut();
                    let evidence = gathered.of(span.trace_id);
                    let own = evidence.iter().filter(|evidence| evidence.span() == span.span_id).cloned();
                    let costs = late_costs(&own.collect::<Vec<_>>(), &self.settlement, prices);
                    let estimated_cost = costs.get(&span.span_id).copied();
                    let kept = sampler.mark(randomness, span.trace_state);
                    let resource = self.maker.resource(&group.resource);
                    let mark = Mark { kept, reason, estimated_cost };
                    if self.stem.forwards.wants(Signal::Traces) {
                        let source = source.get_or_insert_with(|| self.hold.source(group, scope));
                        self.forward(&span, source, &mark);
                    }
                    let row = self.maker.row(&span, &mark, &resource, &scope.scope);
                    self.push(row).await;
                }
                None => {
                    let source = source.get_or_insert_with(|| self.hold.source(group, scope));
                    let randomness = stated_randomness(span.trace_state);
                    self.hold.push(span.trace_id, span.bytes(), Arc::clone(source), randomness);
                }
            }
        }
        Ok(())
    }

    /// Decides every trace whose time has come, and the oldest while too much is held.
    async fn decide_due(&mut self) {
        loop {
            let early = self.hold.is_over();
            let Some((trace, held)) = self.hold.take_due(Instant::now()) else { return };
            if early {
                add(&self.stats.traces_early, 1);
            }
            self.decide(trace, held).await;
            coop::consume_budget().await;
        }
    }

    /// Decides everything that is held.
    pub(super) async fn decide_all(&mut self) {
        while let Some((trace, held)) = self.hold.take_oldest() {
            self.decide(trace, held).await;
        }
    }

    async fn decide(&mut self, trace: TraceId, held: HeldTrace) {
        let portrait = Portrait::of(&held, &self.settlement, self.stem.prices.as_mut());
        let now = Moment { second: self.stem.clock.unix_micros().div_euclid(1_000_000) };
        let verdict = self.judge.judge(&portrait, now);
        let randomness = held.randomness.unwrap_or_else(|| randomness(trace));
        let Some(sampler) = verdict.sampler.filter(|sampler| sampler.keeps(randomness)) else {
            add(&self.stats.traces_left, 1);
            add(&self.stats.spans_sampled_out, held.spans.len());
            self.decided.insert(trace, Fate::Left);
            return;
        };
        let reason = verdict.reason;
        add(&self.stats.traces_kept[reason as usize], 1);
        self.decided.insert(trace, Fate::Kept { sampler, randomness, reason });
        let mut shared: Option<(&Arc<Source>, ResourceColumns)> = None;
        for held in &held.spans {
            let (Ok(span), Ok(scope)) = (RawSpan::of(&held.bytes).read(), ScopeView::of(&held.source.scope))
            else {
                continue;
            };
            if shared.as_ref().is_none_or(|(source, _)| !Arc::ptr_eq(source, &held.source)) {
                let resource = self.maker.resource(&ResourceView::of(&held.source.resource));
                shared = Some((&held.source, resource));
            }
            let Some((_, resource)) = &shared else { continue };
            let kept = sampler.mark(randomness, span.trace_state);
            let estimated_cost = portrait.costs.get(&span.span_id).copied();
            let mark = Mark { kept, reason, estimated_cost };
            let row = self.maker.row(&span, &mark, resource, &scope);
            if self.stem.forwards.wants(Signal::Traces) {
                self.forward(&span, &held.source, &mark);
            }
            self.push(row).await;
        }
    }

    /// Adds a kept span to what the backends are sent. What of it does not hold together they would refuse.
    fn forward(&mut self, span: &SpanView<'_>, source: &Source, mark: &Mark<'_>) {
        if let Err(error) = self.frame.push(span, source, mark) {
            tracing::debug!(%error, "a kept span is not forwarded");
        }
        if self.frame.is_full() {
            self.send_frame();
        }
    }

    fn send_frame(&mut self) {
        if let Some(request) = self.frame.take() {
            self.stem.forwards.offer(Signal::Traces, &request);
        }
    }

    async fn push(&mut self, row: SpanRow) {
        if !self.batch.has_room_for(&row) {
            self.make_room().await;
        }
        add(&self.stats.spans_kept, 1);
        self.batch.push(row);
    }

    /// Sends the batch on its way, after the one before it.
    async fn make_room(&mut self) {
        self.finish_insert().await;
        self.send();
    }

    async fn finish_insert(&mut self) {
        if self.in_flight.is_some() {
            let ended = ended(&mut self.in_flight).await;
            self.settle(ended);
        }
    }

    fn send(&mut self) {
        debug_assert!(self.in_flight.is_none(), "one insert at a time");
        self.send_frame();
        let rows = self.batch.take();
        if !rows.is_empty() {
            let (count, insert) = (rows.len(), self.sink.clone().insert(rows));
            self.in_flight =
                Some(InFlight { rows: count, insert: AbortOnDropHandle::new(tokio::spawn(insert)) });
        }
    }

    fn settle(&mut self, (rows, result): (usize, Result<Result<(), ShipError>, JoinError>)) {
        self.in_flight = None;
        let counter = match result {
            Ok(Ok(())) => &self.stats.spans_inserted,
            Ok(Err(error)) => {
                tracing::warn!(spans = rows, error = %chain(&error), "sampled spans were dropped; billing is not affected");
                &self.stats.spans_dropped_sink_error
            }
            Err(_panicked) => {
                add(&self.stats.panics, 1);
                tracing::error!(spans = rows, "an insert of sampled spans failed; billing is not affected");
                &self.stats.spans_dropped_sink_error
            }
        };
        add(counter, rows);
    }

    /// Counts what is left when the arm stops. Requests that still wait count themselves when they are dropped.
    fn abandon(&mut self) {
        let in_flight = self.in_flight.take().map_or(0, |insert| insert.rows);
        add(&self.stats.spans_abandoned, self.batch.len() + in_flight);
        add(&self.stats.spans_abandoned_held, self.hold.spans());
        self.queue.close();
        while self.queue.try_recv().is_ok() {}
    }
}

/// Waits for the insert under way, for ever where there is none. Dropped, it loses nothing.
async fn ended(in_flight: &mut Option<InFlight>) -> (usize, Result<Result<(), ShipError>, JoinError>) {
    match in_flight {
        Some(insert) => (insert.rows, (&mut insert.insert).await),
        None => match std::future::pending::<Infallible>().await {},
    }
}

/// Waits for a moment, for ever where there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
