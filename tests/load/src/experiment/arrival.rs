//! Waiting until what was sent is where it should come to: in the ledger, or for Rotel in `otel_traces`.

use std::time::{Duration, Instant};

use crate::cell::Protocol;
use crate::generate::Generator;
use crate::ledger::Ledger;
use crate::send::{Acknowledged, CONNECTIONS, Clients, IN_FLIGHT, Pace};
use crate::subject::{Ledgerline, Subject};

/// How long nothing may arrive before a run is given up: longer than settlement waits for a quiet trace.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The way of spans from a collector into an engine.
pub struct Arrival {
    /// The collector.
    pub subject: Subject,
    /// The process of the engine.
    pub engine: Ledgerline,
    ledger: Ledger,
}

impl Arrival {
    /// From one to the other.
    pub fn new(subject: Subject, engine: Ledgerline) -> Self {
        let ledger = Ledger::at(&engine.clickhouse);
        Self { subject, engine, ledger }
    }

    /// Connects, sends a few requests and waits for them, so that what is done once (tables, prices, connections) is done;
    /// returns how many spans that were.
    pub async fn warm_up(&self, protocol: Protocol, generator: &Generator) -> anyhow::Result<(Clients, u64)> {
        let mut clients = Clients::connect(protocol, self.subject.address(protocol)).await?;
        let requests = (CONNECTIONS * IN_FLIGHT) as u64;
        clients.send(generator, Pace::Requests(requests), &Acknowledged::default()).await?;
        let spans = requests * generator.batch();
        self.wait_for(spans).await?;
        Ok((clients, spans))
    }

    /// Spans that have arrived. For Ledgerline by its own count, and [`Self::check`] asks the ledger in the end: asking it
    /// each time would be paid by the engine that is measured.
    pub async fn spans(&self) -> anyhow::Result<u64> {
        match &self.subject {
            Subject::Ledgerline(server) => server.calls_posted().await,
            Subject::Rotel(_) => self.ledger.traces().await,
        }
    }

    /// Waits for so many; returns how long it took. Fails when more are there, or nothing comes any more.
    pub async fn wait_for(&self, spans: u64) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let (mut seen, mut seen_at) = (0, begun);
        loop {
            let now = self.spans().await?;
            self.subject.process().spent()?;
            anyhow::ensure!(now <= spans, "{spans} spans were sent and {now} arrived");
            if now == spans {
                return Ok(begun.elapsed());
            }
            if now != seen {
                (seen, seen_at) = (now, Instant::now());
            }
            let words = self.subject.process().last_words();
            anyhow::ensure!(
                seen_at.elapsed() < PATIENCE,
                "{spans} spans were sent and {now} arrived, none for {PATIENCE:?}; {words}"
            );
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Fails unless the ledger holds exactly the first `requests` of a generator. Rotel has no ledger.
    pub async fn check(&self, generator: &Generator, requests: u64) -> anyhow::Result<()> {
        match self.subject {
            Subject::Ledgerline(_) => self.ledger.check(&generator.manifest(0..requests)).await,
            Subject::Rotel(_) => Ok(()),
        }
    }
}
