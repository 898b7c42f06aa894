//! What a search of the price book asks, and what it answers.

use std::fmt;
use std::sync::Arc;

use super::card::RateCard;

/// What is known of a call besides who, what and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context<'a> {
    /// The tier it was billed at, as the provider names it.
    pub service_tier: Option<&'a str>,
    /// The region it was served from, as the provider names it.
    pub region: Option<&'a str>,
    /// Whether it was part of a batch. A service tier of that name says so too.
    pub batch: bool,
}

/// The card for a call, and why that one.
#[derive(Debug, Clone)]
pub struct Found<'b> {
    /// The card.
    pub card: &'b RateCard,
    /// The layer of the book that has it.
    pub layer: &'b str,
    /// What led from the call's provider and model to the card's.
    pub rule: Arc<MatchRule>,
    /// Whether the call states a tier or batch for which this model has no rates of its own, so that standard rates
    /// stand in: an estimate, where the provider does charge otherwise.
    pub context_ignored: bool,
}

/// What led from the provider and model that a call states to those of the book.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MatchRule {
    /// How the provider was found.
    pub provider_rule: ProviderRule,
    /// The book's provider.
    pub provider: String,
    /// The provider whose prices are passed on, if not its own.
    pub resold_from: Option<String>,
    /// How the model's name was read.
    pub model_rule: ModelRule,
    /// The model's name as it was compared.
    pub name: String,
    /// The clause that it met.
    pub clause: String,
}

/// How a provider was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderRule {
    /// Its name is the book's own.
    Id,
    /// Its name is an OpenTelemetry well-known name.
    WellKnown,
    /// Its name meets the alias clause of the price list.
    Alias,
    /// It is not named; its price list claims the model.
    Model,
}

/// How a model's name was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelRule {
    /// As it stands.
    AsStated,
    /// With its date written `2025-12-11` instead of `20251211`.
    DateSpelledOut,
    /// As the only model of the provider that is so called but for a vendor's prefix (`openai/…`).
    WithoutVendor,
}

impl Context<'_> {
    pub(super) fn says(&self, key: &str, value: &str) -> bool {
        let is = |stated: Option<&str>| stated.is_some_and(|stated| stated.eq_ignore_ascii_case(value));
        match key {
            "service_tier" => is(self.service_tier),
            "region" => is(self.region),
            "processing" => value == "batch" && self.is_batch(),
            _ => false,
        }
    }

    pub(super) fn is_batch(&self) -> bool {
        self.batch || self.service_tier.is_some_and(|tier| tier.eq_ignore_ascii_case("batch"))
    }

    pub(super) fn has_special_tier(&self) -> bool {
        // `auto` asks for whatever is there and does not name the rate that was charged.
        const STANDARD: [&str; 6] = ["", "auto", "batch", "default", "on_demand", "standard"];
        let standard = |tier: &str| STANDARD.iter().any(|known| tier.eq_ignore_ascii_case(known));
        self.service_tier.is_some_and(|tier| !standard(tier))
    }
}

impl fmt::Display for MatchRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.provider)?;
        match self.provider_rule {
            ProviderRule::Id => {}
            ProviderRule::WellKnown => write!(f, " (by its well-known name)")?,
            ProviderRule::Alias => write!(f, " (by an alias)")?,
            ProviderRule::Model => write!(f, " (by the model's name)")?,
        }
        if let Some(owner) = &self.resold_from {
            write!(f, ", at the standard price of {owner}")?;
        }
        match self.model_rule {
            ModelRule::AsStated => write!(f, ": {:?} {}", self.name, self.clause),
            ModelRule::DateSpelledOut => write!(f, ": {:?} (date spelled out) {}", self.name, self.clause),
            ModelRule::WithoutVendor => write!(f, ": {:?} is the only model of that name there", self.name),
        }
    }
}
