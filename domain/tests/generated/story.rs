//! Stories: random trees of services, agents and tools around calls, each with the truth known from its making.
//!
//! Acts follow one another with pauses longer than any clock slack; what overlaps does so on purpose. Each act draws
//! from a part of the seed of its own, so that a story that fails is made smaller by leaving acts out.
//!
//! What the rules of `docs/rules.md` cannot decide is not made up here:
//! - calls without a common id that overlap, agree in everything stated and come from different instrumentations, yet
//!   are two calls: nothing tells them from two reports of one;
//! - reports of one call without a common id in different processes' traces, or a call retrieved again without its id;
//! - a silent report elsewhere than around, inside or beside the other; a silent call of one instrumentation beside
//!   another's call over the same time;
//! - a partial report beside a whole one without an id, since exact usage is what pairs them;
//! - a wrapper whose calls are reported, but under another parent; one that states the usage of some reported calls
//!   without usage together with others;
//! - a missing span while another runs at the same time that could be taken for it;
//! - reports of one call under ancestors that name different payers.

use domain::observation::{Kind, Trust};
use domain::resolve::{Metering, SpanRef};
use domain::{Evidence, SpanId, TokenClass, Usage};

use crate::random::Random;
use crate::reports;
use crate::stage::{Draft, Payer, Place, Stage, TrueCall, Truth};

/// The most acts a story has.
pub const ACTS_MAX: u32 = 5;

/// A story: what was exported, and what happened.
#[derive(Debug)]
pub struct Story {
    pub evidence: Vec<Evidence>,
    pub truth: Truth,
}

/// The story of a seed, with only the acts whose bit is set.
pub fn story(seed: u64, acts: u64) -> Story {
    let mut random = Random::new(seed, 0);
    let count = random.between(1, i64::from(ACTS_MAX)) as u64;
    let mut stage = Stage {
        key: random.chance(10).then(|| "tenant-of-key".into()),
        resource: Payer::default(),
        random,
        now: 0,
        evidence: Vec::new(),
        truth: Truth::default(),
        stored: Vec::new(),
    };
    stage.resource = stage.some_payer(20);
    let root = stage.new_span();
    let trace = stage.new_trace();
    let exported = stage.random.chance(85);
    let own = if exported { stage.some_payer(40) } else { Payer::default() };
    let home = Place { trace, parent: Some(root), payer: own.clone(), parent_lost: !exported };
    let start = stage.after(0, 10);
    for act in (0..count).filter(|act| acts & (1 << act) != 0) {
        stage.random = Random::new(seed, act + 1);
        stage.after(20, 100);
        play(&mut stage, &home, &home, 0);
    }
    let end = stage.after(20, 40);
    if exported {
        let above = Place { parent: None, payer: Payer::default(), ..home };
        frame(&mut stage, &above, root, (start, end), own);
    }
    Story { evidence: stage.evidence, truth: stage.truth }
}

/// One act at a place: something around other acts, or a call. Says which calls it holds.
fn play(stage: &mut Stage, home: &Place, place: &Place, depth: usize) -> Vec<usize> {
    match stage.random.below(if depth < 2 { 10 } else { 6 }) {
        0..6 => reports::calls(stage, home, place),
        6 | 7 => agent(stage, home, place, depth),
        8 => {
            let within = within(stage, place, 20);
            let (calls, _) = inside(stage, home, within, depth);
            calls
        }
        _ => unreported(stage, place),
    }
}

/// A frame that is opened at a place; it is exported when it ends, or never.
struct Within {
    around: Place,
    inner: Place,
    span: SpanId,
    own: Payer,
    start: i64,
    lost: bool,
}

fn within(stage: &mut Stage, place: &Place, lost_percent: u64) -> Within {
    let lost = stage.random.chance(lost_percent);
    let own = if lost { Payer::default() } else { stage.some_payer(20) };
    let span = stage.new_span();
    let inner = Place { parent: Some(span), payer: own.or(&place.payer), parent_lost: lost, ..place.clone() };
    Within { around: place.clone(), inner, span, own, start: stage.after(20, 60), lost }
}

/// Plays acts inside a tool or service and exports it.
fn inside(stage: &mut Stage, home: &Place, within: Within, depth: usize) -> (Vec<usize>, Within) {
    let mut calls = Vec::new();
    for _ in 0..stage.random.between(1, 3) {
        stage.after(20, 60);
        calls.extend(play(stage, home, &within.inner, depth + 1));
    }
    let end = stage.after(20, 60);
    if !within.lost {
        frame(stage, &within.around, within.span, (within.start, end), within.own.clone());
    }
    calls.sort_unstable();
    calls.dedup();
    (calls, within)
}

/// Exports a span without usage: an attribution where it states one, else a link.
fn frame(stage: &mut Stage, above: &Place, span: SpanId, (start, end): (i64, i64), own: Payer) {
    if own == Payer::default() {
        stage.link(above, span, start, end);
    } else {
        let who = Draft { kind: Kind::Attribution, own, ..wrapper(start, end, Usage::default()) };
        stage.report_as(above, span, who);
    }
}

fn wrapper(start: i64, end: i64, usage: Usage) -> Draft {
    Draft {
        kind: Kind::PossibleWrapper,
        scope: "framework",
        start,
        end,
        usage,
        id: None,
        own: Payer::default(),
        trust: Trust::Framework,
        provider: None,
        request_model: None,
        response_model: None,
        failed: false,
        gateway: false,
    }
}

/// An agent or chain whose span repeats what the calls in it used: exactly, as a sum, only the last step's, more than
/// anyone else tells of, or not at all.
fn agent(stage: &mut Stage, home: &Place, place: &Place, depth: usize) -> Vec<usize> {
    let opened = Within { lost: false, ..within(stage, place, 0) };
    let mut calls = Vec::new();
    for _ in 0..stage.random.between(1, 3) {
        stage.after(20, 60);
        calls.extend(play(stage, home, &opened.inner, depth + 1));
    }
    calls.sort_unstable();
    calls.dedup();
    let end = stage.after(20, 60);
    let Some(&last) = calls.last() else {
        frame(stage, place, opened.span, (opened.start, end), opened.own);
        return calls;
    };
    let sum = calls
        .iter()
        .map(|&call| &stage.truth.calls[call].used)
        .fold(Usage::default(), |sum, used| add(add(sum, used, TokenClass::Input), used, TokenClass::Output));
    let stated = match stage.random.below(5) {
        0 | 1 => sum,
        2 => stage.truth.calls[last].used.clone(),
        3 => {
            let more = sum.count(TokenClass::Output) + 7;
            sum.with(TokenClass::Output, more)
        }
        _ => Usage::default(),
    };
    let scope = stage.random.pick(&["framework", "sdk", "wire"]);
    let draft = Draft { own: opened.own, scope, ..wrapper(opened.start, end, stated.clone()) };
    let states = stated != Usage::default();
    stage.report_as(place, opened.span, draft);
    if states {
        stage.truth.wrappers.insert(SpanRef { trace: place.trace, span: opened.span });
        lend(stage, &calls, stated);
    }
    calls
}

/// A wrapper around one call that states no usage lends it its own.
fn lend(stage: &mut Stage, calls: &[usize], stated: Usage) {
    if let [only] = calls
        && let call = &mut stage.truth.calls[*only]
        && call.metering == Metering::Unmetered
    {
        call.known = stated;
        call.metering = Metering::Whole;
    }
}

fn add(sum: Usage, used: &Usage, class: TokenClass) -> Usage {
    let total = sum.count(class) + used.count(class);
    sum.with(class, total)
}

/// A wrapper whose calls no span reports stands for them as one; of nested ones the innermost.
fn unreported(stage: &mut Stage, place: &Place) -> Vec<usize> {
    let outer = stage.random.chance(40).then(|| within(stage, place, 0));
    let around = outer.as_ref().map_or(place, |outer| &outer.inner).clone();
    let inner = within(stage, &around, 0);
    let used = reports::usage(&mut stage.random);
    let end = stage.after(20, 200);
    let mut draft = Draft { own: inner.own, ..wrapper(inner.start, end, used.clone()) };
    if stage.random.chance(30) {
        // Somebody reports the call after all, in a trace that has only the id in common.
        draft.id = Some(stage.new_id());
        let there = reports::elsewhere(stage);
        let later = 3_600_000;
        let report = Draft {
            kind: Kind::Call,
            scope: "sdk",
            own: Payer::default(),
            start: draft.start + later,
            end: draft.end + later,
            ..draft.clone()
        };
        stage.report(&there, report);
    }
    stage.report_as(&around, inner.span, draft);
    if let Some(outer) = outer {
        let end = stage.after(10, 20);
        let draft = Draft { own: outer.own, ..wrapper(outer.start, end, used.clone()) };
        let span = stage.report_as(place, outer.span, draft);
        stage.truth.wrappers.insert(span);
    }
    let payer = stage.payer(&inner.inner, &Payer::default());
    vec![stage.happened(TrueCall { known: used.clone(), used, metering: Metering::Whole, payer })]
}
