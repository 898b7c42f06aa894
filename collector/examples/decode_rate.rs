//! How long does it take to walk, decode and encode one AI span of about 25 attributes?
//!
//! `cargo run --release -p ledgerline-collector --example decode_rate [spans per request]` prints microseconds per span
//! on one core, from the bytes of a request to the bytes of its records, for requests of AI spans and of other spans.

use std::borrow::Cow;
use std::hint::black_box;
use std::time::{Duration, Instant};

use collector::decode::{AiTraces, DecodeConfig, Decoder, Sink};
use domain::observation::KeyStamp;
use domain::{Link, Observation, ReceivedAt};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

/// How long each figure is measured.
const MEASURED: Duration = Duration::from_secs(3);

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

fn int(key: &str, value: i64) -> KeyValue {
    pair(key, Value::IntValue(value))
}

/// What an instrumentation of a provider's SDK writes, and what an application adds to it.
fn ai_attributes(n: usize) -> Vec<KeyValue> {
    let (provider, model) =
        [("openai", "gpt-4o-2024-08-06"), ("anthropic", "claude-sonnet-4-5-20250929")][n % 2];
    vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.provider.name", provider),
        text("gen_ai.request.model", model),
        text("gen_ai.response.model", model),
        text("gen_ai.response.id", format!("resp-{n:024x}")),
        int("gen_ai.usage.input_tokens", 4050 + (n % 1000) as i64),
        int("gen_ai.usage.output_tokens", 5 + (n % 1500) as i64),
        int("gen_ai.usage.cache_read.input_tokens", (n % 3000) as i64),
        int("gen_ai.usage.cache_creation.input_tokens", (n % 1000) as i64),
        int("gen_ai.request.max_tokens", 4096),
        pair("gen_ai.request.temperature", Value::DoubleValue(0.2)),
        pair("gen_ai.request.top_p", Value::DoubleValue(0.95)),
        pair(
            "gen_ai.response.finish_reasons",
            Value::ArrayValue(ArrayValue {
                values: vec![AnyValue { value: Some(Value::StringValue("stop".into())) }],
            }),
        ),
        text("gen_ai.output.type", "text"),
        text("gen_ai.conversation.id", format!("conv-{n:08x}")),
        pair("gen_ai.request.stream", Value::BoolValue(true)),
        text("tenant.id", format!("tenant-{:05}", n % 50)),
        text("feature.name", format!("feature-{:03}", n % 8)),
        text("enduser.id", format!("user-{n:06}")),
        text("customer.plan", "enterprise"),
        text("server.address", format!("api.{provider}.example.com")),
        int("server.port", 443),
        int("http.response.status_code", 200),
    ]
}

fn other_attributes(n: usize) -> Vec<KeyValue> {
    vec![
        text("http.request.method", "GET"),
        text("url.path", format!("/api/v1/items/{n}")),
        text("url.scheme", "https"),
        text("http.route", "/api/v1/items/{id}"),
        int("http.response.status_code", 200),
        text("network.protocol.version", "1.1"),
        text("server.address", "shop.example.com"),
        int("server.port", 443),
        text("client.address", format!("10.0.0.{}", n % 256)),
        text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
    ]
}

fn request(spans: usize, attributes: fn(usize) -> Vec<KeyValue>) -> Vec<u8> {
    let span = |n: usize| Span {
        trace_id: (n as u128 + 1).to_be_bytes().to_vec(),
        span_id: (n as u64 + 1).to_be_bytes().to_vec(),
        parent_span_id: vec![7; 8],
        name: "chat gpt-4o".into(),
        kind: 3,
        start_time_unix_nano: 1_793_491_200_000_000_000,
        end_time_unix_nano: 1_793_491_201_000_000_000,
        attributes: attributes(n),
        status: Some(Status { message: String::new(), code: 1 }),
        flags: 0x101,
        ..Default::default()
    };
    let scope = InstrumentationScope {
        name: "opentelemetry.instrumentation.openai".into(),
        version: "0.40.0".into(),
        ..Default::default()
    };
    let resource = Resource {
        attributes: vec![
            text("service.name", "checkout"),
            text("deployment.environment.name", "production"),
            text("host.name", "node-001"),
            text("k8s.pod.name", "checkout-7c9f"),
            int("process.pid", 17),
        ],
        ..Default::default()
    };
    let scope_spans =
        vec![ScopeSpans { scope: Some(scope), spans: (0..spans).map(span).collect(), ..Default::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// The records of a request, one behind the other.
#[derive(Default)]
struct Records(Vec<u8>);

impl Sink for Records {
    fn observation(&mut self, observation: &Observation<Cow<'_, str>>) {
        schemas::record::encode_observation(observation, &mut self.0);
    }

    fn link(&mut self, link: &Link) {
        schemas::record::encode_link(link, &mut self.0);
    }
}

fn micros_per_span(spans: usize, mut run: impl FnMut()) -> f64 {
    run();
    let started = Instant::now();
    let mut runs = 0usize;
    while started.elapsed() < MEASURED {
        run();
        runs += 1;
    }
    started.elapsed().as_secs_f64() * 1e6 / (runs * spans) as f64
}

fn main() {
    let spans = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100);
    let decoder = Decoder::new(&DecodeConfig::default());
    let (key, traces, mut records) = (KeyStamp::default(), AiTraces::default(), Records::default());
    for (what, attributes) in
        [("AI spans", ai_attributes as fn(usize) -> Vec<KeyValue>), ("other spans", other_attributes)]
    {
        let body = request(spans, attributes);
        let micros = micros_per_span(spans, || {
            records.0.clear();
            let read = decoder.read(&body, &key, ReceivedAt::from_nanos(1), &traces, &mut records);
            black_box((&records.0, read.is_ok()));
        });
        let prost = micros_per_span(spans, || {
            black_box(ExportTraceServiceRequest::decode(&body[..]).is_ok());
        });
        let bytes = body.len() / spans;
        println!(
            "{what}: {micros:.3} us/span to records ({bytes} B/span in, {} out, {spans} spans/request); prost's decoding alone {prost:.3}",
            records.0.len() / spans
        );
    }
}
