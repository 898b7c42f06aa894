//! What should stand for a call: its facts and, rated by the price of its day, its quantities.

use domain::Cost;
use domain::ledger::{Facts, Quantities, State};
use domain::overrides::Effect;
use domain::plan::{Charged, Plan};
use domain::price::{Context, PriceIndex, RateCard, UnitClass, Unpriced};
use domain::rate;
use domain::resolve::{Metering, ResolvedCall};
use domain::usage::Usage;

use crate::plans::PlanShelf;

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

/// The target of a call, moved as people decided (`effect`). A call that stands with a price keeps it (`standing`) while what the price was chosen by is
/// unchanged, and its plan while its payer is: what was learnt since is for `reprice`, which is asked for, and no side
/// effect of late evidence.
pub fn target(
    call: &ResolvedCall,
    effect: &Effect,
    prices: &mut PriceIndex,
    plans: &PlanShelf,
    standing: Option<&Pinned<'_>>,
    currency: &str,
) -> Target {
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
        plan_id: String::new(),
        trace: call.winner.trace,
        span: call.winner.span,
        response_id: text(&call.response_id),
    };
    effect.apply(&mut facts);
    let metered = (call.metering != Metering::Unmetered).then_some(&call.usage);
    rated_target(facts, metered, call.metering, prices, plans, standing)
}

/// What a call would cost, were it settled now as it is; `None` where its usage or its price is unknown.
pub(crate) fn estimated_cost(
    call: &ResolvedCall,
    prices: &mut PriceIndex,
    plans: &PlanShelf,
    currency: &str,
) -> Option<Cost> {
    let target = target(call, &Effect::default(), prices, plans, None, currency);
    matches!(target.facts.state, State::Billed | State::Partial).then_some(target.quantities.cost)
}

/// What should stand for a call of these facts and this usage, rated by the price of its time. `facts` come without
/// state and price.
pub fn rated_target(
    mut facts: Facts,
    usage: Option<&Usage>,
    metering: Metering,
    prices: &mut PriceIndex,
    plans: &PlanShelf,
    standing: Option<&Pinned<'_>>,
) -> Target {
    let Some(usage) = usage else {
        let quantities = Quantities { calls: 1, ..Quantities::default() };
        return Target { facts, quantities, unpriced: None };
    };
    let mut quantities = Quantities::of_usage(usage);
    let plan = plans.plan_for(&facts, standing.map(|pinned| pinned.facts));
    let priced = rated(&facts, usage, prices, standing).and_then(|(price_id, rated)| {
        let charged = plan.filter(|plan| !plan.is_pass_through()).map(|plan| charged(plan, &facts, &rated));
        Ok((price_id, rated, charged.transpose()?))
    });
    let unpriced = match priced {
        Ok((price_id, rated, charged)) => {
            facts.price_id = price_id;
            facts.state = if metering == Metering::Partial { State::Partial } else { State::Billed };
            quantities.cost = rated.cost;
            // Without a plan the tenant is charged what the provider charges.
            quantities.charge = rated.cost;
            if let Some((plan_id, charged)) = charged {
                facts.plan_id = plan_id;
                (quantities.charge, quantities.unit_charges) = (charged.charge, charged.units);
            }
            for line in rated.lines {
                let unit = line.unit.to_string();
                quantities.units.insert(unit.clone(), i64::try_from(line.quantity).unwrap_or(i64::MAX));
                if !line.cost.is_zero() {
                    quantities.unit_costs.insert(unit, line.cost);
                }
            }
            None
        }
        Err(unpriced) => {
            facts.state = State::Unpriced;
            if let Ok(exact) = rate::exact_units(usage, None) {
                let known = exact.units.iter().map(|(unit, quantity)| (unit.name().to_string(), *quantity));
                // Units nobody knows are kept by their name: a price that is known one day must meet them.
                for (unit, quantity) in known.chain(exact.unknown) {
                    quantities.units.insert(unit, i64::try_from(quantity).unwrap_or(i64::MAX));
                }
            }
            Some(unpriced)
        }
    };
    Target { facts, quantities, unpriced }
}

/// What a rated call is charged by a plan, under the plan's id.
fn charged(plan: &Plan, facts: &Facts, rated: &rate::Rated) -> Result<(String, Charged), Unpriced> {
    let lines: Vec<_> = rated.lines.iter().map(|line| (line.unit, line.quantity, line.cost)).collect();
    let beyond = rated.lines.first().map_or((UnitClass::Input, 0), |line| (line.unit.class, line.quantity));
    let charged =
        plan.charge(facts, &lines).ok_or(Unpriced::OutOfRange { unit: beyond.0, quantity: beyond.1 })?;
    Ok((plan.id(), charged))
}

/// The price that stands for a call, and what it was chosen by.
#[derive(Debug, Clone, Copy)]
pub struct Pinned<'s> {
    /// What stands.
    pub facts: &'s Facts,
    /// The card it was rated with.
    pub card: &'s RateCard,
}

impl Pinned<'_> {
    /// Whether a call of these facts is still one that the card was chosen for.
    fn holds(&self, facts: &Facts) -> bool {
        chosen_by(self.facts) == chosen_by(facts) && self.card.holds_at(facts.occurred_at)
    }
}

/// What of a call's facts chooses its price, besides the time.
fn chosen_by(facts: &Facts) -> [&str; 5] {
    [&facts.provider, &facts.model, &facts.request_model, &facts.service_tier, &facts.region]
}

/// What an answer's service tier says of a call that was made in a batch (Anthropic's `usage.service_tier`); price data
/// calls it a kind of processing.
const BATCH: &str = "batch";

fn rated(
    facts: &Facts,
    usage: &Usage,
    prices: &mut PriceIndex,
    standing: Option<&Pinned<'_>>,
) -> Result<(String, rate::Rated), Unpriced> {
    let with = |card: &RateCard| {
        let rated = rate::rate(usage, card)?;
        Ok((tiered_price_id(&card.price_id.to_string(), rated.tier), rated))
    };
    if let Some(pinned) = standing.filter(|pinned| pinned.holds(facts))
        && let Ok(rated) = with(pinned.card)
    {
        return Ok(rated);
    }
    let batch = facts.service_tier == BATCH;
    let context = Context {
        service_tier: Some(facts.service_tier.as_str()).filter(|tier| !tier.is_empty() && !batch),
        region: Some(facts.region.as_str()).filter(|region| !region.is_empty()),
        batch,
    };
    let mut refused = None;
    // The model that answered has the price; where the book does not know its name (a dated alias), the one asked for.
    for model in [&facts.model, &facts.request_model].into_iter().filter(|model| !model.is_empty()) {
        match prices.find(&facts.provider, model, facts.occurred_at, &context) {
            Ok(found) => return with(found.card),
            Err(unpriced) => refused = refused.or(Some(unpriced)),
        }
    }
    Err(refused.unwrap_or_else(|| Unpriced::ModelUnstated { provider: facts.provider.clone() }))
}

#[cfg(test)]
mod tests {
    use domain::identity::{CallId, IdHasher};
    use domain::time::BillingPeriod;
    use domain::usage::TokenClass;

    use super::*;
    use crate::prices::Source;

    const UNITS: &str = r#"
[[price]]
provider = "house"
model = "all"
input_mtok = 1
cache_read_mtok = 0.1
output_mtok = 4
input_audio_mtok = 10
cache_audio_read_mtok = 1
output_audio_mtok = 20
input_image_mtok = 3
cache_image_read_mtok = 0.3
output_image_mtok = 30
input_video_mtok = 7
cache_video_read_mtok = 0.7
output_video_mtok = 70
audio_hours = 3.6
input_audio_hours = 7.2
output_audio_hours = 10.8
video_hours = 360
images_kcount = 40
input_gpixels = 5
input_mchars = 15
output_mchars = 16
requests_kcount = 1
web_searches_kcount = 10
storage_searches_kcount = 2.5
social_searches_kcount = 6
code_executions_kcount = 8
other_tool_calls_kcount = 9
rerank_searches_kcount = 2
input_document_kpages = 1.5
[[price]]
provider = "house"
model = "all"
service_tier = "flex"
output_mtok = 2
[[price]]
provider = "house"
model = "all"
service_tier = "priority"
output_mtok = 8
[[price]]
provider = "house"
model = "all"
batch = true
output_mtok = 1
[[price]]
provider = "house"
model = "all"
region = "eu-west-1"
output_mtok = 4.4
[[price]]
provider = "house"
model = "all"
service_tier = "flex"
hours = "22:00-06:00"
output_mtok = 1.5
[[price]]
provider = "house"
model = "written"
input_mtok = 1
cache_write_mtok = 1.25
cache_write_1h_mtok = 2
output_mtok = 4
output_reasoning_mtok = 5
[[price]]
provider = "house"
model = "night"
input_mtok = 1
output_mtok = 4
[[price]]
provider = "house"
model = "night"
valid_from = 2026-10-01
hours = "22:00-06:00"
input_mtok = 0.5
output_mtok = 2
"#;

    /// Each kind of unit, context and hour, as spans state it, has its own price in an own price file and on the entry.
    #[test]
    fn every_unit_context_and_hour_can_be_priced_by_an_own_file() {
        let lists = Source::of_file("own.toml", UNITS.as_bytes().to_vec()).unwrap().read("USD").unwrap();
        let book = std::sync::Arc::new(domain::PriceBook::new(lists.providers).unwrap());
        let mut prices = PriceIndex::new(book);
        let mut cost = |model: &str, used: &str, (service_tier, region, at): (&str, &str, &str)| {
            let call = CallId::of_adjustment(&IdHasher::new("test"));
            let month = BillingPeriod::parse("2026-10").unwrap();
            let facts = crate::period::of_no_call(call, "span", "acme", month, ("call", "chat"), "USD");
            let at: chrono::DateTime<chrono::Utc> = at.parse().unwrap();
            let facts = Facts {
                provider: "house".into(),
                model: model.into(),
                service_tier: service_tier.into(),
                region: region.into(),
                occurred_at: domain::EventTime::from_nanos(at.timestamp_nanos_opt().unwrap()),
                ..facts
            };
            let mut usage = Usage::default();
            for item in used.split(", ") {
                let (name, count) = item.split_once(' ').unwrap();
                let count: u64 = count.replace('_', "").parse().unwrap();
                match TokenClass::ALL.into_iter().find(|class| class.name() == name) {
                    Some(class) => usage.set(class, Some(count)),
                    None => drop(usage.units.insert(name.into(), count)),
                }
            }
            let target =
                rated_target(facts, Some(&usage), Metering::Whole, &mut prices, &PlanShelf::default(), None);
            assert_eq!((&target.unpriced, target.facts.state), (&None, State::Billed), "{used}");
            let priced: Cost = target.quantities.unit_costs.values().copied().sum();
            assert_eq!(priced, target.quantities.cost);
            // Each call costs a fee of 0.001 at the first model.
            let fee = target.quantities.unit_costs.get("requests").copied().unwrap_or_default();
            (target.quantities.cost - fee).shown()
        };
        let noon = ("", "", "2026-10-10T12:00:00Z");
        for (used, expected) in [
            ("input_tokens 1_000_000", "1"),
            ("input_tokens 1_000_000, cache_read_tokens 1_000_000", "0.1"),
            ("output_tokens 1_000_000", "4"),
            ("input_tokens 1_000_000, audio_input_tokens 1_000_000", "10"),
            ("output_tokens 1_000_000, audio_output_tokens 1_000_000", "20"),
            ("input_tokens 1_000_000, input_image_tokens 1_000_000", "3"),
            ("output_tokens 1_000_000, output_image_tokens 1_000_000", "30"),
            ("input_tokens 1_000_000, input_video_tokens 1_000_000", "7"),
            ("output_tokens 1_000_000, output_video_tokens 1_000_000", "70"),
            ("seconds 10", "0.01"),
            ("input_audio_seconds 10", "0.02"),
            ("output_audio_seconds 10", "0.03"),
            ("video_seconds 10", "1"),
            ("images 2", "0.08"),
            ("input_pixels 1_000_000", "0.005"),
            ("characters 1_000", "0.015"),
            ("output_characters 1_000", "0.016"),
            ("web_search_requests 3", "0.03"),
            ("file_searches 2", "0.005"),
            ("social_searches 1", "0.006"),
            ("code_executions 1", "0.008"),
            ("tool_calls 1", "0.009"),
            ("rerank_searches 1", "0.002"),
            ("pages 2", "0.003"),
        ] {
            assert_eq!(cost("all", used, noon), expected, "{used}");
        }
        // No class is both of these and audio, so a list with rates for audio has none for them.
        let written = "input_tokens 1_000_000, cache_write_tokens 1_000_000";
        assert_eq!(cost("written", written, noon), "1.25");
        assert_eq!(cost("written", "output_tokens 1_000_000, reasoning_tokens 1_000_000", noon), "5");
        assert_eq!(cost("written", &format!("{written}, cache_write_1h_tokens 1_000_000"), noon), "2");
        for (model, context, expected) in [
            ("all", ("flex", "", "2026-10-10T12:00:00Z"), "2"),
            ("all", ("flex", "", "2026-10-10T22:00:00Z"), "1.5"),
            ("all", ("flex", "", "2026-10-10T05:59:59Z"), "1.5"),
            ("all", ("priority", "", "2026-10-10T23:00:00Z"), "8"),
            ("all", ("batch", "", "2026-10-10T12:00:00Z"), "1"),
            ("all", ("", "eu-west-1", "2026-10-10T12:00:00Z"), "4.4"),
            ("all", ("", "us-east-1", "2026-10-10T12:00:00Z"), "4"),
            ("night", ("", "", "2026-10-10T21:59:59Z"), "4"),
            ("night", ("", "", "2026-10-10T22:00:00Z"), "2"),
            ("night", ("", "", "2026-09-30T22:00:00Z"), "4"),
        ] {
            assert_eq!(cost(model, "output_tokens 1_000_000", context), expected, "{model} {context:?}");
        }
    }

    #[test]
    fn a_call_whose_answer_says_batch_has_the_price_of_batches() {
        let cost = |service_tier: &str| {
            let month = BillingPeriod::parse("2026-10").unwrap();
            let call = CallId::of_adjustment(&IdHasher::new("test"));
            let facts = crate::period::of_no_call(call, "span", "acme", month, ("call", "chat"), "USD");
            let (provider, model) = ("anthropic".into(), "claude-sonnet-4-5".into());
            let facts = Facts { provider, model, service_tier: service_tier.into(), ..facts };
            let usage = Usage::default().with(TokenClass::Input, 1_000_000).with(TokenClass::Output, 0);
            let mut prices = PriceIndex::new(crate::prices::bundled());
            let plans = PlanShelf::default();
            let target = rated_target(facts, Some(&usage), Metering::Whole, &mut prices, &plans, None);
            (target.quantities.cost.to_string(), target.unpriced)
        };
        assert_eq!(cost("standard").1, None);
        let halved: rust_decimal::Decimal = cost("standard").0.parse().unwrap();
        assert_eq!(
            cost("batch").0.parse::<rust_decimal::Decimal>().unwrap() * rust_decimal::Decimal::TWO,
            halved
        );
    }
}
