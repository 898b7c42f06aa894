//! What should stand for a call: its facts and, rated by the price of its day, its quantities.

use domain::ledger::{Facts, Quantities, State};
use domain::price::{Context, PriceIndex, Unpriced};
use domain::rate;
use domain::resolve::{Metering, ResolvedCall};

/// What should stand for a call, and why it has no price if it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What cannot be summed.
    pub facts: Facts,
    /// What can.
    pub quantities: Quantities,
    /// Why no price was found.
    pub unpriced: Option<Unpriced>,
}

/// The price id of an entry: the rate card's, and the tier where the call's size chose one (`card>200000`), so that the
/// price of each unit follows from the id alone.
pub fn tiered_price_id(card: &str, tier: Option<u64>) -> String {
    tier.map_or_else(|| card.to_string(), |above| format!("{card}>{above}"))
}

/// Takes apart what [`tiered_price_id`] put together.
pub fn split_price_id(price_id: &str) -> (&str, Option<u64>) {
    match price_id.split_once('>') {
        Some((card, above)) => (card, above.parse().ok()),
        None => (price_id, None),
    }
}

/// The target of a call.
pub fn target(call: &ResolvedCall, prices: &mut PriceIndex, currency: &str) -> Target {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let dimensions = &call.dimensions;
    let mut facts = Facts {
        state: State::Unmetered,
        tenant: text(&dimensions.tenant),
        tenant_source: call.tenant_source.name().into(),
        feature: text(&dimensions.feature),
        user_id: text(&dimensions.user_id),
        session_id: text(&dimensions.session_id),
        agent: text(&dimensions.agent),
        service: text(&dimensions.service),
        environment: text(&dimensions.environment),
        realm: call.realm.clone(),
        provider: text(&call.provider),
        request_model: text(&call.request_model),
        model: text(&call.model),
        operation: call.operation.clone(),
        occurred_at: call.occurred_at,
        service_tier: text(&call.service_tier),
        region: text(&call.region),
        rule: call.rule.name().into(),
        currency: currency.into(),
        price_id: String::new(),
        trace: call.winner.trace,
        span: call.winner.span,
        response_id: text(&call.response_id),
    };
    if call.metering == Metering::Unmetered {
        let quantities = Quantities { calls: 1, ..Quantities::default() };
        return Target { facts, quantities, unpriced: None };
    }
    let mut quantities = Quantities::of_usage(&call.usage);
    let unpriced = match rated(call, prices) {
        Ok((price_id, rated)) => {
            facts.price_id = price_id;
            facts.state = if call.metering == Metering::Partial { State::Partial } else { State::Billed };
            quantities.cost = rated.cost;
            // Pass-through: the tenant is charged what the provider charges.
            quantities.charge = rated.cost;
            for line in rated.lines {
                let unit = line.unit.name().to_string();
                quantities.units.insert(unit.clone(), i64::try_from(line.quantity).unwrap_or(i64::MAX));
                if !line.cost.is_zero() {
                    quantities.unit_costs.insert(unit, line.cost);
                }
            }
            None
        }
        Err(unpriced) => {
            facts.state = State::Unpriced;
            if let Ok(exact) = rate::exact_units(&call.usage, None) {
                for (unit, quantity) in exact.units {
                    quantities.units.insert(unit.name().into(), i64::try_from(quantity).unwrap_or(i64::MAX));
                }
            }
            Some(unpriced)
        }
    };
    Target { facts, quantities, unpriced }
}

fn rated(call: &ResolvedCall, prices: &mut PriceIndex) -> Result<(String, rate::Rated), Unpriced> {
    let context =
        Context { service_tier: call.service_tier.as_deref(), region: call.region.as_deref(), batch: false };
    let provider = call.provider.as_deref().unwrap_or_default();
    let named = |model: &Option<String>| model.clone().filter(|model| !model.is_empty());
    let models = [named(&call.model), named(&call.request_model)];
    let mut refused = None;
    // The model that answered has the price; where the book does not know its name (a dated alias), the one asked for.
    for model in models.into_iter().flatten() {
        match prices.find(provider, &model, call.occurred_at, &context) {
            Ok(found) => {
                let rated = rate::rate(&call.usage, found.card)?;
                return Ok((tiered_price_id(&found.card.price_id.to_string(), rated.tier), rated));
            }
            Err(unpriced) => refused = refused.or(Some(unpriced)),
        }
    }
    Err(refused.unwrap_or_else(|| Unpriced::ModelUnstated { provider: provider.to_string() }))
}
