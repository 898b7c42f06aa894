//! Budgets over real connections: what a gateway is answered, and what a receiver of alerts gets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use base64::Engine as _;
use hmac::Mac as _;
use serde_json::{Value, json};

use crate::server::Server;
use crate::spans::{request, response_id};
use crate::wire::{Answer, http};

const JSON: &str = "application/json";
const SECRET: &str = "a secret of the tests";

/// What a receiver was sent: the alert's id, its body, and whether it was taken.
#[derive(Debug)]
struct Delivery {
    id: String,
    body: Value,
    taken: bool,
}

/// A receiver of alerts. It checks every signature, and takes alerts while `takes` is set.
struct Receiver {
    url: String,
    takes: Arc<AtomicBool>,
    got: mpsc::Receiver<Delivery>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/alerts", listener.local_addr().unwrap());
        let takes = Arc::new(AtomicBool::new(false));
        let (tell, got) = mpsc::channel();
        let taking = Arc::clone(&takes);
        // Ends with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut length, mut headers) = (0, std::collections::BTreeMap::new());
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                        break;
                    }
                    if let Some((name, value)) = line.trim().split_once(": ") {
                        headers.insert(name.to_ascii_lowercase(), value.to_string());
                    }
                }
                if let Some(text) = headers.get("content-length") {
                    length = text.parse().unwrap();
                }
                let mut body = vec![0; length];
                if headers.is_empty() || stream.read_exact(&mut body).is_err() {
                    continue;
                }
                let text = String::from_utf8(body).unwrap();
                let id = headers["webhook-id"].clone();
                let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
                mac.update(format!("{id}.{}.{text}", headers["webhook-timestamp"]).as_bytes());
                let signed = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
                assert_eq!(headers["webhook-signature"], format!("v1,{signed}"));
                let taken = taking.load(Ordering::Acquire);
                let status = if taken { "204 No Content" } else { "503 Service Unavailable" };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
                let body = serde_json::from_str(&text).unwrap();
                if tell.send(Delivery { id, body, taken }).is_err() {
                    return;
                }
            }
        });
        Self { url, takes, got }
    }

    /// The next delivery of a threshold, of which each delivery before is told too.
    fn until(&self, percent: u64, taken: bool, mut before: impl FnMut(&Delivery)) -> Delivery {
        loop {
            let delivery = self.got.recv_timeout(Duration::from_secs(120)).unwrap();
            if delivery.body["data"]["threshold_percent"] == percent && delivery.taken == taken {
                return delivery;
            }
            before(&delivery);
        }
    }
}

fn get(server: &Server, path: &str) -> Answer {
    http(&server.admin, "GET", path, &[], b"").unwrap()
}

/// The answer of a path, once it holds.
fn once(server: &Server, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let given_up = Instant::now() + Duration::from_secs(120);
    loop {
        let answer = get(server, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let found: Value = serde_json::from_str(&answer.body).unwrap();
        if holds(&found) {
            return found;
        }
        assert!(Instant::now() < given_up, "{path}: {found}");
        std::thread::yield_now();
    }
}

/// What the ledger says that acme was charged.
fn charged(server: &Server) -> String {
    let sql = "SELECT toString(toDecimalString(sum(l.charge), 12)) AS charge FROM ledgerline.ledger AS l WHERE tenant = 'acme'";
    server.rows(sql)[0]["charge"].as_str().unwrap().to_string()
}

/// Scenario: forty calls come to over 80 % of a budget, the receiver of alerts refuses; the server is killed and
/// started again, the receiver takes; it is stopped and started; sixty more calls, a credit; names and accounts that are not there.
/// Guarantees: what is answered is the ledger's sum to the last digit, after the kill too; each alert is signed, repeated
/// until it is taken, under one id; what was taken is not sent again.
#[test]
fn a_gateway_is_told_the_sum_of_the_ledger_and_a_receiver_each_threshold() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let budgets = r#"[
        { name = "acme", tenant = "acme", per = "month", of = "charge", limit = "0.016", burn = false },
        { name = "each", tenant = "*", feature = "search", per = "month", of = "cost", limit = "1000", burn = false },
        { name = "nobody", tenant = "", per = "day", of = "cost", limit = "1", burn = false }]"#;
    let variables = [
        ("LEDGERLINE_BUDGET", budgets),
        ("LEDGERLINE_ALERTS_WEBHOOK", receiver.url.as_str()),
        ("LEDGERLINE_ALERTS_SECRET", SECRET),
    ];
    let server = Server::start_with(dir.path(), &[], &variables);
    assert_eq!(server.post(JSON, &request(0..40)).unwrap().status, 200);
    server.succeed("settle");
    let spent = charged(&server);
    // A look may fall between what settlement posts and what it says of itself.
    let nothing_waits = json!({"amount": "0.000000000000", "calls": 0, "estimated": true});
    let answer = once(&server, "/v1/budget/acme", |answer| {
        answer["spent"] == spent.as_str() && answer["pending"] == nothing_waits && answer["fresh"] == true
    });
    assert_eq!(
        [&answer["decision"], &answer["reached_percent"], &answer["trouble"], &answer["feature"]],
        [&json!("warn"), &json!(80), &Value::Null, &Value::Null],
        "{answer}"
    );
    let refused = receiver.until(80, false, |_| {});
    let again = receiver.until(80, false, |_| {});
    assert_eq!((&refused.id, &refused.body), (&again.id, &again.body), "the same alert, signed anew");
    assert_eq!(refused.body["data"]["id"], refused.id.as_str());
    assert_eq!(refused.body["data"]["spent"], spent.as_str());

    server.kill();
    receiver.takes.store(true, Ordering::Release);
    let server = Server::start_with(dir.path(), &[], &variables);
    let taken = receiver.until(80, true, |_| {});
    assert_eq!(taken.id, refused.id, "after the kill too");
    while !server.metrics().lines().any(|line| line == "ledgerline_budget_alerts_waiting 0") {
        std::thread::yield_now();
    }
    server.stop();
    let server = Server::start_with(dir.path(), &[], &variables);
    once(&server, "/v1/budget/acme", |answer| answer["spent"] == spent.as_str());
    assert_eq!(server.post(JSON, &request(40..100)).unwrap().status, 200);
    server.succeed("settle");
    let full = receiver.until(100, true, |delivery| {
        assert_ne!(delivery.id, taken.id, "what was taken is not sent again");
    });
    assert_eq!(full.body["data"]["budget"], "acme");
    let spent = charged(&server);
    let answer = once(&server, "/v1/budget/acme", |answer| answer["spent"] == spent.as_str());
    assert_eq!(answer["decision"], "deny", "{answer}");

    // A credit counts, whatever was told.
    let month = &answer["window"]["from"].as_str().unwrap()[..7];
    let line = format!(
        "adjust credit --by ann --reason goodwill --tenant acme --amount 0.03 --month {month} --apply"
    );
    server.succeed(&line);
    let spent = charged(&server);
    let answer = once(&server, "/v1/budget/acme", |answer| answer["spent"] == spent.as_str());
    assert_eq!(answer["decision"], "allow", "{answer}");

    // A call's own question; accounts that never spent; names that are not there.
    let asked: Value =
        serde_json::from_str(&get(&server, "/v1/budget?tenant=acme&feature=search").body).unwrap();
    let names: Vec<_> = asked["budgets"].as_array().unwrap().iter().map(|budget| &budget["budget"]).collect();
    assert_eq!(
        (names, &asked["decision"]),
        (vec![&json!("acme"), &json!("each")], &json!("allow")),
        "{asked}"
    );
    let stranger = once(&server, "/v1/budget/each?tenant=stranger", |_| true);
    assert_eq!([&stranger["spent"], &stranger["tenant"]], [&json!("0.000000000000"), &json!("stranger")]);
    for (path, says) in [
        ("/v1/budget/acm", "there is no budget named \\\"acm\\\"; there are acme, each, nobody"),
        ("/v1/budget/each", "?tenant=…"),
        ("/v1/budget/acme?tenant=globex", "?tenant=acme"),
    ] {
        let answer = get(&server, path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains(says), "{path}: {}", answer.body);
    }
    let elsewhere = [("sec-fetch-site", "cross-site")];
    assert_eq!(http(&server.admin, "GET", "/v1/budget/acme", &elsewhere, b"").unwrap().status, 403);
    let metrics = server.metrics();
    assert!(metrics.contains("ledgerline_budget_accounts_over{budget=\"acme\"} 0"), "{metrics}");
    server.stop();
}

/// Scenario: a call waits for spans above it; then it is settled; then the database goes away.
/// Guarantees: what waits is shown apart, as an estimate that comes true; an answer without the ledger says how old it is.
#[test]
fn what_waits_stands_apart_and_an_unreachable_ledger_is_said() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let host = Server::start_with(dirs[0].path(), &[], &[("LEDGERLINE_SETTLE_ENABLED", "false")]);
    let password = std::fs::read_to_string(dirs[0].path().join("clickhouse-owner-password")).unwrap();
    let variables = [
        ("LEDGERLINE_BUDGET", r#"[{ name = "all", per = "month", of = "charge", limit = "10" }]"#),
        ("LEDGERLINE_CLICKHOUSE_USER", "ledgerline"),
        ("LEDGERLINE_CLICKHOUSE_PASSWORD", password.trim()),
        ("LEDGERLINE_CLICKHOUSE_URL", host.clickhouse.as_str()),
        ("LEDGERLINE_SETTLE_QUIET", "1h"),
    ];
    let server = Server::start_with(dirs[1].path(), &[], &variables);
    let mut waits: Value = serde_json::from_slice(&request(0..1)).unwrap();
    let span = &mut waits["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    span["parentSpanId"] = json!("00000000000000aa");
    let stated = span["attributes"].as_array_mut().unwrap();
    stated.retain(|attribute| attribute["key"] != "tenant.id" && attribute["key"] != "feature.name");
    assert_eq!(server.post(JSON, waits.to_string().as_bytes()).unwrap().status, 200);
    let answer = once(&server, "/v1/budget/all", |answer| answer["pending"]["calls"] == 1);
    assert_eq!(answer["spent"], "0.000000000000", "{answer}");
    let estimate = answer["pending"]["amount"].clone();

    let config = dirs[1].path().join("second.toml");
    let lines = format!("[clickhouse]\nuser = \"ledgerline\"\npassword = \"{}\"\n", password.trim());
    std::fs::write(&config, lines).unwrap();
    server.succeed(&format!("settle --config {}", config.display()));
    let settled = once(&server, "/v1/budget/all", |answer| answer["pending"]["calls"] == 0);
    assert_eq!(settled["spent"], estimate, "{settled}, {}", response_id(0));

    host.kill();
    let stale = once(&server, "/v1/budget/all", |answer| !answer["trouble"].is_null());
    assert_eq!((&stale["spent"], &stale["decision"]), (&estimate, &json!("allow")), "{stale}");
    once(&server, "/v1/budget/all", |answer| answer["lag_seconds"].as_f64().unwrap() > 2.0);
    assert!(server.metrics().contains("ledgerline_budget_failing 1"));
    server.kill();
}

/// Scenario: the limit of a budget is raised in the configuration's file of a running server, and another budget is added; then
/// the file is broken, and mended without the first.
/// Guarantees: what is in the file is in force without a restart, with what was spent before; a file that does not hold
/// changes nothing; a budget that is gone is not there.
#[test]
fn budgets_are_those_of_the_file_as_it_is_now() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("budgets.toml");
    let write = |budgets: &[(&str, &str)]| {
        let text: String = budgets
            .iter()
            .map(|(name, limit)| {
                format!(
                    "[[budget]]\nname = \"{name}\"\nper = \"month\"\nof = \"charge\"\nlimit = \"{limit}\"\n"
                )
            })
            .collect();
        std::fs::write(&file, text).unwrap();
    };
    write(&[("all", "0.000001")]);
    let server = Server::start(&dir.path().join("data"), &["--config", file.to_str().unwrap()]);
    assert_eq!(server.post(JSON, &request(0..10)).unwrap().status, 200);
    server.succeed("settle");
    let spent = charged(&server);
    let all = once(&server, "/v1/budget/all", |answer| answer["spent"] == spent.as_str());
    assert_eq!(all["decision"], "deny");

    write(&[("all", "1000"), ("other", "500")]);
    let all = once(&server, "/v1/budget/all", |answer| answer["limit"] == "1000.000000000000");
    assert_eq!((&all["decision"], &all["spent"]), (&json!("allow"), &json!(spent)), "{all}");
    assert_eq!(once(&server, "/v1/budget/other", |_| true)["spent"], json!(spent));

    std::fs::write(&file, "[[budget]]\nname = 7\n").unwrap();
    // A look later than the write: what it knows is of a later second.
    let seen = once(&server, "/v1/budget/all", |answer| answer["as_of"] != all["as_of"]);
    let again = once(&server, "/v1/budget/all", |answer| answer["as_of"] != seen["as_of"]);
    assert_eq!(again["limit"], "1000.000000000000");

    write(&[("other", "500")]);
    while get(&server, "/v1/budget/all").status != 404 {
        std::thread::yield_now();
    }
    assert_eq!(once(&server, "/v1/budget/other", |_| true)["decision"], "allow");
    server.stop();
}
