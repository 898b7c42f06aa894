//! A ledger that somebody rewrites behind the program's back: whatever is changed, moved, taken out or put in is named.

use billing::period::{self, CloseOptions};
use billing::settle::Settler;
use billing::verify::{Verification, verify};
use domain::time::BillingPeriod;
use schemas::{Database, Target};

use crate::closing::copy;
use crate::money_spans::{Call, OCTOBER};
use crate::server::Server;
use crate::settlers::{now, send, settler};

/// The ledger of a server that receives and ships, for a test to settle.
pub fn ledger_of(server: &Server) -> Database {
    let password = std::fs::read_to_string(server.data_dir.join("clickhouse-owner-password")).unwrap();
    Database::new(Target {
        url: server.clickhouse.clone(),
        user: embedded::OWNER.into(),
        password: password.trim().into(),
        database: "ledgerline".into(),
        cluster: None,
    })
}

/// A server that does not settle.
pub fn start(dir: &std::path::Path) -> Server {
    Server::start_with(dir, &[], &[("LEDGERLINE_SETTLE_ENABLED", "false")])
}

pub async fn run(database: &Database, sql: &str) {
    database.client().query(sql).with_setting("mutations_sync", "2").execute().await.unwrap();
}

pub async fn number(database: &Database, sql: &str) -> u64 {
    let sql = format!("SELECT toUInt64(assumeNotNull(({sql})))");
    database.client().query(&sql).fetch_one().await.unwrap()
}

/// What verifying says of the ledger's being only appended to.
pub async fn found(database: &Database) -> Vec<String> {
    let Verification { findings, .. } = verify(database, None).await.unwrap();
    findings
        .into_iter()
        .filter(|finding| finding.invariant == "I4 append-only")
        .map(|found| found.what)
        .collect()
}

/// Twelve calls of three tenants in three passes of one settler, and one more by another, begun upon the first.
async fn three_passes(server: &Server, database: &Database) -> Settler {
    let mut first = settler(database, 7, "USD", now).await;
    for pass in 0..3 {
        let tenants = ["acme", "globex", "initech", "acme"];
        let call = |(tenant, n): (&'static str, u64)| Call {
            tenant,
            trace: pass * 10 + n,
            answer: pass * 10 + n,
            tokens: (1_000 + n, 100),
            ..OCTOBER
        };
        send(server, &tenants.into_iter().zip(1..).map(call).collect::<Vec<_>>());
        first.drain().await.unwrap();
    }
    let mut second = settler(database, 8, "USD", now).await;
    send(server, &[Call { trace: 90, answer: 90, ..OCTOBER }]);
    second.drain().await.unwrap();
    second
}

/// The one that all these do something to: an entry of globex in the second pass.
const ONE: &str = "entry_id = (SELECT max(entry_id) FROM ledger_entries WHERE tenant = 'globex' AND posted_at IN \
                   (SELECT posted_at FROM vouchers WHERE length(leaves) = 4 ORDER BY posted_at LIMIT 1 OFFSET 1))";

/// Something is put before what it used, under the same name, where a reader that takes the last of a name does not look.
const UNIT_TWICE: &str =
    "usage = CAST(mapConcat(map('input', toInt64(1)), usage), 'Map(LowCardinality(String), Int64)')";

/// Its name in findings.
async fn name_of_one(database: &Database) -> String {
    let sql = format!(
        "SELECT concat('entry ', lower(hex(entry_id)), ' of call ', lower(hex(call_id)), ', tenant \"globex\",') FROM ledger_entries WHERE {ONE}"
    );
    database.client().query(&sql).fetch_one().await.unwrap()
}

/// Scenario: entries of a settled ledger are changed, moved to another tenant, dated otherwise, taken out, put in, and put beside
/// others under the same key; each in a copy of it.
/// Guarantees: I4. Each is named with its call and tenant, or with the place where it stood, and nothing else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_rewrites_an_entry_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    let whole = ledger_of(&server);
    three_passes(&server, &whole).await;
    let sound = verify(&whole, None).await.unwrap();
    assert_eq!(sound.findings, []);
    assert_eq!(
        (sound.vouched.entries, sound.vouched.chains, sound.vouched.before),
        (13, 2, 0),
        "{:?}",
        sound.vouched
    );
    assert_eq!(sound.vouched.heads.len(), 1, "the second settler began upon the first: {:?}", sound.vouched);
    let one = name_of_one(&whole).await;
    let changed = format!("{one} was changed after it was posted at 20");
    let put_in = " was put in: no settler vouched for it at 20";
    let insert = |replace: &str| {
        let from = format!("(SELECT * FROM ledger_entries WHERE {ONE})");
        format!("INSERT INTO ledger_entries SELECT * REPLACE ({replace}) FROM {from}")
    };
    let update = |what: &str| format!("ALTER TABLE ledger_entries UPDATE {what} WHERE {ONE}");
    let other_tenant = [
        insert("'acme' AS tenant"),
        "DELETE FROM ledger_entries WHERE tenant = 'globex' AND entry_id IN \
         (SELECT entry_id FROM ledger_entries GROUP BY entry_id HAVING uniq(tenant) = 2)"
            .into(),
    ];
    for (name, statements, expected) in [
        ("cost", vec![update("cost = cost + 1, charge = charge + 1")], vec![changed.clone()]),
        ("session", vec![update("session_id = 'another'")], vec![changed.clone()]),
        ("state", vec![update("rule = 'because'")], vec![changed.clone()]),
        ("unit_twice", vec![update(UNIT_TWICE)], vec![changed.clone()]),
        ("tenant", other_tenant.to_vec(), vec![changed.replace("globex", "acme")]),
        (
            "time",
            vec![update("posted_at = posted_at + 1")],
            vec![format!("{one} says that it was posted at 20")],
        ),
        (
            "gone",
            vec![format!("DELETE FROM ledger_entries WHERE {ONE}")],
            vec!["an entry that voucher ".into()],
        ),
        (
            "beside",
            vec![
                "SYSTEM STOP MERGES ledger_entries".into(),
                insert("cost + 1 AS cost, charge + 1 AS charge"),
            ],
            vec![format!("{one}{put_in}")],
        ),
        (
            "another",
            vec![insert(
                "unhex('00000000000000000000000000000001') AS entry_id, unhex('00000000000000000000000000000002') AS call_id",
            )],
            vec![format!("entry {:032x} of call {:032x}, tenant \"globex\",{put_in}", 1, 2)],
        ),
        (
            "another_time",
            vec![insert("unhex('00000000000000000000000000000001') AS entry_id, posted_at + 1 AS posted_at")],
            vec!["entry 00000000000000000000000000000001 of call ".into()],
        ),
        (
            "long_ago",
            vec![insert(
                "unhex('00000000000000000000000000000001') AS entry_id, posted_at - 86400 AS posted_at",
            )],
            vec!["entry 00000000000000000000000000000001 of call ".into()],
        ),
    ] {
        let database = copy(&whole, &format!("tampered_{name}")).await;
        for sql in &statements {
            run(&database, sql).await;
        }
        let said = found(&database).await;
        assert_eq!(said.len(), expected.len(), "{name}: {said:#?}");
        for expected in expected {
            assert!(said.iter().any(|said| said.starts_with(&expected)), "{name}: {expected} in {said:#?}");
        }
        // A month alone says the same, where what was done lies among what was posted for it.
        let month = verify(&database, BillingPeriod::parse("2026-10").ok()).await.unwrap();
        assert!(!month.findings.is_empty(), "{name}");
    }
    let target = Target { database: "tampered_gone".into(), ..whole.target().clone() };
    let gone = &found(&Database::new(target)).await[0];
    let named =
        format!("SELECT count() FROM ledger_entries WHERE position('{gone}', lower(hex(entry_id))) > 0");
    assert!((1..=2).contains(&number(&whole, &named).await), "its neighbours are named: {gone}");
    server.stop();
}

/// Scenario: vouchers are taken out, changed, or cut off at the end, also together with the entries they are of; a month is closed
/// before.
/// Guarantees: each is named. What nobody could tell from the ledger alone, the last vouchers of the last chain cut off with
/// their entries, the head tells that was noted elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_rewrites_vouchers_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    let whole = ledger_of(&server);
    let mut second = three_passes(&server, &whole).await;
    let nth = |n: u64| {
        format!(
            "(SELECT (chain, number) FROM vouchers WHERE length(leaves) = 4 ORDER BY posted_at LIMIT 1 OFFSET {n})"
        )
    };
    let entries_of = |n: u64| {
        format!(
            "posted_at = (SELECT posted_at FROM vouchers WHERE length(leaves) = 4 ORDER BY posted_at LIMIT 1 OFFSET {n})"
        )
    };
    let first_chain = "chain = (SELECT chain FROM vouchers ORDER BY posted_at LIMIT 1)";
    for (name, statements, expected) in [
        (
            "out",
            vec![format!("DELETE FROM vouchers WHERE (chain, number) = {}", nth(1))],
            &["voucher 4 is gone from chain ", " and 3 more were put in: no voucher is of 20"][..],
        ),
        (
            "out_with_entries",
            vec![
                format!("DELETE FROM ledger_entries WHERE {}", entries_of(1)),
                format!("DELETE FROM vouchers WHERE (chain, number) = {}", nth(1)),
            ],
            &["voucher 4 is gone from chain "],
        ),
        (
            "leaf",
            vec![format!("ALTER TABLE vouchers UPDATE leaves = arrayMap(leaf -> leaf + 1, leaves) WHERE (chain, number) = {}", nth(0))],
            &["voucher 2 of chain ", "was changed", "was changed", "was changed", "was changed"],
        ),
        (
            "cut",
            vec![
                format!("DELETE FROM ledger_entries WHERE {}", entries_of(2)),
                format!("DELETE FROM vouchers WHERE {first_chain} AND number > 5"),
            ],
            &["was there when chain "],
        ),
        (
            "all_of_one",
            vec![
                "DELETE FROM ledger_entries WHERE posted_at IN (SELECT posted_at FROM vouchers WHERE length(leaves) = 4)".into(),
                format!("DELETE FROM vouchers WHERE {first_chain}"),
            ],
            &["was there when chain "],
        ),
    ] {
        let database = copy(&whole, &format!("vouchers_{name}")).await;
        for sql in &statements {
            run(&database, sql).await;
        }
        let said = found(&database).await;
        assert_eq!(said.len(), expected.len(), "{name}: {said:#?}");
        for expected in expected {
            assert!(said.iter().any(|said| said.contains(expected)), "{name}: {expected} in {said:#?}");
        }
    }

    // Closed: its manifest knows how far the chain went.
    let head = second.chain_head().unwrap();
    let own_collector = whole.collectors().await.unwrap()[0].collector_id;
    let october = BillingPeriod::parse("2026-10").unwrap();
    let options = CloseOptions { own_collector, ..CloseOptions::default() };
    let closed = Box::pin(period::close(&mut second, october, &options, now())).await.unwrap();
    assert_eq!(closed.chain_heads, [(head.chain, head.number, head.head)]);
    let heads = verify(&whole, None).await.unwrap().vouched.heads;
    assert_eq!(heads, [head], "what an outsider can note");
    run(&whole, "DELETE FROM vouchers WHERE number > 1 AND chain IN (SELECT chain FROM vouchers WHERE number = 1 ORDER BY posted_at DESC LIMIT 1)").await;
    let said = found(&whole).await;
    assert!(
        said.iter().any(|said| said.contains("was there when 2026-10 was closed; it is gone")),
        "{said:#?}"
    );
    assert_ne!(verify(&whole, None).await.unwrap().vouched.heads, [head]);
    server.stop();
}

/// Scenario: a ledger from before there were vouchers is settled on; then an entry is put in among the old ones.
/// Guarantees: the old ones are counted apart and are no finding; that there are more of them than there were is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_from_before_there_were_vouchers_are_counted_apart() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    let database = ledger_of(&server);
    three_passes(&server, &database).await;
    run(&database, "TRUNCATE TABLE vouchers").await;
    let old = verify(&database, None).await.unwrap();
    assert_eq!((old.findings, old.vouched.since, old.vouched.before), (vec![], None, 13));
    let mut third = settler(&database, 9, "USD", now).await;
    send(&server, &[Call { trace: 91, answer: 91, ..OCTOBER }]);
    third.drain().await.unwrap();
    let new = verify(&database, None).await.unwrap();
    assert_eq!((new.findings, new.vouched.entries, new.vouched.before), (vec![], 1, 13));
    run(&database, "INSERT INTO ledger_entries SELECT * REPLACE (unhex('00000000000000000000000000000001') AS entry_id) FROM ledger_entries ORDER BY posted_at LIMIT 1").await;
    let said = found(&database).await;
    assert!(
        said[0].starts_with("14 entries say that they were posted before 20") && said.len() == 1,
        "{said:?}"
    );
    server.stop();
}
