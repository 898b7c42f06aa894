//! OTLP export requests of AI calls. Request `i` is a pure function of the seed, the size of a batch, the start time and
//! `i`: what was sent can be counted without keeping it, and any run can be repeated.

mod scatter;
mod call;
mod template;
pub mod manifest;

use std::ops::Range;

use manifest::Manifest;
use scatter::scatter;
use template::{Identity, Template};

/// Distinct templates: enough that no cache of the receiver knows them all as one.
const TEMPLATES: u64 = 64;
/// Spans of a request are told apart by this many bits.
const SPAN_BITS: u32 = 16;

/// Makes requests of one size.
#[derive(Debug)]
pub struct Generator {
    seed: u64,
    batch: u64,
    starts_at: u64,
    templates: Vec<Template>,
}

impl Generator {
    /// Requests of `batch` spans, the first of which starts at `starts_at` (nanoseconds since the epoch).
    ///
    /// # Panics
    /// When a batch has more spans than [`SPAN_BITS`] can tell apart.
    pub fn new(seed: u64, batch: u32, starts_at: u64) -> Self {
        assert!(batch < 1 << SPAN_BITS, "a batch of {batch} spans is too large");
        let templates = (0..TEMPLATES).map(|number| Template::new(seed, number, batch as usize)).collect();
        Self { seed, batch: u64::from(batch), starts_at, templates }
    }

    /// Spans of a request.
    pub fn batch(&self) -> u64 {
        self.batch
    }

    /// Request `index`, encoded.
    pub fn request(&self, index: u64) -> Vec<u8> {
        self.templates[self.template_of(index)].render(|span| self.identity(index, span as u64))
    }

    /// What these requests must come to.
    pub fn manifest(&self, requests: Range<u64>) -> Manifest {
        let mut uses = vec![0; self.templates.len()];
        for index in requests {
            uses[self.template_of(index)] += 1;
        }
        let mut manifest = Manifest::new();
        for (template, uses) in self.templates.iter().zip(uses) {
            for (tenant, totals) in template.manifest.iter().filter(|_| uses > 0) {
                *manifest.entry(tenant.clone()).or_default() += totals.times(uses);
            }
        }
        manifest
    }

    fn template_of(&self, index: u64) -> usize {
        let number = scatter(self.seed ^ scatter(index)) % TEMPLATES;
        usize::try_from(number).expect("a small number")
    }

    /// `scatter` is one to one, so no two spans of a seed share a trace id, and with it no response id of 12 bytes.
    fn identity(&self, index: u64, span: u64) -> Identity {
        let own = scatter(scatter(self.seed).wrapping_add((index << SPAN_BITS) | span));
        let (mut trace_id, mut response_id) = ([0; 16], [0; 12]);
        trace_id[..8].copy_from_slice(&own.to_be_bytes());
        trace_id[8..].copy_from_slice(&scatter(own ^ 1).to_be_bytes());
        response_id[..8].copy_from_slice(&scatter(own ^ 2).to_be_bytes());
        response_id[8..].copy_from_slice(&scatter(own ^ 3).to_be_bytes()[..4]);
        Identity {
            trace_id,
            // Never zero, which OTLP forbids.
            span_id: (scatter(own ^ 4) | 1).to_be_bytes(),
            response_id,
            // A microsecond apart: a million calls a second.
            started_at: self.starts_at + (index * self.batch + span) * 1_000,
        }
    }
}

#[cfg(test)]
mod tests;
