//! Closing and issuing, stopped at every write: whatever became of the write, doing it again ends in the same month and the
//! same invoices, and two that issue at once issue once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use billing::invoice::{self, Invoice};
use billing::period::{self, CloseOptions};
use billing::settle::{SettleConfig, Settler};
use domain::resolve::Rules;
use domain::time::BillingPeriod;
use schemas::rows::PeriodRow;
use schemas::{Database, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;

const TERMS: &str = r#"
[[plan]]
name = "all"
markup_percent = 20
discount_percent = 5
minimum = "1"
round = "coin"
[[assign]]
tenant = "*"
plan = "all"
[[plan]]
name = "euros"
minimum = "1"
invoice_currency = "EUR"
[[assign]]
tenant = "globex"
plan = "euros"
[[credit]]
tenant = "acme"
name = "welcome"
amount = "0.25"
[[tax]]
tenant = "*"
name = "VAT"
percent = 19
"#;

const RATES: &str = r#"
source = "ECB euro reference rates"
[[rate]]
base = "USD"
quote = "EUR"
rate = 0.8571
date = 2026-10-30
"#;

/// What becomes of the write at which the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It never arrives.
    Before,
    /// It arrives, and its answer does not come back.
    After,
}

/// A way to the database that ends at a write, as a process does that is killed there: from then on nothing gets through.
pub struct Fragile {
    pub url: String,
    /// Writes that still get through.
    left: Arc<AtomicI64>,
}

impl Fragile {
    pub async fn open(upstream: &str, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let left = Arc::new(AtomicI64::new(0));
        let (upstream, counted) = (upstream.trim_start_matches("http://").to_string(), Arc::clone(&left));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, left) = (upstream.clone(), Arc::clone(&counted));
                // A connection that ends in an error has ended as it should.
                tokio::spawn(async move {
                    let _ = carry(client, &upstream, &left, cut).await;
                });
            }
        });
        Self { url, left }
    }

    /// Lets so many writes through before the one that ends it.
    pub fn allow(&self, writes: i64) {
        self.left.store(writes, Ordering::SeqCst);
    }
}

/// Below zero: the process is dead.
fn is_dead(left: &AtomicI64) -> bool {
    left.load(Ordering::SeqCst) < 0
}

async fn carry(mut client: TcpStream, upstream: &str, left: &AtomicI64, cut: Cut) -> std::io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    let (mut from_client, mut from_server) = (vec![0_u8; 64 * 1024], vec![0_u8; 64 * 1024]);
    let mut last = false;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let read = read?;
                let sent = &from_client[..read];
                if read == 0 || (is_dead(left) && !last) {
                    return Ok(());
                }
                // The head of an insert names its statement.
                if sent.windows(11).any(|words| words == b"INSERT+INTO" || words == b"INSERT%20IN") {
                    last = left.fetch_sub(1, Ordering::SeqCst) == 0;
                    if last && cut == Cut::Before {
                        return Ok(());
                    }
                }
                server.write_all(sent).await?;
            }
            read = server.read(&mut from_server) => {
                let read = read?;
                // The database has answered, so it has done what it was asked.
                if read == 0 || last {
                    return Ok(());
                }
                client.write_all(&from_server[..read]).await?;
            }
        }
    }
}

fn now() -> i64 {
    chrono::Utc::now().timestamp_nanos_opt().unwrap()
}

fn october() -> BillingPeriod {
    BillingPeriod::parse("2026-10").unwrap()
}

/// A settler as a process of its own has it.
async fn settler(database: Database) -> Result<Settler, String> {
    let forever = i64::MAX / 4;
    let rules = Rules { late_limit_nanos: forever, future_limit_nanos: forever };
    let config = SettleConfig { rules, ..SettleConfig::default() };
    Box::pin(Settler::open(database, config, [7; 16], now)).await.map_err(|error| error.to_string())
}

/// Closes October and issues it.
async fn issue(database: Database, options: &CloseOptions) -> Result<Vec<Invoice>, String> {
    let mut settler = settler(database).await?;
    Box::pin(invoice::issue(&mut settler, october(), options, now())).await.map_err(|error| error.to_string())
}

/// What October was closed with and issued as, but for the times and names of who did it.
async fn outcome(database: &Database) -> (PeriodRow, Vec<Invoice>) {
    let mut closed = database.closed_months().await.unwrap();
    assert_eq!(closed.len(), 1);
    let mut invoices = invoice::issued(database, october()).await.unwrap();
    for invoice in &mut invoices {
        invoice.issued.as_mut().unwrap().at = 0;
    }
    (PeriodRow { closed_at: 0, settler: [0; 16], chain_heads: Vec::new(), ..closed.remove(0) }, invoices)
}

/// A copy of the ledger and all it stands on.
pub async fn copy(from: &Database, name: &str) -> Database {
    let copy = Database::new(Target { database: name.into(), ..from.target().clone() });
    copy.migrate().await.unwrap();
    let sql = format!(
        "SELECT name FROM system.tables WHERE database = '{}' AND engine LIKE '%MergeTree' AND name != 'schema_history'",
        from.name()
    );
    let tables: Vec<String> = from.client().query(&sql).fetch_all().await.unwrap();
    assert!(tables.len() > 8, "{tables:?}");
    for table in tables {
        let sql = format!("INSERT INTO {name}.{table} SELECT * FROM {}.{table}", from.name());
        copy.client().query(&sql).execute().await.unwrap();
    }
    copy
}

/// Scenario: closing and issuing a month with adjustments, rounding, taxes and an invoice in another currency is cut off at its first write, done again and
/// cut off at the next, and so on: once with each write lost, once with each write done and its answer lost. Elsewhere the
/// month is issued by two at once.
/// Guarantees: each ends in the same manifest and the same invoices, numbered without gaps; the ledger verifies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_and_issuing_may_stop_at_any_write_and_is_done_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let plans = dir.path().join("plans.toml");
    std::fs::write(&plans, TERMS).unwrap();
    server.succeed(&format!("plans import {}", plans.display()));
    let rates = dir.path().join("rates.toml");
    std::fs::write(&rates, RATES).unwrap();
    server.succeed(&format!("rates import {}", rates.display()));
    let tenants = ["acme", "globex", "initech"];
    let calls = tenants.iter().zip(1..).map(|(tenant, n)| Call {
        tenant,
        trace: n,
        answer: n,
        tokens: (1_000_001 * n, 777),
        ..OCTOBER
    });
    assert_eq!(server.post("application/json", &export(&calls.collect::<Vec<_>>())).unwrap().status, 200);
    server.succeed("settle");

    let password = std::fs::read_to_string(server.data_dir.join("clickhouse-owner-password")).unwrap();
    let target = Target {
        url: server.clickhouse.clone(),
        user: embedded::OWNER.into(),
        password: password.trim().into(),
        database: "ledgerline".into(),
        cluster: None,
    };
    let whole = Database::new(target);
    // The server's own settler has nothing to do any more.
    let own_collector = whole.collectors().await.unwrap()[0].collector_id;
    let options = CloseOptions { own_collector, ..CloseOptions::default() };

    let mut ends = Vec::new();
    for (name, cut) in [("lost", Cut::Before), ("answer_lost", Cut::After)] {
        let database = copy(&whole, name).await;
        let fragile = Fragile::open(&database.target().url, cut).await;
        let through = Database::new(Target { url: fragile.url.clone(), ..database.target().clone() });
        let mut stopped = 0;
        // What stands is not written again, but each attempt vouches anew for what it is about to post, and lines of invoices
        // come before the invoices: so more and more must get through.
        let allowed = |attempt: i64| attempt / 2;
        fragile.allow(allowed(0));
        while let Err(said) = issue(through.reconnected(), &options).await {
            stopped += 1;
            assert!(stopped < 40, "{name}: it gets no further: {said}");
            fragile.allow(allowed(stopped));
        }
        // Adjustments, rounding and taxes, the manifest, lines, invoices.
        assert!(stopped >= 5, "{name}: stopped at {stopped} writes");
        let verified = billing::verify::verify(&database, Some(october())).await.unwrap();
        assert_eq!(verified.findings, [], "{name}");
        ends.push(outcome(&database).await);
    }

    // The whole, closed once; then issued by two at once.
    let mut closer = settler(whole.reconnected()).await.unwrap();
    Box::pin(period::close(&mut closer, october(), &options, now())).await.unwrap();
    let closed = copy(&whole, "at_once").await;
    issue(whole.reconnected(), &options).await.unwrap();
    ends.push(outcome(&whole).await);
    let first = issue(closed.reconnected(), &options);
    let second = issue(closed.reconnected(), &options);
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    ends.push(outcome(&closed).await);

    let (manifest, invoices) = &ends[2];
    for (at, end) in ends.iter().enumerate() {
        assert_eq!(&end.0, manifest, "{at}");
        assert_eq!(&end.1, invoices, "{at}");
    }
    let numbers: Vec<&str> = invoices.iter().map(Invoice::number).collect();
    assert_eq!(numbers, ["2026-10-0001", "2026-10-0002", "2026-10-0003"]);
    let currencies: Vec<&str> = invoices.iter().map(|invoice| invoice.draft.currency.as_str()).collect();
    assert_eq!(currencies, ["USD", "EUR", "USD"]);
    assert!(!manifest.rates.is_empty(), "the file that the month is converted by is fixed");
    server.stop();
}
