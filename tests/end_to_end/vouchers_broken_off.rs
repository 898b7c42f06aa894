//! Settlers that break off between vouching and posting, that are told of failures what had succeeded, and that post the same:
//! nobody is found out who did nothing, and whoever rewrites what they left is.

use billing::settle::Settler;
use billing::verify::{Vouched, verify};
use schemas::Database;

use crate::closing::{Cut, Fragile, copy};
use crate::money_spans::{Call, OCTOBER};
use crate::server::Server;
use crate::settlers::{now, send, settler};
use crate::vouchers::{found, ledger_of, number, run, start};

/// What is vouched for, in a ledger of which everything holds.
async fn sound(database: &Database, after: &str) -> Vouched {
    let verified = verify(database, None).await.unwrap();
    assert_eq!(verified.findings, [], "{after}");
    verified.vouched
}

/// Whether it settled everything. One that could not is not asked again.
async fn settles(settler: &mut Settler) -> bool {
    settler.drain().await.is_ok()
}

/// Scenario: settlers lose their way to the database at each write of their first pass, once before it arrives and once behind
/// it; some of them go on when it is back, of others the process ends, and another settles what they left. Then an insert that
/// was lost comes after all, and copies are merged. Then an entry is taken out of a pass that broke off.
/// Guarantees: I2, I4. Each call stands once, `verify` holds throughout and says how much was vouched for and not posted; the
/// entry that was taken out is missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settler_that_breaks_off_at_any_write_is_not_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    let database = ledger_of(&server);
    settler(&database, 1, "USD", now).await.drain().await.unwrap();
    let (mut calls, mut broken) = (0, 0);
    for (cut, goes_on) in [(Cut::Before, false), (Cut::After, false), (Cut::Before, true), (Cut::After, true)]
    {
        for writes in 0.. {
            let fragile = Fragile::open(&database.target().url, cut).await;
            fragile.allow(i64::MAX / 2);
            let target = schemas::Target { url: fragile.url.clone(), ..database.target().clone() };
            let mut first = settler(&Database::new(target), 2, "USD", now).await;
            let call = |n: u64| Call { trace: n, answer: n, ..OCTOBER };
            send(&server, &[call(calls + 1), call(calls + 2)]);
            calls += 2;
            fragile.allow(writes);
            let done = settles(&mut first).await;
            fragile.allow(i64::MAX / 2);
            if !done {
                broken += 1;
                if goes_on {
                    first.restart().await.unwrap();
                    first.drain().await.unwrap();
                } else {
                    settler(&database, 3, "USD", now).await.drain().await.unwrap();
                }
            }
            let after = format!("{cut:?} write {writes}, goes on: {goes_on}");
            assert_eq!(
                number(&database, "SELECT toUInt64(sum(l.calls)) FROM ledger AS l").await,
                calls,
                "{after}"
            );
            sound(&database, &after).await;
            if done {
                // The chain, its first voucher, the entries, the cursor, and that they stand.
                assert!(writes >= 4, "{after}: it writes less than it should");
                break;
            }
        }
    }
    assert!(broken >= 16, "{broken}");
    let vouched = sound(&database, "all").await;
    assert!(vouched.broken_off > 0, "{vouched:?}");

    // Vouched for twice, posted once: the first insert comes after all.
    let sql = "SELECT (a.posted_at, b.posted_at) FROM vouchers AS a JOIN vouchers AS b ON a.leaves = b.leaves \
               WHERE length(a.leaves) > 0 AND a.posted_at < b.posted_at \
               AND a.posted_at NOT IN (SELECT posted_at FROM ledger_entries) \
               AND b.posted_at IN (SELECT posted_at FROM ledger_entries) ORDER BY a.posted_at LIMIT 1";
    let (lost, posted) =
        (format!("(SELECT tupleElement(({sql}), 1))"), format!("(SELECT tupleElement(({sql}), 2))"));
    let there = |at: &str| format!("SELECT count() FROM ledger_entries WHERE posted_at = {at}");
    assert_eq!(number(&database, &there(&posted)).await, 2);
    run(&database, "CREATE TABLE late ENGINE = Memory AS SELECT * FROM ledger_entries WHERE 0").await;
    let again = format!("(SELECT * FROM ledger_entries WHERE posted_at = {posted})");
    run(&database, &format!("INSERT INTO late SELECT * REPLACE ({lost} AS posted_at) FROM {again}")).await;
    run(&database, "INSERT INTO ledger_entries SELECT * FROM late").await;
    sound(&database, "an insert that came late").await;
    run(&database, "OPTIMIZE TABLE ledger_entries FINAL").await;
    let copies = "SELECT count() - uniqExact(entry_id) FROM ledger_entries";
    assert_eq!(number(&database, copies).await, 0);
    assert_eq!(
        number(
            &database,
            "SELECT count() FROM ledger_entries WHERE posted_at IN (SELECT posted_at FROM late)"
        )
        .await,
        2
    );
    sound(&database, "copies were merged").await;

    let merged = copy(&database, "late_gone").await;
    run(&merged, "DELETE FROM ledger_entries WHERE entry_id = (SELECT min(entry_id) FROM ledgerline.late)")
        .await;
    let said = found(&merged).await;
    assert!(said.len() == 1 && said[0].starts_with("an entry that voucher"), "{said:#?}");

    // Of a voucher that nobody saw through, the next settler saw what stood.
    let seen = "SELECT posted_at FROM vouchers WHERE (chain, number) IN \
                (SELECT ended.1, ended.2 FROM vouchers ARRAY JOIN ends AS ended WHERE notEmpty(ended.4)) ORDER BY posted_at LIMIT 1";
    run(&database, &format!("DELETE FROM ledger_entries WHERE entry_id = (SELECT min(entry_id) FROM ledger_entries WHERE posted_at = ({seen}))")).await;
    let said = found(&database).await;
    assert!(said.len() == 1 && said[0].starts_with("an entry that voucher"), "{said:#?}");
    server.stop();
}

/// Scenario: two settlers settle the same evidence, neither seeing what the other posts; then the copies are merged.
/// Guarantees: I2. Both vouch for what then is one row, and that holds; taken out, it is missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_settlers_may_vouch_for_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    let database = ledger_of(&server);
    settler(&database, 1, "USD", now).await.drain().await.unwrap();
    send(&server, &[OCTOBER, Call { trace: 2, answer: 2, tenant: "globex", ..OCTOBER }]);
    let other = copy(&database, "elsewhere").await;
    settler(&database, 2, "USD", now).await.drain().await.unwrap();
    settler(&other, 3, "USD", now).await.drain().await.unwrap();
    run(&database, "SYSTEM STOP MERGES ledger_entries").await;
    for table in ["ledger_entries", "vouchers"] {
        run(&database, &format!("INSERT INTO {table} SELECT * FROM elsewhere.{table}")).await;
    }
    assert_eq!(number(&database, "SELECT count() FROM ledger_entries").await, 4);
    let vouched = sound(&database, "both posted").await;
    assert_eq!((vouched.chains, vouched.heads.len(), vouched.entries), (2, 2, 4));
    run(&database, "SYSTEM START MERGES ledger_entries").await;
    run(&database, "OPTIMIZE TABLE ledger_entries FINAL").await;
    assert_eq!(sound(&database, "one row each is left").await.entries, 2);
    run(&database, "DELETE FROM ledger_entries WHERE tenant = 'globex'").await;
    let said = found(&database).await;
    assert_eq!(said.len(), 2, "both miss it: {said:#?}");
    server.stop();
}

/// Scenario: a server is killed with a voucher on its way, behind it, with the entries on their way, and behind them; each time it
/// starts again and settles.
/// Guarantees: I2, I4. Each call stands once, and `verify` holds.
#[test]
fn a_process_killed_between_voucher_and_entries_is_not_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let points =
        ["settle.voucher_sending", "settle.voucher_after", "settle.entries_sending", "settle.entries_after"];
    for (point, n) in points.into_iter().zip(1_u64..) {
        let server = Server::start_with(dir.path(), &[], &[("SABOTAGE_KILL_AT", point)]);
        let answered = server.post(
            "application/json",
            &crate::money_spans::export(&[Call { trace: n, answer: n, ..OCTOBER }]),
        );
        assert_eq!(answered.unwrap().status, 200);
        server.died();
        let server = Server::start(dir.path(), &[]);
        server.succeed("settle");
        let calls = &server.rows("SELECT sum(l.calls) AS calls FROM ledgerline.ledger AS l")[0]["calls"];
        assert_eq!(calls.as_u64(), Some(n), "{point}");
        let said = server.succeed("verify");
        assert!(said.contains("everything holds") && said.contains("head of chain "), "{point}: {said}");
        server.stop();
    }
}
