//! From what spans say to which calls happened: duplicates, wrappers, attribution.
//!
//! [`resolve`] is a pure function of a *set* of evidence: the order of arrival, copies of a span, and which collector
//! took it play no part. Its input is closed under everything that could tie reports together: whole traces, and the
//! traces that share a response id or a possible `no-id` partner with them ([`link_keys()`] says which).
//!
//! The steps, each in a file of its own, in order:
//! 1. `tree`: one node a span, each under its parent; where a chain is broken, under the smallest enclosing span. Of several
//!    `readings` of one copy of a span, the newest.
//! 2. `duplicates`: which definite calls are reports of one call: by their ids, by `stream_usage`, by `pairing` those in
//!    `accord`.
//! 3. `wrappers`: which spans only repeat the calls under them, and which stand for calls nobody reported.
//! 4. `merge`: one call from its reports: the winner, the usage class by class; `rulings`: whether anybody charges for it.
//! 5. `attribution`: whom and what it is for.

mod readings;
mod tree;
mod accord;
mod duplicates;
mod stream_usage;
mod pairing;
mod wrappers;
mod rulings;
mod merge;
mod attribution;
mod link_keys;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

pub use link_keys::{LinkKey, link_keys};
pub use merge::metering;
pub use readings::Readings;
pub use tree::Tree;

use crate::identity::{Realm, SpanId, TraceId};
use crate::observation::{Dimensions, Evidence, Observation};
use crate::time::EventTime;
use crate::usage::Usage;

/// Limits that settlement is configured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Usage that ended longer than this before it was received is quarantined, in nanoseconds.
    pub late_limit_nanos: i64,
    /// Usage dated further than this after it was received is quarantined, in nanoseconds.
    pub future_limit_nanos: i64,
}

impl Default for Rules {
    fn default() -> Self {
        const MINUTE: i64 = 60_000_000_000;
        Self { late_limit_nanos: 35 * 24 * 60 * MINUTE, future_limit_nanos: 10 * MINUTE }
    }
}

/// A span, named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanRef {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
}

/// What became of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It is the report that its call is billed by.
    Billed,
    /// Another report of the same call is.
    Merged,
    /// It only repeats the calls under it.
    Wrapper,
    /// It states a call that nobody charges for.
    NotBillable,
    /// It states whom to bill, and no usage.
    Attribution,
    /// It looks like usage that the decoder does not understand.
    Unrecognised,
    /// It states something that cannot be believed; set aside for a person.
    Quarantined,
}

impl Outcome {
    /// The outcome's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Billed => "billed",
            Self::Merged => "merged",
            Self::Wrapper => "wrapper",
            Self::NotBillable => "not_billable",
            Self::Attribution => "attribution",
            Self::Unrecognised => "unrecognised",
            Self::Quarantined => "quarantined",
        }
    }
}

/// The rule that decided an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The only report of a definite call.
    Call,
    /// Reports that name the same answer of the provider.
    ResponseId,
    /// Reports without a common id that nest, one inside the other.
    Nested,
    /// Reports without a common id that agree in everything that is stated.
    NoId,
    /// A span of no length that carries the usage of the stream before it.
    StreamUsage,
    /// A span above calls that repeats them.
    Wrapper,
    /// A wrapper whose one call under it states no usage lends it its own.
    WrapperLends,
    /// A wrapper whose calls nobody reported stands for them.
    WrapperBilled,
    /// A failed attempt without usage.
    Failed,
    /// A configured ruling says that nobody charges for it.
    Ruled,
    /// Stated counts break the laws of usage.
    Fault,
    /// Outside the limits on the age of usage.
    Age,
    /// Nothing to decide: the span's kind says it.
    Kind,
}

impl Rule {
    /// The rule's name in tables and in `explain`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::ResponseId => "response-id",
            Self::Nested => "nested",
            Self::NoId => "no-id",
            Self::StreamUsage => "stream-usage",
            Self::Wrapper => "wrapper",
            Self::WrapperLends => "wrapper-lends",
            Self::WrapperBilled => "wrapper-billed",
            Self::Failed => "failed",
            Self::Ruled => "ruled",
            Self::Fault => "fault",
            Self::Age => "age",
            Self::Kind => "kind",
        }
    }
}

/// What became of one span, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanOutcome {
    /// The span.
    pub span: SpanRef,
    /// What became of it.
    pub outcome: Outcome,
    /// The rule that decided.
    pub rule: Rule,
    /// The particulars, for a person; empty where the rule says it all.
    pub reason: String,
    /// The call it reports, as an index into [`Resolution::calls`].
    pub call: Option<usize>,
    /// The report it lost to.
    pub winner: Option<SpanRef>,
}

/// How much of a call's usage is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metering {
    /// All that is needed to bill it.
    Whole,
    /// Some, but not the output.
    Partial,
    /// Nothing.
    Unmetered,
}

/// One provider call, put together from every report of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedCall {
    /// The account.
    pub realm: Realm,
    /// The report it is billed by.
    pub winner: SpanRef,
    /// Every report of it, the winner included, sorted.
    pub members: Vec<SpanRef>,
    /// The rule that tied the reports together, or that made this span the call.
    pub rule: Rule,
    /// How much is stated.
    pub metering: Metering,
    /// What was used, class by class from the report that knows best.
    pub usage: Usage,
    /// Whether any of it is an estimate.
    pub estimated: bool,
    /// The provider's well-known name, inferred from the model where no report names it.
    pub provider: Option<String>,
    /// The model asked for.
    pub request_model: Option<String>,
    /// The model that answered, else the one asked for.
    pub model: Option<String>,
    /// The operation; empty if unknown.
    pub operation: String,
    /// The tier billed.
    pub service_tier: Option<String>,
    /// The provider's region.
    pub region: Option<String>,
    /// The provider's name for the answer, strong or weak.
    pub response_id: Option<String>,
    /// The response id, if strong.
    pub strong_response_id: Option<String>,
    /// The end of the winning report.
    pub occurred_at: EventTime,
    /// Whom and what it is for.
    pub dimensions: Dimensions,
    /// Where the tenant was read.
    pub tenant_source: TenantSource,
    /// Tenants that other reports or ancestors stated and that lost, for the record.
    pub tenant_conflict: Option<String>,
    /// The ruling by which it is not billed, by its name. Such a call is a call to everything else: wrappers repeat it,
    /// late reports join it.
    pub ruled: Option<String>,
}

/// Where a call's tenant was read, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TenantSource {
    /// The API key is bound to it.
    Key,
    /// The winning span.
    Span,
    /// Another report of the call.
    Duplicate,
    /// A span above it.
    Ancestor,
    /// The smallest span around it in time, where the chain of parents is broken.
    Enclosing,
    /// The resource.
    Resource,
    /// Nowhere.
    None,
}

impl TenantSource {
    /// The source's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Span => "span",
            Self::Duplicate => "duplicate",
            Self::Ancestor => "ancestor",
            Self::Enclosing => "enclosing",
            Self::Resource => "resource",
            Self::None => "",
        }
    }
}

/// What a set of evidence comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolution {
    /// The calls, in the order of their winners.
    pub calls: Vec<ResolvedCall>,
    /// One outcome a span that is not a mere link, in the order of the spans.
    pub outcomes: Vec<SpanOutcome>,
    /// Whether evidence that may still be on its way would change a call: settling now is right but may need
    /// correcting later.
    pub may_change: bool,
}

/// Resolves a closed set of evidence of one realm.
pub fn resolve<'a>(evidence: impl IntoIterator<Item = &'a Evidence>, rules: &Rules) -> Resolution {
    let tree = Tree::new(evidence);
    let screened = Screened::of(&tree, rules);
    let mut groups = duplicates::group(&tree, &screened.calls);
    let wrapping = wrappers::judge(&tree, &screened.wrappers, &mut groups);

    let mut resolution =
        Resolution { outcomes: screened.outcomes, may_change: wrapping.may_change, ..Resolution::default() };
    let mut merged: Vec<(usize, ResolvedCall)> =
        groups.iter().map(|group| merge::merge(&tree, group)).enumerate().collect();
    merged.sort_by_key(|(_, call)| call.winner);
    let mut index_of: Vec<usize> = vec![0; groups.len()];
    for (index, (at, mut call)) in merged.into_iter().enumerate() {
        let group = &groups[at];
        index_of[at] = index;
        attribution::attribute(&tree, group, &mut call);
        resolution.may_change |= merge::may_change(&call) || attribution::may_change(&tree, group, &call);
        resolution.outcomes.extend(merge::outcomes(&tree, group, &call, index));
        resolution.calls.push(call);
    }
    resolution.outcomes.extend(wrapping.suppressed.into_iter().map(|suppressed| {
        let index = index_of[suppressed.by];
        SpanOutcome {
            span: tree.span_ref(suppressed.node),
            outcome: Outcome::Wrapper,
            rule: Rule::Wrapper,
            reason: suppressed.reason,
            call: Some(index),
            winner: Some(resolution.calls[index].winner),
        }
    }));
    resolution.outcomes.sort_by_key(|outcome| outcome.span);
    resolution
}

/// The spans by what can become of them before any is compared with another.
struct Screened {
    calls: Vec<usize>,
    wrappers: Vec<usize>,
    outcomes: Vec<SpanOutcome>,
}

impl Screened {
    fn of(tree: &Tree<'_>, rules: &Rules) -> Self {
        let mut screened = Self { calls: Vec::new(), wrappers: Vec::new(), outcomes: Vec::new() };
        for node in tree.nodes() {
            let Some(observation) = tree.observation(node) else { continue };
            match screen(observation, rules) {
                Screen::Call => screened.calls.push(node),
                Screen::Wrapper => screened.wrappers.push(node),
                Screen::Done(outcome, rule, reason) => screened.outcomes.push(SpanOutcome {
                    span: tree.span_ref(node),
                    outcome,
                    rule,
                    reason,
                    call: None,
                    winner: None,
                }),
            }
        }
        screened
    }
}

enum Screen {
    Call,
    Wrapper,
    Done(Outcome, Rule, String),
}

fn screen(observation: &Observation, rules: &Rules) -> Screen {
    use crate::observation::Kind;
    match observation.kind {
        Kind::Attribution => return Screen::Done(Outcome::Attribution, Rule::Kind, String::new()),
        Kind::Unrecognised => return Screen::Done(Outcome::Unrecognised, Rule::Kind, String::new()),
        Kind::PossibleWrapper
            if accord::states_nothing(&observation.usage) && observation.fault.is_none() =>
        {
            return Screen::Done(Outcome::Attribution, Rule::Kind, "wrapper without usage".into());
        }
        Kind::Call | Kind::PossibleWrapper => {}
    }
    if let Some(fault) = &observation.fault {
        return Screen::Done(Outcome::Quarantined, Rule::Fault, fault.to_string());
    }
    let age = observation.received_at.nanos().saturating_sub(observation.end.nanos());
    if age > rules.late_limit_nanos {
        return Screen::Done(
            Outcome::Quarantined,
            Rule::Age,
            "ended longer before it was received than billing.late_limit".into(),
        );
    }
    if age < -rules.future_limit_nanos {
        return Screen::Done(
            Outcome::Quarantined,
            Rule::Age,
            "dated further ahead of the collector's clock than is believed".into(),
        );
    }
    if observation.kind == Kind::PossibleWrapper {
        return Screen::Wrapper;
    }
    let failed =
        observation.status == crate::observation::SpanStatus::Error || observation.error_type.is_some();
    if failed && accord::states_nothing(&observation.usage) && observation.response_id.is_none() {
        let reason = observation.error_type.clone().unwrap_or_default();
        return Screen::Done(Outcome::NotBillable, Rule::Failed, reason);
    }
    Screen::Call
}
