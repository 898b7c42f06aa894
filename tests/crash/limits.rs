//! Too much of everything: requests, connections, files, bytes in the journal. Refused properly, nothing acknowledged lost.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::process::{Server, calls_in_the_ledger, free_port};
use crate::wire::{Answer, http};

/// What the collector may take without the engine (DESIGN: 256 MiB).
const MEMORY_MAX: u64 = 256 << 20;
/// No test comes near: for conditions that must come about.
const FAR: Duration = Duration::from_secs(60);
const FILES: u64 = 1_024;

/// An export request with so many calls from a number on, each with that much ballast that is kept.
fn calls(first: u64, count: u64, ballast: usize) -> Vec<u8> {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let number = |key: &str, value: u64| json!({"key": key, "value": {"intValue": value.to_string()}});
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let span = |n: u64| {
        json!({
            "traceId": format!("{:032x}", n + 1), "spanId": format!("{:016x}", n + 1), "name": "chat", "kind": 3,
            "startTimeUnixNano": (now - 1_000_000_000).to_string(), "endTimeUnixNano": now.to_string(),
            "attributes": [
                text("gen_ai.operation.name", "chat"), text("gen_ai.provider.name", "openai"),
                text("gen_ai.request.model", "gpt-4o"), text("tenant.id", "acme"),
                text("gen_ai.response.id", &format!("chatcmpl-LimItSabQz{n:016x}")),
                number("gen_ai.usage.input_tokens", 1_000 + n), number("gen_ai.usage.output_tokens", 10),
            ],
        })
    };
    // Long texts are not kept, many short ones are.
    let span = |n: u64| {
        let mut span = span(n);
        let attributes = span["attributes"].as_array_mut().unwrap();
        attributes
            .extend((0..ballast / 100).map(|at| text(&format!("gen_ai.ballast.{at}"), &"x".repeat(100))));
        span
    };
    let spans: Vec<Value> = (first..first + count).map(span).collect();
    json!({"resourceSpans": [{"scopeSpans": [{"scope": {"name": "limits"}, "spans": spans}]}]})
        .to_string()
        .into_bytes()
}

/// Where no database is.
fn nowhere() -> String {
    format!("http://127.0.0.1:{}", free_port())
}

fn is_a_proper_refusal(answer: &Answer) -> bool {
    matches!(answer.status, 429 | 503) && answer.head.contains("\r\nretry-after: ")
}

/// Scenario: the database is away until the journal is full; a refused request is sent again until it is taken; then the
/// database comes.
/// Guarantees: refusals say when to come back, the server says that it is not ready, it heals by itself, and every call
/// acknowledged before, and the one refused at first, is in the ledger.
#[test]
#[ignore = "fills a journal and starts the engine three times: over a minute on a busy machine"]
fn a_full_journal_refuses_properly_and_heals_by_itself() {
    let home = tempfile::tempdir().unwrap();
    let (engine_dir, dir) = (home.path().join("engine"), home.path().join("collector"));
    // The engine makes its password, which the collector is configured with.
    Server::start(&engine_dir, &[("LEDGERLINE_SETTLE_ENABLED", "false")], FILES).stop();
    let password = std::fs::read_to_string(engine_dir.join("clickhouse-owner-password")).unwrap();
    let port = free_port().to_string();
    let url = format!("http://127.0.0.1:{port}");
    let collector = Server::start(
        &dir,
        &[
            ("LEDGERLINE_CLICKHOUSE_URL", &url),
            ("LEDGERLINE_CLICKHOUSE_USER", "ledgerline"),
            ("LEDGERLINE_CLICKHOUSE_PASSWORD", password.trim()),
            ("LEDGERLINE_JOURNAL_SEGMENT_SIZE", "4MiB"),
            ("LEDGERLINE_JOURNAL_CAPACITY", "8MiB"),
            ("LEDGERLINE_JOURNAL_KEEP", "0s"),
        ],
        FILES,
    );
    let mut sent = 0;
    let refused = loop {
        let body = calls(sent, 200, 3_000);
        // An answer that comes before the whole body was read may be lost to the client: it sends again.
        let Some(answer) = collector.post(&body) else { continue };
        if answer.status != 200 {
            assert!(is_a_proper_refusal(&answer), "{answer:?}");
            break body;
        }
        sent += 200;
        assert!(sent < 50_000, "the journal never got full");
    };
    assert!(sent > 0);
    let ready = http(&collector.admin, "GET", "/readyz", &[], b"").unwrap();
    // Room for the next small request may be left, but not for this one.
    assert!(
        matches!(ready.status, 200 | 503) && collector.metric("ledgerline_journal_bytes") > 6 << 20,
        "{ready:?}"
    );

    let address = format!("127.0.0.1:{port}");
    let settings = [("LEDGERLINE_CLICKHOUSE_ADDR", address.as_str()), ("LEDGERLINE_SETTLE_ENABLED", "false")];
    let engine = Server::start(&engine_dir, &settings, FILES);
    let begun = Instant::now();
    while collector.post(&refused).is_none_or(|answer| answer.status != 200) {
        assert!(begun.elapsed() < FAR, "it does not heal");
    }
    while collector.metric("ledgerline_journal_unshipped") != 0 {
        assert!(begun.elapsed() < FAR, "it does not ship");
    }
    collector.stop();
    engine.stop();
    assert_eq!(calls_in_the_ledger(&engine_dir), sent + 200);
}

/// Scenario: every place for a request is held by a client that does not go on; then many more come than there is room for,
/// again and again.
/// Guarantees: those beyond are refused with a time to come back; memory stays under its cap; what was acknowledged is in the
/// ledger.
#[test]
fn too_much_at_once_is_refused_properly_within_bounded_memory() {
    const PLACES: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let away = nowhere();
    let settings = [
        ("LEDGERLINE_CLICKHOUSE_URL", away.as_str()),
        ("LEDGERLINE_OTLP_REQUESTS_MAX", "8"),
        ("LEDGERLINE_OTLP_BODY_MAX", "4MiB"),
        ("LEDGERLINE_OTLP_DECOMPRESSED_MAX", "4MiB"),
        ("LEDGERLINE_OTLP_IN_FLIGHT_MAX", "16MiB"),
    ];
    let server = Server::start(dir.path(), &settings, FILES);
    let stalled: Vec<TcpStream> = (0..PLACES)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.otlp_http).unwrap();
            let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    while server.metric("ledgerline_requests_in_flight") < PLACES as u64 {
        assert!(begun.elapsed() < FAR, "the places are not taken");
    }
    let answer = server.post(&calls(0, 1, 0)).unwrap();
    assert!(is_a_proper_refusal(&answer), "{answer:?}");
    drop(stalled);
    while server.metric("ledgerline_requests_in_flight") > 0 {
        assert!(begun.elapsed() < FAR, "the places are not freed");
    }

    let (next, acknowledged, refused) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 * PLACES {
            scope.spawn(|| {
                for _ in 0..4 {
                    let body = calls(next.fetch_add(100, SeqCst), 100, 2_000);
                    let answer = server.post(&body).unwrap();
                    if answer.status == 200 {
                        acknowledged.fetch_add(100, SeqCst);
                    } else {
                        assert!(is_a_proper_refusal(&answer), "{answer:?}");
                        refused.fetch_add(100, SeqCst);
                    }
                }
            });
        }
    });
    let peak = server.memory_peak();
    println!("{acknowledged:?} calls acknowledged, {refused:?} refused, {} MiB at the most", peak >> 20);
    assert!(peak < MEMORY_MAX, "{peak}");
    server.stop();
    assert!(acknowledged.load(SeqCst) > 0);
    assert_eq!(calls_in_the_ledger(dir.path()), acknowledged.load(SeqCst));
}

/// Scenario: more connections than the process may have files, then they go.
/// Guarantees: it lives, it serves again, and what it acknowledged before and after is in the ledger.
#[test]
fn out_of_files_it_waits_and_serves_again() {
    let dir = tempfile::tempdir().unwrap();
    let away = nowhere();
    let server = Server::start(dir.path(), &[("LEDGERLINE_CLICKHOUSE_URL", &away)], 160);
    assert_eq!(server.post(&calls(0, 5, 0)).unwrap().status, 200);
    // The kernel takes them in; the process has no file left for the last of them.
    let crowd: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(&server.otlp_http).unwrap()).collect();
    drop(crowd);
    let begun = Instant::now();
    while server.post(&calls(5, 5, 0)).is_none_or(|answer| answer.status != 200) {
        assert!(begun.elapsed() < FAR, "it does not serve again");
    }
    server.stop();
    assert_eq!(calls_in_the_ledger(dir.path()), 10);
}

/// Scenario: ten thousand clients connect and say nothing; one more sends calls.
/// Guarantees: it is answered, and memory stays under its cap.
#[test]
fn ten_thousand_idle_connections_keep_nobody_from_sending() {
    const CROWD: usize = 10_000;
    let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let enough = CROWD as u64 + 500;
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: limits.current.max(Some(enough)), ..limits },
    )
    .expect("a test machine lets a process have 10,500 files (ulimit -Hn)");
    let dir = tempfile::tempdir().unwrap();
    let away = nowhere();
    let settings =
        [("LEDGERLINE_CLICKHOUSE_URL", away.as_str()), ("LEDGERLINE_OTLP_CONNECTIONS_MAX", "10100")];
    let server = Server::start(dir.path(), &settings, enough);
    let crowd: Vec<TcpStream> = (0..CROWD).map(|_| TcpStream::connect(&server.otlp_http).unwrap()).collect();
    let begun = Instant::now();
    while server.metric("ledgerline_connections_open") < CROWD as u64 {
        assert!(
            begun.elapsed() < FAR,
            "{} connections are open",
            server.metric("ledgerline_connections_open")
        );
    }
    assert_eq!(server.post(&calls(0, 5, 0)).unwrap().status, 200);
    let peak = server.memory_peak();
    println!("{CROWD} connections, {} MiB at the most", peak >> 20);
    assert!(peak < MEMORY_MAX, "{peak}");
    drop(crowd);
    server.stop();
}

/// Scenario: evidence that was committed and not settled yet is taken out of the log by somebody.
/// Guarantees: settlement stops before it and says which collector and range; nothing behind it is posted as if all were well.
#[test]
fn evidence_that_is_not_what_was_committed_is_not_settled() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[("LEDGERLINE_SETTLE_ENABLED", "false")], FILES);
    assert_eq!(server.post(&calls(0, 5, 0)).unwrap().status, 200);
    let begun = Instant::now();
    while server.metric("ledgerline_journal_unshipped") != 0 {
        assert!(begun.elapsed() < FAR, "it does not ship");
    }
    let note: Value = serde_json::from_slice(&std::fs::read(dir.path().join("serve.json")).unwrap()).unwrap();
    let clickhouse = note["clickhouse"].as_str().unwrap().trim_start_matches("http://");
    let password = std::fs::read_to_string(dir.path().join("clickhouse-owner-password")).unwrap();
    let owner = [("x-clickhouse-user", "ledgerline"), ("x-clickhouse-key", password.trim())];
    let taken =
        http(clickhouse, "POST", "/", &owner, b"DELETE FROM ledgerline.observation_log WHERE seq = 2");
    assert_eq!(taken.as_ref().map(|answer| answer.status), Some(200), "{taken:?}");
    server.stop();
    let (code, said) = crate::process::run(dir.path(), "settle --timeout 10s");
    assert!(code == Some(1) && said.contains("4 rows of 5"), "{code:?} {said}");
}
