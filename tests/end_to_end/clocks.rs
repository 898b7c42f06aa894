//! Settlement by a clock that jumps by a day, either way: nothing is lost or doubled, waits end, the cursor moves.

use std::sync::atomic::{AtomicI64, Ordering};

use billing::period::{self, CloseOptions};
use billing::verify::verify;
use domain::time::BillingPeriod;

use crate::money_spans::{Call, OCTOBER, export};
use crate::random::Random;
use crate::settlers::{now, send, send_request, settler};
use crate::vouchers::{ledger_of, number, start};

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A clock of a test's own, by how much it is ahead.
macro_rules! clock {
    ($ahead:ident, $name:ident) => {
        static $ahead: AtomicI64 = AtomicI64::new(0);
        fn $name() -> i64 {
            now() + $ahead.load(Ordering::SeqCst)
        }
    };
}

/// Scenario: calls wait for who pays for them when the clock goes back by a day, and when it goes ahead by one; a new price comes
/// in between, and a month is closed after the clock went back.
/// Guarantees: a wait lasts as long as it should by the clock from then on; a new price is noticed; no entry of the closed month
/// says that it was posted after the closing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_end_and_news_are_heard_when_the_clock_jumps() {
    clock!(AHEAD, clock);
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir.path().join("data"));
    let database = ledger_of(&server);
    let mut settler = settler(&database, 7, "USD", clock).await;
    // Nobody is known to pay for them, so they wait for the span above, which may say who.
    let send_nobodys = |n: u64| {
        let request =
            String::from_utf8(export(&[Call { trace: n, answer: n, tenant: "", ..OCTOBER }])).unwrap();
        let below = request.replace("\"kind\":3", "\"kind\":3,\"parentSpanId\":\"aaaaaaaaaaaaaaaa\"");
        assert_ne!(below, request);
        send_request(&server, below.as_bytes(), 1);
    };
    send_nobodys(1);
    let pass = settler.pass(false).await.unwrap();
    assert_eq!((pass.entries, pass.pending), (0, 1), "it waits");
    AHEAD.fetch_sub(DAY, Ordering::SeqCst);
    let pass = settler.pass(false).await.unwrap();
    assert_eq!((pass.entries, pass.pending), (0, 1), "it waits anew");
    AHEAD.fetch_add(61 * SECOND, Ordering::SeqCst);
    let pass = settler.pass(false).await.unwrap();
    assert_eq!((pass.entries, pass.pending), (1, 0), "and no longer than it should");

    send_nobodys(2);
    assert_eq!(settler.pass(false).await.unwrap().pending, 1);
    AHEAD.fetch_add(DAY, Ordering::SeqCst);
    let pass = settler.pass(false).await.unwrap();
    assert_eq!((pass.entries, pass.pending), (1, 0), "a day is longer than any wait");

    let own = dir.path().join("own.csv");
    std::fs::write(
        &own,
        "provider,model,unit,price\nopenai,gpt-4o,input_mtok,1\nopenai,gpt-4o,output_mtok,1\n",
    )
    .unwrap();
    AHEAD.fetch_sub(DAY, Ordering::SeqCst);
    server.succeed(&format!("prices import {}", own.display()));
    send(&server, &[Call { trace: 3, answer: 3, ..OCTOBER }]);
    settler.pass(false).await.unwrap();
    let dear = "SELECT toUInt64(sum(l.cost) * 10000) FROM ledger AS l WHERE tenant = 'acme'";
    assert_eq!(number(&database, dear).await, 11, "1,100 tokens at a dollar a million");

    AHEAD.fetch_sub(DAY, Ordering::SeqCst);
    let own_collector = database.collectors().await.unwrap()[0].collector_id;
    let options = CloseOptions { own_collector, ..CloseOptions::default() };
    let october = BillingPeriod::parse("2026-10").unwrap();
    Box::pin(period::close(&mut settler, october, &options, now())).await.unwrap();
    let late = "SELECT count() FROM ledger_entries WHERE posted_at > (SELECT max(closed_at) FROM periods)";
    assert_eq!(number(&database, late).await, 0);
    let verified = verify(&database, None).await.unwrap();
    assert_eq!((verified.findings, verified.vouched.entries), (vec![], 3));
    server.stop();
}

/// Scenario: calls are reported, some of them again by the same span with more to tell, some by another library in another trace,
/// with and without the answer's id; before each pass the clock may jump a day ahead or back, and the settler may be another one
/// that starts anew. All of it drawn from seeds.
/// Guarantees: I2, I3. In the end each call stands once and by the report that knows most, nothing waits, all evidence is
/// settled, and `verify` holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_clock_does_each_call_stands_once() {
    clock!(AHEAD, clock);
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    let database = ledger_of(&server);
    let mut random = Random::new(17, 0);
    let mut one = settler(&database, 7, "USD", clock).await;
    let (mut calls, mut jumps) = (0_u64, 0);
    for _ in 0..60 {
        match random.below(4) {
            0 => {
                AHEAD.fetch_add(if random.below(2) == 0 { DAY } else { -DAY }, Ordering::SeqCst);
                jumps += 1;
            }
            1 => one = settler(&database, 8, "USD", clock).await,
            _ => {}
        }
        let mut reports = Vec::new();
        for _ in 0..random.below(3) {
            calls += 1;
            // Every third has no id of its answer: then what was used and when must tell.
            let named = |n: u64| if n.is_multiple_of(3) { 0 } else { n };
            reports.push(Call {
                trace: calls,
                answer: named(calls),
                tokens: (1_000 + calls, 100),
                ..OCTOBER
            });
            let n = 1 + random.next() % calls;
            let first = Call { trace: n, answer: named(n), tokens: (1_000 + n, 100), ..OCTOBER };
            reports.push(match random.below(2) {
                0 => Call { cached: 400, ..first },
                _ => Call { scope: "other", trace: 1_000 + n, cached: 400, ..first },
            });
        }
        if !reports.is_empty() {
            send(&server, &reports);
        }
        one.pass(random.below(2) == 0).await.unwrap();
    }
    AHEAD.store(0, Ordering::SeqCst);
    let last = one.drain().await.unwrap();
    assert_eq!(last.pending, 0);
    assert!(jumps > 5 && calls > 30, "{jumps} jumps, {calls} calls");
    let net = "SELECT toUInt64(sum(l.calls)) FROM ledger AS l";
    assert_eq!(number(&database, net).await, calls);
    let twice = "SELECT count() FROM (SELECT input_tokens FROM (SELECT l.call_id AS call, sum(l.input_tokens) AS input_tokens, \
                 sum(l.calls) AS calls FROM ledger AS l GROUP BY call HAVING calls = 1) GROUP BY input_tokens HAVING count() > 1)";
    assert_eq!(number(&database, twice).await, 0, "a call was billed twice and another lost");
    let refined = "SELECT count() FROM (SELECT l.call_id AS call, sum(l.cache_read_tokens) AS cached FROM ledger AS l GROUP BY call HAVING cached = 400)";
    let told = "SELECT uniqExact(input_tokens) FROM observation_log WHERE cache_read_tokens = 400";
    assert_eq!(number(&database, refined).await, number(&database, told).await);
    let behind = "SELECT toUInt64(max(seq) - (SELECT max(seq) FROM settle_cursors)) FROM observation_log";
    assert_eq!(number(&database, behind).await, 0, "the cursor is behind");
    let verified = verify(&database, None).await.unwrap();
    assert_eq!(verified.findings, []);
    // Stamps never went back.
    let back = "SELECT count() FROM vouchers AS a JOIN vouchers AS b ON a.chain = b.chain AND a.number + 1 = b.number \
                WHERE a.posted_at >= b.posted_at";
    assert_eq!(number(&database, back).await, 0);
    server.stop();
}
