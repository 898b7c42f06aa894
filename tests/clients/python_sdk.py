"""The OpenTelemetry SDK for Python, with all three signals, over both transports, packed and not.

Promises: every call that was recorded is in `usage`, once, with its exact tokens and cost; the SDK logs nothing.
"""

import contextlib
import datetime
import logging
from decimal import Decimal

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

import expect

import grpc

CALLS = 25
FEATURES = ("search", "summary")
# USD a token, OpenAI's list prices of gpt-4o: 2.50, 1.25 and 10.00 a million.
INPUT, CACHED, OUTPUT = Decimal("0.0000025"), Decimal("0.00000125"), Decimal("0.00001")


def check(server):
    """Sends as four applications, one a transport, and compares what `usage` says of each with what was sent."""
    today = datetime.datetime.now(datetime.timezone.utc)
    grpc_address, http_address = f"http://{server.address['otlp_grpc']}", f"http://{server.address['otlp_http']}"
    ways = {
        "python-grpc": Grpc(grpc_address, grpc.Compression.NoCompression),
        "python-grpc-gzip": Grpc(grpc_address, grpc.Compression.Gzip),
        "python-http": Http(http_address, Compression.NoCompression),
        "python-http-gzip": Http(http_address, Compression.Gzip),
    }
    sent = []
    for tenant, way in ways.items():
        with complaints() as said:
            sent += send(tenant, way)
        expect.equal(f"{tenant}: spans, metrics and logs are exported and the SDK has nothing to say", said, [])
    since, until = today - datetime.timedelta(hours=1), today + datetime.timedelta(hours=1)
    rows = server.usage("--from", stamp(since), "--to", stamp(until), "--by", "tenant,feature,provider,model")
    expect.equal(f"usage is exactly what {len(ways) * CALLS} calls of the Python SDK said", [exact(row) for row in rows], sent)
    again = server.usage("--from", stamp(since), "--to", stamp(until), "--by", "tenant,feature,provider,model")
    expect.equal("and still is after settling again", again, rows)


class Grpc:
    def __init__(self, address, compression):
        options = {"endpoint": address, "insecure": True, "compression": compression}
        self.spans, self.metrics, self.logs = GrpcSpans(**options), GrpcMetrics(**options), GrpcLogs(**options)


class Http:
    def __init__(self, address, compression):
        def options(signal):
            return {"endpoint": f"{address}/v1/{signal}", "compression": compression}

        self.spans, self.metrics = HttpSpans(**options("traces")), HttpMetrics(**options("metrics"))
        self.logs = HttpLogs(**options("logs"))


def send(tenant, way):
    """Records calls, metrics and logs as one application; returns the rows that `usage` must have of them."""
    resource = Resource.create({"service.name": "python-app", "tenant.id": tenant})
    spans = TracerProvider(resource=resource)
    spans.add_span_processor(BatchSpanProcessor(way.spans))
    metrics = MeterProvider([PeriodicExportingMetricReader(way.metrics)], resource=resource)
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(way.logs))
    app_log = logging.getLogger(f"app.{tenant}")
    app_log.setLevel(logging.INFO)
    app_log.propagate = False
    app_log.addHandler(LoggingHandler(logger_provider=logs))
    tracer, counter = spans.get_tracer("python-app"), metrics.get_meter("python-app").create_counter("requests")

    sums = {feature: [0, 0, 0, 0] for feature in FEATURES}
    for number in range(CALLS):
        feature = FEATURES[number % len(FEATURES)]
        used = (1, 1000 + number, 10 * number, 100 + number)
        record(tracer, feature, *used[1:])
        sums[feature] = [total + more for total, more in zip(sums[feature], used)]
        counter.add(1)
        app_log.info("call %s", number)
    for provider in (spans, metrics, logs):
        expect.holds(f"{tenant}: {type(provider).__name__} flushes", provider.force_flush() is not False)
        provider.shutdown()
    return [row(tenant, feature, *sums[feature]) for feature in FEATURES]


def record(tracer, feature, input_tokens, cached, output_tokens):
    with tracer.start_as_current_span("handle request"):
        with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT) as span:
            span.set_attribute("gen_ai.operation.name", "chat")
            span.set_attribute("gen_ai.provider.name", "openai")
            span.set_attribute("gen_ai.request.model", "gpt-4o")
            span.set_attribute("gen_ai.response.model", "gpt-4o-2024-08-06")
            span.set_attribute("gen_ai.usage.input_tokens", input_tokens)
            span.set_attribute("gen_ai.usage.cache_read.input_tokens", cached)
            span.set_attribute("gen_ai.usage.output_tokens", output_tokens)
            span.set_attribute("feature.name", feature)


def row(tenant, feature, calls, input_tokens, cached, output_tokens):
    cost = (input_tokens - cached) * INPUT + cached * CACHED + output_tokens * OUTPUT
    return {
        "tenant": tenant, "feature": feature, "provider": "openai", "model": "gpt-4o-2024-08-06", "calls": calls,
        "input_tokens": input_tokens, "cache_read_tokens": cached, "cache_write_tokens": 0,
        "output_tokens": output_tokens, "reasoning_tokens": 0, "cost": cost, "charge": cost, "currency": "USD",
        "unpriced_calls": 0, "unmetered_calls": 0,
    }  # fmt: skip


def exact(row):
    """A row with its money as decimals."""
    return {**row, "cost": Decimal(row["cost"]), "charge": Decimal(row["charge"])}


def stamp(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextlib.contextmanager
def complaints():
    """Every warning and error the SDK and its exporters log while it holds."""
    said = []

    class Listen(logging.Handler):
        def emit(self, record):
            said.append(f"{record.levelname} {record.name}: {record.getMessage()}")

    listener, root = Listen(logging.WARNING), logging.getLogger("opentelemetry")
    root.addHandler(listener)
    try:
        yield said
    finally:
        root.removeHandler(listener)
