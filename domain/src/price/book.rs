//! The price book, and how it finds the card for a call.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::NaiveDate;

use super::Unpriced;
use super::card::RateCard;
use super::clause::Clause;
use super::found::{Context, Found, MatchRule, ModelRule, ProviderRule};
use super::id::{PriceBookVersion, PriceId};
use super::provider::price_data_name;
use super::schedule::ModelPrices;
use crate::identity::IdHasher;
use crate::time::EventTime;

/// All prices known at one time. Never changes; another content is another book.
#[derive(Debug, Clone)]
pub struct PriceBook {
    version: PriceBookVersion,
    layers: Vec<Layer>,
}

/// Price lists of one origin.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What people call the origin: `own`, `imported`, `bundled`.
    pub name: String,
    /// The price lists, in order of precedence.
    pub providers: Vec<ProviderPrices>,
}

/// One provider's price list.
#[derive(Debug, Clone)]
pub struct ProviderPrices {
    /// The book's name of the provider, in lower case.
    pub id: String,
    /// Other spellings of its name.
    pub aliases: Option<Clause>,
    /// Models that are this provider's where no span names one.
    pub claims: Option<Clause>,
    /// Providers whose standard prices it passes on for models it does not list itself.
    pub resells: Vec<String>,
    /// Its models; the first that a name matches is the one.
    pub models: Vec<ModelPrices>,
}

/// What makes a set of price lists unusable as a book.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// Two lists of one provider.
    #[error("provider {provider:?} is listed twice; state it once")]
    ProviderTwice {
        /// The provider.
        provider: String,
    },
    /// Two prices of one model.
    #[error("provider {provider:?} lists model {model:?} twice; state it once")]
    ModelTwice {
        /// The provider.
        provider: String,
        /// The model.
        model: String,
    },
}

/// Where in the book a provider and a model name lead.
#[derive(Debug, Clone)]
pub(super) struct Place {
    layer: usize,
    provider: usize,
    model: usize,
    rule: Arc<MatchRule>,
}

impl PriceBook {
    /// Binds price lists to a book of one layer, in order of precedence.
    pub fn new(providers: Vec<ProviderPrices>) -> Result<Self, BookError> {
        Self::layered(vec![Layer { name: "bundled".to_string(), providers }])
    }

    /// Binds layers to a book, in order of precedence.
    pub fn layered(layers: Vec<Layer>) -> Result<Self, BookError> {
        layers.iter().try_for_each(Layer::check)?;
        Ok(Self { version: version(&layers), layers })
    }

    /// The hash of every rule and rate in the book.
    pub fn version(&self) -> PriceBookVersion {
        self.version
    }

    /// The layers, in order of precedence.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The price lists of all layers, in order of precedence.
    pub fn providers(&self) -> impl Iterator<Item = &ProviderPrices> + Clone {
        self.layers.iter().flat_map(|layer| &layer.providers)
    }

    /// Every rate card, in the order of the book.
    pub fn cards(&self) -> impl Iterator<Item = &RateCard> {
        self.providers().flat_map(|provider| &provider.models).flat_map(ModelPrices::cards)
    }

    /// The card of this id. Looks at every card; for explanations, not for settlement.
    pub fn card(&self, id: PriceId) -> Option<&RateCard> {
        self.cards().find(|card| card.price_id == id)
    }

    /// The card that holds for a call at `at`. `provider` is an OpenTelemetry well-known name, or empty where unknown.
    ///
    /// Compares names with every rule of a price list; [`super::PriceIndex`] remembers the outcome.
    pub fn find(
        &self,
        provider: &str,
        model: &str,
        at: EventTime,
        context: &Context<'_>,
    ) -> Result<Found<'_>, Unpriced> {
        self.first_at(&self.places(provider, model)?, at, context)
    }

    /// Whether any layer has prices for a model, at whatever time.
    pub fn knows(&self, provider: &str, model: &str) -> bool {
        self.places(provider, model).is_ok()
    }

    /// Where a provider's and a model's name lead, whatever the time: a place in each layer that knows them, at least
    /// one. Where none does, the reason is that of the layer that came closest.
    pub(super) fn places(&self, provider: &str, model: &str) -> Result<Vec<Place>, Unpriced> {
        let mut places = Vec::new();
        let mut refused: Option<Unpriced> = None;
        for (at, layer) in self.layers.iter().enumerate() {
            match layer.place(at, provider, model) {
                Ok(place) => places.push(place),
                Err(unpriced) => {
                    let closer = matches!(unpriced, Unpriced::ModelUnknown { .. });
                    if closer || !matches!(refused, Some(Unpriced::ModelUnknown { .. })) {
                        refused = Some(unpriced);
                    }
                }
            }
        }
        let unknown = || Unpriced::ProviderUnknown { provider: provider.to_string() };
        if places.is_empty() { Err(refused.unwrap_or_else(unknown)) } else { Ok(places) }
    }

    /// The card at the first of the places that has one at this time.
    pub(super) fn first_at(
        &self,
        places: &[Place],
        at: EventTime,
        context: &Context<'_>,
    ) -> Result<Found<'_>, Unpriced> {
        let found = places.iter().find_map(|place| self.at(place, at, context));
        found.ok_or_else(|| {
            let first = places.first().map(|place| &self.layers[place.layer].providers[place.provider]);
            let model = places.first().zip(first).map(|(place, list)| list.models[place.model].model());
            Unpriced::NotPricedThen {
                provider: first.map(|list| list.id.clone()).unwrap_or_default(),
                model: model.unwrap_or_default().to_string(),
                at,
            }
        })
    }

    /// The card at a place of this book; `None` where its prices have a gap.
    fn at(&self, place: &Place, at: EventTime, context: &Context<'_>) -> Option<Found<'_>> {
        let layer = &self.layers[place.layer];
        let prices = &layer.providers[place.provider].models[place.model];
        // Variants are the reseller's own: prices that are passed on are passed on at standard rates.
        let own = place.rule.resold_from.is_none();
        let card = prices.card(at, |key, value| own && context.says(key, value))?;
        let unmet = |key: &str| !card.context.contains_key(key);
        let context_ignored = (context.is_batch() && unmet("processing"))
            || (context.has_special_tier() && unmet("service_tier"));
        Some(Found { card, layer: &layer.name, rule: Arc::clone(&place.rule), context_ignored })
    }
}

impl Layer {
    fn check(&self) -> Result<(), BookError> {
        let mut ids = BTreeSet::new();
        for provider in &self.providers {
            if !ids.insert(&provider.id) {
                return Err(BookError::ProviderTwice { provider: provider.id.clone() });
            }
            let mut models = BTreeSet::new();
            if let Some(twice) = provider.models.iter().find(|prices| !models.insert(prices.model())) {
                return Err(BookError::ModelTwice {
                    provider: provider.id.clone(),
                    model: twice.model().into(),
                });
            }
        }
        Ok(())
    }

    /// Where a provider's and a model's name lead in this layer, which is the book's `layer`th.
    fn place(&self, layer: usize, provider: &str, model: &str) -> Result<Place, Unpriced> {
        let name = model.trim().to_lowercase();
        if name.is_empty() {
            return Err(Unpriced::ModelUnstated { provider: provider.to_string() });
        }
        let (selected, provider_rule) =
            self.provider(provider, &name).ok_or_else(|| match provider.trim() {
                "" => Unpriced::ProviderUnstated { model: model.to_string() },
                stated => Unpriced::ProviderUnknown { provider: stated.to_string() },
            })?;
        let list = &self.providers[selected];
        let dated = with_date_spelled_out(&name);
        let found = self.model(selected, &name).map(|found| (found, ModelRule::AsStated, name.as_str()));
        let found = found.or_else(|| match &dated {
            Cow::Owned(dated) => Some((self.model(selected, dated)?, ModelRule::DateSpelledOut, dated)),
            Cow::Borrowed(_) => None,
        });
        let found = found.or_else(|| {
            let found = without_vendor(list, &name)?;
            Some(((selected, found), ModelRule::WithoutVendor, name.as_str()))
        });
        let Some(((provider, model), model_rule, name)) = found else {
            return Err(Unpriced::ModelUnknown { provider: list.id.clone(), model: model.to_string() });
        };
        let owner = &self.providers[provider];
        let prices = &owner.models[model];
        let rule = MatchRule {
            provider_rule,
            provider: list.id.clone(),
            resold_from: (provider != selected).then(|| owner.id.clone()),
            model_rule,
            name: name.to_string(),
            clause: prices.names().matching(name).unwrap_or(prices.names()).to_string(),
        };
        Ok(Place { layer, provider, model, rule: Arc::new(rule) })
    }

    /// The price list of a provider: by the book's name, the well-known name, an alias; where it is not stated, the
    /// first list that claims the model.
    fn provider(&self, stated: &str, model: &str) -> Option<(usize, ProviderRule)> {
        let stated = stated.trim().to_lowercase();
        let list = |holds: &dyn Fn(&ProviderPrices) -> bool| self.providers.iter().position(holds);
        let meets =
            |clause: &Option<Clause>, name: &str| clause.as_ref().is_some_and(|clause| clause.matches(name));
        if stated.is_empty() {
            return Some((list(&|provider| meets(&provider.claims, model))?, ProviderRule::Model));
        }
        if let Some(at) = list(&|provider| provider.id == stated) {
            return Some((at, ProviderRule::Id));
        }
        if let Some(id) = price_data_name(&stated) {
            return Some((list(&|provider| provider.id == id)?, ProviderRule::WellKnown));
        }
        Some((list(&|provider| meets(&provider.aliases, &stated))?, ProviderRule::Alias))
    }

    /// The first model of a list that the name matches, else the first of the lists it passes on.
    fn model(&self, selected: usize, name: &str) -> Option<(usize, usize)> {
        let of_list = |at: usize| {
            let models = &self.providers.get(at)?.models;
            Some((at, models.iter().position(|prices| prices.names().matches(name))?))
        };
        of_list(selected).or_else(|| {
            let resells = self.providers[selected].resells.iter();
            let mut lists =
                resells.filter_map(|id| self.providers.iter().position(|provider| provider.id == *id));
            lists.find_map(of_list)
        })
    }
}

/// The only model of a list whose id ends in `/` and this name. Ledger names carry no vendor prefix (`gpt-4o`), the
/// lists of resellers do (`openai/gpt-4o`).
fn without_vendor(list: &ProviderPrices, name: &str) -> Option<usize> {
    let of_that_name = |prices: &ModelPrices| {
        prices.model().rsplit_once('/').is_some_and(|(_, bare)| bare.eq_ignore_ascii_case(name))
    };
    let mut found = list.models.iter().enumerate().filter(|(_, prices)| of_that_name(prices));
    let (at, _) = found.next()?;
    found.next().is_none().then_some(at)
}

/// `-20251211`, before a dash, a colon or the end, as `-2025-12-11`; anything that is no date stays as it is.
fn with_date_spelled_out(name: &str) -> Cow<'_, str> {
    let mut spelled: Option<String> = None;
    let mut written = 0;
    for (at, _) in name.match_indices("-20") {
        let (digits_at, end) = (at + 1, at + 9);
        let Some(digits) = name.get(digits_at..end) else { break };
        let ends = matches!(name.as_bytes().get(end), None | Some(b'-' | b':'));
        let date = digits.bytes().all(|byte| byte.is_ascii_digit())
            && NaiveDate::parse_from_str(digits, "%Y%m%d").is_ok();
        if ends && date {
            let spelled = spelled.get_or_insert_default();
            spelled.push_str(&name[written..digits_at]);
            spelled.push_str(&format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..]));
            written = end;
        }
    }
    match spelled {
        Some(spelled) => Cow::Owned(spelled + &name[written..]),
        None => Cow::Borrowed(name),
    }
}

fn version(layers: &[Layer]) -> PriceBookVersion {
    let mut hasher = IdHasher::new("price-book");
    for (at, layer) in layers.iter().enumerate() {
        // A book of one layer is named by its lists alone: what its origin is called changes no price.
        if at > 0 {
            hasher.part(b"layer");
        }
        hash_lists(&mut hasher, &layer.providers);
    }
    PriceBookVersion::of(&hasher)
}

fn hash_lists(hasher: &mut IdHasher, providers: &[ProviderPrices]) {
    let clause = |clause: &Option<Clause>| clause.as_ref().map(Clause::to_string).unwrap_or_default();
    for list in providers {
        hasher.part(b"provider").part(list.id.as_bytes());
        hasher.part(clause(&list.aliases).as_bytes()).part(clause(&list.claims).as_bytes());
        hasher.part(&(list.resells.len() as u64).to_le_bytes());
        for id in &list.resells {
            hasher.part(id.as_bytes());
        }
        for prices in &list.models {
            hasher.part(b"model").part(prices.names().to_string().as_bytes());
            for card in prices.cards() {
                // The id covers the card but for its end.
                let end = card.valid_to.map(|to| to.nanos().to_string()).unwrap_or_default();
                hasher.part(card.price_id.to_string().as_bytes()).part(end.as_bytes());
            }
        }
    }
}
