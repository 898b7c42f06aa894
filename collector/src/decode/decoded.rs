//! What became of a request: evidence, and a count for every span that is none.

use std::borrow::Cow;

use domain::{Evidence, Link, Observation};

use crate::otlp::SpanFault;

/// Where evidence goes as it is found, one piece after the other.
pub trait Sink {
    /// Takes an observation, made of texts that are gone with the request.
    fn observation(&mut self, observation: &Observation<Cow<'_, str>>);

    /// Takes a link.
    fn link(&mut self, link: &Link);
}

/// Evidence as values, for whoever wants to look at it.
impl Sink for Vec<Evidence> {
    fn observation(&mut self, observation: &Observation<Cow<'_, str>>) {
        self.push(Evidence::Observation(Box::new(observation.clone().map(Cow::into_owned))));
    }

    fn link(&mut self, link: &Link) {
        self.push(Evidence::Link(link.clone()));
    }
}

/// What a request was made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spans {
    /// All spans that were sent, rejected ones included.
    pub sent: u64,
    /// Those that are AI usage or look like it.
    pub ai: u64,
    /// Those that could not be used, by reason.
    pub rejected: Rejections,
}

/// The evidence of a request, or of several decoded into it one after the other.
#[derive(Debug, Default, PartialEq)]
pub struct Decoded {
    /// Observations and links. Observations that mattered by themselves come first, in the order of their spans.
    pub evidence: Vec<Evidence>,
    /// Spans that could not be used, by reason.
    pub rejected: Rejections,
    /// All spans that were sent, rejected ones included.
    pub spans: u64,
    /// Spans that are AI usage or look like it.
    pub ai_spans: u64,
}

/// Why a span was rejected. The client is told, and does not send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// Its bytes do not hold together.
    Malformed,
    /// Its trace id is none.
    TraceId,
    /// Its span id is none.
    SpanId,
}

impl RejectReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Malformed, Self::TraceId, Self::SpanId];

    /// A stable short code, for metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_span",
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
        }
    }

    /// What the client is told.
    pub fn message(self) -> &'static str {
        match self {
            Self::Malformed => "the bytes of the span do not hold together",
            Self::TraceId => "the trace id is not 16 bytes, or all zero",
            Self::SpanId => "the span id is not 8 bytes, or all zero",
        }
    }
}

impl From<SpanFault> for RejectReason {
    fn from(fault: SpanFault) -> Self {
        match fault {
            SpanFault::Malformed(_) => Self::Malformed,
            SpanFault::TraceId => Self::TraceId,
            SpanFault::SpanId => Self::SpanId,
        }
    }
}

impl std::ops::AddAssign for Rejections {
    fn add_assign(&mut self, more: Self) {
        self.counts.iter_mut().zip(more.counts).for_each(|(count, more)| *count += more);
    }
}

/// Rejected spans by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rejections {
    counts: [u64; RejectReason::ALL.len()],
}

impl Rejections {
    /// Counts one span.
    pub fn add(&mut self, reason: RejectReason) {
        self.counts[reason as usize] += 1;
    }

    /// How many spans were rejected in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The reasons that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (RejectReason, u64)> {
        RejectReason::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }
}
