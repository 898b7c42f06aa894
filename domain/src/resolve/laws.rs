//! The laws of resolution as properties over small random forests: order and copies change nothing, every span has one
//! outcome, and a definite call is lost only to another report. `domain/tests/generated` holds it to known truth.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::span;
use super::*;
use crate::observation::Kind;

/// Random small forests with every kind of span, several instrumentations, equal usages and missing parents.
fn any_spans() -> impl Strategy<Value = Vec<Evidence>> {
    let kinds = prop_oneof![Just("call"), Just("call"), Just("wrap"), Just("who"), Just("link")];
    let one = (
        kinds,
        0..3u8,
        0..8usize,
        0..20i64,
        1..20i64,
        0..3u64,
        prop::option::of(0..4u8),
        prop::option::of(0..2u8),
        0..2u8,
    );
    prop::collection::vec(one, 1..12).prop_map(|drawn| {
        drawn
            .into_iter()
            .enumerate()
            .map(|(at, (kind, scope, parent, start, length, usage, id, tenant, trace))| {
                let parent = if parent >= at {
                    if parent == 7 { "gone".to_string() } else { "-".to_string() }
                } else {
                    format!("s{parent}")
                };
                let mut line = format!("t{trace}/s{at} {parent} {kind} i{scope} {start}-{}", start + length);
                if kind != "link" {
                    if usage > 0 {
                        line += &format!(" in={} out={usage}", usage * 10);
                    }
                    line += &id.map(|id| format!(" id={id}")).unwrap_or_default();
                    line += &tenant.map(|tenant| format!(" tenant={tenant}")).unwrap_or_default();
                }
                span(&line)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_order_of_arrival_and_copies_change_nothing(evidence in any_spans(), seed in any::<u64>()) {
        let once = resolve(&evidence, &Rules::default());
        let mut mixed: Vec<Evidence> = evidence.iter().chain(&evidence).cloned().collect();
        let len = mixed.len();
        let mut state = seed;
        for at in (1..len).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            mixed.swap(at, (state >> 33) as usize % (at + 1));
        }
        prop_assert_eq!(resolve(&mixed, &Rules::default()), once);
    }

    #[test]
    fn a_log_that_was_read_anew_comes_to_what_the_newer_decoder_would_have_written(
        evidence in any_spans(),
        misread in any::<u16>(),
        seed in any::<u64>(),
    ) {
        let mut log = Vec::new();
        let mut written = Vec::new();
        for (at, piece) in evidence.into_iter().enumerate() {
            let Evidence::Observation(mut read) = piece else {
                log.push(piece.clone());
                written.push(piece);
                continue;
            };
            read.decoder_version = 2;
            if misread >> at & 1 == 1 {
                let mut old = read.clone();
                (old.decoder_version, old.usage) = (1, Usage::default());
                old.kind = if seed >> at & 1 == 1 { Kind::Unrecognised } else { Kind::Call };
                log.push(Evidence::Observation(old));
                read.reread = 1;
            }
            log.push(Evidence::Observation(read.clone()));
            read.reread = 0;
            written.push(Evidence::Observation(read));
        }
        prop_assert_eq!(resolve(&log, &Rules::default()), resolve(&written, &Rules::default()));
    }

    #[test]
    fn every_span_has_one_outcome_and_every_call_one_winner(evidence in any_spans()) {
        let resolution = resolve(&evidence, &Rules::default());
        let mut seen: BTreeMap<SpanRef, usize> = BTreeMap::new();
        for outcome in &resolution.outcomes {
            *seen.entry(outcome.span).or_default() += 1;
        }
        for piece in &evidence {
            if let Evidence::Observation(observation) = piece {
                let span = SpanRef { trace: observation.trace, span: observation.span };
                prop_assert_eq!(seen.get(&span), Some(&1), "{:?}", span);
            }
        }
        let billed = resolution.outcomes.iter().filter(|outcome| outcome.outcome == Outcome::Billed).count();
        prop_assert_eq!(billed, resolution.calls.len());
    }

    #[test]
    fn a_definite_call_is_lost_only_to_another_report(evidence in any_spans()) {
        let resolution = resolve(&evidence, &Rules::default());
        for outcome in &resolution.outcomes {
            let call = evidence.iter().any(|piece| matches!(piece, Evidence::Observation(observation)
                if observation.kind == Kind::Call && observation.span == outcome.span.span && observation.trace == outcome.span.trace));
            prop_assert!(!(call && outcome.outcome == Outcome::Wrapper), "{:?}", outcome);
        }
    }
}
