//! What plans make of months, credits of what is due, and whose plan is which.

use proptest::prelude::*;

use super::*;

fn cost(text: &str) -> Cost {
    Cost::parse(text).unwrap()
}

fn month(text: &str) -> BillingPeriod {
    BillingPeriod::parse(text).unwrap()
}

fn shown(adjustments: &[Adjustment]) -> String {
    let one = |made: &Adjustment| {
        let amount = made.amount.to_string();
        format!("{} {}", made.kind, amount.trim_end_matches('0').trim_end_matches('.'))
    };
    adjustments.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn tiers(volume: bool) -> Monthly {
    let tier = |above, percent: i64| DiscountTier { above: cost(above), percent: Decimal::from(percent) };
    // Not in order: a file need not be.
    Monthly { tiers: vec![tier("1000", 20), tier("100", 10)], volume, ..Monthly::default() }
}

#[test]
fn a_month_comes_to_what_its_plan_says() {
    let plain = Monthly::default;
    let discount = Monthly { discount_percent: Decimal::from(5), ..plain() };
    let included = Monthly { included: cost("50"), ..plain() };
    let commitment = Monthly { commitment: cost("1000"), overage_percent: Decimal::from(10), ..plain() };
    let minimum = Monthly { minimum: cost("20"), ..plain() };
    let all = Monthly {
        discount_percent: Decimal::from(10),
        included: cost("50"),
        minimum: cost("100"),
        ..tiers(false)
    };
    for (plan, usage, expected) in [
        (&plain(), "123.45", ""),
        (&tiers(false), "100", ""),
        (&tiers(false), "100.5", "discount -0.05"),
        (&tiers(false), "2000", "discount -290"),
        (&tiers(true), "100", ""),
        (&tiers(true), "1000", "discount -100"),
        (&tiers(true), "2000", "discount -400"),
        (&discount, "10", "discount -0.5"),
        (&discount, "-10", ""),
        (&included, "30", "adjustment -30"),
        (&included, "80", "adjustment -50"),
        (&included, "0", ""),
        (&commitment, "400", "commitment 600"),
        (&commitment, "0", "commitment 1000"),
        (&commitment, "1000", ""),
        (&commitment, "1500", "commitment 50"),
        (&minimum, "12.30", "minimum 7.7"),
        (&minimum, "20", ""),
        (&minimum, "-5", "minimum 25"),
        // 200 less 10 of tiers, less 19 of discount, less 50 included is 121.
        (&all, "200", "discount -10, discount -19, adjustment -50"),
        (&all, "0", "minimum 100"),
    ] {
        assert_eq!(shown(&plan.adjustments(cost(usage), &MonthUse::default())), expected, "{usage} {plan:?}");
    }
}

#[test]
fn credits_are_used_once_the_one_that_expires_first_before_the_others() {
    let grant = |name: &str, amount, from: Option<&str>, expires: Option<&str>| CreditGrant {
        tenant: "acme".into(),
        name: name.into(),
        amount: cost(amount),
        from: from.map(month),
        expires: expires.map(month),
    };
    let grants = [
        grant("for ever", "100", None, None),
        grant("spring", "30", Some("2026-03"), Some("2026-06")),
        grant("may", "20", None, Some("2026-06")),
        grant("august", "40", None, Some("2026-09")),
    ];
    let used = |grant: &CreditGrant| if grant.name == "spring" { cost("25") } else { Cost::ZERO };
    for (at, due, expected) in [
        ("2026-05", "10", "credit -10"),
        ("2026-05", "22", "credit -20, credit -2"),
        ("2026-05", "500", "credit -20, credit -5, credit -40, credit -100"),
        ("2026-02", "500", "credit -20, credit -40, credit -100"),
        ("2026-06", "500", "credit -40, credit -100"),
        ("2026-09", "500", "credit -100"),
        ("2026-05", "0", ""),
        ("2026-05", "-7", ""),
    ] {
        assert_eq!(shown(&use_credits(&grants, month(at), cost(due), used)), expected, "{at} {due}");
    }
}

#[test]
fn a_tenants_own_plan_goes_before_everyones() {
    let assignment = |tenant: Option<&str>, plan: &str, from: Option<&str>, to: Option<&str>| Assignment {
        tenant: tenant.map(Into::into),
        plan: plan.into(),
        from: from.map(month),
        to: to.map(month),
    };
    let assignments = Assignments::new(vec![
        assignment(None, "standard", Some("2026-02"), None),
        assignment(Some("acme"), "gold", Some("2026-03"), Some("2026-05")),
    ]);
    for (tenant, at, expected) in [
        ("acme", "2026-01", None),
        ("acme", "2026-02", Some("standard")),
        ("acme", "2026-03", Some("gold")),
        ("acme", "2026-04", Some("gold")),
        ("acme", "2026-05", Some("standard")),
        ("globex", "2026-04", Some("standard")),
    ] {
        assert_eq!(assignments.plan_of(tenant, month(at)), expected, "{tenant} {at}");
    }
}

proptest! {
    #[test]
    fn a_month_never_comes_to_less_than_its_minimum_and_discounts_never_below_nothing(
        usage in 0..10_i64.pow(15), included in 0..10_i64.pow(15), minimum in 0..10_i64.pow(15), percent in 0..100_i64,
    ) {
        let of = |picos: i64| Cost::from_picos(picos.into());
        let plan = Monthly {
            discount_percent: Decimal::from(percent), included: of(included), minimum: of(minimum), ..tiers(percent % 2 == 0)
        };
        let total: Cost = of(usage) + plan.adjustments(of(usage), &MonthUse::default()).iter().map(|made| made.amount).sum();
        prop_assert!(total >= of(minimum) && total >= Cost::ZERO);
        prop_assert!(total <= of(usage).max(of(minimum)));
    }

    #[test]
    fn graduated_never_gives_more_than_volume(usage in 0..10_i64.pow(16)) {
        let usage = Cost::from_picos(usage.into());
        let of = |plan: Monthly| plan.adjustments(usage, &MonthUse::default()).iter().map(|made| made.amount).sum::<Cost>();
        prop_assert!(of(tiers(true)) <= of(tiers(false)));
    }
}
