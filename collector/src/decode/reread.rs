//! A span read anew from what was kept of it, by the tables and rules of now.
//!
//! What is kept of a span is enough to read it again: its name, scope, times and status, its attributes, and beside them what its
//! content gave away. So the decoder itself does it, over a span made of these; nothing here knows what an attribute means.
//!
//! Promises: what the request and the resource said (key, time of receipt, process, the resource's dimensions) stays; the kept
//! attributes stay byte for byte, so that a decoder of tomorrow reads what this one read; nothing that was known is lost. Where
//! a record is not the whole span (it is from before version 3, or an attribute was too long to be kept) a reading may only
//! add: usage that was believed then stays as it is, and what is not stated any more is carried over.

use domain::Evidence;
use domain::observation::{Kind, Observation};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};

use super::beside::{Beside, KEY};
use super::resource::Resource;
use super::span::{self, Found, Request, Source};
use super::verbatim::Verbatim;
use super::{DECODER_VERSION, Decoder};
use crate::otlp::{ExportRequest, SpanView, json};

/// The first version whose records are whole spans unless they say otherwise.
const WHOLE_SINCE: u32 = 3;

impl Decoder {
    /// Reads a kept span again; `None` where that says nothing new, where too little was kept, or where a newer decoder than
    /// this one read it.
    pub fn reread(&self, kept: &Observation) -> Option<Observation> {
        if kept.decoder_version > DECODER_VERSION {
            return None;
        }
        let Attributes { named, beside } = serde_json::from_str(kept.attributes.json()?).ok()?;
        let whole = kept.decoder_version >= WHOLE_SINCE && !beside.cut;
        if !whole && is_believed(kept) {
            return None;
        }
        let mut read = self.read_again(kept, &named, &beside)?;
        if !whole {
            carry_over(kept, &mut read);
        }
        read.error_type = read.error_type.or_else(|| kept.error_type.clone());
        read.process = kept.process;
        read.resource_dimensions.clone_from(&kept.resource_dimensions);
        read.attributes.clone_from(&kept.attributes);
        (read.decoder_version, read.reread) = (kept.decoder_version, kept.reread);
        if read == *kept {
            return None;
        }
        (read.decoder_version, read.reread) = (DECODER_VERSION, kept.reread.saturating_add(1));
        Some(read)
    }

    fn read_again(
        &self,
        kept: &Observation,
        named: &[(String, Value)],
        beside: &Beside,
    ) -> Option<Observation> {
        let body = json::to_protobuf(request(kept, named, beside).to_string().as_bytes()).ok()?;
        let request = Request {
            index: &self.index,
            key: &kept.key,
            received_at: kept.received_at,
            recalled: Some(beside),
        };
        let resource = Resource {
            dimensions: kept.resource_dimensions.clone(),
            process: kept.process,
            openlit: beside.openlit,
        };
        let mut evidence = Vec::new();
        let mut found = Found::Place;
        with_span(&body, |source, span| {
            let source = Source::new(&resource, source);
            let mut memory = Verbatim::default();
            if let Ok(read) = span::read(request, source, span, &mut memory, &mut evidence) {
                found = read;
            }
        })?;
        match (found, evidence.pop()) {
            (Found::Hint(observation), _) => Some(*observation),
            (_, Some(Evidence::Observation(observation))) => Some(*observation),
            (_, _) => Some(kept.clone().stating_nothing()),
        }
    }
}

/// Whether a reading states usage that was billed by.
fn is_believed(kept: &Observation) -> bool {
    matches!(kept.kind, Kind::Call | Kind::PossibleWrapper) && !kept.usage.is_empty() && kept.fault.is_none()
}

/// Takes from the old reading what the new one does not state.
fn carry_over(kept: &Observation, read: &mut Observation) {
    let fill = |new: &mut Option<String>, old: &Option<String>| {
        if new.is_none() {
            new.clone_from(old);
        }
    };
    fill(&mut read.provider, &kept.provider);
    fill(&mut read.request_model, &kept.request_model);
    fill(&mut read.response_model, &kept.response_model);
    fill(&mut read.service_tier, &kept.service_tier);
    fill(&mut read.region, &kept.region);
    read.response_id = read.response_id.take().or_else(|| kept.response_id.clone());
    read.streaming = read.streaming.or(kept.streaming);
    read.dimensions.fill_from(&kept.dimensions);
    fill(&mut read.ruling, &kept.ruling);
}

/// The span as an export request in OTLP/JSON.
fn request(kept: &Observation, named: &[(String, Value)], beside: &Beside) -> Value {
    use domain::observation::SpanStatus;
    let attributes: Vec<Value> =
        named.iter().map(|(key, value)| json!({"key": key, "value": any_value(value)})).collect();
    json!({"resourceSpans": [{"scopeSpans": [{
        "scope": {"name": kept.scope.name, "version": kept.scope.version},
        "spans": [{
            "traceId": kept.trace.to_string(),
            "spanId": kept.span.to_string(),
            "parentSpanId": kept.parent.map(|parent| parent.to_string()).unwrap_or_default(),
            "name": kept.name,
            "kind": if beside.client { 3 } else { 0 },
            "startTimeUnixNano": kept.start.nanos().max(0).to_string(),
            "endTimeUnixNano": kept.end.nanos().max(0).to_string(),
            "status": {"code": match kept.status {
                SpanStatus::Unset => 0,
                SpanStatus::Ok => 1,
                SpanStatus::Error => 2,
            }},
            "attributes": attributes,
        }],
    }]}]})
}

/// A kept value as OTLP/JSON writes it.
fn any_value(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(truth) => json!({"boolValue": truth}),
        Value::Number(number) => match number.as_i64() {
            Some(int) => json!({"intValue": int.to_string()}),
            None => json!({"doubleValue": number.as_f64()}),
        },
        Value::String(text) => json!({"stringValue": text}),
        Value::Array(elements) => {
            json!({"arrayValue": {"values": elements.iter().map(any_value).collect::<Vec<_>>()}})
        }
        Value::Object(members) => {
            let values = members.iter().map(|(key, value)| json!({"key": key, "value": any_value(value)}));
            json!({"kvlistValue": {"values": values.collect::<Vec<_>>()}})
        }
    }
}

/// Finds the one span of a request.
fn with_span<'a>(body: &'a [u8], read: impl FnOnce(crate::otlp::ScopeView<'a>, &SpanView<'a>)) -> Option<()> {
    let group = ExportRequest::new(body).resource_spans().next()?.ok()?;
    let scope = group.scope_spans().next()?.ok()?;
    let span = scope.spans().next()?.ok()?.read().ok()?;
    read(scope.scope, &span);
    Some(())
}

/// Kept attributes, in the order in which they stood on the span.
struct Attributes {
    named: Vec<(String, Value)>,
    beside: Beside,
}

impl<'de> serde::Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Attributes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let mut attributes = Attributes { named: Vec::new(), beside: Beside::default() };
                while let Some(key) = map.next_key::<String>()? {
                    if key == KEY {
                        attributes.beside = map.next_value()?;
                    } else {
                        attributes.named.push((key, map.next_value()?));
                    }
                }
                Ok(attributes)
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
