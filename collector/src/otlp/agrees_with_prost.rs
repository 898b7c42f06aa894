//! The walker against prost: the same facts from valid messages, and no panic from any other bytes.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue as ProtoValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use proptest::prelude::*;
use prost::Message as _;

use super::{AnyValue, Attributes, ExportRequest, SpanKind, StatusCode, ValueView};

fn value() -> impl Strategy<Value = ProtoValue> {
    let leaf = prop_oneof![
        Just(None),
        ".{0,12}".prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|truth| Some(Value::BoolValue(truth))),
        any::<i64>().prop_map(|int| Some(Value::IntValue(int))),
        (-1e9..1e9).prop_map(|double| Some(Value::DoubleValue(double))),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ];
    leaf.prop_map(|value| ProtoValue { value }).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| ProtoValue { value: Some(Value::ArrayValue(ArrayValue { values })) }),
            prop::collection::vec(("[a-z.]{0,8}", inner), 0..4).prop_map(|pairs| ProtoValue {
                value: Some(Value::KvlistValue(KeyValueList {
                    values: pairs.into_iter().map(pair).collect()
                })),
            }),
        ]
    })
}

fn pair((key, value): (String, ProtoValue)) -> KeyValue {
    KeyValue { key, value: Some(value), ..Default::default() }
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    prop::collection::vec(("[a-z_.]{0,20}", value()), 0..6)
        .prop_map(|pairs| pairs.into_iter().map(pair).collect())
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (any::<[u8; 16]>(), any::<[u8; 8]>(), prop::option::of(any::<[u8; 8]>()));
    let times = (any::<u64>(), any::<u64>(), 0..6i32, any::<u32>());
    (ids, times, ".{0,20}", attributes(), attributes(), prop::option::of((".{0,8}", 0..3i32))).prop_map(
        |((trace, id, parent), (start, end, kind, flags), name, attributes, event, status)| Span {
            trace_id: trace.to_vec(),
            span_id: id.to_vec(),
            parent_span_id: parent.map(|id| id.to_vec()).unwrap_or_default(),
            trace_state: "a=b".into(),
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            flags,
            attributes,
            dropped_attributes_count: 3,
            events: vec![span::Event {
                time_unix_nano: 9,
                name: "e".into(),
                attributes: event,
                dropped_attributes_count: 0,
            }],
            links: vec![span::Link { trace_id: vec![1; 16], span_id: vec![2; 8], ..Default::default() }],
            status: status.map(|(message, code)| Status { message, code }),
            ..Default::default()
        },
    )
}

fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope = prop::collection::vec((".{0,8}", prop::collection::vec(span(), 0..4)), 0..3);
    prop::collection::vec((attributes(), scope), 0..3).prop_map(|resources| ExportTraceServiceRequest {
        resource_spans: resources
            .into_iter()
            .map(|(attributes, scopes)| ResourceSpans {
                resource: Some(Resource { attributes, ..Default::default() }),
                scope_spans: scopes
                    .into_iter()
                    .map(|(name, spans)| ScopeSpans {
                        scope: Some(InstrumentationScope { name, version: "1".into(), ..Default::default() }),
                        spans,
                        schema_url: "s".into(),
                    })
                    .collect(),
                schema_url: "r".into(),
            })
            .collect(),
    })
}

fn same_value(ours: AnyValue<'_>, theirs: Option<&ProtoValue>) {
    match (ours.view().unwrap(), theirs.and_then(|value| value.value.as_ref())) {
        (ValueView::Empty, None) => {}
        (ValueView::Str(a), Some(Value::StringValue(b))) => assert_eq!(a, b),
        (ValueView::Bool(a), Some(Value::BoolValue(b))) => assert_eq!(a, *b),
        (ValueView::Int(a), Some(Value::IntValue(b))) => assert_eq!(a, *b),
        (ValueView::Double(a), Some(Value::DoubleValue(b))) => assert_eq!(a.to_bits(), b.to_bits()),
        (ValueView::Bytes(a), Some(Value::BytesValue(b))) => assert_eq!(a, &b[..]),
        (ValueView::Array(a), Some(Value::ArrayValue(b))) => {
            let elements: Vec<_> = a.map(Result::unwrap).collect();
            assert_eq!(elements.len(), b.values.len());
            elements.into_iter().zip(&b.values).for_each(|(a, b)| same_value(a, Some(b)));
        }
        (ValueView::KvList(a), Some(Value::KvlistValue(b))) => same_attributes(a, &b.values),
        (ours, theirs) => panic!("{ours:?} for {theirs:?}"),
    }
}

fn same_attributes(ours: Attributes<'_>, theirs: &[KeyValue]) {
    let ours: Vec<_> = ours.map(Result::unwrap).collect();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        assert_eq!(ours.key, theirs.key);
        same_value(ours.value, theirs.value.as_ref());
    }
}

/// Looks at everything there is to look at, however broken.
fn visit(body: &[u8]) -> usize {
    fn values(attributes: Attributes<'_>) -> usize {
        attributes.map_while(Result::ok).map(|attribute| 1 + nested(attribute.value)).sum()
    }
    fn nested(value: AnyValue<'_>) -> usize {
        match value.view() {
            Ok(ValueView::Array(array)) => array.map_while(Result::ok).map(nested).sum(),
            Ok(ValueView::KvList(list)) => values(list),
            _ => 1,
        }
    }
    let mut seen = 0;
    for group in ExportRequest::new(body).resource_spans().map_while(Result::ok) {
        seen += values(group.resource.attributes());
        for scope in group.scope_spans().map_while(Result::ok) {
            seen += values(scope.scope.attributes());
            for span in scope.spans().map_while(Result::ok).filter_map(|span| span.read().ok()) {
                seen += values(span.attributes());
                seen += span
                    .events()
                    .map_while(Result::ok)
                    .map(|event| values(event.attributes()))
                    .sum::<usize>();
                seen +=
                    span.links().map_while(Result::ok).map(|link| values(link.attributes())).sum::<usize>();
            }
        }
    }
    seen
}

proptest! {
    #[test]
    fn valid_requests_read_as_prost_reads_them(request in request()) {
        let bytes = request.encode_to_vec();
        let groups: Vec<_> = ExportRequest::new(&bytes).resource_spans().map(Result::unwrap).collect();
        prop_assert_eq!(groups.len(), request.resource_spans.len());
        for (group, theirs) in groups.iter().zip(&request.resource_spans) {
            same_attributes(group.resource.attributes(), &theirs.resource.as_ref().unwrap().attributes);
            prop_assert_eq!(group.schema_url, &theirs.schema_url);
            let scopes: Vec<_> = group.scope_spans().map(Result::unwrap).collect();
            prop_assert_eq!(scopes.len(), theirs.scope_spans.len());
            for (scope, theirs) in scopes.iter().zip(&theirs.scope_spans) {
                prop_assert_eq!(scope.scope.name, &theirs.scope.as_ref().unwrap().name);
                prop_assert_eq!(scope.scope.version, "1");
                prop_assert_eq!(scope.schema_url, "s");
                let spans: Vec<_> = scope.spans().map(Result::unwrap).collect();
                prop_assert_eq!(spans.len(), theirs.spans.len());
                for (raw, theirs) in spans.iter().zip(&theirs.spans) {
                    let zero = theirs.trace_id.iter().all(|b| *b == 0) || theirs.span_id.iter().all(|b| *b == 0);
                    let Ok(ours) = raw.read() else { prop_assert!(zero); continue };
                    prop_assert_eq!(&ours.trace_id.bytes()[..], &theirs.trace_id[..]);
                    prop_assert_eq!(&ours.span_id.bytes()[..], &theirs.span_id[..]);
                    prop_assert_eq!(ours.name, &theirs.name);
                    prop_assert_eq!(ours.trace_state, "a=b");
                    prop_assert_eq!(ours.start_unix_nano, theirs.start_time_unix_nano);
                    prop_assert_eq!(ours.end_unix_nano, theirs.end_time_unix_nano);
                    prop_assert_eq!(ours.flags, theirs.flags);
                    prop_assert_eq!(ours.dropped_attributes, 3);
                    prop_assert_eq!(ours.kind == SpanKind::Client, theirs.kind == 3);
                    let code = theirs.status.as_ref().map_or(0, |status| status.code);
                    prop_assert_eq!(ours.status == StatusCode::Error, code == 2);
                    same_attributes(ours.attributes(), &theirs.attributes);
                    for (event, theirs) in ours.events().map(Result::unwrap).zip(&theirs.events) {
                        prop_assert_eq!((event.time_unix_nano, event.name), (9, "e"));
                        same_attributes(event.attributes(), &theirs.attributes);
                    }
                    prop_assert_eq!(ours.links().count(), 1);
                    prop_assert_eq!(raw.bytes(), &theirs.encode_to_vec()[..]);
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_the_walker_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        visit(&bytes);
    }

    #[test]
    fn no_damage_makes_the_walker_panic(
        request in request(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = request.encode_to_vec();
        if !bytes.is_empty() {
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] ^= byte;
            }
            // Each attribute takes two bytes at least: what is seen is bounded by what was sent.
            prop_assert!(visit(&bytes) <= 2 * bytes.len());
            visit(&bytes[..cut.index(bytes.len())]);
        }
    }
}

#[test]
fn a_resource_may_follow_its_spans() {
    let resource =
        Resource { attributes: vec![pair(("k".into(), ProtoValue::default()))], ..Default::default() };
    let spans = ResourceSpans { scope_spans: vec![ScopeSpans::default()], ..Default::default() };
    let late = ResourceSpans { resource: Some(resource), ..Default::default() };
    let mut group = spans.encode_to_vec();
    group.extend(late.encode_to_vec());
    let mut body = vec![0x0a, group.len() as u8];
    body.extend(group);
    let group = ExportRequest::new(&body).resource_spans().next().unwrap().unwrap();
    assert_eq!(group.resource.attributes().count(), 1);
    assert_eq!(group.scope_spans().count(), 1);
}

#[test]
fn broken_framing_is_an_error_of_the_request_and_a_broken_span_of_the_span() {
    let scope = ScopeSpans {
        spans: vec![Span { trace_id: vec![1; 16], span_id: vec![1; 8], ..Default::default() }],
        ..Default::default()
    };
    let request = |scope: Vec<u8>| {
        let mut group = vec![0x12, scope.len() as u8];
        group.extend(scope);
        let mut body = vec![0x0a, group.len() as u8];
        body.extend(group);
        body
    };
    // A span whose attribute runs past its end, and a good one after it.
    let mut spans = vec![0x12, 2, 0x4a, 9];
    spans.extend(scope.encode_to_vec());
    let body = request(spans);
    let group = ExportRequest::new(&body).resource_spans().next().unwrap().unwrap();
    let read: Vec<_> = group
        .scope_spans()
        .next()
        .unwrap()
        .unwrap()
        .spans()
        .map(|span| span.unwrap().read().is_ok())
        .collect();
    assert_eq!(read, [false, true]);
    // A span that is longer than its scope.
    let body = request(vec![0x12, 99]);
    let group = ExportRequest::new(&body).resource_spans().next().unwrap().unwrap();
    let scope = group.scope_spans().next().unwrap();
    assert!(scope.is_err(), "skimming the scope finds it");
}
