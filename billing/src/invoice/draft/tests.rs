//! Drafts of made sums: what balances, what a line says, and in which order lines stand.

use schemas::rows::month_number;

use super::*;

fn period() -> BillingPeriod {
    BillingPeriod::parse("2026-10").unwrap()
}

fn sum(unit: &str, quantity: i64, cost: &str) -> UnitSum {
    UnitSum {
        tenant: "acme".into(),
        feature: "search".into(),
        provider: "openai".into(),
        model: "gpt-4o".into(),
        state: "unpriced".into(),
        currency: "USD".into(),
        price_id: String::new(),
        plan_id: String::new(),
        environment: String::new(),
        service_month: month_number(period()),
        corrects: false,
        unit: unit.into(),
        quantity,
        cost: Cost::parse(cost).unwrap(),
        charge: Cost::parse(cost).unwrap(),
        calls: 1,
    }
}

fn tenant(charge: &str) -> TenantSum {
    let charge = Cost::parse(charge).unwrap();
    TenantSum { tenant: "acme".into(), currency: "USD".into(), calls: 1, entries: 1, cost: charge, charge }
}

#[test]
fn lines_that_do_not_add_up_to_the_entries_make_no_invoice() {
    let make = |charge| {
        let sums = Sums {
            tenants: vec![tenant(charge)],
            units: vec![sum("input_tokens", 5, "0.5")],
            ..Sums::default()
        };
        assemble(period(), sums, &Known::default(), None)
    };
    assert_eq!(make("0.5").unwrap()[0].amount, Cost::parse("0.5").unwrap());
    assert!(matches!(make("0.6"), Err(DraftError::DoesNotBalance { .. })));
}

#[test]
fn what_comes_to_nothing_is_an_invoice_and_what_is_given_back_a_credit_note() {
    for (amount, kind) in [("0.01", Kind::Invoice), ("0", Kind::Invoice), ("-0.01", Kind::CreditNote)] {
        let line = super::super::sample::led_to("credit", "c", amount);
        assert_eq!(super::super::sample::of("acme", vec![line]).draft.kind(), kind, "{amount}");
    }
}

#[test]
fn a_line_of_long_prompts_states_the_price_of_long_prompts() {
    let price = |digits: &str| digits.parse::<rust_decimal::Decimal>().unwrap();
    let tier = domain::price::Tier { above: 200_000, unit_price: price("0.000006") };
    let rate = domain::price::Rate::tiered(price("0.000003"), vec![tier]);
    let rates = [(domain::price::UnitClass::Input, rate)];
    let card = domain::price::RateCard::new(
        "anthropic".into(),
        "m".into(),
        (None, None),
        Vec::new(),
        BTreeMap::new(),
        domain::price::Rates::new(rates.into(), Vec::new()),
        Vec::new(),
    );
    let mut known = Known::default();
    known.cards.insert("card".into(), card);
    for (tier, cost, expected) in [(None, "0.6", "0.000003"), (Some(200_000), "1.2", "0.000006")] {
        let price_id = crate::settle::tiered_price_id("card", tier);
        let line = UnitSum { price_id, state: "billed".into(), ..sum("input", 200_000, cost) };
        let line = Line::of_units(line, period(), &known).unwrap();
        assert_eq!((line.unit_price, line.description.as_str()), (price(expected), ""), "{tier:?}");
    }
}

#[test]
fn unmetered_calls_are_a_line_of_their_own() {
    let unmetered = UnmeteredSum {
        tenant: "acme".into(),
        feature: String::new(),
        provider: "openai".into(),
        model: "gpt-4o".into(),
        currency: "USD".into(),
        service_month: month_number(period()),
        corrects: false,
        calls: 3,
    };
    let sums = Sums { tenants: vec![tenant("0")], unmetered: vec![unmetered], ..Sums::default() };
    let drafts = assemble(period(), sums, &Known::default(), None).unwrap();
    assert_eq!((drafts[0].lines[0].unit.as_str(), drafts[0].lines[0].quantity), ("calls", 3));
}

#[test]
fn usage_of_earlier_months_is_lines_of_its_own_after_the_months() {
    let september = BillingPeriod::parse("2026-09").unwrap();
    let of = |month: BillingPeriod, corrects, cost| UnitSum {
        service_month: month_number(month),
        corrects,
        ..sum("input", 5, cost)
    };
    let sums = Sums {
        tenants: vec![tenant("-0.2")],
        units: vec![of(september, true, "-0.8"), of(september, false, "0.1"), of(period(), false, "0.5")],
        ..Sums::default()
    };
    let mut known = Known::default();
    let issued = Issued { number: "2026-09-0007".into(), conversion: None };
    known.issued.insert(("acme".into(), september), vec![issued]);
    assert_eq!(sums.corrected_months(), BTreeSet::from([september]));
    let draft = assemble(period(), sums, &known, None).unwrap().remove(0);
    let amounts: Vec<String> = draft.lines.iter().map(|line| line.amount.to_string()).collect();
    assert_eq!(amounts, ["0.500000000000", "0.100000000000", "-0.800000000000"]);
    assert!(draft.lines[1].description.starts_with("usage of 2026-09, reported after"));
    assert!(draft.lines[2].description.starts_with("corrects 2026-09-0007: usage of 2026-09"));
    assert_eq!(draft.corrects(), BTreeSet::from(["2026-09-0007"]));
    assert_eq!(draft.kind(), Kind::CreditNote);
    assert_eq!(draft.subtotals(), [("usage", Cost::parse("-0.2").unwrap())]);
}
