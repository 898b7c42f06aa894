//! Calls that an attribute rules out: wherever it stands, by its exact value, and read again under other rulings.

use domain::ReceivedAt;
use domain::observation::{KeyStamp, Kind, Observation};
use serde_json::{Value, json};

use super::{request, span};
use crate::decode::{AiTraces, DecodeConfig, Decoded, Decoder, Ruling};
use domain::Evidence;

fn decoder(rulings: &[(&str, &str, &str)]) -> Decoder {
    let ruling = |(name, attribute, value): &(&str, &str, &str)| Ruling {
        name: (*name).into(),
        attribute: (*attribute).into(),
        values: vec!["never".into(), (*value).into()],
    };
    let not_billable = rulings.iter().map(ruling).collect();
    Decoder::new(&DecodeConfig { not_billable, ..DecodeConfig::default() })
}

/// What a decoder reads of a call with this attribute besides.
fn read(decoder: &Decoder, name: &str, value: Value) -> Observation {
    let mut object = json!({
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 2,
    });
    object[name] = value;
    let body = request("gateway", json!({}), vec![span(1, 1, 0, "chat", object)]);
    let mut decoded = Decoded::default();
    let (key, at) = (KeyStamp::default(), ReceivedAt::from_nanos(1));
    decoder.decode(&body, &key, at, &AiTraces::default(), &mut decoded).unwrap();
    match decoded.evidence.swap_remove(0) {
        Evidence::Observation(observation) => *observation,
        Evidence::Link(_) => panic!("a call leaves no link"),
    }
}

#[test]
fn a_ruling_is_met_by_its_exact_value_wherever_dimensions_may_stand() {
    let rulings =
        [("cache", "cache_hit", "true"), ("own key", "gw.key", "customer"), ("both", "gw.key", "customer")];
    let decoder = decoder(&rulings);
    for (name, value, ruling) in [
        ("cache_hit", json!(true), Some("cache")),
        ("cache_hit", json!("true"), Some("cache")),
        ("cache_hit", json!(false), None),
        ("cache_hit", json!("truer"), None),
        ("cache_hits", json!(true), None),
        ("metadata.cache_hit", json!(true), Some("cache")),
        ("metadata", json!({"cache_hit": true, "x": 1}), Some("cache")),
        ("metadata", json!("{'cache_hit': True}"), Some("cache")),
        ("metadata", json!({"cache_hit": false}), None),
        ("metadata", json!({"gw": {"key": "customer"}}), Some("both")),
        ("gw.key", json!("customer"), Some("both")),
        ("gw.key", json!("ours"), None),
    ] {
        let read = read(&decoder, name, value.clone());
        assert_eq!((read.kind, read.ruling.as_deref()), (Kind::Call, ruling), "{name} {value}");
    }
}

#[test]
fn what_was_ruled_is_read_again_under_the_rulings_of_then() {
    let (before, after) = (decoder(&[("cache", "hit", "yes")]), decoder(&[("hit again", "hit", "yes")]));
    for (name, value) in
        [("hit", json!("yes")), ("metadata.hit", json!("yes")), ("metadata", json!({"hit": "yes"}))]
    {
        let read = read(&before, name, value);
        assert_eq!(read.ruling.as_deref(), Some("cache"), "{name}");
        assert_eq!(before.reread(&read), None, "{name}: the same decoder reads the same");
        let again = after.reread(&read).expect("it says something else");
        assert_eq!(again.ruling.as_deref(), Some("hit again"), "{name}");
        let without = decoder(&[]).reread(&again).expect("it says something else");
        assert_eq!((without.ruling, &without.usage), (None, &read.usage), "{name}");
    }
}

#[test]
fn a_ruling_hides_no_dimension_and_rules_nothing_about_content() {
    let ruled =
        decoder(&[("internal", "metadata.tenant_id", "us"), ("said so", "gen_ai.prompt.0.content", "hi")]);
    let read_of = |name, value| read(&ruled, name, value);
    let read = read_of("metadata.tenant_id", json!("us"));
    assert_eq!((read.ruling.as_deref(), read.dimensions.tenant.as_deref()), (Some("internal"), Some("us")));
    let read = read_of("gen_ai.prompt.0.content", json!("hi"));
    assert_eq!(read.ruling, None);
    assert!(!read.attributes.json().unwrap().contains("prompt"), "content is not kept");
}
