//! One ledger row in words: its facts (what cannot be summed) and its quantities (what can).

use std::collections::BTreeMap;

use crate::identity::{CallId, EntryId, IdHasher, Realm, SpanId, TraceId};
use crate::money::Cost;
use crate::price::{UnitClass, UnitPart};
use crate::time::{BillingPeriod, EventTime};
use crate::usage::{TokenClass, Usage};

/// Why an entry was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntryType {
    /// The first posting of a call.
    Usage,
    /// A change of what stood: a reversal, its replacement, or a refinement of quantities.
    Correction,
    /// Posted at close: tiers, allowances, minimums.
    Adjustment,
    /// Money given back.
    Credit,
}

impl EntryType {
    /// The type's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Correction => "correction",
            Self::Adjustment => "adjustment",
            Self::Credit => "credit",
        }
    }

    /// Reads what [`EntryType::name`] writes.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Usage, Self::Correction, Self::Adjustment, Self::Credit]
            .into_iter()
            .find(|known| known.name() == name)
    }
}

/// How far a call could be billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Usage and price known.
    Billed,
    /// Usage known, no price found: posted when a price arrives.
    Unpriced,
    /// The call happened, no span states its usage.
    Unmetered,
    /// Some usage is stated, the output is not (a cancelled stream): what is stated is billed.
    Partial,
}

impl State {
    /// The state's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Billed => "billed",
            Self::Unpriced => "unpriced",
            Self::Unmetered => "unmetered",
            Self::Partial => "partial",
        }
    }

    /// Reads what [`State::name`] writes.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Billed, Self::Unpriced, Self::Unmetered, Self::Partial]
            .into_iter()
            .find(|known| known.name() == name)
    }
}

/// What an entry says that cannot be summed. A change of any of these is a reversal and a new entry.
/// Texts are empty where nothing is known, as in the tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Facts {
    /// How far the call could be billed.
    pub state: State,
    /// The payer.
    pub tenant: String,
    /// Where the tenant was read.
    pub tenant_source: String,
    /// The product feature.
    pub feature: String,
    /// The end user.
    pub user_id: String,
    /// The session or conversation.
    pub session_id: String,
    /// The agent.
    pub agent: String,
    /// The service.
    pub service: String,
    /// The deployment environment.
    pub environment: String,
    /// The account of the API key.
    pub realm: Realm,
    /// The provider's well-known name.
    pub provider: String,
    /// The model asked for.
    pub request_model: String,
    /// The model that answered, else the one asked for.
    pub model: String,
    /// The operation.
    pub operation: String,
    /// The end of the winning report.
    pub occurred_at: EventTime,
    /// The tier billed.
    pub service_tier: String,
    /// The provider's region.
    pub region: String,
    /// What decided that this report is the call.
    pub rule: String,
    /// ISO 4217 code of `cost` and `charge`.
    pub currency: String,
    /// The rate card used.
    pub price_id: String,
    /// The plan that made a charge of the cost; empty where it is passed through.
    pub plan_id: String,
    /// The winning span's trace.
    pub trace: TraceId,
    /// The winning span.
    pub span: SpanId,
    /// The provider's name for the answer.
    pub response_id: String,
}

/// What an entry says that sums.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Quantities {
    /// Calls: 1 for a call, −1 for its reversal, 0 for a refinement.
    pub calls: i64,
    /// Tokens in the order of [`Quantities::CLASSES`].
    pub tokens: [i64; 6],
    /// Exact unit class to quantity; never holds a zero.
    pub units: BTreeMap<String, i64>,
    /// Exact unit class to cost; sums to `cost`.
    pub unit_costs: BTreeMap<String, Cost>,
    /// Exact unit class to charge, where a plan makes it another than the cost; sums to `charge`.
    pub unit_charges: BTreeMap<String, Cost>,
    /// What the provider charges.
    pub cost: Cost,
    /// What the tenant is charged.
    pub charge: Cost,
}

impl Quantities {
    /// The token classes that have a column of their own.
    pub const CLASSES: [TokenClass; 6] = [
        TokenClass::Input,
        TokenClass::CacheRead,
        TokenClass::CacheWrite,
        TokenClass::CacheWrite1h,
        TokenClass::Output,
        TokenClass::Reasoning,
    ];

    /// The unit classes whose wholes are token classes.
    const COLUMNS: [UnitClass; 8] = [
        UnitClass::Input,
        UnitClass::CacheRead,
        UnitClass::CacheWrite5m,
        UnitClass::CacheWrite1h,
        UnitClass::Output,
        UnitClass::Reasoning,
        UnitClass::AudioInput,
        UnitClass::AudioOutput,
    ];

    /// One call's tokens, without units or money. `usage` has passed [`Usage::check`], so each count fits.
    pub fn of_usage(usage: &Usage) -> Self {
        let tokens = Self::CLASSES.map(|class| i64::try_from(usage.count(class)).unwrap_or(i64::MAX));
        Self { calls: 1, tokens, ..Self::default() }
    }

    /// The usage that these quantities were rated from, as far as a price can depend on it, so that another price can
    /// be put to it. `None` where the ledger does not hold it: something is negative, or tokens stand without the exact
    /// classes they fall in (a usage that contradicts itself is recorded so).
    pub fn usage(&self) -> Option<Usage> {
        if self.tokens != [0; 6] && self.units.is_empty() {
            return None;
        }
        let mut usage = Usage::default();
        for (class, count) in Self::CLASSES.into_iter().zip(self.tokens) {
            let count = u64::try_from(count).ok()?;
            usage.set(class, (count > 0).then_some(count));
        }
        let mut exact: Vec<(UnitClass, u64)> = Vec::new();
        for (name, quantity) in &self.units {
            let quantity = u64::try_from(*quantity).ok()?;
            match UnitPart::named(name) {
                // The parts of a class are one quantity of it.
                Some(part) => match exact.iter_mut().find(|(class, _)| *class == part.class) {
                    Some((_, sum)) => *sum = sum.saturating_add(quantity),
                    None => exact.push((part.class, quantity)),
                },
                None => drop(usage.units.insert(name.clone(), quantity)),
            }
        }
        let whole = |class: UnitClass| -> u64 {
            let within = |part: &UnitClass| class == *part || class.is_ancestor_of(*part);
            exact.iter().filter(|(part, _)| within(part)).map(|(_, quantity)| quantity).sum()
        };
        for (class, unit) in [
            (TokenClass::AudioInput, UnitClass::AudioInput),
            (TokenClass::AudioOutput, UnitClass::AudioOutput),
        ] {
            usage.set(class, Some(whole(unit)).filter(|count| *count > 0));
        }
        for (class, _) in &exact {
            // Those with a column or a token class of their own are stated above; the request itself never is.
            let stated = Self::COLUMNS.contains(class) || *class == UnitClass::Requests;
            if !stated {
                usage.units.insert(class.name().to_string(), whole(*class));
            }
        }
        Some(usage)
    }

    /// Whether it adds nothing to any sum.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Adds `other`. Sums stay far inside their types: see [`crate::usage::TOKENS_MAX`].
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        for (mine, theirs) in self.tokens.iter_mut().zip(other.tokens) {
            *mine = mine.saturating_add(theirs);
        }
        for (unit, quantity) in &other.units {
            let sum = self.units.entry(unit.clone()).or_default();
            *sum = sum.saturating_add(*quantity);
        }
        self.units.retain(|_, quantity| *quantity != 0);
        for (unit, cost) in &other.unit_costs {
            *self.unit_costs.entry(unit.clone()).or_default() += *cost;
        }
        self.unit_costs.retain(|_, cost| !cost.is_zero());
        for (unit, charge) in &other.unit_charges {
            *self.unit_charges.entry(unit.clone()).or_default() += *charge;
        }
        self.unit_charges.retain(|_, charge| !charge.is_zero());
        self.cost += other.cost;
        self.charge += other.charge;
    }

    /// The same with every sign turned.
    pub fn negated(&self) -> Self {
        Self {
            calls: -self.calls,
            tokens: self.tokens.map(|count| -count),
            units: self.units.iter().map(|(unit, quantity)| (unit.clone(), -quantity)).collect(),
            unit_costs: self.unit_costs.iter().map(|(unit, cost)| (unit.clone(), -*cost)).collect(),
            unit_charges: self.unit_charges.iter().map(|(unit, charge)| (unit.clone(), -*charge)).collect(),
            cost: -self.cost,
            charge: -self.charge,
        }
    }
}

/// One ledger row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// A function of the call, the entries it answers, and everything below.
    pub id: EntryId,
    /// Why it was posted.
    pub entry_type: EntryType,
    /// The call.
    pub call: CallId,
    /// The month it is billed in.
    pub period: BillingPeriod,
    /// What cannot be summed.
    pub facts: Facts,
    /// What can.
    pub quantities: Quantities,
    /// The entry it takes back.
    pub reverses: Option<EntryId>,
}

impl Entry {
    /// Makes an entry and its id. `seen` are the ids of the call's entries that the poster saw, sorted: posting the
    /// same thing in answer to the same ledger gives the same id, posting it in answer to another does not.
    pub fn new(
        entry_type: EntryType,
        call: CallId,
        period: BillingPeriod,
        facts: Facts,
        quantities: Quantities,
        reverses: Option<EntryId>,
        seen: &[EntryId],
    ) -> Self {
        let mut hasher = IdHasher::new("entry");
        hasher.part(&call.bytes()).part(&(seen.len() as u64).to_le_bytes());
        for id in seen {
            hasher.part(&id.bytes());
        }
        hasher.part(entry_type.name().as_bytes()).part(period.to_string().as_bytes());
        hasher.part(&reverses.map_or([0; 16], |id| id.bytes()));
        hash_facts(&mut hasher, &facts);
        hash_quantities(&mut hasher, &quantities);
        Self { id: EntryId::of(&hasher), entry_type, call, period, facts, quantities, reverses }
    }
}

impl Entry {
    /// A hash of everything the row says but when it was posted: a leaf of its month's tree.
    pub fn content_hash(&self) -> [u8; 32] {
        let mut hasher = IdHasher::new("entry content");
        hasher.part(&self.id.bytes()).part(&self.call.bytes());
        hasher.part(self.entry_type.name().as_bytes()).part(self.period.to_string().as_bytes());
        hasher.part(&self.reverses.map_or([0; 16], |id| id.bytes()));
        hash_facts(&mut hasher, &self.facts);
        hash_quantities(&mut hasher, &self.quantities);
        hasher.finish_whole()
    }
}

fn hash_facts(hasher: &mut IdHasher, facts: &Facts) {
    // Taken apart in full, so that a new fact cannot be forgotten here.
    let Facts {
        state,
        tenant,
        tenant_source,
        feature,
        user_id,
        session_id,
        agent,
        service,
        environment,
        realm,
        provider,
        request_model,
        model,
        operation,
        occurred_at,
        service_tier,
        region,
        rule,
        currency,
        price_id,
        plan_id,
        trace,
        span,
        response_id,
    } = facts;
    for text in [
        state.name(),
        tenant,
        tenant_source,
        feature,
        user_id,
        session_id,
        agent,
        service,
        environment,
        realm.as_str(),
        provider,
        request_model,
        model,
        operation,
        service_tier,
        region,
        rule,
        currency,
        price_id,
        response_id,
    ] {
        hasher.part(text.as_bytes());
    }
    hasher.part(&occurred_at.nanos().to_le_bytes()).part(&trace.bytes()).part(&span.bytes());
    // Added later: what has none is named as it was before.
    if !plan_id.is_empty() {
        hasher.part(b"plan").part(plan_id.as_bytes());
    }
}

fn hash_quantities(hasher: &mut IdHasher, quantities: &Quantities) {
    let Quantities { calls, tokens, units, unit_costs, unit_charges, cost, charge } = quantities;
    hasher.part(&calls.to_le_bytes());
    for count in tokens {
        hasher.part(&count.to_le_bytes());
    }
    hasher.part(&(units.len() as u64).to_le_bytes());
    for (unit, quantity) in units {
        hasher.part(unit.as_bytes()).part(&quantity.to_le_bytes());
    }
    hasher.part(&(unit_costs.len() as u64).to_le_bytes());
    for (unit, cost) in unit_costs {
        hasher.part(unit.as_bytes()).part(cost.to_string().as_bytes());
    }
    hasher.part(cost.to_string().as_bytes()).part(charge.to_string().as_bytes());
    for (unit, charge) in unit_charges {
        hasher.part(unit.as_bytes()).part(charge.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rate::exact_units;

    proptest! {
        /// What a posted call used can be rated again: the exact classes that come out are those that went in.
        #[test]
        fn quantities_hold_the_usage_they_were_made_of(
            input in 0..10_000_u64, output in 0..10_000_u64, parts in prop::collection::vec(0..100_u64, 6), searches in 0..5_u64,
        ) {
            let share = |whole: u64, percent: u64| whole * percent / 100;
            let read = share(input, parts[0]);
            let write = share(input - read, parts[1]);
            let usage = Usage::default()
                .with(TokenClass::Input, input)
                .with(TokenClass::CacheRead, read)
                .with(TokenClass::CacheWrite, write)
                .with(TokenClass::CacheWrite1h, share(write, parts[2]))
                .with(TokenClass::AudioInput, share(input, parts[3]))
                .with(TokenClass::Output, output)
                .with(TokenClass::Reasoning, share(output, parts[4]))
                .with(TokenClass::AudioOutput, share(output, parts[5]));
            let mut usage = usage;
            usage.units.insert("web_searches".into(), searches);
            usage.units.insert("somersaults".into(), searches);
            // Parts that overlap where no class is both contradict each other; such a usage is posted without units.
            let Ok(exact) = exact_units(&usage, None) else { return Ok(()) };
            let mut quantities = Quantities::of_usage(&usage);
            let known = exact.units.iter().map(|(unit, quantity)| (unit.name().to_string(), *quantity));
            quantities.units =
                known.chain(exact.unknown.clone()).map(|(name, quantity)| (name, quantity as i64)).collect();
            let again = quantities.usage();
            if quantities.tokens != [0; 6] || !quantities.units.is_empty() {
                let again = exact_units(&again.unwrap(), None).unwrap();
                prop_assert_eq!((again.units, again.unknown), (exact.units, exact.unknown));
            }
        }
    }

    #[test]
    fn quantities_that_do_not_hold_their_usage_say_so() {
        let mut quantities = Quantities { tokens: [5, 0, 0, 0, 0, 0], ..Quantities::default() };
        assert_eq!(quantities.usage(), None);
        quantities.units.insert("input".into(), 5);
        assert_eq!(quantities.usage().unwrap().get(TokenClass::Input), Some(5));
        assert_eq!(quantities.negated().usage(), None);
    }
}
