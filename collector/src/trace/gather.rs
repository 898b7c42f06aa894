//! The evidence of one request, by trace: what the rules of the tail see of its money.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;

use domain::{Attributes, Evidence, Link, Observation, TraceId};

use crate::decode::Sink;

/// What a piece of evidence takes besides its texts.
const OVERHEAD: usize = size_of::<Evidence>() + size_of::<Observation>() + 64;

/// Evidence of one request.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    by_trace: HashMap<TraceId, (Vec<Evidence>, usize)>,
}

impl Gathered {
    /// What spans of a trace say.
    pub(super) fn of(&self, trace: TraceId) -> &[Evidence] {
        self.by_trace.get(&trace).map_or(&[], |(evidence, _)| evidence)
    }

    /// Everything: the trace, its evidence, and the bytes that takes.
    pub(super) fn into_traces(self) -> impl Iterator<Item = (TraceId, Vec<Evidence>, usize)> {
        self.by_trace.into_iter().map(|(trace, (evidence, bytes))| (trace, evidence, bytes))
    }

    fn push(&mut self, evidence: Evidence, texts: usize) {
        let (pieces, bytes) = self.by_trace.entry(evidence.trace()).or_default();
        pieces.push(evidence);
        *bytes += OVERHEAD + texts;
    }
}

impl Sink for Gathered {
    fn observation(&mut self, observation: &Observation<Cow<'_, str>>) {
        // The verbatim attributes are for the repair of what a decoder misread; here nobody reads them.
        let observation =
            Observation { attributes: Attributes::Here(Cow::Borrowed("")), ..observation.clone() };
        let texts = Cell::new(0);
        let owned = observation.map(|text| {
            texts.set(texts.get() + text.len());
            text.into_owned()
        });
        self.push(Evidence::Observation(Box::new(owned)), texts.get());
    }

    fn link(&mut self, link: &Link) {
        self.push(Evidence::Link(link.clone()), 0);
    }
}
