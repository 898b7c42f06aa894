//! What is not billed: failed attempts, calls that were ruled on, usage outside its age limits.

use super::*;

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
