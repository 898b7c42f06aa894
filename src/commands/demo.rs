//! `demo`: the whole loop on sample calls, in a data directory of its own.
//!
//! A small shop and its chat assistant serve two tenants: two SDKs, an agent whose span repeats its calls, a gateway that
//! reports a call again, and a stream that never stated its usage. What `demo` prints is what the commands print.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use domain::time::{BillingPeriod, EventTime};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Context, Outcome, explain, invoice, usage};
use crate::billing_arm::now_nanos;
use crate::config::{self, FlagValue, Sources};
use crate::output::{self, Format};
use crate::running_server::RunningServer;
use crate::topology;

/// The whole loop on sample calls.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the invoices are written; a new directory under the system's temporary one if not given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the demo.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<Outcome> {
    let home = std::env::temp_dir().join(format!("ledgerline-demo-{}", std::process::id()));
    let data_dir = home.join("data");
    let out = args.out.unwrap_or_else(|| home.join("invoices"));
    let context = Context { loaded: config::load(&private(&data_dir, context)?)?, format: Format::Table };

    let (ready, started) = oneshot::channel::<RunningServer>();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = {
        let config = context.loaded.config.clone();
        tokio::spawn(async move {
            let shutdown = async {
                // A dropped sender stops it too.
                let _ = stopped.await;
            };
            topology::serve(&config, None, shutdown, |server| {
                // The demo may have been given up.
                let _ = ready.send(server.clone());
            })
            .await
        })
    };
    let Ok(server) = started.await else {
        serving.await.context("the server ended badly")??;
        anyhow::bail!("the server stopped before it was ready");
    };
    let result = show(&server, &out, &context).await;
    drop(stop);
    serving.await.context("the server ended badly")??;
    std::fs::remove_dir_all(&data_dir).with_context(|| format!("cannot remove {}", data_dir.display()))?;
    result?;
    Ok(Outcome::Done)
}

/// A configuration of its own: free ports, a new data directory, every trace kept; the engine as configured.
fn private(data_dir: &std::path::Path, context: &Context) -> anyhow::Result<Sources> {
    let mut flags: Vec<FlagValue> = [
        ("data_dir", data_dir.display().to_string()),
        ("otlp.grpc_addr", "127.0.0.1:0".into()),
        ("otlp.http_addr", "127.0.0.1:0".into()),
        ("admin.addr", "127.0.0.1:0".into()),
        ("clickhouse.addr", "127.0.0.1:0".into()),
        ("trace.sample_ratio", "1".into()),
        ("log.level", "warn".into()),
    ]
    .into_iter()
    .map(|(key, value)| FlagValue { key, flag: "demo", value })
    .collect();
    if let Some(library) = &context.loaded.config.engine.library {
        flags.push(FlagValue { key: "engine.library", flag: "demo", value: library.display().to_string() });
    }
    Ok(Sources { flags, ..Sources::default() })
}

async fn show(server: &RunningServer, out: &std::path::Path, context: &Context) -> anyhow::Result<()> {
    let start = now_nanos() - 3_600_000_000_000;
    let month = BillingPeriod::containing(EventTime::from_nanos(start)).to_string();
    say("Sending five spans of an assistant and its gateway over OTLP/HTTP …")?;
    for body in [assistant(start), gateway(start)] {
        post(server, &body).await?;
    }
    say("… acknowledged: they are on disk. Settling them now.\n")?;
    crate::admin_client::AdminClient::new(server).post("/settle", None, Duration::from_secs(60)).await?;

    say(&format!("$ ledgerline usage --month {month}"))?;
    usage::run(usage::Args::month(&month)?, context).await?;
    say("\n$ ledgerline explain chatcmpl-DemoB7Qx2LmZp9RsTuVw   # the agent's call, reported three times")?;
    explain::run(explain::Args::of("chatcmpl-DemoB7Qx2LmZp9RsTuVw"), context).await?;
    say(&format!("\n$ ledgerline invoice export --month {month}"))?;
    invoice::run(invoice::Command::export(&month, out)?, context).await?;
    say(&format!(
        "\nNext: `ledgerline serve` receives OTLP on 127.0.0.1:4317 (gRPC) and 127.0.0.1:4318 (HTTP); point\n\
         OTEL_EXPORTER_OTLP_ENDPOINT there and set tenant.id and feature.name on your spans. The data of this demo is gone,\n\
         the invoices stay in {}.",
        out.display()
    ))
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(output::print(&format!("{text}\n"))?)
}

async fn post(server: &RunningServer, body: &Value) -> anyhow::Result<()> {
    let request = hyper::Request::post(format!("http://{}/v1/traces", server.otlp_http))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))?;
    let answer = Client::builder(TokioExecutor::new()).build_http().request(request).await?;
    let status = answer.status();
    let text = answer.into_body().collect().await?.to_bytes();
    anyhow::ensure!(
        status.is_success(),
        "the sample was answered {status}: {}",
        String::from_utf8_lossy(&text)
    );
    Ok(())
}

/// Milliseconds after the start, as OTLP/JSON writes times.
fn at(start: i64, ms: i64) -> String {
    (start + ms * 1_000_000).to_string()
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn count(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

struct Span<'a> {
    trace: &'a str,
    id: &'a str,
    parent: &'a str,
    name: &'a str,
    ms: (i64, i64),
    attributes: Vec<Value>,
}

fn span(start: i64, span: Span<'_>) -> Value {
    json!({
        "traceId": span.trace, "spanId": span.id, "parentSpanId": span.parent, "name": span.name, "kind": 3,
        "startTimeUnixNano": at(start, span.ms.0), "endTimeUnixNano": at(start, span.ms.1), "attributes": span.attributes,
    })
}

fn request(service: &str, scope: &str, spans: &[Value]) -> Value {
    json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", service), text("deployment.environment.name", "demo")]},
        "scopeSpans": [{"scope": {"name": scope, "version": "1.0"}, "spans": spans}],
    }]})
}

const AGENT_TRACE: &str = "5b8efff798038103d269b633813fc60c";
const CHAT_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const AGENT_CALL: &str = "chatcmpl-DemoB7Qx2LmZp9RsTuVw";

fn call(provider: &str, model: &str, usage: &[(&str, u64)]) -> Vec<Value> {
    let mut attributes = vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.provider.name", provider),
        text("gen_ai.request.model", model),
    ];
    attributes.extend(usage.iter().map(|(class, tokens)| count(&format!("gen_ai.usage.{class}"), *tokens)));
    attributes
}

/// One agent run of tenant acme (the agent span repeats its call), one call and one silent stream of tenant globex.
fn assistant(start: i64) -> Value {
    let agent_usage = [("input_tokens", 1200), ("cache_read.input_tokens", 900), ("output_tokens", 340)];
    let mut agent = call("openai", "gpt-4o", &agent_usage);
    agent[0] = text("gen_ai.operation.name", "invoke_agent");
    agent.extend([text("tenant.id", "acme"), text("feature.name", "assistant")]);
    let mut agent_call = call("openai", "gpt-4o", &agent_usage);
    agent_call
        .extend([text("gen_ai.response.model", "gpt-4o-2024-08-06"), text("gen_ai.response.id", AGENT_CALL)]);
    let mut chat = call("anthropic", "claude-sonnet-4-5", &[("input_tokens", 2500), ("output_tokens", 410)]);
    chat.extend([
        text("gen_ai.response.id", "msg_01DemoXy7Kq3LmNp5RsTuV"),
        text("tenant.id", "globex"),
        text("feature.name", "summaries"),
    ]);
    let mut silent = call("openai", "gpt-4o-mini", &[]);
    silent.extend([
        text("gen_ai.response.id", "chatcmpl-DemoC3Wv8YtHk6JnBgFd"),
        text("tenant.id", "globex"),
        text("feature.name", "summaries"),
    ]);
    request(
        "assistant",
        "opentelemetry.instrumentation.openai",
        &[
            span(
                start,
                Span {
                    trace: AGENT_TRACE,
                    id: "a1b2c3d4e5f60718",
                    parent: "",
                    name: "invoke_agent helper",
                    ms: (0, 2000),
                    attributes: agent,
                },
            ),
            span(
                start,
                Span {
                    trace: AGENT_TRACE,
                    id: "b1b2c3d4e5f60719",
                    parent: "a1b2c3d4e5f60718",
                    name: "chat gpt-4o",
                    ms: (100, 1900),
                    attributes: agent_call,
                },
            ),
            span(
                start,
                Span {
                    trace: CHAT_TRACE,
                    id: "c1b2c3d4e5f6071a",
                    parent: "",
                    name: "chat claude-sonnet-4-5",
                    ms: (3000, 4200),
                    attributes: chat,
                },
            ),
            span(
                start,
                Span {
                    trace: CHAT_TRACE,
                    id: "d1b2c3d4e5f6071b",
                    parent: "",
                    name: "chat gpt-4o-mini",
                    ms: (5000, 5600),
                    attributes: silent,
                },
            ),
        ],
    )
}

/// The gateway in front of the provider reports the agent's call once more, in a trace of its own.
fn gateway(start: i64) -> Value {
    let mut again = call("openai", "gpt-4o", &[("input_tokens", 1200), ("output_tokens", 340)]);
    again
        .extend([text("gen_ai.response.model", "gpt-4o-2024-08-06"), text("gen_ai.response.id", AGENT_CALL)]);
    let attributes = again;
    let trace = "9f1c2d3e4b5a69788796a5b4c3d2e1f0";
    request(
        "gateway",
        "gateway",
        &[span(
            start,
            Span {
                trace,
                id: "e1b2c3d4e5f6071c",
                parent: "",
                name: "proxy openai",
                ms: (150, 1850),
                attributes,
            },
        )],
    )
}
