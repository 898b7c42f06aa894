//! Calls at the same time: equal ones that must stay as many as they are, and strangers that must stay apart.

use domain::{TokenClass, Usage};

use crate::reports::{Told, beside, scopes, silent, span_time, under};
use crate::stage::{Draft, Payer, Place, Stage};

/// Where the second instrumentation of a crowd reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    None,
    Nested,
    Siblings,
    Separate,
}

/// Equal concurrent calls of one instrumentation, perhaps all of them reported by a second one too, perhaps in tasks
/// of their own, whose spans may never be exported.
pub fn crowd(stage: &mut Stage, home: &Place, place: &Place) -> Vec<usize> {
    let [scope, other] = scopes(stage);
    let mut model = Told::new(stage);
    model.id = model.id.filter(|id| id.len() < 20);
    let own_tenants = stage.random.chance(40);
    let strong_ids = stage.random.chance(25);
    let mut second = stage.random.pick(&[Second::None, Second::Nested, Second::Siblings, Second::Separate]);
    // A missing span beside a subtree that runs at the same time could be taken to lie in it.
    let tasks = stage.random.below(if second == Second::Separate { 2 } else { 3 });
    let (start, end) = span_time(stage);
    let aside = (second == Second::Separate).then(|| beside(stage, home, place, (start, end + 110)));
    let aside = aside.flatten();
    if second == Second::Separate && aside.is_none() {
        second = Second::None;
    }
    let mute = second == Second::Nested && stage.random.chance(30);
    // What an instrumentation leaves out it leaves out of all, so that however equal calls pair, they stay equal.
    let details = [0, 1].map(|_| model.clone().draft(stage, scope, (start, end)).usage);
    // Where the nearest relation tells which reports belong together, each may say what the other does not.
    let told_apart = second == Second::Nested || (second == Second::Siblings && tasks > 0);
    let halves = told_apart && stage.random.chance(50);
    let mut calls = Vec::new();
    for _ in 0..stage.random.between(2, 4) {
        let mut told = model.clone();
        if own_tenants {
            // A call without one takes none from another, however their times lie.
            let share = if matches!(second, Second::None | Second::Nested) { 70 } else { 100 };
            told.own.tenant = stage.some_payer(share).tenant;
        }
        if halves {
            told.own = stage.some_payer(100);
        }
        if strong_ids {
            told = told.with_strong_id(stage);
        }
        let (from, to) = (start + stage.random.between(0, 3), end + stage.random.between(0, 100));
        let task = match tasks {
            0 => place.clone(),
            task => {
                let span = stage.new_span();
                if task == 1 {
                    stage.link(place, span, from - 7, to + 7);
                }
                Place { parent_lost: task == 2, ..under(place, span) }
            }
        };
        let mut draft = told.draft(stage, scope, (from, to));
        if halves {
            draft.own.feature = None;
        }
        draft.usage = if mute { Usage::default() } else { details[0].clone() };
        let span = told.tell(stage, &task, draft).span;
        if second != Second::None {
            let there = match (second, &aside) {
                (Second::Nested, _) => under(&task, span),
                (Second::Separate, Some(aside)) => aside.clone(),
                _ => task.clone(),
            };
            // Whom they are for is said by both or by the first, so that however they pair it stays the same.
            let report = told.draft(stage, other, (from + 1, to - 1));
            let usage = details[1].clone();
            let mut report = Draft { own: told.own.clone(), usage, ..report };
            if halves {
                report.own.tenant = None;
            }
            told.tell(stage, &there, report);
        }
        calls.push(told.done(stage, place));
    }
    stage.after(130, 140);
    calls
}

/// Two calls of two instrumentations at the same time that differ in one thing which both state.
pub fn strangers(stage: &mut Stage, place: &Place) -> Vec<usize> {
    let [one, other] = scopes(stage);
    let mut told = Told::new(stage);
    told.id = told.id.filter(|id| id.len() < 20);
    let mut stranger = told.clone();
    let (start, end) = span_time(stage);
    let mut draft = told.draft(stage, one, (start, end));
    let mut strange = Draft { scope: other, start: start + 2, end: end - 2, ..draft.clone() };
    let nested = stage.random.chance(30);
    let mut apart = None;
    match stage.random.below(if nested { 2 } else { 6 }) {
        1 if nested => {
            (draft.id, strange.id) = (Some(stage.new_id()), Some(stage.new_id()));
            draft = silent(draft);
        }
        1 if stage.key.is_none() => {
            (draft.own, strange.own) = (tenant("tenant-one"), tenant("tenant-other"));
        }
        2 => (draft.id, strange.id) = (Some(stage.new_id()), Some(stage.new_id())),
        3 => (draft.provider, strange.provider) = (Some("mistral_ai"), Some("cohere")),
        5 if !place.parent_lost => {
            // What states no usage is told by its place and time alone, and these are others.
            strange = silent(strange);
            if stage.random.chance(50) {
                (strange.start, strange.end) = (start + 10, end + 10);
            } else {
                let task = stage.new_span();
                stage.link(place, task, start - 8, end + 8);
                apart = Some(under(place, task));
            }
        }
        4 => {
            (draft.request_model, draft.response_model) = (Some("o3"), None);
            (strange.request_model, strange.response_model) = (Some("o3-mini"), None);
        }
        _ => {
            let more = stranger.used.count(TokenClass::Output) + 1;
            stranger.used.set(TokenClass::Output, Some(more));
            strange.usage.set(TokenClass::Output, Some(more));
            // A guardrail's call within another may well be by the same instrumentation.
            strange.scope = if nested && stage.random.chance(50) { one } else { other };
        }
    }
    (told.own, stranger.own) = (draft.own.clone(), strange.own.clone());
    let span = told.tell(stage, place, draft).span;
    let there = if nested { under(place, span) } else { apart.unwrap_or_else(|| place.clone()) };
    let inherited = Place { payer: told.own.or(&place.payer), ..place.clone() };
    stranger.tell(stage, &there, strange);
    stage.after(10, 20);
    let first = told.done(stage, place);
    vec![first, stranger.done(stage, if nested { &inherited } else { place })]
}

fn tenant(name: &str) -> Payer {
    Payer { tenant: Some(name.into()), feature: None }
}

/// A framework's span of a call without usage, around the calls of two SDKs: two calls, however it is counted.
pub fn around_two(stage: &mut Stage, place: &Place) -> Vec<usize> {
    let [framework, one, other] = scopes(stage);
    let mut outer = Told::new(stage);
    outer.own = Payer::default();
    let start = stage.now;
    let span = stage.new_span();
    let mut calls = Vec::new();
    for scope in [one, other] {
        let mut told = Told::new(stage);
        told.id = None;
        told.maker = outer.maker;
        stage.after(20, 30);
        let time = span_time(stage);
        let draft = told.draft(stage, scope, time);
        told.tell(stage, &under(place, span), draft);
        calls.push(told.done(stage, place));
    }
    let end = stage.after(20, 30);
    let draft = silent(outer.draft(stage, framework, (start, end)));
    stage.report_as(place, span, Draft { id: None, ..draft });
    calls
}
