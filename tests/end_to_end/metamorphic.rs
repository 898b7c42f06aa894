//! What must not matter: how the recorded spans of real SDKs were cut into exports, in which order and how often they
//! came, to which collector, and when somebody settled or restarted in between.
//!
//! The whole corpus goes through the real program several times, each time disturbed otherwise, into a ledger of its
//! own: the sums of the ledger must be equal, the invoices byte for byte the same, and `verify` clean. The disturbance
//! follows a seed; `LEDGERLINE_SEED` plays another one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use collector::decode::{AiTraces, DecodeConfig, Decoded, Decoder};
use domain::observation::{Evidence, KeyStamp, Kind, Observation};
use domain::{ReceivedAt, TraceId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;
use serde_json::Value;

use crate::random::Random;
use crate::server::Server;

const PROTOBUF: &str = "application/x-protobuf";

/// What is billed, by whom and what it is for.
const SUMS: &str =
    "SELECT tenant, feature, user_id, session_id, provider, model, state, toString(period) AS month,
    sum(l.calls) AS net_calls, sum(l.input_tokens) AS input, sum(l.cache_read_tokens) AS cache_read,
    sum(l.cache_write_tokens) AS cache_write, sum(l.cache_write_1h_tokens) AS cache_write_1h,
    sum(l.output_tokens) AS output, sum(l.reasoning_tokens) AS reasoning,
    toString(sum(l.cost)) AS cost, toString(sum(l.charge)) AS charge
    FROM ledgerline.ledger AS l GROUP BY ALL
    HAVING (net_calls, input, output, sum(l.cost)) != (0, 0, 0, 0) ORDER BY ALL";

/// What one way of delivery came to.
#[derive(Debug, PartialEq)]
struct Books {
    sums: Vec<Value>,
    invoices: BTreeMap<String, Vec<u8>>,
}

impl Books {
    fn read(server: &Server) -> Self {
        let verified = server.succeed("verify");
        assert!(verified.contains("everything holds"), "{verified}");
        let sums = server.rows(SUMS);
        let out = server.data_dir.join("invoices");
        for row in server.rows("SELECT DISTINCT toString(period) AS month FROM ledgerline.ledger") {
            let month = &row["month"].as_str().unwrap()[..7];
            server.succeed(&format!("invoice export --month {month} --out {}", out.display()));
        }
        let file = |path: PathBuf| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
        };
        Self { sums, invoices: sorted(&out).into_iter().map(file).collect() }
    }
}

#[test]
fn however_spans_are_delivered_the_ledger_and_the_invoices_are_the_same() {
    let seed = std::env::var("LEDGERLINE_SEED").map_or(1, |seed| seed.parse().unwrap());
    let exports = recorded();
    let plain = deliver_as_recorded(&exports);
    assert!(plain.sums.len() > 100 && plain.invoices.len() > 4, "{:?}", plain.invoices.keys());
    for (way, books) in [
        ("cut, merged, mixed and sent twice", deliver_mixed(&exports, seed)),
        ("settled in between, killed and started again", deliver_in_portions(&exports, seed)),
        ("to two collectors", deliver_to_two(&exports, seed)),
    ] {
        let differs: Vec<_> = plain
            .sums
            .iter()
            .filter(|sum| !books.sums.contains(sum))
            .chain(books.sums.iter().filter(|sum| !plain.sums.contains(sum)))
            .collect();
        assert!(
            differs.is_empty() && books == plain,
            "{way}, it is another ledger, or other invoices; again with\n  LEDGERLINE_SEED={seed} cargo test --test end_to_end \
             however_spans_are_delivered\n{differs:#?}"
        );
    }
}

/// Each request once, as the exporters sent them.
fn deliver_as_recorded(exports: &[Vec<u8>]) -> Books {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    exports.iter().for_each(|export| send(&server, export));
    server.succeed("settle");
    let books = Books::read(&server);
    server.stop();
    books
}

fn deliver_mixed(exports: &[Vec<u8>], seed: u64) -> Books {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    mixed(exports, &mut Random::new(seed, 1)).iter().for_each(|export| send(&server, export));
    server.succeed("settle");
    let books = Books::read(&server);
    server.stop();
    books
}

/// Settled at many points, each of which sees parts of traces; once the process is killed, once it is stopped.
fn deliver_in_portions(exports: &[Vec<u8>], seed: u64) -> Books {
    const POINTS: usize = 12;
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]);
    let exports = mixed(exports, &mut Random::new(seed, 2));
    for (at, portion) in exports.chunks(exports.len().div_ceil(POINTS)).enumerate() {
        portion.iter().for_each(|export| send(&server, export));
        match at {
            3 => {
                server.kill();
                server = Server::start(dir.path(), &[]);
            }
            7 => {
                server.stop();
                server = Server::start(dir.path(), &[]);
            }
            _ => drop(server.succeed("settle")),
        }
    }
    server.succeed("settle");
    let books = Books::read(&server);
    assert_eq!(posted_by_settling_again(&server), 0);
    server.stop();
    books
}

/// Each export to one of two collectors, some to both; both settle into one ledger, at several points.
fn deliver_to_two(exports: &[Vec<u8>], seed: u64) -> Books {
    const POINTS: usize = 4;
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Server::start(one.path(), &[]);
    let password = std::fs::read_to_string(one.path().join("clickhouse-owner-password")).unwrap();
    let config = two.path().join("second.toml");
    let owner = format!("[clickhouse]\nuser = \"ledgerline\"\npassword = \"{}\"\n", password.trim());
    std::fs::write(&config, owner).unwrap();
    let flags = ["--config", config.to_str().unwrap(), "--clickhouse-url", &first.clickhouse];
    let second = Server::start(&two.path().join("data"), &flags);
    let settle = format!("settle --config {}", config.display());

    let random = &mut Random::new(seed, 3);
    let exports = mixed(exports, random);
    for portion in exports.chunks(exports.len().div_ceil(POINTS)) {
        for export in portion {
            let to = random.pick(&[0, 0, 0, 0, 1, 1, 1, 1, 2]);
            if to != 1 {
                send(&first, export);
            }
            if to != 0 {
                send(&second, export);
            }
        }
        second.succeed(&settle);
        first.succeed("settle");
    }
    second.succeed(&settle);
    let books = Books::read(&first);
    second.stop();
    first.stop();
    books
}

fn send(server: &Server, export: &[u8]) {
    let answer = server.post(PROTOBUF, export).unwrap();
    assert!(answer.status == 200 && answer.body.is_empty(), "{answer:?}");
}

fn posted_by_settling_again(server: &Server) -> i64 {
    let entries =
        || server.rows("SELECT count() AS n FROM ledgerline.ledger_entries")[0]["n"].as_i64().unwrap();
    let before = entries();
    server.succeed("settle");
    entries() - before
}

/// Every recorded request of both sets, in the order of the scenarios.
fn recorded() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let scenarios = ["genai-spans", "recorded"].into_iter().flat_map(|set| sorted(&root.join(set)));
    scenarios
        .filter(|path| path.join("expected.json").is_file())
        .flat_map(|scenario| sorted(&scenario))
        .filter(|path| path.extension().is_some_and(|extension| extension == "pb"))
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn sorted(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The spans of all exports, a fifth of them twice, in another order and in other exports of one to twelve spans.
fn mixed(exports: &[Vec<u8>], random: &mut Random) -> Vec<Vec<u8>> {
    let mut spans = accompanied(exports.iter().flat_map(|export| one_by_one(export)).collect());
    let twice: Vec<_> = spans.iter().filter(|_| random.chance(20)).cloned().collect();
    spans.extend(twice);
    random.shuffle(&mut spans);
    let mut merged = Vec::new();
    let mut rest = &spans[..];
    while !rest.is_empty() {
        let (export, after) = rest.split_at(random.between(1, 12).min(rest.len() as i64) as usize);
        // Encoded requests one after the other are one request with the spans of all.
        merged.push(export.concat());
        rest = after;
    }
    merged
}

/// The same exports of single spans, in which no span that hints at a user or session comes alone: it counts where its trace is known
/// for AI usage when it comes (`docs/rules.md`), which else is a matter of order. It goes with a span of AI usage.
fn accompanied(spans: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let decoder = Decoder::new(&DecodeConfig::default());
    let read = |span: &[u8], known: &[TraceId]| -> Option<Observation> {
        let (key, traces) = (KeyStamp::default(), AiTraces::default());
        traces.insert_all(&key.realm, known);
        let mut decoded = Decoded::default();
        decoder.decode(span, &key, ReceivedAt::from_nanos(1), &traces, &mut decoded).unwrap();
        match decoded.evidence.pop()? {
            Evidence::Observation(said) => Some(*said),
            Evidence::Link(_) => None,
        }
    };
    let (mut alone, mut hints, mut of_trace) = (Vec::new(), Vec::new(), BTreeMap::new());
    for span in spans {
        if let Some(said) = read(&span, &[]) {
            if said.kind != Kind::Attribution {
                of_trace.entry(said.trace).or_insert(alone.len());
            }
            alone.push(span);
        } else {
            let trace = trace_of(&span);
            match trace.filter(|trace| read(&span, &[*trace]).is_some()) {
                Some(trace) => hints.push((trace, span)),
                None => alone.push(span),
            }
        }
    }
    for (trace, hint) in hints {
        match of_trace.get(&trace) {
            Some(&at) => alone[at].extend(hint),
            None => alone.push(hint),
        }
    }
    alone
}

fn trace_of(single: &[u8]) -> Option<TraceId> {
    let request = ExportTraceServiceRequest::decode(single).unwrap();
    let span = request.resource_spans.first()?.scope_spans.first()?.spans.first()?;
    TraceId::from_bytes(span.trace_id.as_slice().try_into().ok()?)
}

/// An export for each span of an export.
fn one_by_one(export: &[u8]) -> Vec<Vec<u8>> {
    let request = ExportTraceServiceRequest::decode(export).unwrap();
    let mut single = Vec::new();
    for resource in &request.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let scope_spans = vec![ScopeSpans { spans: vec![span.clone()], ..scope.clone() }];
                let resource_spans = vec![ResourceSpans { scope_spans, ..resource.clone() }];
                single.push(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
            }
        }
    }
    single
}
