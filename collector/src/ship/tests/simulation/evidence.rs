//! Calls to simulate with: each a trace, reported by the call's span and by an agent's span above it that repeats it.

use domain::attributes::Attributes;
use domain::identity::{SpanId, TraceId};
use domain::observation::{Dimensions, Evidence, KeyStamp, Kind, Observation, Scope, SpanStatus, Trust};
use domain::time::{EventTime, ReceivedAt};
use domain::usage::{TokenClass, Usage};
use schemas::record;

/// The trace of call number `n`.
pub fn trace(n: u64) -> [u8; 16] {
    (u128::from(n) + 1).to_be_bytes()
}

/// What call number `n` used.
pub fn tokens(n: u64) -> u64 {
    100 + n
}

/// A record: the report of call number `n` by its own span, or by the agent's, as it is received at a time.
pub fn report(n: u64, by_agent: bool, received_at: i64) -> Vec<u8> {
    let mut usage = Usage::default();
    usage.set(TokenClass::Input, Some(tokens(n)));
    usage.set(TokenClass::Output, Some(10));
    let span = |number: u64| SpanId::from_bytes(number.to_be_bytes()).unwrap();
    // The clients' clocks are right, however the collector's jumps.
    let at = |seconds: i64| EventTime::from_nanos((1_790_000_000 + n as i64 * 10 + seconds) * 1_000_000_000);
    let scope = if by_agent { "agent" } else { "sdk" };
    record::encode(&Evidence::Observation(Box::new(Observation {
        key: KeyStamp::default(),
        received_at: ReceivedAt::from_nanos(received_at),
        trace: TraceId::from_bytes(trace(n)).unwrap(),
        span: span(2 * n + 1 + u64::from(by_agent)),
        parent: (!by_agent).then(|| span(2 * n + 2)),
        name: scope.into(),
        scope: Scope { name: scope.into(), version: "1".into() },
        process: 7,
        start: at(if by_agent { 0 } else { 1 }),
        end: at(if by_agent { 5 } else { 4 }),
        status: SpanStatus::Unset,
        error_type: None,
        kind: if by_agent { Kind::PossibleWrapper } else { Kind::Call },
        convention: "test".into(),
        operation: "chat".into(),
        provider: Some("openai".into()),
        request_model: Some("gpt-4o".into()),
        response_model: None,
        response_id: None,
        streaming: None,
        service_tier: None,
        region: None,
        usage,
        estimated: false,
        trust: Trust::Instrumentation,
        fault: None,
        dimensions: Dimensions::default(),
        resource_dimensions: Dimensions::default(),
        ruling: None,
        decoder_version: 1,
        reread: 0,
        attributes: Attributes::Here("{\"n\":1}".into()),
    })))
}
