//! Which spans repeat the calls under them, which stand for calls that nobody reported, and what they lend.

use super::*;

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
fn a_definite_call_under_a_call_is_a_call() {
    check(
        "a - call x 0-100 in=50 out=20 id=1
         g a call x 10-20 in=5 out=1 id=2",
        &["a:call 50>20", "g:call 5>1"],
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
fn a_silent_call_is_paired_by_what_its_wrapper_would_lend() {
    check(
        "s/a - call x 0-10 in=5 out=2
         t/w - wrap y 0-10 in=5 out=2 trust=framework
         t/b w call y 1-10",
        &["a+b:no-id 5>2", "wrapper w:wrapper"],
    );
    // The wrapper may be the only one that names the answer.
    let named = spans(
        "s/a - call x 0-10 in=5 out=2
         t/w - wrap y 0-10 in=5 out=2 id=1 trust=framework
         t/b w call y 1-10",
    );
    let resolution = resolve(&named, &Rules::default());
    assert_eq!(resolution.calls.len(), 1);
    assert_eq!(resolution.calls[0].response_id.as_deref(), Some("chatcmpl-abcdefghijklmnop1"));
    // Another usage is another call, and of equal ones each takes one.
    check(
        "s/a - call x 0-10 in=5 out=3
         t/w - wrap y 0-10 in=5 out=2 trust=framework
         t/b w call y 1-10",
        &["a:call 5>3", "b:wrapper-lends 5>2", "wrapper w:wrapper"],
    );
    check(
        "s/a - call x 0-10 in=5 out=2
         t/w - wrap y 0-10 in=5 out=2 trust=framework
         t/b w call y 1-10
         u/v - wrap y 0-10 in=5 out=2 trust=framework
         u/c v call y 1-10",
        &["a+b:no-id 5>2", "c:wrapper-lends 5>2", "wrapper v:wrapper", "wrapper w:wrapper"],
    );
}

#[test]
fn a_wrapper_under_a_silent_call_of_its_instrumentation_is_the_same_call() {
    check(
        "a r call x 0-65
         b a wrap x 1-66 in=147",
        &["a+b:nested 147>-"],
    );
}
