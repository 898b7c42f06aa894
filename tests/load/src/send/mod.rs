//! Clients that send requests and wait for each answer: in a closed loop as fast as they are answered, or at a fixed rate.
//!
//! Anything but full success ends the run: a benchmark that leaves out refusals measures something else.

mod grpc;
mod http;
mod acknowledged;

use std::cell::Cell as Counter;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use futures::stream::{FuturesUnordered, TryStreamExt as _};
use hdrhistogram::Histogram;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

use crate::cell::Protocol;
use crate::generate::Generator;
pub use acknowledged::Acknowledged;
use grpc::GrpcSender;
use http::HttpSender;

/// Connections of the clients.
pub const CONNECTIONS: usize = 2;
/// Requests in flight on each. HTTP/1.1 has one on a connection, so there it is as many more connections.
pub const IN_FLIGHT: usize = 4;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The clients.
#[derive(Debug)]
pub struct Clients {
    senders: Vec<Sender>,
    next: u64,
}

/// How long and how fast to send.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as answers come, so long.
    For(Duration),
    /// As fast as answers come, so many requests.
    Requests(u64),
    /// So many requests, at this distance from each other, whether answers come or not (while a client is free).
    Every(Duration, u64),
}

/// What came of sending.
#[derive(Debug)]
pub struct Sent {
    /// Numbers of the requests, all acknowledged.
    pub requests: Range<u64>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// From a request's start (at a fixed rate: from when it was due) to its answer, in microseconds.
    pub latency_us: Histogram<u64>,
}

#[derive(Debug)]
enum Sender {
    Grpc(GrpcSender),
    Http(HttpSender),
}

impl Clients {
    /// Connects all of them.
    pub async fn connect(protocol: Protocol, address: &str) -> anyhow::Result<Self> {
        let mut senders = Vec::new();
        for _ in 0..CONNECTIONS {
            match protocol {
                Protocol::Grpc => {
                    let shared = GrpcSender::connect(address).await?;
                    senders.extend((0..IN_FLIGHT).map(|_| Sender::Grpc(shared.clone())));
                }
                Protocol::Http => {
                    for _ in 0..IN_FLIGHT {
                        senders.push(Sender::Http(HttpSender::connect(address).await?));
                    }
                }
            }
        }
        Ok(Self { senders, next: 0 })
    }

    /// Sends from where the last run ended.
    pub async fn send(
        &mut self,
        generator: &Generator,
        pace: Pace,
        acknowledged: &Acknowledged,
    ) -> anyhow::Result<Sent> {
        let queue = Queue { first: self.next, next: Counter::new(self.next), begun: Instant::now(), pace };
        let sending: FuturesUnordered<_> =
            self.senders.iter_mut().map(|sender| send_all(sender, generator, &queue, acknowledged)).collect();
        let mut latency_us = Histogram::new(3)?;
        for own in sending.try_collect::<Vec<_>>().await? {
            latency_us.add(own)?;
        }
        let elapsed = queue.begun.elapsed();
        let requests = self.next..queue.next.get();
        self.next = requests.end;
        Ok(Sent { requests, elapsed, latency_us })
    }
}

/// Hands out the numbers of requests.
struct Queue {
    first: u64,
    next: Counter<u64>,
    begun: Instant,
    pace: Pace,
}

impl Queue {
    /// The next request and when it is due; `None` when enough were sent.
    fn take(&self) -> Option<(u64, Instant)> {
        let (index, now) = (self.next.get(), Instant::now());
        let sent = index - self.first;
        let due = match self.pace {
            Pace::For(duration) => (now < self.begun + duration).then_some(now),
            Pace::Requests(count) => (sent < count).then_some(now),
            Pace::Every(distance, count) => {
                (sent < count).then(|| self.begun + distance.mul_f64(sent as f64))
            }
        }?;
        self.next.set(index + 1);
        Some((index, due))
    }
}

async fn send_all(
    sender: &mut Sender,
    generator: &Generator,
    queue: &Queue,
    acknowledged: &Acknowledged,
) -> anyhow::Result<Histogram<u64>> {
    let mut latency_us = Histogram::new(3)?;
    while let Some((index, due)) = queue.take() {
        if let Pace::Every(..) = queue.pace {
            tokio::time::sleep_until(due.into()).await;
        }
        let body = Bytes::from(generator.request(index));
        // In a closed loop making the request is no part of its latency; at a fixed rate being late is.
        let from = if let Pace::Every(..) = queue.pace { due } else { Instant::now() };
        let answer = tokio::time::timeout(PATIENCE, sender.send(body)).await;
        let answer = answer.with_context(|| format!("no answer within {PATIENCE:?}"))??;
        let answer = ExportTraceServiceResponse::decode(answer).context("an answer is no OTLP")?;
        let rejected = answer.partial_success.filter(|partial| partial.rejected_spans > 0);
        anyhow::ensure!(rejected.is_none(), "spans were rejected: {rejected:?}");
        latency_us.record(u64::try_from(from.elapsed().as_micros())?)?;
        acknowledged.note();
    }
    Ok(latency_us)
}

impl Sender {
    async fn send(&mut self, body: Bytes) -> anyhow::Result<Bytes> {
        match self {
            Self::Grpc(sender) => sender.send(body).await,
            Self::Http(sender) => sender.send(body).await,
        }
    }
}
