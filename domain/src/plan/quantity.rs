//! Plans by quantity: units that are included, and tiers by how many units a month used.
//!
//! Each unit of a month belongs to the first rule of the plan that counts it, so rules never meet on the same money. What was
//! charged for the units of a rule is spread evenly over them, whatever each was charged and in which order they came: of
//! twelve million tokens charged 30, ten million are charged 25. Included units are the first; a tier begins behind its
//! bound, included units counted. What comes of it is a figure of the month, posted at close, and says how it was made.

use rust_decimal::Decimal;

use super::{Adjustment, percent};
use crate::money::Cost;
use crate::price::{Clause, TextOp, UnitClass, UnitPart};

/// What a plan makes of how many units a month used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantityRule {
    /// What people call it; unique in its plan.
    pub name: String,
    /// What is counted.
    pub counts: Counted,
    /// Only of this provider, by its well-known name.
    pub provider: Option<String>,
    /// Only of this model and its dated snapshots; with a star at its end, of all that begin so.
    pub model: Option<String>,
    /// The first so many cost nothing.
    pub included: u64,
    /// What holds beyond; by `above`, ascending.
    pub tiers: Vec<QuantityTier>,
    /// Whether the highest tier reached holds for all that is not included (volume), or each for its own part (graduated).
    pub volume: bool,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Tokens of every class.
    Tokens,
    /// Tokens of the prompt, cached ones included.
    InputTokens,
    /// Tokens generated, reasoning included.
    OutputTokens,
    /// Calls, with whatever they are charged.
    Calls,
    /// One exact unit class.
    Class(UnitClass),
}

/// What holds beyond a number of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantityTier {
    /// The number that must be exceeded.
    pub above: u64,
    /// What it does.
    pub terms: Terms,
}

/// What a tier does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// Takes so many percent off what the units were charged.
    Discount(Decimal),
    /// Charges each unit this instead of what it was charged.
    Price(Decimal),
}

/// What a tenant used in a month, beside what changes earlier months, what has no price and what is not invoiced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MonthUse {
    /// Units by provider, model and class.
    pub units: Vec<UnitUse>,
    /// Calls by provider and model.
    pub calls: Vec<CallUse>,
}

/// Units of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitUse {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The class, or its part beyond a bound.
    pub unit: UnitPart,
    /// How many; negative where corrections outweigh usage.
    pub quantity: i64,
    /// What the tenant was charged for them.
    pub charge: Cost,
}

/// Calls of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallUse {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// How many.
    pub calls: i64,
}

/// What the rules of a plan make of a month.
pub(super) fn adjustments(rules: &[QuantityRule], used: &MonthUse) -> Vec<Adjustment> {
    let mut left: Vec<&UnitUse> = used.units.iter().collect();
    let mut made = Vec::new();
    for rule in rules {
        let (mine, others): (Vec<&UnitUse>, _) = left
            .into_iter()
            .partition(|unit| rule.counts(unit.unit.class) && rule.is_of(&unit.provider, &unit.model));
        left = others;
        let quantity: i64 = match rule.counts {
            Counted::Calls => used
                .calls
                .iter()
                .filter(|call| rule.is_of(&call.provider, &call.model))
                .map(|call| call.calls)
                .sum(),
            _ => mine.iter().map(|unit| unit.quantity).sum(),
        };
        let charge: Cost = mine.iter().map(|unit| unit.charge).sum();
        // Where corrections outweigh usage there is nothing to include and nothing to give a discount on.
        if let Ok(quantity @ 1..) = u64::try_from(quantity)
            && charge >= Cost::ZERO
        {
            made.extend(rule.on(quantity, charge));
        }
    }
    made.retain(|made: &Adjustment| !made.amount.is_zero());
    made
}

impl QuantityRule {
    fn counts(&self, class: UnitClass) -> bool {
        match self.counts {
            Counted::Tokens => class.is_prompt_token() || class.is_generated_token(),
            Counted::InputTokens => class.is_prompt_token(),
            Counted::OutputTokens => class.is_generated_token(),
            Counted::Calls => true,
            Counted::Class(wanted) => class == wanted,
        }
    }

    fn is_of(&self, provider: &str, model: &str) -> bool {
        let names = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => Clause::text(TextOp::StartsWith, beginning),
            None => Clause::snapshots(pattern),
        };
        self.provider.as_ref().is_none_or(|wanted| wanted == provider)
            && self.model.as_ref().is_none_or(|wanted| names(wanted).matches(&model.to_lowercase()))
    }

    /// What so many units that were charged so much lead to.
    fn on(&self, quantity: u64, charge: Cost) -> Vec<Adjustment> {
        let share = |from: u64, to: u64| charge.share(to, quantity) - charge.share(from, quantity);
        let (name, units) = (&self.name, self.counts.name());
        let included = self.included.min(quantity);
        let mut made = Vec::new();
        if included > 0 {
            let (amount, charge) = (-share(0, included), charge.shown());
            let name = format!(
                "{name}: {included} of {quantity} {units} are included; their share of {charge} is taken off"
            );
            made.push(Adjustment { kind: "adjustment", name, amount });
        }
        for (tier, from, to) in self.reached(included, quantity) {
            let (count, charged) = (to - from, share(from, to));
            let what = format!("{name}: {count} of {quantity} {units}, beyond {}", tier.above);
            made.push(match tier.terms {
                Terms::Discount(off) => Adjustment {
                    kind: "discount",
                    name: format!(
                        "{what}: {} % off {}, their share of {}",
                        off.normalize(),
                        charged.shown(),
                        charge.shown()
                    ),
                    amount: -percent(charged, off),
                },
                Terms::Price(price) => Adjustment {
                    kind: "adjustment",
                    name: format!("{what}: at {} each instead of {}", price.normalize(), charged.shown()),
                    // Prices and quantities in a file are bounded, so that this is far below the bound of a cost.
                    amount: Cost::of(count, price).unwrap_or(charged) - charged,
                },
            });
        }
        made
    }

    /// The tiers reached, each with the units it holds for; none of those is included, none has two tiers.
    fn reached(&self, included: u64, quantity: u64) -> Vec<(&QuantityTier, u64, u64)> {
        let reached: Vec<&QuantityTier> = self.tiers.iter().filter(|tier| quantity > tier.above).collect();
        let parts: Vec<(&QuantityTier, u64, u64)> = match (self.volume, reached.last()) {
            (true, Some(last)) => vec![(*last, included, quantity)],
            _ => {
                let ends = reached.iter().skip(1).map(|tier| tier.above).chain([quantity]);
                let part = |(tier, end): (&&'_ QuantityTier, u64)| (tier.above.max(included), end);
                let bounds: Vec<(u64, u64)> = reached.iter().zip(ends).map(part).collect();
                reached.into_iter().zip(bounds).map(|(tier, (from, to))| (tier, from, to)).collect()
            }
        };
        parts.into_iter().filter(|(_, from, to)| from < to).collect()
    }
}

impl Counted {
    /// Reads what a plan file says, which is what [`Counted::name`] writes; `requests` are calls.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "tokens" => Some(Self::Tokens),
            "input_tokens" => Some(Self::InputTokens),
            "output_tokens" => Some(Self::OutputTokens),
            "calls" | "requests" => Some(Self::Calls),
            class => UnitClass::named(class).map(Self::Class),
        }
    }

    /// What it is called on an invoice.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Calls => "calls",
            Self::Class(class) => class.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cost(text: &str) -> Cost {
        Cost::parse(text).unwrap()
    }

    fn rule(unit: &str, included: u64, tiers: &[(u64, Terms)]) -> QuantityRule {
        let tiers =
            tiers.iter().map(|(above, terms)| QuantityTier { above: *above, terms: *terms }).collect();
        let counts = Counted::named(unit).unwrap();
        QuantityRule { name: "r".into(), counts, provider: None, model: None, included, tiers, volume: false }
    }

    fn unit(model: &str, unit: &str, quantity: i64, charge: &str) -> UnitUse {
        let unit = UnitPart::named(unit).unwrap();
        UnitUse { provider: "openai".into(), model: model.into(), unit, quantity, charge: cost(charge) }
    }

    fn amounts(rules: &[QuantityRule], units: &[UnitUse], calls: i64) -> Vec<String> {
        let calls = CallUse { provider: "openai".into(), model: "gpt-4o".into(), calls };
        let used = MonthUse { units: units.to_vec(), calls: vec![calls] };
        adjustments(rules, &used).iter().map(|made| made.amount.shown()).collect()
    }

    const TEN: Terms = Terms::Discount(Decimal::TEN);

    #[test]
    fn a_month_comes_to_what_its_quantities_say() {
        let half = Terms::Price(Decimal::from_parts(5, 0, 0, false, 1));
        let units = [
            unit("gpt-4o", "input", 60, "6"),
            unit("gpt-4o", "input>50", 20, "4"),
            unit("gpt-4o", "output", 20, "10"),
        ];
        let volume = |rule: QuantityRule| QuantityRule { volume: true, ..rule };
        let of = |model: &str, rule: QuantityRule| QuantityRule { model: Some(model.into()), ..rule };
        for (rules, expected) in [
            // A hundred tokens charged 20.
            (vec![rule("tokens", 10, &[])], vec!["-2"]),
            (vec![rule("tokens", 1_000, &[])], vec!["-20"]),
            (vec![rule("input_tokens", 40, &[])], vec!["-5"]),
            (vec![rule("input", 40, &[])], vec!["-5"]),
            (vec![rule("output_tokens", 5, &[])], vec!["-2.5"]),
            (vec![rule("calls", 1, &[])], vec!["-5"]),
            (vec![rule("tokens", 0, &[(50, TEN)])], vec!["-1"]),
            (vec![rule("tokens", 0, &[(100, TEN)])], vec![]),
            (vec![volume(rule("tokens", 0, &[(50, TEN)]))], vec!["-2"]),
            (vec![volume(rule("tokens", 10, &[(20, TEN), (50, half)]))], vec!["-2", "27"]),
            // 20 at a tenth off, 30 at a half each instead of 6.
            (vec![rule("tokens", 60, &[(50, TEN), (70, half)])], vec!["-12", "-0.2", "9"]),
            (vec![of("gpt-4o", rule("tokens", 10, &[]))], vec!["-2"]),
            (vec![of("gpt-*", rule("tokens", 10, &[]))], vec!["-2"]),
            (vec![of("gpt-4o-mini", rule("tokens", 10, &[]))], vec![]),
            // What the first rule counts, the second does not.
            (vec![rule("output", 20, &[]), rule("tokens", 1_000, &[])], vec!["-10", "-10"]),
            (vec![rule("tokens", 10, &[]), rule("output", 20, &[])], vec!["-2"]),
        ] {
            assert_eq!(amounts(&rules, &units, 4), expected, "{rules:?}");
        }
        let back = [unit("gpt-4o", "input", -5, "-1")];
        assert_eq!(amounts(&[rule("tokens", 10, &[(0, TEN)])], &back, 0), Vec::<String>::new());
    }

    #[test]
    fn each_figure_says_how_it_was_made() {
        let used = MonthUse { units: vec![unit("gpt-4o", "input", 12_000_000, "30")], ..MonthUse::default() };
        let made = adjustments(&[rule("tokens", 10_000_000, &[(11_000_000, TEN)])], &used);
        let said: Vec<&str> = made.iter().map(|made| made.name.as_str()).collect();
        assert_eq!(
            said,
            [
                "r: 10000000 of 12000000 tokens are included; their share of 30 is taken off",
                "r: 1000000 of 12000000 tokens, beyond 11000000: 10 % off 2.5, their share of 30",
            ]
        );
    }

    proptest! {
        /// In whatever order and portions usage came, the month comes to the same; and never to less than nothing by what is
        /// included and taken off.
        #[test]
        fn a_month_depends_on_sums_alone(
            parts in proptest::collection::vec((1..1_000_i64, 0..10_i128.pow(14)), 1..8),
            included in 0..3_000_u64, bounds in proptest::collection::btree_set(0..4_000_u64, 0..4), volume: bool,
        ) {
            let tiers: Vec<(u64, Terms)> = bounds.into_iter().map(|above| (above, TEN)).collect();
            let rules = [QuantityRule { volume, ..rule("tokens", included, &tiers) }];
            let unit = |(quantity, picos): &(i64, i128)| UnitUse { charge: Cost::from_picos(*picos), ..unit("gpt-4o", "input", *quantity, "0") };
            let forwards: Vec<UnitUse> = parts.iter().map(unit).collect();
            let one = unit(&(parts.iter().map(|part| part.0).sum(), parts.iter().map(|part| part.1).sum()));
            let backwards: Vec<UnitUse> = forwards.iter().rev().cloned().collect();
            let expected = amounts(&rules, &forwards, 0);
            prop_assert_eq!(&amounts(&rules, &backwards, 0), &expected);
            prop_assert_eq!(&amounts(&rules, std::slice::from_ref(&one), 0), &expected);
            let off: Cost = expected.iter().map(|amount| cost(amount)).sum();
            prop_assert!(one.charge + off >= Cost::ZERO && off <= Cost::ZERO);
        }
    }
}
