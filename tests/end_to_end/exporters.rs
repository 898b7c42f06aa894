//! The OpenTelemetry SDK for Rust, as an application uses it, over gRPC and over HTTP.

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanKind, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::server::Server;

fn export(exporter: SpanExporter, calls: std::ops::Range<i64>) {
    let resource = Resource::builder().with_attribute(KeyValue::new("tenant.id", "rust-app")).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = provider.tracer("my-llm-client");
    for n in calls {
        let mut span = tracer.span_builder("chat gpt-4o").with_kind(SpanKind::Client).start(&tracer);
        span.set_attribute(KeyValue::new("gen_ai.operation.name", "chat"));
        span.set_attribute(KeyValue::new("gen_ai.provider.name", "openai"));
        span.set_attribute(KeyValue::new("gen_ai.request.model", "gpt-4o"));
        span.set_attribute(KeyValue::new("gen_ai.usage.input_tokens", 100 + n));
        span.set_attribute(KeyValue::new("gen_ai.usage.output_tokens", 10));
        span.set_attribute(KeyValue::new("feature.name", "search"));
        span.end();
    }
    provider.shutdown().unwrap();
}

/// Scenario: two applications export ten calls each, one over gRPC and one over HTTP.
/// Guarantees: twenty calls, attributed by resource and span attribute.
#[test]
fn the_rust_sdk_exports_over_grpc_and_http() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let grpc = {
        let _within = runtime.enter();
        let endpoint = format!("http://{}", server.otlp_grpc);
        SpanExporter::builder().with_tonic().with_endpoint(endpoint).build().unwrap()
    };
    export(grpc, 0..10);
    let endpoint = format!("http://{}/v1/traces", server.otlp_http);
    export(SpanExporter::builder().with_http().with_endpoint(endpoint).build().unwrap(), 10..20);
    server.succeed("settle");
    let rows = server.rows(
        "SELECT tenant, feature, sum(l.calls) AS calls, sum(l.input_tokens) AS input FROM ledgerline.ledger AS l GROUP BY tenant, feature",
    );
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["tenant"], &rows[0]["feature"]), (&"rust-app".into(), &"search".into()), "{rows:?}");
    assert_eq!((rows[0]["calls"].as_i64(), rows[0]["input"].as_i64()), (Some(20), Some(2190)), "{rows:?}");
    server.stop();
}
