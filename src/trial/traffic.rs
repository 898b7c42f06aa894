//! Calls with known ids, and the requests that report them.
//!
//! A call's number says everything of it: its traces, its answer's id, its usage, its model, and how it is reported. Most
//! are one span. Some are the spans of an agent and of the call that it repeats, in one request or in two; some are reported
//! by two sides in two traces. However that arrives, the ledger must have the call once, with the usage of its number.

use std::ops::Range;

use domain::time::BillingPeriod;
use serde_json::{Value, json};

/// What a call must be in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Whole prompt.
    pub input: u64,
    /// Whole answer.
    pub output: u64,
}

/// One span.
#[derive(Debug)]
struct Span {
    trace: [u8; 16],
    id: u64,
    parent: Option<u64>,
    name: &'static str,
    nanos: (u64, u64),
    attributes: Vec<(&'static str, Attribute)>,
}

#[derive(Debug)]
enum Attribute {
    Text(String),
    Count(u64),
}

/// Makes requests.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// Sets these calls apart from those of other trials.
    mark: u64,
    /// When the first call ended, in nanoseconds since the epoch.
    begin: u64,
}

/// How a call is reported.
enum Shape {
    /// One span.
    Alone,
    /// An agent's span above it, which repeats its usage.
    UnderAgent,
    /// The same, but the agent's span comes in another request.
    AgentApart,
    /// By the application and, in a trace of its own, by a gateway.
    TwoSides,
}

/// Rate cards are kept when they are first used: a new model every so many calls.
const CALLS_A_MODEL: u64 = 300;
const MODELS: [(&str, &str); 12] = [
    ("openai", "gpt-4o"),
    ("anthropic", "claude-sonnet-4-5"),
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-4.1"),
    ("anthropic", "claude-opus-4-1"),
    ("openai", "gpt-4.1-mini"),
    ("openai", "gpt-4.1-nano"),
    ("openai", "o3"),
    ("anthropic", "claude-haiku-4-5"),
    ("openai", "o4-mini"),
    ("openai", "gpt-5"),
    ("openai", "gpt-5-mini"),
];
const TENANTS: [&str; 3] = ["acme", "globex", "initech"];

impl Traffic {
    /// Calls of a month, so that the month can be closed in the end.
    pub fn new(seed: u64, month: BillingPeriod) -> Self {
        let ten_days_in = month.start().timestamp() as u64 + 10 * 86_400;
        Self { mark: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) & !1, begin: ten_days_in * 1_000_000_000 }
    }

    /// What a call of this number comes to. No two calls of a trial have the same input, so none is taken for another.
    pub fn usage(number: u64) -> Usage {
        Usage { input: 1_000 + number, output: 10 + number % 50 }
    }

    /// The call that a trace belongs to, if it is of this trial.
    pub fn number_of(&self, trace: &str) -> Option<u64> {
        let whole = u128::from_str_radix(trace, 16).ok()?;
        let (mark, number) = ((whole >> 64) as u64, whole as u64);
        (mark & !1 == self.mark).then_some(number)
    }

    /// The reports of calls, as requests to be sent on their own: each call is in the first of them, some also in the second.
    pub fn reports(&self, calls: Range<u64>) -> Vec<Report> {
        let mut reports = [Report::default(), Report::default()];
        for number in calls {
            for (report, spans) in reports.iter_mut().zip(self.spans_of(number)) {
                if !spans.is_empty() {
                    report.calls.push(number);
                    report.spans.extend(spans);
                }
            }
        }
        reports.into_iter().filter(|report| !report.calls.is_empty()).collect()
    }

    /// The spans of a call in the first request and in the second.
    fn spans_of(&self, number: u64) -> [Vec<Span>; 2] {
        let shape = match number % 8 {
            3 => Shape::UnderAgent,
            5 => Shape::AgentApart,
            7 => Shape::TwoSides,
            _ => Shape::Alone,
        };
        let call = self.call(number);
        match shape {
            Shape::Alone => [vec![call], vec![]],
            Shape::UnderAgent => [vec![Span { parent: Some(!number), ..call }, self.agent(number)], vec![]],
            Shape::AgentApart => [vec![self.agent(number)], vec![Span { parent: Some(!number), ..call }]],
            Shape::TwoSides => {
                let gateway = Span { trace: self.trace(number, 1), name: "proxy", ..self.call(number) };
                [vec![call], vec![gateway]]
            }
        }
    }

    fn trace(&self, number: u64, side: u64) -> [u8; 16] {
        let whole = u128::from(self.mark | side) << 64 | u128::from(number);
        whole.to_be_bytes()
    }

    fn call(&self, number: u64) -> Span {
        let mut span = self.span(number, number + 1, "chat", "chat");
        // Of enough different characters to be a strong id, whatever the number.
        let id = format!("chatcmpl-TriALbMgQz{:08x}{number:08x}", self.mark as u32);
        span.attributes.push(("gen_ai.response.id", Attribute::Text(id)));
        span
    }

    fn agent(&self, number: u64) -> Span {
        self.span(number, !number, "invoke_agent helper", "invoke_agent")
    }

    fn span(&self, number: u64, id: u64, name: &'static str, operation: &'static str) -> Span {
        let Usage { input, output } = Self::usage(number);
        let (provider, model) = MODELS[(number / CALLS_A_MODEL) as usize % MODELS.len()];
        let end = self.begin + number * 10_000_000;
        let text = |text: &str| Attribute::Text(text.to_owned());
        Span {
            trace: self.trace(number, 0),
            id,
            parent: None,
            name,
            nanos: (end - 1_000_000_000, end),
            attributes: vec![
                ("gen_ai.operation.name", text(operation)),
                ("gen_ai.provider.name", text(provider)),
                ("gen_ai.request.model", text(model)),
                ("tenant.id", text(TENANTS[number as usize % TENANTS.len()])),
                ("feature.name", text("trial")),
                ("gen_ai.usage.input_tokens", Attribute::Count(input)),
                ("gen_ai.usage.output_tokens", Attribute::Count(output)),
            ],
        }
    }
}

/// One export request.
#[derive(Debug, Default)]
pub struct Report {
    /// The calls it reports, wholly or in part; acknowledged, each of them must be in the ledger.
    pub calls: Vec<u64>,
    spans: Vec<Span>,
}

impl Report {
    /// As OTLP/JSON.
    pub fn json(&self) -> Vec<u8> {
        let attribute = |(key, value): &(&str, Attribute)| match value {
            Attribute::Text(text) => json!({"key": key, "value": {"stringValue": text}}),
            Attribute::Count(count) => json!({"key": key, "value": {"intValue": count.to_string()}}),
        };
        let span = |span: &Span| {
            json!({
                "traceId": hex(&span.trace), "spanId": hex(&span.id.to_be_bytes()), "name": span.name, "kind": 3,
                "parentSpanId": span.parent.map(|parent| hex(&parent.to_be_bytes())).unwrap_or_default(),
                "startTimeUnixNano": span.nanos.0.to_string(), "endTimeUnixNano": span.nanos.1.to_string(),
                "attributes": span.attributes.iter().map(attribute).collect::<Vec<Value>>(),
            })
        };
        let spans: Vec<Value> = self.spans.iter().map(span).collect();
        let scope = json!({"scope": {"name": "trial", "version": "1"}, "spans": spans});
        json!({"resourceSpans": [{"scopeSpans": [scope]}]}).to_string().into_bytes()
    }

    /// As protobuf.
    pub fn protobuf(&self) -> Vec<u8> {
        let mut scope_spans = bytes(1, &[bytes(1, b"trial"), bytes(2, b"1")].concat());
        for span in &self.spans {
            let mut message = [bytes(1, &span.trace), bytes(2, &span.id.to_be_bytes())].concat();
            if let Some(parent) = span.parent {
                message.extend(bytes(4, &parent.to_be_bytes()));
            }
            message.extend(bytes(5, span.name.as_bytes()));
            message.extend([varint(6 << 3), varint(3)].concat());
            for (field, nanos) in [(7, span.nanos.0), (8, span.nanos.1)] {
                message.extend(varint(field << 3 | 1));
                message.extend(nanos.to_le_bytes());
            }
            for (key, value) in &span.attributes {
                let value = match value {
                    Attribute::Text(text) => bytes(1, text.as_bytes()),
                    Attribute::Count(count) => [varint(3 << 3), varint(*count)].concat(),
                };
                message.extend(bytes(9, &[bytes(1, key.as_bytes()), bytes(2, &value)].concat()));
            }
            scope_spans.extend(bytes(2, &message));
        }
        bytes(1, &bytes(2, &scope_spans))
    }
}

/// A field of bytes: a text or a message.
fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    [&varint(field << 3 | 2), &varint(content.len() as u64), content].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(2);
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
