//! Which reports are one call: by ids, one above the other, side by side, across traces, and what only ends a stream.

use super::*;

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
        ("a r call x 0-10 in=5 out=2 | b r call y 0-10 in=5 out=3 trust=estimate", 1),
        ("a r call x 0-10 in=5 out=2 | b r call y 0-10 in=5 out=19 trust=estimate", 2),
        ("a r call x 0-10 in=5 out=3 | b r call y 0-10 in=5 out=2 trust=estimate", 2),
        ("a r call x 0-10 in=6 out=2 | b r call y 0-10 in=5 out=3 trust=estimate", 2),
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
fn a_framework_call_without_usage_around_one_sdk_call_is_that_call() {
    check(
        "a - call framework 0-100
         b a call sdk 1-99 in=5 out=2 id=1",
        &["b+a:nested 5>2"],
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
