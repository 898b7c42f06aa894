//! What our rules make of the recorded spans of real libraries, all of them, from decoding to a ledger in memory: every
//! call the ground truth expects, in any order, portion and copy. The figures are `docs/conformance.md`.

use std::fs;
use std::path::{Path, PathBuf};

use collector::decode::{AiTraces, DecodeConfig, Decoded, Decoder};
use domain::observation::KeyStamp;
use domain::resolve::{Metering, Outcome, Resolution, ResolvedCall, Rules, resolve};
use domain::{Evidence, ReceivedAt};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;
use serde_json::Value;

// The ledger in memory and the seeded draws that generated traces are held to.
#[path = "../../domain/tests/generated/book.rs"]
mod book;
#[path = "../../domain/tests/generated/portions.rs"]
mod portions;
#[path = "../../domain/tests/generated/random.rs"]
mod random;

/// A recorded scenario: what arrived, request by request, and its ground truth.
struct Scenario {
    name: String,
    truth: Value,
    requests: Vec<Vec<u8>>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a room lies in the workspace")
}

fn sorted(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn scenarios() -> Vec<Scenario> {
    let sets = ["tests/fixtures/genai-spans", "tests/fixtures/recorded"];
    let dirs = sets
        .into_iter()
        .flat_map(|set| sorted(&root().join(set)))
        .filter(|path| path.join("expected.json").is_file());
    let read = |dir: PathBuf| Scenario {
        name: dir.file_name().unwrap().to_string_lossy().into_owned(),
        truth: serde_json::from_slice(&fs::read(dir.join("expected.json")).unwrap()).unwrap(),
        requests: sorted(&dir)
            .iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "pb"))
            .map(|path| fs::read(path).unwrap())
            .collect(),
    };
    let scenarios: Vec<_> = dirs.map(read).collect();
    assert!(scenarios.len() >= 115, "{} scenarios", scenarios.len());
    scenarios
}

/// Recordings age: no limit on how late usage may be.
fn rules() -> Rules {
    Rules { late_limit_nanos: i64::MAX, future_limit_nanos: i64::MAX }
}

impl Scenario {
    /// What one collector makes of some of its requests.
    fn collect<'r>(&self, requests: impl IntoIterator<Item = &'r Vec<u8>>) -> Vec<Evidence> {
        let decoder = Decoder::new(&DecodeConfig::default());
        let (traces, mut decoded) = (AiTraces::default(), Decoded::default());
        for (at, body) in requests.into_iter().enumerate() {
            let received = ReceivedAt::from_nanos(1 + at as i64);
            decoder.decode(body, &KeyStamp::default(), received, &traces, &mut decoded).unwrap();
        }
        decoded.evidence
    }

    fn expected(&self) -> u64 {
        self.truth["counts"]["ledger_entries_expected_from_these_spans"].as_u64().unwrap()
    }

    /// The libraries that make calls or spans, without the exporters and SDKs that carry them.
    fn libraries(&self) -> String {
        const CARRIERS: [&str; 7] =
            ["exporter", "opentelemetry-sdk", "sdk-trace", "processor-baggage", "python", "node", "zod"];
        let libraries = self.truth["libraries"].as_object().unwrap().iter();
        let named = libraries
            .filter(|(name, _)| {
                !CARRIERS
                    .iter()
                    .any(|carrier| name.trim_start_matches("npm:@opentelemetry/").contains(carrier))
            })
            .map(|(name, version)| {
                let name = name.split_once(':').map_or(name.as_str(), |(_, name)| name);
                format!("{name} {}", version.as_str().unwrap_or_default())
            });
        named.collect::<Vec<_>>().join(", ")
    }
}

/// What became of a scenario's calls and spans.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Figures {
    expected: u64,
    billed: u64,
    partial: u64,
    unmetered: u64,
    duplicates: u64,
    wrappers: u64,
    not_billable: u64,
    unrecognised: u64,
}

impl Figures {
    fn of(expected: u64, resolution: &Resolution) -> Self {
        let calls =
            |metering| resolution.calls.iter().filter(|call| call.metering == metering).count() as u64;
        let spans = |outcome| resolution.outcomes.iter().filter(|one| one.outcome == outcome).count() as u64;
        Self {
            expected,
            billed: calls(Metering::Whole),
            partial: calls(Metering::Partial),
            unmetered: calls(Metering::Unmetered),
            duplicates: spans(Outcome::Merged),
            wrappers: spans(Outcome::Wrapper),
            not_billable: spans(Outcome::NotBillable),
            unrecognised: spans(Outcome::Unrecognised) + spans(Outcome::Quarantined),
        }
    }

    fn columns(&self) -> [u64; 8] {
        let Self { expected, billed, partial, unmetered, duplicates, wrappers, not_billable, unrecognised } =
            *self;
        [expected, billed, partial, unmetered, duplicates, wrappers, not_billable, unrecognised]
    }
}

const HEAD: &str = "\
# Conformance

What settlement makes of the spans that real libraries export. Each scenario of `tests/fixtures/genai-spans`, and after them
of `tests/fixtures/recorded`, was recorded against a provider that logged what it would bill; *expected* is how many of those
calls left a span of their own. Everything else is counted by our own decoder and rules. `UPDATE_GOLDEN=1 cargo test -p ledgerline-collector --test conformance` writes
this page; the same test fails where it is not current, or where expected is not billed, partial and unmetered together.

| column | counts |
|---|---|
| expected | calls that the provider billed and that some span shows |
| billed | calls whose usage is known |
| partial | calls whose input is known and whose output no span states |
| unmetered | calls of which no span states any usage |
| duplicates | spans that report a call which another span is billed by |
| wrappers | spans that repeat calls under them |
| failed | attempts that nobody charges for |
| not understood | spans that are unrecognised or quarantined |

";

#[test]
fn the_conformance_page_is_what_the_rules_decide() {
    let mut page = HEAD.to_string();
    page += "| scenario | libraries | expected | billed | partial | unmetered | duplicates | wrappers | failed | not understood |\n";
    page += "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    let mut total = [0; 8];
    for scenario in scenarios() {
        let evidence = scenario.collect(&scenario.requests);
        let figures = Figures::of(scenario.expected(), &resolve(&evidence, &rules()));
        let known = figures.billed + figures.partial + figures.unmetered;
        assert_eq!(figures.expected, known, "{}: {figures:?}", scenario.name);
        let cells = figures.columns().map(|count| count.to_string()).join(" | ");
        page += &format!("| `{}` | {} | {cells} |\n", scenario.name, scenario.libraries());
        total.iter_mut().zip(figures.columns()).for_each(|(sum, count)| *sum += count);
    }
    page += &format!("| **total** | | {} |\n", total.map(|count| format!("**{count}**")).join(" | "));
    golden("docs/conformance.md", &page);
}

/// Compares with a file of the repository. `UPDATE_GOLDEN=1` writes it instead.
fn golden(path: &str, actual: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&file, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        expected == actual,
        "{path} differs; UPDATE_GOLDEN=1 writes it anew. It should now be:\n{actual}"
    );
}

#[test]
fn in_any_order_portion_and_copy_the_ledger_of_a_recording_is_the_same() {
    for scenario in scenarios() {
        let evidence = scenario.collect(&scenario.requests);
        let once = resolve(&evidence, &rules());
        for seed in 0..40 {
            let mut random = random::Random::new(seed, 0);
            let held = portions::hold(&evidence, &once, &rules(), &mut random);
            held.unwrap_or_else(|wrong| panic!("{} with seed {seed}: {wrong}", scenario.name));
        }
    }
}

/// Each span in a request of its own, some sent twice, each request to one of three collectors, each of which sees only
/// its part and merges it into one export. A collector that sees no usage of a trace keeps no links of it, so that
/// ancestors that say nothing may be missing: the calls and what they used stay the same.
#[test]
fn exports_split_over_collectors_make_the_same_calls() {
    for scenario in scenarios() {
        let once = resolve(&scenario.collect(&scenario.requests), &rules());
        for seed in 0..10 {
            let mut random = random::Random::new(seed, 1);
            let mut pieces: Vec<Vec<u8>> = scenario.requests.iter().flat_map(|body| split(body)).collect();
            pieces.extend(pieces.iter().filter(|_| random.chance(20)).cloned().collect::<Vec<_>>());
            random.shuffle(&mut pieces);
            let mut collectors = [const { Vec::new() }; 3];
            for piece in pieces {
                // Encoded requests one after the other are one request with the spans of all.
                collectors[random.pick(&[0, 1, 2])].extend(piece);
            }
            let evidence: Vec<_> = collectors.iter().flat_map(|body| scenario.collect([body])).collect();
            let calls = |resolution: &Resolution| -> Vec<_> {
                let of_call = |call: &ResolvedCall| (call.winner, call.usage.clone(), call.metering);
                resolution.calls.iter().map(of_call).collect()
            };
            assert_eq!(
                calls(&resolve(&evidence, &rules())),
                calls(&once),
                "{} with seed {seed}",
                scenario.name
            );
        }
    }
}

/// A request for each span of a request.
fn split(body: &[u8]) -> Vec<Vec<u8>> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut pieces = Vec::new();
    for resource in &request.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let scope_spans = vec![ScopeSpans { spans: vec![span.clone()], ..scope.clone() }];
                let resource_spans = vec![ResourceSpans { scope_spans, ..resource.clone() }];
                pieces.push(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
            }
        }
    }
    pieces
}
