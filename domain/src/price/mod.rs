//! Prices: which rate card holds for a call, and why that one.
//!
//! A [`PriceBook`] is immutable and named by its content. It finds a card by provider, model, time of the call and
//! context, by the rules of the public price data it is made from (the order of providers and models, fallbacks, dated
//! and daily prices, variants), and says which rule it was. A model or provider that no rule names stays unpriced: a
//! missing price is never zero and never somebody else's price.
//!
//! A book has one layer or several, in order of precedence: prices of one's own, imported ones, bundled ones. The first
//! layer that has a price for the model at the time of the call gives the whole card; layers are never mixed in a call.
//!
//! Reading price files is `billing`'s; turning a card and a usage into money is [`crate::rate`]'s.

mod book;
mod card;
mod clause;
mod found;
mod id;
mod index;
mod provider;
mod schedule;
mod unit;
mod unit_part;

pub use book::{BookError, Layer, PriceBook, ProviderPrices};
pub use card::{DailyHours, ParseRateError, Rate, RateCard, Rates, RatesError, Reach, Tier};
pub use clause::{Clause, Pattern, PatternError, TextOp};
pub use found::{Context, Found, MatchRule, ModelRule, ProviderRule};
pub use id::{ParsePriceIdError, PriceBookVersion, PriceId};
pub use index::PriceIndex;
pub use schedule::{Constraint, Dated, ModelPrices, ScheduleError, Variant};
pub use unit::UnitClass;
pub use unit_part::UnitPart;

use crate::time::EventTime;

/// Why a call has no price. It is posted as unpriced, counted, and priced when the reason goes away.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unpriced {
    /// No span names the provider, and the model's name does not give it away.
    #[error(
        "no span names the provider, and no price list claims model {model:?}; name the provider on the span"
    )]
    ProviderUnstated {
        /// The model.
        model: String,
    },
    /// The book has no such provider.
    #[error("the price book has no provider {provider:?}; import its prices")]
    ProviderUnknown {
        /// The provider, as the call states it.
        provider: String,
    },
    /// No span names the model.
    #[error("no span names the model of a call to {provider:?}; name it on the span")]
    ModelUnstated {
        /// The provider, as the call states it.
        provider: String,
    },
    /// The provider's price list does not name the model.
    #[error("the price list of {provider:?} has no model {model:?}; import its price")]
    ModelUnknown {
        /// The book's name of the provider.
        provider: String,
        /// The model, as the call states it.
        model: String,
    },
    /// The model has prices, none of them for the time of the call.
    #[error("{provider} {model} has no price for a call at {at}; import one")]
    NotPricedThen {
        /// The book's name of the provider.
        provider: String,
        /// The book's name of the model.
        model: String,
        /// The time of the call.
        at: EventTime,
    },
    /// The card has a rate for other classes, none for one that was used.
    #[error("{provider} {model} has no rate for {unit}; import its price")]
    NoRate {
        /// The card's provider.
        provider: String,
        /// The card's model.
        model: String,
        /// The class, or what the call calls it.
        unit: String,
    },
    /// The card has a rate for a kind of token that is not understood here.
    #[error("{provider} {model} has a rate {price_key:?} that this version does not know; update")]
    RateUnsupported {
        /// The card's provider.
        provider: String,
        /// The card's model.
        model: String,
        /// The key of the price data.
        price_key: String,
    },
    /// The parts used add up to more than the whole, or a class is stated twice.
    #[error("the usage does not add up: {unit} is stated as {stated}, its parts say otherwise")]
    UsageInconsistent {
        /// The whole.
        unit: UnitClass,
        /// What is stated of it.
        stated: u64,
    },
    /// A cost that is beyond all belief.
    #[error("{quantity} {unit} cost more than can be written down")]
    OutOfRange {
        /// The class.
        unit: UnitClass,
        /// How many.
        quantity: u64,
    },
}

impl Unpriced {
    /// A stable short code, for outcomes and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ProviderUnstated { .. } => "provider_unstated",
            Self::ProviderUnknown { .. } => "provider_unknown",
            Self::ModelUnstated { .. } => "model_unstated",
            Self::ModelUnknown { .. } => "model_unknown",
            Self::NotPricedThen { .. } => "not_priced_then",
            Self::NoRate { .. } => "no_rate",
            Self::RateUnsupported { .. } => "rate_unsupported",
            Self::UsageInconsistent { .. } => "usage_inconsistent",
            Self::OutOfRange { .. } => "cost_out_of_range",
        }
    }
}

#[cfg(test)]
mod tests;
