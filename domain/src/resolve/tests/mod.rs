//! The rules as a table of small traces.
//!
//! A trace is written one span a line: `name parent kind scope start-end facts…`, and a case says which calls come out
//! (`winner+member:rule tokens`) and which wrappers are suppressed.

mod attribution;
mod duplicates;
mod set_aside;
mod wrappers;

use super::*;
use crate::attributes::Attributes;
use crate::observation::{KeyStamp, Kind, Link, ResponseId, Scope, SpanStatus, Trust};
use crate::time::ReceivedAt;
use crate::usage::TokenClass;

/// Milliseconds, so that tables stay readable.
const MS: i64 = 1_000_000;
const NOON: i64 = 1_793_534_400_000_000_000;

fn span_id(name: &str) -> SpanId {
    let mut bytes = [0; 8];
    bytes[..name.len().min(8)].copy_from_slice(&name.as_bytes()[..name.len().min(8)]);
    SpanId::from_slice(&bytes).unwrap()
}

fn trace_id(name: &str) -> TraceId {
    let mut bytes = [1; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    TraceId::from_slice(&bytes).unwrap()
}

/// Reads `name parent kind scope start-end [key=value]…`; `-` is no parent, `T/name` puts a span in trace `T`.
pub(super) fn span(line: &str) -> Evidence {
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_else(|| panic!("too few words: {line}"));
    let (name, parent, kind, scope, times) = (word(), word(), word(), word(), word());
    let (trace, name) = name.split_once('/').unwrap_or(("t", name));
    let (start, end) = times.split_once('-').unwrap();
    let at = |ms: &str| EventTime::from_nanos(NOON + ms.parse::<i64>().unwrap() * MS);
    let parent = (parent != "-").then(|| span_id(parent));
    if kind == "link" {
        return Evidence::Link(Link {
            realm: Realm::new(""),
            trace: trace_id(trace),
            span: span_id(name),
            parent,
            start: at(start),
            end: at(end),
            received_at: ReceivedAt::from_nanos(NOON),
        });
    }
    let mut observation = Observation {
        key: KeyStamp::default(),
        received_at: ReceivedAt::from_nanos(NOON + 10_000 * MS),
        trace: trace_id(trace),
        span: span_id(name),
        parent,
        name: name.into(),
        scope: Scope { name: scope.into(), version: "1".into() },
        process: 7,
        start: at(start),
        end: at(end),
        status: SpanStatus::Unset,
        error_type: None,
        kind: match kind {
            "call" => Kind::Call,
            "wrap" => Kind::PossibleWrapper,
            "who" => Kind::Attribution,
            other => panic!("{other} is no kind"),
        },
        convention: "test".into(),
        operation: "chat".into(),
        provider: Some("openai".into()),
        request_model: Some("gpt-4o".into()),
        response_model: None,
        response_id: None,
        streaming: None,
        service_tier: None,
        region: None,
        usage: Usage::default(),
        estimated: false,
        trust: Trust::Instrumentation,
        fault: None,
        dimensions: Dimensions::default(),
        resource_dimensions: Dimensions::default(),
        ruling: None,
        decoder_version: 1,
        reread: 0,
        attributes: Attributes::Here("{}".into()),
    };
    for fact in words {
        let (key, value) = fact.split_once('=').unwrap();
        let count = || Some(value.parse().unwrap());
        match key {
            "in" => observation.usage.set(TokenClass::Input, count()),
            "out" => observation.usage.set(TokenClass::Output, count()),
            "cr" => observation.usage.set(TokenClass::CacheRead, count()),
            "id" => {
                observation.response_id = Some(ResponseId {
                    text: format!("chatcmpl-abcdefghijklmnop{value}"),
                    from_attribute: true,
                })
            }
            "weak" => observation.response_id = Some(ResponseId { text: value.into(), from_attribute: true }),
            "tenant" => observation.dimensions.tenant = Some(value.into()),
            "resource" => observation.resource_dimensions.tenant = Some(value.into()),
            "key" => observation.key.tenant = Some(value.into()),
            "ruling" => observation.ruling = Some(value.into()),
            "error" => observation.status = SpanStatus::Error,
            "trust" => {
                observation.trust = match value {
                    "estimate" => Trust::Estimate,
                    "provider" => Trust::Provider,
                    _ => Trust::Framework,
                }
            }
            "asked" => observation.request_model = Some(value.into()),
            "stream" => observation.streaming = Some(true),
            "model" => observation.response_model = Some(value.into()),
            "process" => observation.process = value.parse().unwrap(),
            other => panic!("{other} is no fact"),
        }
    }
    Evidence::Observation(Box::new(observation))
}

fn spans(text: &str) -> Vec<Evidence> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(span).collect()
}

fn name(span: SpanRef) -> String {
    String::from_utf8(span.span.bytes().into_iter().filter(|byte| *byte != 0).collect()).unwrap()
}

/// What comes out, in words.
fn shown(resolution: &Resolution) -> Vec<String> {
    let mut lines: Vec<String> = resolution
        .calls
        .iter()
        .map(|call| {
            let others: String = call
                .members
                .iter()
                .filter(|member| **member != call.winner)
                .map(|member| format!("+{}", name(*member)))
                .collect();
            let count = |class| call.usage.get(class).map_or("-".to_string(), |count| count.to_string());
            let tenant = call
                .dimensions
                .tenant
                .as_deref()
                .map(|tenant| format!(" {tenant}/{}", call.tenant_source.name()))
                .unwrap_or_default();
            format!(
                "{}{others}:{} {}>{}{tenant}",
                name(call.winner),
                call.rule.name(),
                count(TokenClass::Input),
                count(TokenClass::Output)
            )
        })
        .collect();
    lines.extend(
        resolution
            .outcomes
            .iter()
            .filter(|outcome| {
                !matches!(outcome.outcome, Outcome::Billed | Outcome::Merged | Outcome::Attribution)
            })
            .map(|outcome| {
                let why = if outcome.rule == Rule::Ruled { &outcome.reason } else { "" };
                let line = format!(
                    "{} {}:{} {why}",
                    outcome.outcome.name(),
                    name(outcome.span),
                    outcome.rule.name()
                );
                line.trim_end().to_string()
            }),
    );
    lines.sort();
    lines
}

#[track_caller]
fn check(trace: &str, expected: &[&str]) {
    let evidence = spans(trace);
    let resolution = resolve(&evidence, &Rules::default());
    let mut expected: Vec<String> = expected.iter().map(|line| line.to_string()).collect();
    expected.sort();
    assert_eq!(shown(&resolution), expected, "{trace}");
}
