//! The rollup against the real engine: what `usage_between` says is what the ledger says, whatever was summed when.

use std::sync::atomic::{AtomicI64, Ordering};

use billing::period::{self, CloseOptions};
use billing::rollup::{self, Step};
use billing::verify::verify;
use domain::time::BillingPeriod;
use schemas::Database;

use crate::money_spans::{Call, OCTOBER};
use crate::random::Random;
use crate::settlers::{now, send, settler};
use crate::vouchers::{ledger_of, number, run, start};

const HOUR: i64 = 3_600 * 1_000_000_000;

/// Times that begin and end at midnight, within a day, an instant before, and on the same day.
const TIMES: [(&str, &str); 7] = [
    ("1970-01-01 00:00:00", "2105-12-31 00:00:00"),
    ("2026-10-01 00:00:00", "2026-10-31 23:59:59.999999999"),
    ("2026-10-10 00:00:00", "2026-10-12 00:00:00"),
    ("2026-10-10 11:59:59", "2026-10-12 12:00:00"),
    ("2026-10-10 12:00:00.000000001", "2026-10-11 23:59:59"),
    ("2026-10-10 06:00:00", "2026-10-10 18:00:00"),
    ("2026-10-11 00:00:00", "2026-10-11 23:59:59.999999999"),
];

const SUMS: &str = "sum(s.calls), sum(s.input_tokens), sum(s.cache_read_tokens), sum(s.cache_write_tokens), \
    sum(s.cache_write_1h_tokens), sum(s.output_tokens), sum(s.reasoning_tokens), sum(s.cost), sum(s.charge)";

/// What a source comes to, by everything that both have.
async fn sums(database: &Database, source: &str) -> Vec<String> {
    let sql = format!(
        "SELECT toString(tuple(s.period, toString(s.tenant), toString(s.feature), toString(s.provider), toString(s.model), \
           toString(s.entry_type), toString(s.state), {SUMS})) AS row FROM {source} AS s \
         GROUP BY s.period, s.tenant, s.feature, s.provider, s.model, s.entry_type, s.state ORDER BY row"
    );
    database.client().query(&sql).fetch_all().await.unwrap()
}

/// At every of the times, the rollup is the ledger.
async fn is_the_ledger(database: &Database, when: &str) {
    for (from, to) in TIMES {
        let rolled = format!("usage_between(from = '{from}', to = '{to}')");
        let within = format!(
            "(SELECT * FROM ledger WHERE occurred_at >= toDateTime64('{from}', 9, 'UTC') \
               AND occurred_at <= toDateTime64('{to}', 9, 'UTC'))"
        );
        assert_eq!(sums(database, &rolled).await, sums(database, &within).await, "{when}: {from} to {to}");
    }
}

/// Rolls up everything there is to be.
async fn roll_up(database: &Database, now: i64) -> u64 {
    let mut days = 0;
    loop {
        let Step { days: some, more } = rollup::step(database, now).await.unwrap();
        days += some;
        if !more {
            return days;
        }
    }
}

/// How many entries are read one by one for the whole of the time.
async fn entries_read(database: &Database) -> u64 {
    let sql = "SELECT countIf(at != toStartOfDay(at)) FROM usage_between(from = '1970-01-01 00:00:00', to = '2105-12-31 00:00:00')";
    number(database, sql).await
}

/// Scenario: calls of several days come in any order, some again by another library with more to tell, some rows are copied;
/// between them days are rolled up, now and then so early that what was just posted is not believed yet. Drawn from a seed.
/// Guarantees: I6. At every moment and for every time the rollup is the ledger to the last digit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_moment_the_rollup_is_the_ledger() {
    static AHEAD: AtomicI64 = AtomicI64::new(0);
    fn clock() -> i64 {
        now() + AHEAD.load(Ordering::SeqCst)
    }
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    let database = ledger_of(&server);
    let mut settler = settler(&database, 7, "USD", clock).await;
    let mut random = Random::new(23, 0);
    let times = [
        "2026-10-10T00:00:00Z",
        "2026-10-10T12:00:00Z",
        "2026-10-10T23:59:59.999999999Z",
        "2026-10-11T12:00:00Z",
        "2026-10-31T23:59:59.999999999Z",
    ];
    is_the_ledger(&database, "before anything").await;
    let (mut calls, mut days) = (0_u64, 0);
    for round in 0..12 {
        match random.below(4) {
            0 => AHEAD.store(AHEAD.load(Ordering::SeqCst) + HOUR, Ordering::SeqCst),
            1 => run(
                &database,
                "INSERT INTO ledger_entries SELECT * FROM ledger_entries WHERE cityHash64(entry_id) % 3 = 0",
            )
            .await,
            _ => {}
        }
        let mut reports = Vec::new();
        for _ in 0..=random.below(3) {
            let at = times[random.below(5)];
            calls += 1;
            let tenant = ["acme", "globex", ""][random.below(3)];
            let call =
                Call { trace: 2 * calls, answer: calls, tenant, at, tokens: (1_000 + calls, 10), ..OCTOBER };
            reports.push(call);
            if random.below(2) == 0 {
                reports.push(Call { trace: 2 * calls + 1, scope: "other", cached: 400, ..call });
            }
        }
        // Some are learnt of in parts.
        let (first, rest) = reports.split_at(1);
        for some in [first, rest].into_iter().filter(|some| !some.is_empty()) {
            send(&server, some);
            settler.drain().await.unwrap();
        }
        is_the_ledger(&database, &format!("round {round}, posted")).await;
        if random.below(2) == 0 {
            days += roll_up(&database, clock()).await;
            is_the_ledger(&database, &format!("round {round}, rolled up")).await;
        }
    }
    AHEAD.store(AHEAD.load(Ordering::SeqCst) + HOUR, Ordering::SeqCst);
    days += roll_up(&database, clock()).await;
    is_the_ledger(&database, "in the end").await;
    assert!(days > 3, "days were summed again: {days}");
    assert_eq!(entries_read(&database).await, 0, "everything is of whole days");
    let plan = "EXPLAIN indexes = 1 SELECT sum(cost) FROM usage_between(from = '2026-10-01 00:00:00', to = '2026-11-01 00:00:00')";
    let plan: Vec<String> = database.client().query(plan).fetch_all().await.unwrap();
    let ledger =
        plan.iter().skip_while(|line| !line.contains("ReadFromMergeTree (ledgerline.ledger_entries)"));
    assert!(ledger.take(5).any(|line| line.contains("Granules: 0")), "nothing of it is read: {plan:#?}");
    assert_eq!(verify(&database, None).await.unwrap().findings, []);
    assert_eq!(roll_up(&database, clock()).await, 0, "nothing is left to do");
    server.stop();
}

/// Scenario: a day is rolled up; then comes what is posted by a clock that is hours behind; the month is closed, late usage of it
/// comes, its entries go by retention; last, somebody changes a sum.
/// Guarantees: the first is seen with the next rollup; a closed month is not looked at again, and what came late to it is not
/// missed; of a month that went nothing is shown; a sum that is not the ledger's is found, by its day and tenant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolled_up_month_closes_and_goes_with_the_ledger() {
    fn behind() -> i64 {
        now() - 5 * HOUR
    }
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    let database = ledger_of(&server);
    let mut present = settler(&database, 7, "USD", now).await;
    send(&server, &[OCTOBER]);
    present.drain().await.unwrap();
    assert_eq!(roll_up(&database, now() + HOUR).await, 1);
    assert_eq!(entries_read(&database).await, 0);

    let mut past = settler(&database, 8, "USD", behind).await;
    send(&server, &[Call { trace: 2, answer: 2, ..OCTOBER }]);
    past.drain().await.unwrap();
    assert_eq!(roll_up(&database, now() + HOUR).await, 1);
    is_the_ledger(&database, "posted by a clock that is behind").await;

    let own_collector = database.collectors().await.unwrap()[0].collector_id;
    let options = CloseOptions { own_collector, ..CloseOptions::default() };
    let mut present = settler(&database, 7, "USD", now).await;
    let october = BillingPeriod::parse("2026-10").unwrap();
    Box::pin(period::close(&mut present, october, &options, now())).await.unwrap();
    roll_up(&database, now() + HOUR).await;
    let known = database.rolled_up().await.unwrap();
    assert_eq!(
        (known.closed.len(), known.days.len()),
        (1, 1),
        "the next time it is not looked at: {known:?}"
    );
    roll_up(&database, now() + HOUR).await;
    assert_eq!(database.rolled_up().await.unwrap().days, []);

    send(&server, &[Call { trace: 3, answer: 3, ..OCTOBER }]);
    present.drain().await.unwrap();
    is_the_ledger(&database, "late usage").await;
    assert_eq!(roll_up(&database, now() + 2 * HOUR).await, 1, "the same day, of another month's bill");
    is_the_ledger(&database, "late usage, rolled up").await;
    assert_eq!(entries_read(&database).await, 0);
    assert_eq!(verify(&database, None).await.unwrap().findings, []);

    run(&database, "ALTER TABLE usage_days UPDATE cost = cost + 1 WHERE period = '2026-11-01'").await;
    let found = verify(&database, None).await.unwrap().findings;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0].what,
        "2026-10-10 of tenant \"acme\": usage_between has 0 calls and 1 cost more than the ledger; empty the tables rolled_up and usage_days to have every day summed anew"
    );
    run(&database, "TRUNCATE TABLE rolled_up").await;
    run(&database, "TRUNCATE TABLE usage_days").await;
    is_the_ledger(&database, "without a rollup").await;
    assert_eq!(roll_up(&database, now() + 2 * HOUR).await, 2);

    run(&database, "ALTER TABLE ledger_entries DROP PARTITION '2026-10-01'").await;
    assert_eq!(database.forget_retired_days().await.unwrap(), 1);
    assert_eq!(number(&database, "SELECT count() FROM usage_days WHERE period = '2026-10-01'").await, 0);
    is_the_ledger(&database, "a month went").await;
    server.stop();
}
