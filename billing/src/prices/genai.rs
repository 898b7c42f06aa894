//! Reads price data in the format of genai-prices.
//!
//! The file is a list of providers, each with its models in order of precedence. What is understood: ids, match
//! clauses, fallbacks, prices (flat, tiered, dated, daily) and their variants. Names, descriptions and the rules for
//! reading responses are not needed here and skipped.

use std::collections::{BTreeMap, BTreeSet};

use domain::price::{Dated, ModelPrices, PriceBook, ProviderPrices, Rate, Rates, Tier, UnitClass, Variant};
use serde_json::{Map, Value};

use super::fault::{Fault, PriceFileError, chain, utf8};
use super::number::{as_text, brief, digits, keep_digits, unit_price};
use super::rule::{clause, constraint};

/// The least that a provider bills of a model once anything of a class is used.
struct Minimum {
    provider: &'static str,
    model: &'static str,
    least: &'static [(UnitClass, u64)],
}

/// The price data has no field for these.
const MINIMUMS: &[Minimum] = &[
    Minimum { provider: "groq", model: "whisper-large-v3", least: TEN_SECONDS },
    Minimum { provider: "groq", model: "whisper-large-v3-turbo", least: TEN_SECONDS },
];
const TEN_SECONDS: &[(UnitClass, u64)] = &[(UnitClass::AudioSeconds, 10), (UnitClass::AudioInputSeconds, 10)];

/// Reads a price file as a book of its own. Every provider and model with a fault is named.
pub fn read(json: &[u8]) -> Result<PriceBook, PriceFileError> {
    PriceBook::new(lists(json)?).map_err(PriceFileError::Book)
}

/// Reads the price lists of a file, in order of precedence.
pub(super) fn lists(json: &[u8]) -> Result<Vec<ProviderPrices>, PriceFileError> {
    let json = utf8(json)?.as_bytes();
    let value: Value = serde_json::from_slice(&keep_digits(json)).map_err(PriceFileError::Json)?;
    let mut faults = Vec::new();
    let mut providers = Vec::new();
    match list("the file", &value) {
        Ok(values) => {
            for (at, value) in values.iter().enumerate() {
                providers.extend(provider(value, &format!("provider {at}"), &mut faults));
            }
        }
        Err(problem) => faults.push(Fault { at: "the file".into(), problem }),
    }
    faults.extend(listed_twice(&providers));
    if !faults.is_empty() {
        return Err(PriceFileError::Faults(faults));
    }
    Ok(providers)
}

/// Providers and models whose ids stand twice.
fn listed_twice(providers: &[ProviderPrices]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |at| faults.push(Fault { at, problem: "is listed twice; state it once".into() });
    for (place, list) in providers.iter().enumerate() {
        if providers[..place].iter().any(|before| before.id == list.id) {
            fault(format!("provider {:?}", list.id));
        }
        let mut models = BTreeSet::new();
        for model in list.models.iter().filter(|model| !models.insert(model.model())) {
            fault(format!("provider {:?}, model {:?}", list.id, model.model()));
        }
    }
    faults
}

fn provider(value: &Value, place: &str, faults: &mut Vec<Fault>) -> Option<ProviderPrices> {
    let id = text(value, "id").unwrap_or_default();
    let at = if id.is_empty() { place.to_string() } else { format!("provider {id:?}") };
    let read = || {
        if id.is_empty() || id != id.trim().to_lowercase() {
            return Err("id must be a name in lower case".to_string());
        }
        let resells =
            field(value, "fallback_model_providers").map_or(Ok(&[][..]), |names| list("fallbacks", names))?;
        let name = |name: &Value| {
            as_text(name).map(str::to_string).ok_or_else(|| format!("{} is no name", brief(name)))
        };
        Ok(ProviderPrices {
            id: id.to_string(),
            aliases: field(value, "provider_match").map(clause).transpose()?,
            claims: field(value, "model_match").map(clause).transpose()?,
            resells: resells.iter().map(name).collect::<Result<_, _>>()?,
            models: Vec::new(),
        })
    };
    let provider = read();
    let models = field(value, "models").map_or(Ok(&[][..]), |models| list("models", models));
    let mut prices = Vec::new();
    for (place, value) in models.iter().copied().flatten().enumerate() {
        let name = text(value, "id").map_or_else(|| format!("model {place}"), |id| format!("model {id:?}"));
        match model(id, value) {
            Ok(model) => prices.push(model),
            Err(problem) => faults.push(Fault { at: format!("{at}, {name}"), problem }),
        }
    }
    match models.and(provider) {
        Ok(provider) => Some(ProviderPrices { models: prices, ..provider }),
        Err(problem) => {
            faults.push(Fault { at, problem });
            None
        }
    }
}

fn model(provider: &str, value: &Value) -> Result<ModelPrices, String> {
    let id = text(value, "id").filter(|id| !id.is_empty()).ok_or("id must be a name")?;
    let names =
        clause(field(value, "match").ok_or("match is missing; state which names the model goes by")?)?;
    let standard = match field(value, "prices") {
        Some(Value::Array(items)) => items.iter().map(dated).collect::<Result<_, _>>()?,
        Some(prices) => vec![Dated { constraint: None, rates: rates(prices)? }],
        None => return Err("prices are missing; state them, or {} where there are none".to_string()),
    };
    let variants =
        field(value, "price_variants").map_or(Ok(&[][..]), |variants| list("price_variants", variants))?;
    let variants = variants.iter().map(variant).collect::<Result<_, _>>()?;
    let minimum = MINIMUMS.iter().find(|minimum| (minimum.provider, minimum.model) == (provider, id));
    let minimums = minimum.map_or(&[][..], |minimum| minimum.least);
    ModelPrices::new(provider, id, names, standard, variants, minimums).map_err(|error| chain(&error))
}

fn dated(value: &Value) -> Result<Dated, String> {
    let prices = field(value, "prices").ok_or("an item of prices lacks prices of its own")?;
    // A null here is refused: it reads like "always", which is what leaving the field out says.
    let constraint = value.get("constraint").map(constraint).transpose()?;
    Ok(Dated { constraint, rates: rates(prices)? })
}

fn variant(value: &Value) -> Result<Variant, String> {
    let pairs = object("when", field(value, "when").ok_or("a variant lacks when")?)?;
    let pair = |(key, value): (&String, &Value)| match as_text(value) {
        Some(text) => Ok((key.clone(), text.to_string())),
        None => Err(format!("{key:?} of a variant must be a text, not {}", brief(value))),
    };
    let when: BTreeMap<_, _> = pairs.iter().map(pair).collect::<Result<_, _>>()?;
    if when.is_empty() {
        return Err("a variant must say when it applies".to_string());
    }
    let prices = field(value, "prices").ok_or("a variant lacks prices")?;
    let constraint = field(value, "constraint").map(constraint).transpose()?;
    Ok(Variant { when, constraint, rates: rates(prices)? })
}

fn rates(value: &Value) -> Result<Rates, String> {
    let (mut rates, mut unsupported) = (BTreeMap::new(), Vec::new());
    for (key, value) in object("prices", value)?.iter().filter(|(_, value)| !value.is_null()) {
        match UnitClass::of_price_key(key) {
            Some((class, per)) => {
                let rate = rate(value, per).map_err(|problem| format!("{key}: {problem}"))?;
                rates.insert(class, rate);
            }
            None => unsupported.push(key.clone()),
        }
    }
    Ok(Rates::new(rates, unsupported))
}

fn rate(value: &Value, per: u32) -> Result<Rate, String> {
    if !value.is_object() {
        return Ok(Rate::flat(unit_price(value, per)?));
    }
    let (Some(base), Some(tiers)) = (field(value, "base"), field(value, "tiers")) else {
        return Err("a price in tiers must hold base and tiers".to_string());
    };
    let tier = |value: &Value| {
        let above = field(value, "start")
            .and_then(digits)
            .and_then(|digits| digits.parse().ok())
            .ok_or("start of a tier must be a count")?;
        let price = field(value, "price").ok_or("a tier lacks its price")?;
        Ok::<_, String>(Tier { above, unit_price: unit_price(price, per)? })
    };
    let tiers = list("tiers", tiers)?.iter().map(tier).collect::<Result<_, _>>()?;
    Ok(Rate::tiered(unit_price(base, per)?, tiers))
}

/// A field; one that is null is as good as missing.
fn field<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    value.get(key).filter(|field| !field.is_null())
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(as_text)
}

pub(super) fn list<'v>(what: &str, value: &'v Value) -> Result<&'v [Value], String> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{what} must be a list, not {}", brief(value)))
}

pub(super) fn object<'v>(what: &str, value: &'v Value) -> Result<&'v Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{what} must be an object, not {}", brief(value)))
}
