//! How calls are reported: once, twice, by a gateway, in pieces, not at all. Each shape says which calls it made.

use domain::observation::{Kind, Trust};
use domain::resolve::{Metering, SpanRef};
use domain::{SpanId, TokenClass, Usage};

use crate::crowds;
use crate::random::Random;
use crate::stage::{Draft, Payer, Place, Stage, Stored, TrueCall};

/// Instrumentations. Their names' order must mean nothing.
const SCOPES: [&str; 6] = ["framework", "sdk", "wire", "alpha", "omega", "middle"];

/// Providers, with a model as it is asked for and as it is named in answers.
const MAKERS: [(&str, &str, &str); 3] = [
    ("openai", "gpt-4o", "gpt-4o-2024-08-06"),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
    ("gcp.gemini", "gemini-2.5-flash", "gemini-2.5-flash"),
];

/// A call while it is being reported.
#[derive(Debug, Clone)]
pub struct Told {
    pub used: Usage,
    pub known: Usage,
    pub id: Option<String>,
    pub own: Payer,
    pub maker: usize,
    /// Whether a report that carries `own` was made.
    carried: bool,
}

/// What a call used: often the same small numbers, so that equal calls abound.
pub fn usage(random: &mut Random) -> Usage {
    let (input, output) = match random.chance(40) {
        true => (10, 5),
        false => (random.between(10, 5_000) as u64, random.between(2, 500) as u64),
    };
    let mut usage = Usage::default().with(TokenClass::Input, input).with(TokenClass::Output, output);
    if random.chance(40) {
        usage.set(TokenClass::CacheRead, Some(input / 2));
    }
    if random.chance(30) {
        usage.set(TokenClass::Reasoning, Some(output / 2));
    }
    if random.chance(10) {
        usage.units.insert("web_searches".into(), 2);
    }
    usage
}

impl Told {
    pub fn new(stage: &mut Stage) -> Self {
        let id = match stage.random.below(10) {
            0..5 => Some(stage.new_id()),
            5 | 6 => Some("chatcmpl-123".to_string()),
            _ => None,
        };
        let used = usage(&mut stage.random);
        let (own, maker) = (stage.some_payer(15), stage.random.below(MAKERS.len()));
        Self { used, known: Usage::default(), id, own, maker, carried: false }
    }

    pub fn with_strong_id(mut self, stage: &mut Stage) -> Self {
        self.id = Some(stage.new_id());
        self
    }

    /// A report of it, with as much detail as its instrumentation happens to give.
    pub fn draft(&mut self, stage: &mut Stage, scope: &'static str, (start, end): (i64, i64)) -> Draft {
        let random = &mut stage.random;
        let mut usage = self.used.clone();
        for part in [TokenClass::CacheRead, TokenClass::Reasoning] {
            match random.below(10) {
                0..6 => {}
                6 => usage.set(part, Some(0)),
                _ => usage.set(part, None),
            }
        }
        if random.chance(40) {
            usage.units.clear();
        }
        let (provider, asked, answered) = MAKERS[self.maker];
        let carries = !std::mem::replace(&mut self.carried, true) || random.chance(50);
        Draft {
            kind: Kind::Call,
            scope,
            start,
            end,
            usage,
            id: self.id.clone().filter(|_| random.chance(75)),
            own: if carries { self.own.clone() } else { Payer::default() },
            trust: random.pick(&[Trust::Framework, Trust::Instrumentation, Trust::Provider]),
            provider: random.chance(70).then_some(provider),
            request_model: random.chance(80).then_some(asked),
            response_model: random.chance(50).then_some(answered),
            failed: false,
            gateway: false,
        }
    }

    /// Exports a report, and remembers what it tells.
    pub fn tell(&mut self, stage: &mut Stage, place: &Place, draft: Draft) -> SpanRef {
        self.learn(&draft.usage);
        stage.report(place, draft)
    }

    fn learn(&mut self, usage: &Usage) {
        for class in TokenClass::ALL {
            let count = self.known.get(class).max(usage.get(class));
            self.known.set(class, count);
        }
        self.known.units.extend(usage.units.clone());
    }

    /// Every report was made.
    pub fn done(self, stage: &mut Stage, place: &Place) -> usize {
        let metering = match self.known.get(TokenClass::Output) {
            _ if self.known == Usage::default() => Metering::Unmetered,
            None => Metering::Partial,
            Some(_) => Metering::Whole,
        };
        let payer = stage.payer(place, &self.own);
        stage.happened(TrueCall { used: self.used, known: self.known, metering, payer })
    }
}

/// Different instrumentations, as many as wanted.
pub fn scopes<const N: usize>(stage: &mut Stage) -> [&'static str; N] {
    let mut scopes = SCOPES;
    stage.random.shuffle(&mut scopes);
    std::array::from_fn(|at| scopes[at])
}

pub fn silent(draft: Draft) -> Draft {
    Draft { usage: Usage::default(), ..draft }
}

pub fn under(place: &Place, span: SpanId) -> Place {
    Place { parent: Some(span), parent_lost: false, ..place.clone() }
}

/// A trace of its own in which nothing else happens.
pub fn elsewhere(stage: &mut Stage) -> Place {
    let trace = stage.new_trace();
    Place { trace, parent: None, payer: Payer::default(), parent_lost: false }
}

/// A place under `span`, perhaps through a span that carries nothing, perhaps through one that is never exported.
fn somewhere_under(stage: &mut Stage, place: &Place, span: SpanId, (start, end): (i64, i64)) -> Place {
    let below = under(place, span);
    match stage.random.below(4) {
        0 | 1 => below,
        2 => {
            let between = stage.new_span();
            stage.link(&below, between, start, end);
            under(place, between)
        }
        _ => Place { parent_lost: true, ..under(place, stage.new_span()) },
    }
}

/// Where a second instrumentation with a subtree of its own may report, if what it finds above itself is the same.
pub fn beside(stage: &mut Stage, home: &Place, place: &Place, (start, end): (i64, i64)) -> Option<Place> {
    let possible = home.trace == place.trace && home.payer == place.payer && !place.parent_lost;
    possible.then(|| {
        let span = stage.new_span();
        stage.link(home, span, start - 8, end + 8);
        under(home, span)
    })
}

/// Some calls at a place, reported in one of many ways; those that happened under it.
pub fn calls(stage: &mut Stage, home: &Place, place: &Place) -> Vec<usize> {
    if stage.random.chance(12) {
        let root = elsewhere(stage);
        match stage.random.below(3) {
            0 => once(stage, &root),
            1 => nested(stage, &root),
            _ => gateway(stage, &root),
        };
        return Vec::new();
    }
    match stage.random.below(20) {
        0 | 1 => vec![once(stage, place)],
        2..5 => vec![nested(stage, place)],
        5 => vec![wire(stage, place)],
        6 => vec![siblings(stage, place)],
        7 => vec![separate(stage, home, place)],
        8 => vec![other_trace(stage, place)],
        9 => vec![same_process(stage, place)],
        10 => vec![gateway(stage, place)],
        11 => vec![stream_usage(stage, place)],
        12 => vec![quiet(stage, place)],
        13 => retried(stage, place),
        14 => retrieved(stage, place),
        15 => crowds::strangers(stage, place),
        16 => crowds::around_two(stage, place),
        _ => crowds::crowd(stage, home, place),
    }
}

pub fn span_time(stage: &mut Stage) -> (i64, i64) {
    let start = stage.now;
    (start, stage.after(30, 200))
}

fn once(stage: &mut Stage, place: &Place) -> usize {
    let mut told = Told::new(stage);
    let (time, [scope]) = (span_time(stage), scopes(stage));
    let draft = told.draft(stage, scope, time);
    told.tell(stage, place, draft.clone());
    let id = draft.id.clone().filter(|id| id.len() > 20);
    let call = told.done(stage, place);
    if let Some(id) = id {
        let inherited = place.payer.clone();
        let report = Draft { own: Payer::default(), ..draft };
        stage.stored.push(Stored { id, call, report, inherited });
    }
    call
}

/// Two instrumentations, one above the other; either may state no usage, the ids may be a gateway's and a provider's.
fn nested(stage: &mut Stage, place: &Place) -> usize {
    let mut told = Told::new(stage);
    let ((start, end), [outer, inner]) = (span_time(stage), scopes(stage));
    let mut above = told.draft(stage, outer, (start, end));
    let mute = stage.random.below(6);
    if mute < 2 {
        above = silent(above);
    }
    let span = told.tell(stage, place, above).span;
    let below = somewhere_under(stage, place, span, (start + 1, end - 1));
    let jitter = stage.random.between(2, 4);
    let mut report = told.draft(stage, inner, (start + jitter, end - jitter));
    if mute == 1 || mute == 2 {
        report = silent(report);
    }
    if mute > 2 && stage.random.chance(10) {
        report.id = Some(stage.new_id());
    }
    told.tell(stage, &below, report);
    told.done(stage, place)
}

/// One instrumentation that reports a request and, under it, the raw request on the wire.
fn wire(stage: &mut Stage, place: &Place) -> usize {
    let mut told = Told::new(stage);
    let ((start, end), [scope]) = (span_time(stage), scopes(stage));
    let draft = told.draft(stage, scope, (start, end));
    let span = told.tell(stage, place, draft).span;
    let raw = told.draft(stage, scope, (start - 1, end - 2));
    told.tell(stage, &under(place, span), raw);
    told.done(stage, place)
}

fn siblings(stage: &mut Stage, place: &Place) -> usize {
    let mut told = Told::new(stage);
    let ((start, end), [one, other]) = (span_time(stage), scopes(stage));
    let first = told.draft(stage, one, (start, end));
    told.tell(stage, place, first);
    let (early, late) = (stage.random.between(-2, 2), stage.random.between(-2, 2));
    let mut second = told.draft(stage, other, (start + early, end + late));
    if stage.random.chance(25) {
        second = silent(second);
    }
    told.tell(stage, place, second);
    told.done(stage, place)
}

fn separate(stage: &mut Stage, home: &Place, place: &Place) -> usize {
    let mut told = Told::new(stage);
    let ((start, end), [one, other]) = (span_time(stage), scopes(stage));
    let first = told.draft(stage, one, (start, end));
    told.tell(stage, place, first);
    if let Some(beside) = beside(stage, home, place, (start, end)) {
        let second = told.draft(stage, other, (start + 1, end + 1));
        told.tell(stage, &beside, second);
    }
    stage.after(10, 20);
    told.done(stage, place)
}

/// A report in a trace that has only the id in common, at any time, with an estimate that the provider corrects.
fn other_trace(stage: &mut Stage, place: &Place) -> usize {
    let mut told = Told::new(stage).with_strong_id(stage);
    let (time, [one, other]) = (span_time(stage), scopes(stage));
    let known = Draft { trust: Trust::Provider, id: told.id.clone(), ..told.draft(stage, one, time) };
    told.tell(stage, place, known);
    let there = elsewhere(stage);
    let mut again = Draft { id: told.id.clone(), ..told.draft(stage, other, time) };
    if stage.random.chance(50) {
        let near = again.usage.count(TokenClass::Output) + 1;
        again.usage.set(TokenClass::Output, Some(near));
        again.trust = Trust::Estimate;
        // Its detail counts, its total does not.
        let mut detail = again.usage.clone();
        detail.set(TokenClass::Output, None);
        told.learn(&detail);
    } else {
        told.learn(&again.usage);
    }
    if stage.random.chance(50) {
        let later = stage.random.between(0, 3_600_000);
        (again.start, again.end) = (again.start + later, again.end + later);
    }
    stage.report(&there, again);
    told.done(stage, place)
}

/// A report at the root of another trace of the same process, without an id in common.
fn same_process(stage: &mut Stage, place: &Place) -> usize {
    let mut told = Told::new(stage);
    let ((start, end), [one, other]) = (span_time(stage), scopes(stage));
    let first = told.draft(stage, one, (start, end));
    told.tell(stage, place, first);
    let there = elsewhere(stage);
    let second = told.draft(stage, other, (start - 1, end));
    told.tell(stage, &there, second);
    told.done(stage, place)
}

/// An SDK's span and, under it, the gateway's, which came with an operator's key and names its own tenant.
fn gateway(stage: &mut Stage, place: &Place) -> usize {
    let mut told = Told::new(stage);
    let ((start, end), [sdk]) = (span_time(stage), scopes(stage));
    let mut client = told.draft(stage, sdk, (start, end));
    let mute = stage.random.chance(25);
    if mute {
        client = silent(client);
    }
    let span = told.tell(stage, place, client).span;
    let below = somewhere_under(stage, place, span, (start + 1, end - 1));
    let own = Payer { tenant: Some("tenant-of-gateway".into()), feature: None };
    let mut report = Draft { own, gateway: true, ..told.draft(stage, "gateway", (start + 2, end - 2)) };
    if !mute && stage.random.chance(30) {
        report.id = Some(stage.new_id());
    }
    told.tell(stage, &below, report);
    told.done(stage, place)
}

/// A stream's silent span and a span of no length that carries its usage, perhaps beside another instrumentation.
fn stream_usage(stage: &mut Stage, place: &Place) -> usize {
    let mut told = Told::new(stage);
    let ((start, end), [scope, other]) = (span_time(stage), scopes(stage));
    let stream = told.draft(stage, scope, (start, end));
    let stream = silent(stream);
    let id = stream.id.clone();
    let span = told.tell(stage, place, stream).span;
    let at = end + stage.random.between(0, 15);
    let carrier = Draft { id: None, ..told.draft(stage, scope, (at, at)) };
    let there = if stage.random.chance(50) { place.clone() } else { under(place, span) };
    told.tell(stage, &there, carrier);
    if stage.random.chance(30) {
        let mut second = told.draft(stage, other, (start - 1, end + 1));
        if stage.random.chance(50) {
            second.id = id;
        }
        told.tell(stage, place, second);
    }
    stage.after(20, 30);
    told.done(stage, place)
}

/// Nobody states the usage, or nobody its output; whoever else reports the call says no more.
fn quiet(stage: &mut Stage, place: &Place) -> usize {
    let mut told = Told::new(stage);
    let (time, [one, other]) = (span_time(stage), scopes(stage));
    let mut draft = told.draft(stage, one, time);
    draft.usage = Usage::default();
    if stage.random.chance(40) {
        draft.usage.set(TokenClass::Input, told.used.get(TokenClass::Input));
    }
    let usage = draft.usage.clone();
    let span = told.tell(stage, place, draft).span;
    if stage.random.chance(40) {
        let there = if stage.random.chance(50) { place.clone() } else { under(place, span) };
        let second = Draft { usage, ..told.draft(stage, other, time) };
        told.tell(stage, &there, second);
    }
    told.done(stage, place)
}

/// Attempts that fail, then one that does not; or two that both were answered, and are two calls however equal.
fn retried(stage: &mut Stage, place: &Place) -> Vec<usize> {
    let mut told = Told::new(stage);
    let [scope, other] = scopes(stage);
    for _ in 0..stage.random.below(3) {
        let time = span_time(stage);
        let draft = silent(told.clone().draft(stage, scope, time));
        let span = stage.report(place, Draft { id: None, failed: true, ..draft });
        stage.truth.failed.insert(span);
        stage.after(20, 40);
    }
    let mut calls = Vec::new();
    for _ in 0..stage.random.between(1, 2) {
        let scope = if stage.random.chance(70) { scope } else { other };
        let mut attempt = Told { carried: false, ..told.clone() };
        attempt.id = attempt.id.filter(|id| id.len() < 20);
        let time = span_time(stage);
        let draft = attempt.draft(stage, scope, time);
        attempt.tell(stage, place, draft);
        calls.push(attempt.done(stage, place));
        stage.after(20, 40);
    }
    told.carried = true;
    calls
}

/// An answer that is retrieved again by its id, here or in another trace: no new call.
fn retrieved(stage: &mut Stage, place: &Place) -> Vec<usize> {
    let there = if stage.random.chance(50) { elsewhere(stage) } else { place.clone() };
    let alone = there.trace != place.trace;
    let fit = stage.stored.iter().rev().find(|stored| alone || stored.inherited == place.payer).cloned();
    let Some(stored) = fit else { return vec![once(stage, place)] };
    let ((start, end), [scope]) = (span_time(stage), scopes(stage));
    let scope = if stage.random.chance(50) { stored.report.scope } else { scope };
    stage.report(&there, Draft { id: Some(stored.id), scope, start, end, ..stored.report });
    if alone { Vec::new() } else { vec![stored.call] }
}
