//! Reads LiteLLM's `model_prices_and_context_window.json`.
//!
//! The file is one object: a model's key (`azure/gpt-4o`) to its fields, among them prices of one unit whose names say
//! class, tier and service tier (`input_cost_per_token_above_200k_tokens_priority`). It knows no dates, so its prices
//! hold from an instant that the importer names, or always.
//!
//! What is malformed (a negative price, one beyond belief, a key that stands twice) is a fault and refuses the file. What
//! cannot be said in rate cards (an image by its size, a price of one region, one by the day of the week) is left out and named, so that such a model
//! keeps the price of the next layer, or stays unpriced.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domain::price::{
    Clause, Constraint, Dated, ModelPrices, ProviderPrices, Rate, Rates, TextOp, Tier, UnitClass, Variant,
};
use domain::time::EventTime;
use rust_decimal::Decimal;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::fault::{Fault, PriceFileError, chain, utf8};
use super::number::{as_text, brief, digits, keep_digits, unit_price};

/// Price lists, and the models that were left out.
pub(super) struct Read {
    pub lists: Vec<ProviderPrices>,
    pub left_out: Vec<Fault>,
}

/// LiteLLM's names of providers whose models are found under another name here.
const PROVIDERS: &[(&str, &str)] = &[
    ("azure_ai", "azure"),
    ("azure_text", "azure"),
    ("bedrock", "aws"),
    ("bedrock_converse", "aws"),
    ("codestral", "mistral"),
    ("cohere_chat", "cohere"),
    ("gemini", "gcp.gemini"),
    ("moonshot", "moonshotai"),
    ("text-completion-codestral", "mistral"),
    ("text-completion-openai", "openai"),
    ("together_ai", "together"),
    ("voyage", "voyageai"),
    ("watsonx", "ibm.watsonx.ai"),
    ("xai", "x-ai"),
];

/// Prices by the name of their field, without tier and service tier.
const FIELDS: &[(&str, UnitClass)] = &[
    ("input_cost_per_token", UnitClass::Input),
    ("output_cost_per_token", UnitClass::Output),
    ("cache_read_input_token_cost", UnitClass::CacheRead),
    ("cache_creation_input_token_cost", UnitClass::CacheWrite5m),
    ("cache_creation_input_token_cost_above_1hr", UnitClass::CacheWrite1h),
    ("input_cost_per_audio_token", UnitClass::AudioInput),
    ("cache_read_input_audio_token_cost", UnitClass::AudioCacheRead),
    ("cache_creation_input_audio_token_cost", UnitClass::AudioCacheWrite),
    ("output_cost_per_audio_token", UnitClass::AudioOutput),
    ("input_cost_per_image_token", UnitClass::ImageInput),
    ("cache_read_input_image_token_cost", UnitClass::ImageCacheRead),
    ("output_cost_per_image_token", UnitClass::ImageOutput),
    ("input_cost_per_video_token", UnitClass::VideoInput),
    ("output_cost_per_video_token", UnitClass::VideoOutput),
    ("output_cost_per_reasoning_token", UnitClass::Reasoning),
    ("citation_cost_per_token", UnitClass::Citation),
    ("input_cost_per_character", UnitClass::InputCharacters),
    ("input_cost_per_pixel", UnitClass::InputPixels),
    ("input_cost_per_text_message", UnitClass::InputTextMessages),
    ("input_cost_per_request", UnitClass::Requests),
    ("ocr_cost_per_page", UnitClass::DocumentPages),
    ("annotation_cost_per_page", UnitClass::AnnotatedDocumentPages),
];

/// Suffixes of fields that are prices of a service tier, and what a call says then.
const TIERS: &[(&str, &str, &str)] = &[
    ("_batches", "processing", "batch"),
    ("_balanced", "service_tier", "balanced"),
    ("_flex", "service_tier", "flex"),
    ("_priority", "service_tier", "priority"),
    ("_ultrafast", "service_tier", "ultrafast"),
];

/// The parts of a price's name.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    class: UnitClass,
    /// The length of prompt that must be exceeded.
    above: Option<u64>,
    /// What a call must say.
    context: Option<(&'static str, &'static str)>,
}

/// Base prices and tiers, before they are rates.
#[derive(Debug, Default)]
struct Prices {
    base: BTreeMap<UnitClass, Decimal>,
    tiers: BTreeMap<UnitClass, Vec<Tier>>,
}

/// Whether the text looks like this file: an object of objects, some of which name `litellm_provider`.
pub(super) fn is_it(text: &str) -> bool {
    text.trim_start().starts_with('{') && text.contains("\"litellm_provider\"")
}

/// Reads a file. Its prices hold from `since`.
pub(super) fn read(json: &[u8], since: Option<EventTime>) -> Result<Read, PriceFileError> {
    let json = keep_digits(utf8(json)?.as_bytes());
    let mut reader = serde_json::Deserializer::from_slice(&json);
    let models = reader.deserialize_map(Pairs).map_err(PriceFileError::Json)?;
    reader.end().map_err(PriceFileError::Json)?;
    let (mut faults, mut left_out) = (Vec::new(), Vec::new());
    let mut keys = BTreeSet::new();
    let mut lists: BTreeMap<String, BTreeMap<String, ModelPrices>> = BTreeMap::new();
    for (key, value) in &models {
        let mut fault = |problem: String| faults.push(Fault { at: brief_key(key), problem });
        if !keys.insert(key) {
            fault("stands twice; state it once".into());
            continue;
        }
        // The file explains itself in one of its models.
        if key == "sample_spec" {
            continue;
        }
        if !value.is_object() {
            fault(format!("must be an object, not {}", brief(value)));
            continue;
        }
        let Some((provider, name)) = place(key, value) else {
            left_out.push(Fault { at: brief_key(key), problem: "names no litellm_provider".into() });
            continue;
        };
        match model(&provider, &name, key, value, since) {
            Ok(Ok(prices)) => {
                let models = lists.entry(provider).or_default();
                let problem = format!("{name} is listed before");
                match models.entry(name) {
                    Entry::Vacant(free) => drop(free.insert(prices)),
                    Entry::Occupied(_) => left_out.push(Fault { at: brief_key(key), problem }),
                }
            }
            Ok(Err(reason)) => left_out.push(Fault { at: brief_key(key), problem: reason }),
            Err(problem) => fault(problem),
        }
    }
    if !faults.is_empty() {
        return Err(PriceFileError::Faults(faults));
    }
    let list = |(id, models): (String, BTreeMap<String, ModelPrices>)| ProviderPrices {
        id,
        aliases: None,
        claims: None,
        resells: Vec::new(),
        models: models.into_values().collect(),
    };
    Ok(Read { lists: lists.into_iter().map(list).collect(), left_out })
}

/// The provider and the name that a key stands for here.
fn place(key: &str, value: &Value) -> Option<(String, String)> {
    let theirs = value.get("litellm_provider").and_then(as_text).filter(|name| !name.is_empty())?;
    let family = ["vertex_ai", "fireworks_ai"].into_iter().find(|family| theirs.starts_with(family));
    let ours = match family {
        Some("vertex_ai") => "gcp.vertex_ai",
        Some(_) => "fireworks",
        None => PROVIDERS.iter().find(|(name, _)| *name == theirs).map_or(theirs, |(_, ours)| ours),
    };
    let prefix = family.unwrap_or(theirs);
    let prefix = if theirs == "bedrock_converse" { "bedrock" } else { prefix };
    let name = key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')).unwrap_or(key);
    Some((ours.to_lowercase(), name.to_lowercase()))
}

/// The prices of a model; inside, the reason why it is left out; outside, what is malformed.
fn model(
    provider: &str,
    name: &str,
    key: &str,
    value: &Value,
    since: Option<EventTime>,
) -> Result<Result<ModelPrices, String>, String> {
    let fields = super::genai::object("a model", value)?;
    let mut standard = Prices::default();
    let mut variants: BTreeMap<(&str, &str), Prices> = BTreeMap::new();
    let mut unsupported = Vec::new();
    for (field, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        if !field.contains("cost") {
            continue;
        }
        let Some(known) = Field::named(field) else {
            unsupported.extend(digits(value).map(|_| unsupported_key(field, fields)).into_iter().flatten());
            continue;
        };
        let price = unit_price(value, 1).map_err(|problem| format!("{field}: {problem}"))?;
        let prices = match known.context {
            None => &mut standard,
            Some(context) => variants.entry(context).or_default(),
        };
        match known.above {
            None => drop(prices.base.insert(known.class, price)),
            Some(above) => {
                prices.tiers.entry(known.class).or_default().push(Tier { above, unit_price: price })
            }
        }
    }
    // Azure's and Amazon's keys name a region or a commitment between provider and model.
    if ["azure", "aws"].contains(&provider) && name.contains('/') {
        return Ok(Err("a price of one region, or of provisioned capacity".into()));
    }
    if standard.base.is_empty() {
        return Ok(Err("no price by a unit known here".into()));
    }
    // At its other hours it would cost what it costs at these.
    if fields.get("off_peak_pricing").is_some_and(|hours| !hours.is_null()) {
        return Ok(Err("its price depends on the hour and the day of the week".into()));
    }
    for prices in variants.values_mut() {
        prices.reason_as_output(&standard);
    }
    let variants = variants.into_iter().map(|((key, says), prices)| Variant {
        when: BTreeMap::from([(key.to_string(), says.to_string())]),
        constraint: None,
        rates: prices.rates(&standard, Vec::new()),
    });
    let variants: Vec<Variant> = variants.collect();
    let dated =
        Dated { constraint: since.map(Constraint::From), rates: standard.rates(&standard, unsupported) };
    let names = Clause::Any(vec![Clause::text(TextOp::Equals, name), Clause::text(TextOp::Equals, key)]);
    Ok(ModelPrices::with_gaps(provider, name, names, vec![dated], variants, &[])
        .map_err(|error| chain(&error)))
}

/// What to remember of a price that is not understood: one of tokens makes the model's calls unpriced, since its tokens
/// would be priced as others; another is merely not charged.
fn unsupported_key(field: &str, fields: &serde_json::Map<String, Value>) -> Option<String> {
    // What another field says too, or what no call can state.
    let said = field.ends_with("_cache_hit") && fields.contains_key("cache_read_input_token_cost");
    let unstated =
        ["_dbu_", "above_12hr", "_decisions", "computer_use"].iter().any(|part| field.contains(part));
    let tokens = field.contains("per_token") || field.contains("token_cost");
    match tokens {
        true if said || unstated => None,
        true => Some(format!("{field}_mtok")),
        false => Some(field.to_string()),
    }
}

impl Field {
    fn named(field: &str) -> Option<Self> {
        let tier = TIERS.iter().find(|(suffix, ..)| field.ends_with(suffix));
        let (rest, context) = match tier {
            Some((suffix, key, says)) => (field.strip_suffix(suffix)?, Some((*key, *says))),
            None => (field, None),
        };
        let (base, above) = match rest.strip_suffix("k_tokens").and_then(|rest| rest.rsplit_once("_above_")) {
            Some((base, thousands)) => (base, Some(thousands.parse::<u64>().ok()?.checked_mul(1000)?)),
            None => (rest, None),
        };
        let class = FIELDS.iter().find(|(name, _)| *name == base).map(|(_, class)| *class)?;
        Some(Self { class, above, context })
    }
}

impl Prices {
    /// Where reasoning is merely output by the standard prices, it is in a context that states the output alone, too: the
    /// standard price of reasoning would stand beside the context's of output.
    fn reason_as_output(&mut self, standard: &Self) {
        let (output, reasoning) = (UnitClass::Output, UnitClass::Reasoning);
        let is_output = standard.base.contains_key(&reasoning)
            && standard.base.get(&reasoning) == standard.base.get(&output);
        if let (true, false, Some(price)) =
            (is_output, self.base.contains_key(&reasoning), self.base.get(&output).copied())
        {
            self.base.insert(reasoning, price);
            if let Some(tiers) = self.tiers.get(&output).cloned() {
                self.tiers.insert(reasoning, tiers);
            }
        }
    }

    /// Rates. A tier without a price below it is one above the standard price.
    fn rates(&self, standard: &Self, unsupported: Vec<String>) -> Rates {
        let classes: BTreeSet<UnitClass> = self.base.keys().chain(self.tiers.keys()).copied().collect();
        let rate = |class: UnitClass| {
            let base = self.base.get(&class).or_else(|| standard.base.get(&class))?;
            Some((class, Rate::tiered(*base, self.tiers.get(&class).cloned().unwrap_or_default())))
        };
        Rates::new(classes.into_iter().filter_map(rate).collect(), unsupported)
    }
}

fn brief_key(key: &str) -> String {
    let shown: String = key.chars().take(120).collect();
    format!("model {shown:?}")
}

/// The members of an object in their order, also those that stand twice.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of models")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_names_class_tier_and_service_tier() {
        let field = |class, above, context| Some(Field { class, above, context });
        for (name, expected) in [
            ("input_cost_per_token", field(UnitClass::Input, None, None)),
            (
                "output_cost_per_token_above_200k_tokens_priority",
                field(UnitClass::Output, Some(200_000), Some(("service_tier", "priority"))),
            ),
            (
                "cache_creation_input_token_cost_above_1hr_above_100k_tokens",
                field(UnitClass::CacheWrite1h, Some(100_000), None),
            ),
            ("input_cost_per_token_batches", field(UnitClass::Input, None, Some(("processing", "batch")))),
            ("output_cost_per_image", None),
        ] {
            assert_eq!(Field::named(name), expected, "{name}");
        }
    }
}
