//! Retention against the real engine: what goes, what stays, and that nothing else changes by it.
//!
//! Time passes for a settler of the test's own, whose clock is ahead; the server lives today.

use billing::invoice;
use billing::period::{self, CloseOptions};
use billing::retire::{Retention, Retired, retire};
use billing::settle::{SettleConfig, Settler, TraceKey};
use billing::verify::verify;
use chrono::{DateTime, Duration, Utc};
use domain::resolve::Rules;
use domain::time::{BillingPeriod, EventTime};
use schemas::rows::RetirementRow;
use schemas::{Database, Target};

use crate::money_spans::{Call, OCTOBER, export};
use crate::replay::{ledger, run};
use crate::server::Server;

const JSON: &str = "application/json";
const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);
/// A server that believes what is dated ahead, so that calls of next year can be sent to it.
const AHEAD: [(&str, &str); 2] =
    [("LEDGERLINE_BILLING_LATE_LIMIT", "35d"), ("LEDGERLINE_BILLING_FUTURE_LIMIT", "3650d")];

fn now() -> i64 {
    Utc::now().timestamp_nanos_opt().unwrap()
}

/// The test's clock: so far ahead that what is sent today is old.
fn later() -> i64 {
    now() + 500 * 86_400_000_000_000
}

fn database(server: &Server) -> Database {
    let password = std::fs::read_to_string(server.data_dir.join("clickhouse-owner-password")).unwrap();
    Database::new(Target {
        url: server.clickhouse.clone(),
        user: embedded::OWNER.into(),
        password: password.trim().into(),
        database: "ledgerline".into(),
        cluster: None,
    })
}

/// A settler of next year that keeps evidence for 80 days, and entries as long as told.
async fn settler(database: &Database, ledger: Option<u32>) -> Settler {
    let nanos = |time: std::time::Duration| i64::try_from(time.as_nanos()).unwrap();
    let config = SettleConfig {
        rules: Rules { late_limit_nanos: nanos(35 * DAY), future_limit_nanos: nanos(DAY / 144) },
        retention: Retention { observations: Some(80 * DAY), ledger: ledger.map(|days| days * DAY) },
        ..SettleConfig::default()
    };
    Box::pin(Settler::open(database.reconnected(), config, [7; 16], later)).await.unwrap()
}

async fn close(settler: &mut Settler, month: BillingPeriod) {
    let own_collector = settler.database().collectors().await.unwrap()[0].collector_id;
    let options = CloseOptions { own_collector, ..CloseOptions::default() };
    Box::pin(period::close(settler, month, &options, later())).await.unwrap();
}

/// Retires whatever is due; the partitions that went, and what is held.
async fn retire_all(settler: &mut Settler) -> (Vec<RetirementRow>, Option<String>) {
    let mut gone = Vec::new();
    loop {
        match Box::pin(retire(settler)).await.unwrap() {
            Retired::Partition(row) => gone.push(row),
            Retired::Nothing => return (gone, None),
            Retired::Held { what, why } => return (gone, Some(format!("{what}: {why}"))),
        }
    }
}

fn send(server: &Server, calls: &[Call<'_>]) {
    assert_eq!(server.post(JSON, &export(calls)).unwrap().status, 200);
    server.succeed("settle");
}

fn outcomes(gone: &[RetirementRow], outcome: &str) -> u64 {
    gone.iter().filter_map(|row| row.outcomes.get(outcome)).sum()
}

async fn holds(database: &Database) {
    let verified = verify(database, None).await.unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!(verified.balance.calls_off(), 0, "{:?}", verified.balance);
}

/// Scenario: three calls, one of them reported twice; their evidence grows old. First their month is open, then it is closed.
/// Then everything is done that could judge the calls again: the same spans come again, another report of a call, a later call
/// of a trace that went, every kept span is read anew, a correction is ordered, the journal replayed, the settlement's own
/// cursors lost.
/// Guarantees: nothing goes before its month is closed, then whole days; the ledger is the same to its entries' ids whatever
/// came after; a call that is new is billed; new evidence of an old call is set aside; `verify`, `explain` and `adjust` say
/// what went, and the balance holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_goes_by_the_day_and_what_stands_of_it_stays() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], &AHEAD);
    let at = (Utc::now() - Duration::minutes(5)).to_rfc3339();
    let call = Call { at: &at, ..OCTOBER };
    let twice = Call { trace: 2, answer: 2, tenant: "globex", cached: 400, ..call };
    let again = Call { trace: 3, scope: "other", cached: 0, ..twice };
    send(&server, &[call, twice, again, Call { trace: 4, answer: 4, ..call }]);
    let before = ledger(&server);
    assert_eq!(before[0]["calls"], 3);

    let database = database(&server);
    let mut next_year = settler(&database, None).await;
    let (gone, held) = retire_all(&mut next_year).await;
    let held = held.expect("its month is open");
    assert!(gone.is_empty() && held.contains("period close --month"), "{held}");
    let month = BillingPeriod::containing(EventTime::from_nanos(
        DateTime::parse_from_rfc3339(&at).unwrap().timestamp_nanos_opt().unwrap(),
    ));
    close(&mut next_year, month).await;
    let (gone, held) = retire_all(&mut next_year).await;
    assert_eq!(held, None);
    assert_eq!((outcomes(&gone, "billed"), outcomes(&gone, "merged")), (3, 1), "{gone:?}");
    let left =
        |server: &Server| server.rows("SELECT count() AS n FROM ledgerline.observation_log")[0]["n"].clone();
    assert_eq!(left(&server), 0);
    holds(&database).await;
    // Looking again, by this settler and by a new one, finds nothing to do.
    assert_eq!(retire_all(&mut next_year).await, (Vec::new(), None));
    let mut another = settler(&database, None).await;
    assert_eq!(another.drain().await.unwrap().entries, 0);
    assert_eq!(retire_all(&mut another).await, (Vec::new(), None));

    // The same spans once more, another report of the first call, and a call that is made in the same trace next year.
    let next = (Utc::now() + Duration::days(400)).to_rfc3339();
    send(&server, &[call, twice, Call { scope: "third", trace: 9, ..call }]);
    assert_eq!(ledger(&server), before, "what went is not judged again, nor billed again");
    let aside = server.rows("SELECT count() AS n FROM ledgerline.observations WHERE outcome = 'quarantined' AND rule = 'retention'");
    assert_eq!(aside[0]["n"], 3);
    holds(&database).await;
    let new = Call { at: &next, answer: 77, tokens: (2_000, 200), scope: "fourth", ..call };
    // Another span of the trace of the first call.
    let other_span = String::from_utf8(export(&[new])).unwrap().replace(
        &format!("\"spanId\":\"{:016x}\"", new.trace + 1),
        &format!("\"spanId\":\"{:016x}\"", 0xabcd),
    );
    assert_eq!(server.post(JSON, other_span.as_bytes()).unwrap().status, 200);
    server.succeed("settle");
    let sums =
        server.rows("SELECT sum(l.calls) AS calls, sum(l.input_tokens) AS input FROM ledgerline.ledger AS l");
    assert_eq!((&sums[0]["calls"], &sums[0]["input"]), (&4.into(), &5_000.into()), "what is new is billed");
    holds(&database).await;
    let after = ledger(&server);

    server.succeed("redecode --kind all --apply");
    assert_eq!(ledger(&server), after, "no reading is judged by what is left");
    let refused = server.command("adjust reverse --tenant globex --reason wrong --by ann --apply");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(1)
            && said.contains("gone by retention")
            && said.contains("adjust credit"),
        "{said}"
    );
    server.succeed(
        "adjust credit --tenant globex --amount 0.001 --reason wrong --by ann --month 2027-12 --apply",
    );
    assert!(server.succeed("verify").contains("retention: evidence received until "));
    let told = server.succeed(&format!("explain {}", "0".repeat(15) + "3" + &format!("{:016x}", !2_u64)));
    assert!(told.contains("has gone by retention") && told.contains("cost"), "{told}");
    let unknown = server.command("explain chatcmpl-NobodyKnowsThisOne77");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("have gone by retention"), "{unknown:?}");

    // The journal still has the batches, and sends none of them; lost cursors have them passed over.
    let settled = ledger(&server);
    server.stop();
    let (code, rows) = run(dir.path(), "journal replay");
    assert_eq!((code, &rows[0]["rows_sent"]), (Some(0), &0.into()), "{rows:?}");
    assert_eq!(rows[0]["batches_retired"], 1, "{rows:?}");
    let server = Server::start_with(dir.path(), &[], &AHEAD);
    server.as_owner("TRUNCATE TABLE ledgerline.settle_cursors");
    server.stop();
    let server = Server::start_with(dir.path(), &[], &AHEAD);
    server.succeed("settle");
    assert_eq!(ledger(&server), settled);
    server.succeed("verify");
    server.stop();
}

/// Scenario: of a call that two libraries reported in traces of their own, the report it is billed by goes and the other
/// stays, as at midnight; what is left is settled once more. Beside it, in a copy of the ledger, the same without a word that
/// anything went.
/// Guarantees: nothing is posted where it is known that evidence went; the copy shows that it is that which prevents it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_a_call_at_midnight_is_not_judged_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], &AHEAD);
    let at = (Utc::now() - Duration::minutes(5)).to_rfc3339();
    let winner = Call { at: &at, cached: 400, ..OCTOBER };
    send(&server, &[winner, Call { trace: 2, scope: "other", cached: 0, ..winner }]);
    let whole = database(&server);
    let before = ledger(&server);
    let stands = server.rows("SELECT trace_id FROM ledgerline.ledger");
    let billed_by = stands[0]["trace_id"].as_str().unwrap().to_string();
    server.as_owner(&format!("DELETE FROM ledgerline.observation_log WHERE trace_id = unhex('{billed_by}')"));
    let unaware = crate::closing::copy(&whole, "unaware").await;
    server.as_owner(
        "INSERT INTO ledgerline.retirements (class, partition, begun_at, dropped_at, outcomes, frozen_until, merkle_root) \
         VALUES ('observations', yesterday(), now64(6), now64(6), map('billed', 1), now64(9) + toIntervalDay(35), '')",
    );

    let log = server.rows("SELECT lower(hex(trace_id)) AS trace FROM ledgerline.observation_log");
    assert_eq!(log.len(), 1, "{log:?}");
    let trace = domain::identity::TraceId::parse(log[0]["trace"].as_str().unwrap()).unwrap();
    let left =
        std::collections::BTreeSet::from([TraceKey { trace, realm: domain::identity::Realm::new("") }]);
    let mut counted = Vec::new();
    for database in [&whole, &unaware] {
        let mut settler = settler(database, None).await;
        counted.push(settler.settle_again(left.clone()).await.unwrap());
    }
    assert_eq!(counted[0], 0, "where it is known that evidence went, nothing is judged anew");
    assert!(counted[1] > 0, "else it would be");
    assert_eq!(ledger(&server), before);
    holds(&whole).await;
    server.stop();
}

const TERMS: &str = r#"
[[plan]]
name = "all"
markup_percent = 20
[[assign]]
tenant = "*"
plan = "all"
[[credit]]
tenant = "acme"
name = "welcome"
amount = "5"
[[tax]]
tenant = "*"
name = "VAT"
percent = 19
"#;

/// Scenario: three months with plans, taxes and a credit that each uses a part of; two are closed, one of them issued, then
/// both; evidence and entries grow old; whoever does it is killed after each of its writes.
/// Guarantees: entries go only of months that are closed and issued, after their evidence; invoices are exported to the same
/// bytes; what is left of the credit is the same; the third month closes as it would have; `usage`, `period`, `invoice`
/// and `verify` say what went; the balance holds before and after each write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_go_by_the_month_and_invoices_and_credits_stay() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let plans = dir.path().join("plans.toml");
    std::fs::write(&plans, TERMS).unwrap();
    server.succeed(&format!("plans import {}", plans.display()));
    let months = ["2025-01", "2025-02", "2025-03"];
    let times = months.map(|month| format!("{month}-10T12:00:00Z"));
    let calls: Vec<Call<'_>> = times
        .iter()
        .zip(1..)
        .flat_map(|(at, n)| {
            let call = Call { at, trace: n, answer: n, tokens: (400_000, 1_000), ..OCTOBER };
            [call, Call { trace: n + 10, answer: n + 10, tenant: "globex", ..call }]
        })
        .collect();
    send(&server, &calls);
    let database = database(&server);
    let months = months.map(|month| BillingPeriod::parse(month).unwrap());
    let mut next_year = settler(&database, Some(400)).await;
    for month in months {
        close(&mut next_year, month).await;
    }
    // Evidence was received today, under months that are closed; nothing else is open.
    let (gone, held) = retire_all(&mut next_year).await;
    assert!(gone.iter().all(|row| row.class == schemas::OBSERVATIONS) && !gone.is_empty(), "{gone:?}");
    assert!(held.unwrap().contains("invoice issue --month 2025-01"), "not before it is issued");
    holds(&database).await;

    let own_collector = database.collectors().await.unwrap()[0].collector_id;
    let options = CloseOptions { own_collector, ..CloseOptions::default() };
    for month in &months[..2] {
        Box::pin(invoice::issue(&mut next_year, *month, &options, later())).await.unwrap();
    }
    let files = |name: &str| {
        let out = dir.path().join(name);
        for month in &months[..2] {
            for form in ["csv", "json", "focus", "html"] {
                server
                    .succeed(&format!("invoice export --month {month} --as {form} --out {}", out.display()));
            }
        }
        let mut files: Vec<_> = std::fs::read_dir(&out)
            .unwrap()
            .map(|entry| (entry.as_ref().unwrap().file_name(), std::fs::read(entry.unwrap().path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    let exported = files("before");
    let used = database.credits_used(None, i64::MAX).await.unwrap();
    assert_eq!(used.len(), 1);

    // Killed after the first write, and after the drop: what was begun is finished by whoever looks next.
    let row = RetirementRow {
        class: schemas::LEDGER.into(),
        partition: schemas::rows::month_number(months[0]),
        begun_at: later() / 1000,
        dropped_at: 0,
        rows: 6,
        calls: 2,
        outcomes: Default::default(),
        settled: Vec::new(),
        frozen_until: months[0].end().timestamp_nanos_opt().unwrap(),
        merkle_root: [0; 32],
        retention: 1,
        settler: [7; 16],
        program: String::new(),
    };
    database.insert_retired_credits(months[0]).await.unwrap();
    assert_eq!(database.credits_used(None, i64::MAX).await.unwrap(), used);
    database.insert_retirement(&row).await.unwrap();
    holds(&database).await;
    database.drop_partition(schemas::LEDGER, row.partition).await.unwrap();
    holds(&database).await;
    let (gone, held) = retire_all(&mut next_year).await;
    assert_eq!(
        gone.iter().map(|row| row.partition).collect::<Vec<_>>(),
        [schemas::rows::month_number(months[1])]
    );
    assert!(held.unwrap().contains("2025-03"), "the third has no invoices");
    assert!(database.retirements().await.unwrap().iter().all(|row| row.dropped_at > 0));
    holds(&database).await;

    assert_eq!(database.credits_used(None, i64::MAX).await.unwrap(), used);
    assert_eq!(files("after"), exported);
    assert_eq!(
        server.rows("SELECT count() AS n FROM ledgerline.ledger WHERE period < '2025-03-01'")[0]["n"],
        0
    );
    let due = period::due(&database, next_year.plans(), months[2], i64::MAX).await.unwrap();
    let posted = database.adjustment_sums(months[2]).await.unwrap();
    let credit = |tenant: &str| due[tenant].iter().find(|made| made.kind == "credit").map(|made| made.amount);
    let stands = posted.iter().find(|sum| sum.tenant == "acme" && sum.kind == "credit").map(|sum| sum.charge);
    assert_eq!(credit("acme"), stands, "the third month is left as much of the credit as when it was closed");

    let refused = server.command("usage --month 2025-01");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && said.contains("gone by retention"), "{said}");
    let usage = server.command("usage --from 2025-01-01 --to 2025-04-01 --format json");
    let json: serde_json::Value = serde_json::from_slice(&usage.stdout).unwrap();
    assert_eq!(json["retired_months"], serde_json::json!(["2025-01", "2025-02"]));
    assert_eq!(json["totals"]["calls"], 2);
    assert!(String::from_utf8_lossy(&usage.stderr).contains("2025-01 to 2025-02"));
    let status: serde_json::Value =
        serde_json::from_str(&server.succeed("period status --month 2025-01 --format json")).unwrap();
    assert_eq!(status["state"], "closed, its entries have gone by retention");
    assert_eq!(status["calls"], 2);
    assert!(server.succeed("verify").contains("entries billed until 2025-02"));
    assert!(server.succeed("verify --month 2025-02").contains("entries billed until 2025-02"));
    server.stop();
}
