//! An encoded export request with slots: making a request is one copy of its bytes and a few overwritten ones a span, so
//! that the load generator takes little of the cores it shares with what it measures.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message as _;

use super::call::{Call, Marks, call, text, whole};
use super::manifest::Manifest;
use super::scatter::Draw;

const RESPONSE_PREFIX: &str = "chatcmpl-";
/// Bytes of a response id that are written as hexadecimal digits.
const RESPONSE_BYTES: usize = 12;

/// An encoded request and where its slots are.
#[derive(Debug)]
pub struct Template {
    bytes: Vec<u8>,
    slots: Vec<Slots>,
    /// What each request made of it comes to.
    pub manifest: Manifest,
}

/// What is a span's own in a rendered request.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub response_id: [u8; RESPONSE_BYTES],
    /// Nanoseconds since the epoch.
    pub started_at: u64,
}

/// Offsets of a span's slots.
#[derive(Debug)]
struct Slots {
    trace_id: usize,
    span_id: usize,
    started_at: usize,
    ended_at: usize,
    response_id: usize,
    duration_nanos: u64,
}

impl Template {
    /// The template of a number, with so many spans.
    pub fn new(seed: u64, number: u64, batch: usize) -> Self {
        let mut draw = Draw::new(seed, number);
        let (mut manifest, mut spans, mut marked) = (Manifest::new(), Vec::new(), Vec::new());
        for _ in 0..batch {
            let marks = marks(&mut draw);
            let Call { span, tenant, totals, duration_nanos } = call(&mut draw, &marks);
            *manifest.entry(tenant).or_default() += totals;
            spans.push(span);
            marked.push((marks, duration_nanos));
        }
        let scope = InstrumentationScope {
            name: "load".into(),
            version: "1".into(),
            ..InstrumentationScope::default()
        };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource(number)),
                scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            }],
        };
        let bytes = request.encode_to_vec();
        let mut search = Search { bytes: &bytes, at: 0 };
        // In the order in which protobuf writes a span's fields.
        let slots = marked
            .iter()
            .map(|(marks, duration_nanos)| Slots {
                trace_id: search.next(&marks.trace_id),
                span_id: search.next(&marks.span_id),
                started_at: search.next(&marks.started_at.to_le_bytes()),
                ended_at: search.next(&marks.ended_at.to_le_bytes()),
                response_id: search.next(marks.response_id.as_bytes()) + RESPONSE_PREFIX.len(),
                duration_nanos: *duration_nanos,
            })
            .collect();
        Self { bytes, slots, manifest }
    }

    /// A request, with the identity of each span by its number.
    pub fn render(&self, identity: impl Fn(usize) -> Identity) -> Vec<u8> {
        let mut out = self.bytes.clone();
        for (number, slots) in self.slots.iter().enumerate() {
            let own = identity(number);
            write(&mut out, slots.trace_id, &own.trace_id);
            write(&mut out, slots.span_id, &own.span_id);
            write(&mut out, slots.started_at, &own.started_at.to_le_bytes());
            write(&mut out, slots.ended_at, &(own.started_at + slots.duration_nanos).to_le_bytes());
            write_hex(&mut out, slots.response_id, &own.response_id);
        }
        out
    }
}

/// Finds one mark after the other.
struct Search<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Search<'_> {
    fn next(&mut self, mark: &[u8]) -> usize {
        let found = self.bytes[self.at..].windows(mark.len()).position(|window| window == mark);
        let at = self.at + found.expect("every mark was encoded, in this order");
        self.at = at + mark.len();
        at
    }
}

fn marks(draw: &mut Draw) -> Marks {
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&draw.any().to_be_bytes());
    trace_id[8..].copy_from_slice(&draw.any().to_be_bytes());
    Marks {
        trace_id,
        span_id: draw.any().to_be_bytes(),
        started_at: draw.any(),
        ended_at: draw.any(),
        response_id: format!("{RESPONSE_PREFIX}{:016x}{:08x}", draw.any(), draw.below(1 << 32)),
    }
}

fn resource(number: u64) -> Resource {
    let service = format!("service-{}", number % 8);
    let attributes = vec![
        text("service.name", &service),
        text("service.namespace", "shop"),
        text("service.version", "1.42.0"),
        text("deployment.environment.name", "production"),
        text("host.name", &format!("node-{:03}", number % 50)),
        text("k8s.namespace.name", "shop"),
        text("k8s.pod.name", &format!("{service}-7c9f-{number:04x}")),
        text("cloud.region", "eu-central-1"),
        whole("process.pid", 1 + number),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.language", "python"),
        text("telemetry.sdk.version", "1.38.0"),
    ];
    Resource { attributes, ..Resource::default() }
}

fn write(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

fn write_hex(out: &mut [u8], at: usize, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (index, byte) in bytes.iter().enumerate() {
        out[at + 2 * index] = DIGITS[usize::from(byte >> 4)];
        out[at + 2 * index + 1] = DIGITS[usize::from(byte & 15)];
    }
}
