//! The trace arm as a whole: rows from recorded spans, content that is gone, and databases that misbehave.

mod content_gone;
mod estimates;
mod fake_clickhouse;
mod isolation;
mod recorded_rows;
mod tail;

use std::path::{Path, PathBuf};

use schemas::rows::SpanRow;
use serde_json::Value;

use domain::Cost;
use domain::resolve::ResolvedCall;
use domain::usage::TokenClass;

use super::judge::Reason;
use super::policy::Policy;
use super::redact::Redactor;
use super::row::{Mark, RowMaker};
use super::sample::Sampler;
use super::{PriceCalls, Stem};
use crate::append::Clock;
use crate::decode::{DecodeConfig, Decoder};
use crate::forward::Forwards;
use crate::otlp::ExportRequest;

/// A token costs a millionth, whoever makes it; calls that state no output have no price.
#[derive(Debug)]
struct AToken;

impl PriceCalls for AToken {
    fn cost(&mut self, call: &ResolvedCall) -> Option<Cost> {
        let output = call.usage.get(TokenClass::Output)?;
        Some(Cost::from_picos(i128::from(call.usage.count(TokenClass::Input) + output) * 1_000_000))
    }
}

fn stem() -> Stem {
    Stem {
        decoder: Decoder::new(&DecodeConfig::default()),
        prices: Box::new(AToken),
        clock: Clock::system(),
        forwards: Forwards::default(),
    }
}

/// The recorded export requests of every scenario: its name, the body, and the same in OTLP/JSON.
fn recordings() -> Vec<(String, Vec<u8>, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/genai-spans");
    let mut bodies: Vec<PathBuf> = entries(&root)
        .into_iter()
        .filter(|scenario| scenario.is_dir())
        .flat_map(|scenario| entries(&scenario))
        .filter(|file| file.extension().is_some_and(|extension| extension == "pb"))
        .collect();
    bodies.sort();
    assert!(bodies.len() >= 45, "{} holds the recordings", root.display());
    bodies
        .into_iter()
        .map(|file| {
            let name = file.strip_prefix(&root).unwrap().with_extension("").display().to_string();
            let json = serde_json::from_slice(&std::fs::read(file.with_extension("json")).unwrap()).unwrap();
            (name, std::fs::read(file).unwrap(), json)
        })
        .collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The rows of all spans of a request.
fn rows(body: &[u8], keep_content: bool) -> Vec<SpanRow> {
    let (sampler, maker) = (
        Sampler::new(1.0).unwrap(),
        RowMaker { policy: Policy::new(keep_content, Redactor::new(true, &[]).unwrap()) },
    );
    let mut rows = Vec::new();
    for group in ExportRequest::new(body).resource_spans().map(Result::unwrap) {
        let resource = maker.resource(&group.resource);
        for scope in group.scope_spans().map(Result::unwrap) {
            for span in scope.spans().map(|span| span.unwrap().read().unwrap()) {
                let kept = sampler.sample(span.trace_id, span.trace_state).unwrap();
                let mark = Mark { kept, reason: Reason::Rest, estimated_cost: None };
                rows.push(maker.row(&span, &mark, &resource, &scope.scope));
            }
        }
    }
    rows
}

/// The spans of a request in OTLP/JSON, each with its resource.
fn json_spans(request: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    list(request, "resourceSpans").flat_map(|group| {
        let resource = &group["resource"];
        list(group, "scopeSpans").flat_map(|scope| list(scope, "spans")).map(move |span| (resource, span))
    })
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}
