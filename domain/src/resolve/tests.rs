//! The rules as a table of small traces.
//!
//! A trace is written one span a line: `name parent kind scope start-end facts…`, and a case says which calls come out
//! (`winner+member:rule tokens`) and which wrappers are suppressed.

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

#[test]
fn one_report_is_one_call() {
    check("a - call x 0-10 in=5 out=2 id=1", &["a:call 5>2"]);
}

#[test]
fn a_strong_response_id_ties_reports_whatever_else_they_say() {
    check(
        "a - call x 0-10 in=5 out=84 id=1 trust=estimate
         b - call y 0-12 in=5 out=83 cr=3 id=1 trust=provider",
        &["b+a:response-id 5>83"],
    );
    check(
        "s/a - call x 0-10 in=5 out=2 id=1
         t/b - call x 9000-9001 in=5 out=2 id=1",
        &["a+b:response-id 5>2"],
    );
}

#[test]
fn a_weak_id_is_no_id() {
    check(
        "a r call x 0-10 in=5 out=2 weak=chatcmpl-123
         b r call x 20-30 in=5 out=2 weak=chatcmpl-123",
        &["a:call 5>2", "b:call 5>2"],
    );
}

#[test]
fn equal_concurrent_calls_of_one_instrumentation_stay_apart() {
    check(
        "a r call x 0-10 in=5 out=2
         b r call x 1-11 in=5 out=2
         c r call x 2-12 in=5 out=2",
        &["a:call 5>2", "b:call 5>2", "c:call 5>2"],
    );
}

#[test]
fn a_second_instrumentation_of_equal_concurrent_calls_pairs_one_to_one() {
    check(
        "a r call x 0-10 in=5 out=2
         b r call x 1-11 in=5 out=2
         c r call y 0-10 in=5 out=2
         d r call y 1-11 in=5 out=2",
        &["a+c:no-id 5>2", "b+d:no-id 5>2"],
    );
}

#[test]
fn siblings_of_two_instrumentations_pair_only_when_everything_agrees() {
    let table = [
        ("a r call x 0-10 in=5 out=2 | b r call y 0-10 in=5 out=2", 1),
        ("a r call x 0-10 in=5 out=2 | b r call y 0-10 in=5 out=3", 2),
        ("a r call x 0-10 in=5 out=2 | b r call y 0-10 in=5 out=2 model=gpt-4o-mini-2024-07-18", 1),
        ("a r call x 0-10 in=5 out=2 model=o3-mini | b r call y 0-10 in=5 out=2 model=o3", 1),
        ("a r call x 0-10 in=5 out=2 | b r call y 50-60 in=5 out=2", 2),
        ("a r call x 0-10 in=5 out=2 tenant=p | b r call y 0-10 in=5 out=2 tenant=q", 2),
        ("a r call x 0-10 in=5 out=2 id=1 | b r call y 0-10 in=5 out=2", 1),
        ("a r call x 0-10 in=5 out=2 id=1 | b r call y 0-10 in=5 out=2 id=2", 2),
    ];
    for (case, calls) in table {
        let evidence = spans(&case.replace('|', "\n"));
        assert_eq!(resolve(&evidence, &Rules::default()).calls.len(), calls, "{case}");
    }
}

#[test]
fn across_traces_of_a_process_one_side_must_be_a_root() {
    check(
        "s/a - call x 0-10 in=5 out=2
         t/b r call y 0-10 in=5 out=2",
        &["a+b:no-id 5>2"],
    );
    check(
        "s/a q call x 0-10 in=5 out=2
         t/b r call y 0-10 in=5 out=2",
        &["a:call 5>2", "b:call 5>2"],
    );
    check(
        "s/a - call x 0-10 in=5 out=2 process=1
         t/b - call y 0-10 in=5 out=2 process=2",
        &["a:call 5>2", "b:call 5>2"],
    );
}

#[test]
fn a_wrapper_repeats_the_calls_under_it_at_any_depth() {
    check(
        "w - wrap x 0-100 in=9 out=4
         l w link - 1-99
         a l call x 2-40 in=5 out=2 id=1
         b l call x 50-90 in=4 out=2 id=2",
        &["a:call 5>2", "b:call 4>2", "wrapper w:wrapper"],
    );
}

#[test]
fn a_wrapper_stands_for_calls_nobody_reported_and_the_innermost_of_nested_ones() {
    check("w - wrap x 0-100 in=9 out=4", &["w:wrapper-billed 9>4"]);
    check(
        "w - wrap x 0-100 in=9 out=4
         v w wrap x 1-99 in=9 out=4",
        &["v:wrapper-billed 9>4", "wrapper w:wrapper"],
    );
}

#[test]
fn where_the_chain_is_broken_the_smallest_enclosing_span_stands_in() {
    check(
        "w - wrap x 0-100 in=5 out=2
         a missing call y 2-40 in=5 out=2 id=1",
        &["a:call 5>2", "wrapper w:wrapper"],
    );
}

#[test]
fn a_report_left_over_from_another_trace_joins_the_call_of_its_process() {
    check(
        "r - link - 0-20
         a r call framework 30-80 in=59 out=26
         u/q - link - 28-90
         u/b q call sdk 32-79 in=59 out=26",
        &["a+b:no-id 59>26"],
    );
    check(
        "r - link - 0-90
         a r call framework 30-80 in=59 out=26
         u/q - link - 28-90
         u/b q call sdk 32-79 in=59 out=26",
        &["a:call 59>26", "b:call 59>26"],
    );
}

#[test]
fn a_silent_stream_that_a_framework_hands_on_is_the_sdks_under_the_same_parent() {
    check(
        "p - link - 0-3000
         a p call framework 0-10 trust=framework
         b p call sdk 900-950 stream=1",
        &["b+a:no-id ->-"],
    );
    // Too late, no stream, or under another parent.
    check(
        "p - link - 0-9000
         q p link - 0-9000
         a p call framework 0-10 trust=framework
         b p call sdk 3000-3050 stream=1
         c p call sdk 100-200
         d q call sdk 20-50 stream=1",
        &["a:call ->-", "b:call ->-", "c:call ->-", "d:call ->-"],
    );
}

#[test]
fn a_definite_call_under_a_call_is_a_call() {
    check(
        "a - call x 0-100 in=50 out=20 id=1
         g a call x 10-20 in=5 out=1 id=2",
        &["a:call 50>20", "g:call 5>1"],
    );
}

#[test]
fn a_framework_call_without_usage_around_one_sdk_call_is_that_call() {
    check(
        "a - call framework 0-100
         b a call sdk 1-99 in=5 out=2 id=1",
        &["b+a:nested 5>2"],
    );
}

#[test]
fn a_silent_call_takes_the_usage_of_the_wrapper_around_it_alone() {
    check(
        "w - wrap x 0-100 in=9 out=4
         a w call x 1-99 id=1",
        &["a:wrapper-lends 9>4", "wrapper w:wrapper"],
    );
}

#[test]
fn a_wrapper_that_names_an_answer_names_the_silent_call_under_it() {
    check(
        "w - wrap x 0-100 in=9 out=4 id=1
         a w call x 1-99
         u/c - call gateway 500-600 in=9 out=4 id=1",
        &["c+a:response-id 9>4", "wrapper w:wrapper"],
    );
    check(
        "w - wrap x 0-100 in=9 out=4 id=1
         a w call x 1-99 id=2
         u/c - call gateway 500-600 in=9 out=4 id=1",
        &["a:call ->-", "c:call 9>4", "wrapper w:wrapper"],
    );
}

#[test]
fn a_zero_length_span_can_carry_the_usage_of_the_stream_before_it() {
    check(
        "a r call x 0-100
         z r call x 150-150 in=5 out=2",
        &["z+a:stream-usage 5>2"],
    );
}

#[test]
fn a_span_of_no_length_without_usage_only_ends_the_stream_before_it() {
    check(
        "a r call x 0-100
         z r call x 150-150",
        &["a+z:stream-usage ->-"],
    );
    check("z r call x 150-150", &["z:call ->-"]);
}

#[test]
fn the_end_of_a_stream_in_a_trace_of_its_own_joins_the_call_that_the_sdk_reports_under_the_stream() {
    check(
        "s/a - call x 0-20
         s/b a call y 1-100 in=5 out=2 id=1
         t/z - call x 101-101 in=5 out=2",
        &["b+a+z:no-id 5>2"],
    );
}

#[test]
fn a_gateway_that_fell_back_or_was_asked_by_alias_is_the_call_inside_it_and_named_after_it() {
    check(
        "a r call x 0-100 in=5 out=2 asked=fast model=fast
         b a call x 50-90 in=5 out=2 asked=gpt-4o model=gpt-4o",
        &["a+b:nested 5>2"],
    );
    let evidence = spans(
        "a r call x 0-100 in=5 out=2 asked=fast model=fast-and-cheap
         b a call x 50-90 in=5 out=2 asked=gpt-4o model=gpt-4o",
    );
    let resolution = resolve(&evidence, &Rules::default());
    let named = resolution.calls.iter().map(|call| (call.model.as_deref(), call.request_model.as_deref()));
    assert_eq!(named.collect::<Vec<_>>(), [(Some("gpt-4o"), Some("gpt-4o"))]);
    // Beside it, another model is another call.
    check(
        "a r call x 0-100 in=5 out=2 asked=fast model=fast
         b r call y 0-100 in=5 out=2 asked=gpt-4o model=gpt-4o",
        &["a:call 5>2", "b:call 5>2"],
    );
}

#[test]
fn a_method_around_the_request_of_one_instrumentation_is_no_call_of_its_own_and_a_stream_is() {
    check(
        "a r call x 0-100
         b a call x 10-90 in=5 out=2",
        &["b+a:nested 5>2"],
    );
    check(
        "a r call x 0-100 stream=1
         b a call x 10-90 in=5 out=2",
        &["a:call ->-", "b:call 5>2"],
    );
}

#[test]
fn a_framework_may_end_its_span_of_a_stream_before_the_sdk_asks() {
    check(
        "a r call x 0-10 in=5 out=2 trust=framework
         b r call y 40-90 in=5 out=2 stream=1",
        &["b+a:no-id 5>2"],
    );
    check(
        "a r call x 0-10 in=5 out=2 trust=framework
         b r call y 200-290 in=5 out=2 stream=1",
        &["a:call 5>2", "b:call 5>2"],
    );
    check(
        "a r call x 0-10 in=5 out=2 trust=framework
         b r call y 40-90 in=5 out=2",
        &["a:call 5>2", "b:call 5>2"],
    );
}

#[test]
fn an_input_without_its_cache_agrees_with_the_whole() {
    check(
        "a r call x 0-10 in=81 out=32 trust=framework
         b a call y 1-9 in=171 cr=90 out=32",
        &["b+a:nested 171>32"],
    );
    check(
        "a r call x 0-10 in=81 out=32 trust=provider
         b a call y 1-9 in=171 cr=90 out=32",
        &["a+b:nested 171>32"],
    );
    check(
        "a r call x 0-10 in=80 out=32
         b a call y 1-9 in=171 cr=90 out=32",
        &["a:call 80>32", "b:call 171>32"],
    );
}

#[test]
fn a_wrapper_that_names_the_answer_is_tied_to_its_other_reports() {
    // A gateway wrote on an application's span; the client has its own in another process.
    check(
        "s/a - wrap x 0-100 in=5 out=2 id=1
         t/b - call y 0-100 in=5 out=2 id=1 process=8",
        &["b+a:response-id 5>2"],
    );
    // Its request on the wire says nothing of usage.
    check(
        "s/a - wrap x 0-100 in=5 out=2 id=1
         s/w a call x 1-99
         t/b - call y 0-100 in=5 out=2 id=1 process=8",
        &["b+w:response-id 5>2", "wrapper a:wrapper"],
    );
}

#[test]
fn a_failed_attempt_without_usage_is_not_billable_and_one_with_usage_is() {
    check(
        "a r call x 0-10 error=1
         b r call x 20-30 in=5 out=2 error=1",
        &["b:call 5>2", "not_billable a:failed"],
    );
}

/// Which calls are billed, and which are not by which ruling: the same whichever span came first.
#[track_caller]
fn check_ruled(trace: &str, expected: &[&str]) {
    let mut evidence = spans(trace);
    for _ in 0..2 {
        let resolution = resolve(&evidence, &Rules::default());
        let billed = resolution.calls.iter().filter(|call| call.ruled.is_none());
        let mut lines: Vec<String> = billed.map(|call| format!("billed {}", name(call.winner))).collect();
        lines.extend(shown(&resolution).into_iter().filter(|line| !line.contains('>')));
        assert_eq!(lines, expected, "{trace}");
        evidence.reverse();
    }
}

#[test]
fn a_call_of_which_any_report_carries_a_ruling_is_not_billable() {
    check_ruled("a r call gateway 0-10 in=5 out=2 ruling=cache", &["not_billable a:ruled cache"]);
    // The SDK does not know what the gateway did; here with the id of the answer, there without.
    for id in ["id=1", ""] {
        let trace = format!(
            "a r call sdk 0-20 in=5 out=2 {id}
             b a call gateway 5-15 in=5 out=2 {id} ruling=cache"
        );
        check_ruled(&trace, &["not_billable a:ruled cache"]);
    }
    check_ruled(
        "s/a - call sdk 0-20 in=5 out=2 id=1
         t/b - call gateway 5-15 in=5 out=2 id=1 ruling=own-key process=8
         t/c b call library 6-14 in=5 out=2 id=1 ruling=cache process=8",
        &["not_billable a:ruled cache"],
    );
    check_ruled("a r call gateway 0-10 error=1 ruling=cache", &["not_billable a:failed"]);
}

#[test]
fn a_wrapper_over_a_ruled_call_is_not_billed_in_its_stead_and_one_that_is_billed_may_be_ruled() {
    check_ruled(
        "w - wrap x 0-100 in=5 out=2
         a w call gateway 5-15 in=5 out=2 ruling=cache",
        &["not_billable a:ruled cache", "wrapper w:wrapper"],
    );
    check_ruled(
        "w - wrap x 0-100 in=9 out=4 ruling=cache
         a w call sdk 5-15 in=5 out=2
         b w call sdk 25-35 in=4 out=2",
        &["billed a", "billed b", "wrapper w:wrapper"],
    );
    check_ruled("w - wrap x 0-100 in=9 out=4 ruling=cache", &["not_billable w:ruled cache"]);
    // What lends its usage to the one call under it speaks of that call.
    check_ruled(
        "w - wrap gateway 0-100 in=9 out=4 ruling=cache
         a w call wire 5-15",
        &["not_billable a:ruled cache", "wrapper w:wrapper"],
    );
}

#[test]
fn the_call_that_filled_a_cache_is_billed_once_however_often_its_answer_is_given_again() {
    check_ruled(
        "s/a - call sdk 0-20 in=5 out=2 id=1
         s/b a call gateway 5-15 in=5 out=2 id=1
         t/c - call sdk 300-310 in=5 out=2 id=1
         t/d c call gateway 302-308 in=5 out=2 id=1 ruling=cache",
        &["billed a"],
    );
    // In one trace, and with the first request seen by the SDK alone.
    check_ruled(
        "a r call sdk 0-20 in=5 out=2 id=1
         c r call sdk 300-310 in=5 out=2 id=1
         d c call gateway 302-308 in=5 out=2 id=1 ruling=cache",
        &["billed a"],
    );
}

#[test]
fn usage_outside_its_age_limits_is_quarantined() {
    const DAY: i64 = 24 * 3600 * 1000;
    for (end_ms, quarantined) in [(-34 * DAY, false), (-36 * DAY, true), (600_000, false), (3_600_000, true)]
    {
        let mut evidence = spans("a - call x 0-10 in=5 out=2");
        let Evidence::Observation(observation) = &mut evidence[0] else { unreachable!() };
        observation.end = EventTime::from_nanos(NOON + end_ms * MS);
        let resolution = resolve(&evidence, &Rules::default());
        assert_eq!(resolution.outcomes[0].outcome == Outcome::Quarantined, quarantined, "{end_ms}");
    }
}

#[test]
fn of_copies_of_a_span_the_one_with_the_payers_key_counts_whichever_came_first() {
    let copies = spans(
        "a r call x 0-10 in=5 out=2 cr=1
         a r call x 0-10 in=5 out=2 key=k",
    );
    for evidence in [copies.clone(), copies.into_iter().rev().collect()] {
        assert_eq!(shown(&resolve(&evidence, &Rules::default())), ["a:call 5>2 k/key"]);
    }
}

#[test]
fn the_tenant_is_read_in_the_order_key_span_duplicate_ancestor_resource() {
    let table = [
        ("a r call x 0-10 in=5 out=2 tenant=s key=k resource=o", "k/key"),
        ("a r call x 0-10 in=5 out=2 tenant=s resource=o", "s/span"),
        ("a r call x 0-10 in=5 out=2 id=1 | b r call y 0-10 in=5 out=2 tenant=d", "d/duplicate"),
        (
            "r - who app 0-100 tenant=p | m r link - 1-99 | a m call x 2-10 in=5 out=2 resource=o",
            "p/ancestor",
        ),
        (
            "r - who app 0-100 tenant=p | n r who app 1-99 tenant=near | a n call x 2-10 in=5 out=2",
            "near/ancestor",
        ),
        ("r - who app 0-100 tenant=p | a gone call x 2-10 in=5 out=2", "p/enclosing"),
        ("r - who app 0-100 tenant=p | m gone link - 1-150 | a m call x 2-10 in=5 out=2", "p/enclosing"),
        (
            "r - who app 0-100 tenant=p | s - link - 0-9 | m gone link - 1-150 | a m call x 2-10 in=5 out=2",
            "/",
        ),
        ("a r call x 0-10 in=5 out=2 resource=o", "o/resource"),
    ];
    for (case, tenant) in table {
        let evidence = spans(&case.replace('|', "\n"));
        let resolution = resolve(&evidence, &Rules::default());
        let call = &resolution.calls[0];
        let read =
            format!("{}/{}", call.dimensions.tenant.as_deref().unwrap_or(""), call.tenant_source.name());
        assert_eq!(read, tenant, "{case}");
    }
}
