//! Two settlers of one ledger that do not know the same prices, and one that has another currency.

use std::sync::OnceLock;

use billing::settle::{SettleConfig, Settler};
use billing::verify::verify;
use domain::resolve::Rules;
use schemas::rows::CollectorRow;
use schemas::{Database, Target};
use serde_json::Value;

use crate::money_spans::{Call, OCTOBER, export};
use crate::server::Server;

pub fn now() -> i64 {
    chrono::Utc::now().timestamp_nanos_opt().unwrap()
}

/// A clock that stands: a settler that goes by it looks for new price files once and never again.
fn standing_still() -> i64 {
    static AT: OnceLock<i64> = OnceLock::new();
    *AT.get_or_init(now)
}

pub async fn settler(database: &Database, id: u8, currency: &str, clock: fn() -> i64) -> Settler {
    let forever = i64::MAX / 4;
    let rules = Rules { late_limit_nanos: forever, future_limit_nanos: forever };
    let config = SettleConfig { rules, currency: currency.into(), ..SettleConfig::default() };
    Box::pin(Settler::open(database.reconnected(), config, [id; 16], clock)).await.unwrap()
}

/// Sends calls, and waits until their evidence is committed.
pub fn send(server: &Server, calls: &[Call<'_>]) {
    send_request(server, &export(calls), calls.len() as u64);
}

/// Sends a request of so many spans, and waits until their evidence is committed.
pub fn send_request(server: &Server, request: &[u8], spans: u64) {
    let seen = || {
        server.rows("SELECT sum(b.rows) AS n FROM ledgerline.batches AS b FINAL")[0]["n"].as_u64().unwrap()
    };
    let wanted = seen() + spans;
    assert_eq!(server.post("application/json", request).unwrap().status, 200);
    while seen() < wanted {}
}

/// What stands: tenant, cost and the name of the file of the price; a call each.
fn standing(server: &Server) -> Vec<[String; 3]> {
    let sql = "SELECT l.tenant AS tenant, toString(sum(l.cost)) AS cost, any(p.source) AS source, sum(l.calls) AS calls \
               FROM ledgerline.ledger AS l LEFT JOIN (SELECT DISTINCT price_id, source FROM ledgerline.prices) AS p ON p.price_id = l.price_id \
               GROUP BY l.tenant, l.price_id HAVING calls != 0 OR sum(l.cost) != 0 ORDER BY l.tenant";
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_string();
    let rows = server.rows(sql);
    rows.iter().for_each(|row| assert_eq!(row["calls"], 1, "{rows:?}"));
    rows.iter().map(|row| ["tenant", "cost", "source"].map(|key| text(row, key))).collect()
}

/// Scenario: a settler that has not heard of an imported price, and one that has, settle the same evidence: each alone, then
/// both at once; then late evidence of each one's calls comes to the other.
/// Guarantees: every call stands once, at one price that its entry names; whoever posted first decides which, and the other
/// leaves it; they come to rest; everything verifies and is explained. A third, with another currency, posts nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settlers_that_know_different_prices_agree_on_what_stands() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(&dir.path().join("data"), &[], &[("LEDGERLINE_SETTLE_ENABLED", "false")]);
    let password = std::fs::read_to_string(server.data_dir.join("clickhouse-owner-password")).unwrap();
    let database = Database::new(Target {
        url: server.clickhouse.clone(),
        user: embedded::OWNER.into(),
        password: password.trim().into(),
        database: "ledgerline".into(),
        cluster: None,
    });
    let mut old = settler(&database, 7, "USD", standing_still).await;
    old.pass(false).await.unwrap();
    let own = dir.path().join("own.csv");
    std::fs::write(
        &own,
        "provider,model,unit,price\nopenai,gpt-4o,input_mtok,1\nopenai,gpt-4o,output_mtok,1\n",
    )
    .unwrap();
    server.succeed(&format!("prices import {}", own.display()));
    let mut new = settler(&database, 8, "USD", now).await;
    for id in [7, 8] {
        let row = CollectorRow {
            collector_id: [id; 16],
            host: "here".into(),
            version: "1".into(),
            appended_seq: 0,
            shipped_seq: 0,
            settles: true,
            heartbeat_at: now() / 1000,
        };
        database.insert_heartbeat(&row).await.unwrap();
    }

    // 1,000 × 2.50 + 100 × 10 dollars a million, and 1,100 × 1.
    let of = |tenant: &'static str, n: u64| Call { tenant, trace: n, answer: n, ..OCTOBER };
    send(&server, &[of("a-old", 1)]);
    old.pass(false).await.unwrap();
    send(&server, &[of("b-new", 2)]);
    new.pass(false).await.unwrap();
    let alone = [
        ["a-old", "0.0035", "genai-prices 0.2.1"].map(String::from),
        ["b-new", "0.0011", "own.csv"].map(String::from),
    ];
    assert_eq!(standing(&server), alone);

    // Another library's reports, which know what was cached, come to the settler that did not post: prices stay.
    let late =
        |tenant: &'static str, n: u64| Call { scope: "other", trace: n + 10, cached: 400, ..of(tenant, n) };
    send(&server, &[late("a-old", 1), late("b-new", 2)]);
    new.pass(false).await.unwrap();
    old.pass(false).await.unwrap();
    new.pass(false).await.unwrap();
    let refined = [
        ["a-old", "0.003", "genai-prices 0.2.1"].map(String::from),
        ["b-new", "0.0011", "own.csv"].map(String::from),
    ];
    assert_eq!(standing(&server), refined);

    // Both at once, until neither has anything to say.
    send(&server, &[of("c-both", 3), of("d-both", 4), late("d-both", 4)]);
    let mut rounds = 0;
    loop {
        let (one, other) = tokio::join!(old.pass(false), new.pass(false));
        rounds += 1;
        if one.unwrap().entries + other.unwrap().entries == 0 {
            break;
        }
        assert!(rounds < 10, "they correct each other for ever: {:?}", standing(&server));
    }
    let stands = standing(&server);
    assert_eq!((stands.len(), &stands[..2]), (4, &refined[..]), "{stands:?}");
    let verified = verify(&database, None).await.unwrap();
    assert_eq!(verified.findings, []);
    for row in server
        .rows("SELECT DISTINCT response_id AS id FROM ledgerline.ledger WHERE tenant IN ('b-new', 'c-both')")
    {
        let explained = server.succeed(&format!("explain {}", row["id"].as_str().unwrap()));
        assert!(explained.contains("    price "), "{explained}");
    }

    let entries = || server.rows("SELECT count() AS n FROM ledgerline.ledger")[0]["n"].clone();
    let before = entries();
    send(&server, &[of("e-euro", 5)]);
    let mut euro = settler(&database, 9, "EUR", now).await;
    let refused = euro.pass(true).await.unwrap_err().to_string();
    assert!(refused.contains("the ledger is in USD, billing.currency is EUR"), "{refused}");
    assert_eq!(entries(), before);
    server.stop();
}
