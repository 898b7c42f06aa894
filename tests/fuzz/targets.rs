//! What is fed, and what it must keep.

use std::path::{Path, PathBuf};

use billing::prices::Source;
use collector::decode::{AiTraces, DecodeConfig, Decoded, Decoder};
use collector::otlp::json;
use domain::observation::KeyStamp;
use domain::time::ReceivedAt;
use journal::{Journal, Kind, ReadItem, Records};
use schemas::record;

use crate::mutate::{run, run_at_cost};

/// Requests of the recorded corpora with an extension.
fn requests(extension: &str) -> Vec<Vec<u8>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let entries = |dir: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let scenarios = ["genai-spans", "recorded"].map(|corpus| entries(&fixtures.join(corpus)));
    let mut files: Vec<PathBuf> = scenarios
        .concat()
        .iter()
        .filter(|path| path.is_dir())
        .flat_map(|dir| entries(dir))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("request_"))
        .collect();
    files.sort();
    let requests = files.iter().map(|file| std::fs::read(file).unwrap());
    // Small ones are mutated where it matters more often.
    requests.filter(|bytes| bytes.len() < 20_000).collect()
}

/// Decodes; what comes out can be written down and read back as it was.
fn decode(body: &[u8]) {
    let decoder = Decoder::new(&DecodeConfig::default());
    let mut decoded = Decoded::default();
    let stamp = KeyStamp::default();
    if decoder.decode(body, &stamp, ReceivedAt::from_nanos(1), &AiTraces::default(), &mut decoded).is_ok() {
        for evidence in &decoded.evidence {
            let bytes = written(evidence);
            assert_eq!(&record::decode(&bytes).unwrap(), evidence, "it reads back as it was written");
        }
    }
}

fn written(evidence: &domain::Evidence) -> Vec<u8> {
    record::encode(evidence)
}

#[test]
fn otlp_protobuf() {
    run("otlp_protobuf", &requests("pb"), decode);
}

#[test]
fn otlp_json() {
    run("otlp_json", &requests("json"), |body| {
        if let Ok(protobuf) = json::to_protobuf(body) {
            decode(&protobuf);
        }
    });
}

/// Records of the recorded corpora, as they are in journal and log.
#[test]
fn evidence_records() {
    let decoder = Decoder::new(&DecodeConfig::default());
    let mut decoded = Decoded::default();
    for body in requests("pb") {
        let stamp = KeyStamp::default();
        decoder.decode(&body, &stamp, ReceivedAt::from_nanos(1), &AiTraces::default(), &mut decoded).unwrap();
    }
    let samples: Vec<Vec<u8>> = decoded.evidence.iter().map(written).collect();
    run("evidence_records", &samples, |bytes| drop(record::decode(bytes)));
}

/// A journal opens whatever its segment looks like, and yields only records that were written.
#[test]
fn journal_frames() {
    let dir = tempfile::tempdir().unwrap();
    let config = journal::Config::default();
    let (journal, _) = Journal::open(dir.path(), config.clone()).unwrap();
    let content = |n: u64| format!("record {n} {}", "x".repeat(n as usize % 40)).into_bytes();
    for frame in 0..12 {
        let mut records = Records::new();
        for n in 0..3 {
            records.push(Kind::new(1), &content(frame * 3 + n + 1));
        }
        journal.appender().append(records).unwrap();
    }
    drop(journal);
    let segment = |dir: &Path| {
        let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|found| found == "seg")).max().unwrap()
    };
    let (name, whole) = (segment(dir.path()), std::fs::read(segment(dir.path())).unwrap());
    // Each is a directory, and syncs.
    run_at_cost(10, "journal_frames", &[whole], |bytes| {
        let scratch = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, scratch.path().join(path.file_name().unwrap())).unwrap();
        }
        std::fs::write(scratch.path().join(name.file_name().unwrap()), bytes).unwrap();
        let (journal, _) = match Journal::open(scratch.path(), config.clone()) {
            Ok(opened) => opened,
            Err(journal::OpenError::NewerFormat { .. }) => return,
            Err(error) => panic!("{error}"),
        };
        for range in journal.collectors() {
            let mut reader = journal.read_from(range.collector_id, 1);
            while let Some(item) = reader.next_item().unwrap() {
                if let ReadItem::Record(record) = item {
                    assert_eq!(record.bytes, content(record.seq), "a record that was never written");
                }
            }
        }
    });
}

const TOML: &str = include_str!("samples/prices.toml");
const CSV: &str = include_str!("samples/prices.csv");
const LITELLM: &str = include_str!("samples/litellm.json");
const PLANS: &str = include_str!("samples/plans.toml");

/// A price file is read as a whole or refused with its faults.
fn prices(name: &'static str, sample: &str) {
    let source = |bytes: &[u8]| Source::of_file(name, bytes.to_vec()).and_then(|source| source.read("USD"));
    source(sample.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let target = format!("price_file_{}", name.replace('.', "_"));
    run(&target, &[sample.as_bytes().to_vec()], |bytes| {
        if let Err(error) = source(bytes) {
            assert!(!error.to_string().is_empty());
        }
    });
}

#[test]
fn price_file_own_toml() {
    prices("own.toml", TOML);
}

#[test]
fn price_file_own_csv() {
    prices("own.csv", CSV);
}

#[test]
fn price_file_litellm_json() {
    prices("litellm.json", LITELLM);
}

#[test]
fn price_file_genai_json() {
    // A few models of the bundled file: mutating all of it would mostly hit what is not read.
    let whole = include_str!("../../billing/data/genai-prices.json");
    let mut providers: Vec<serde_json::Value> = serde_json::from_str(whole).unwrap();
    providers.retain(|provider| provider["id"] == "openai" || provider["id"] == "anthropic");
    for provider in &mut providers {
        provider["models"].as_array_mut().unwrap().truncate(3);
    }
    prices("genai.json", &serde_json::to_string_pretty(&providers).unwrap());
}

#[test]
fn plan_file() {
    billing::plans::read(PLANS.as_bytes(), Some("USD")).unwrap();
    run("plan_file", &[PLANS.as_bytes().to_vec()], |bytes| drop(billing::plans::read(bytes, Some("USD"))));
}
