//! Laws of a month's invoices: lines add up to subtotals, to the total and to the entries, before and after rounding,
//! taxes and conversion; and in whatever order the sums come, every file of every format has the same bytes.

use std::collections::BTreeMap;

use domain::money::{RateTable, StatedRate};
use domain::price::RateCard;
use domain::price::{Rate, Rates, UnitClass};
use proptest::prelude::*;
use rust_decimal::Decimal;
use schemas::rows::month_number;

use super::super::files::{Format, files};
use super::super::issue::{Invoice, Issue};
use super::super::sample;
use super::*;
use crate::plans::PlanSource;

const COINS_AND_TAXES: &str = r#"
[[plan]]
name = "coins"
round = "coin"
[[plan]]
name = "exact"
[[plan]]
name = "yen"
invoice_currency = "JPY"
[[assign]]
tenant = "acme"
plan = "yen"
[[assign]]
tenant = "*"
plan = "coins"
[[assign]]
tenant = "globex"
plan = "exact"
[[tax]]
tenant = "*"
name = "VAT"
percent = 19
[[tax]]
tenant = "*"
name = "levy"
percent = 0.7
"#;

fn plans() -> PlanShelf {
    let source = PlanSource { name: "plans.toml".into(), content: COINS_AND_TAXES.as_bytes().to_vec() };
    PlanShelf::with(source.read(None).unwrap())
}

/// What the month was closed with.
fn closed_by() -> ClosedBy {
    let rate = sample::rate(Currency::Jpy, "149.325");
    let rates = RateTable::new(vec![StatedRate { rate, until: month("2026-11") }]);
    ClosedBy { plans: plans(), rates: RateShelf { rates, version: "rates".into() } }
}

fn month(text: &str) -> BillingPeriod {
    BillingPeriod::parse(text).unwrap()
}

/// Two cards of one price, as two sources have them, by the name of the source.
fn known() -> Known {
    let mut known = Known::default();
    for source in ["one", "other"] {
        let price: Decimal = "0.0000000000025".parse().unwrap();
        let rates = [(UnitClass::Input, Rate::flat(price)), (UnitClass::Output, Rate::flat(price))];
        let rates = Rates::new(rates.into(), Vec::new());
        let card = RateCard::new(
            source.into(),
            "m".into(),
            (None, None),
            Vec::new(),
            BTreeMap::new(),
            rates,
            Vec::new(),
        );
        known.cards.insert(source.into(), card);
    }
    known
}

prop_compose! {
    fn any_units()(
        tenant in prop::sample::select(vec!["acme", "globex", sample::HOSTILE, ""]), feature in 0..2_u8, late in 0..4_u8,
        unit in prop::sample::select(vec!["input", "output"]), price in prop::sample::select(vec!["", "one", "other"]),
        quantity in -2..4_i64, charge in -3..9_i64, scale in 0..12_u32, calls in -1..3_i64,
    ) -> UnitSum {
        let charge = Cost::from_picos(i128::from(charge) * 10_i128.pow(scale) + i128::from(quantity));
        UnitSum {
            tenant: tenant.into(),
            feature: if feature == 0 { String::new() } else { "=search".into() },
            provider: "openai".into(),
            model: "gpt-4o".into(),
            state: if price.is_empty() { "unpriced" } else { "billed" }.into(),
            currency: "USD".into(),
            price_id: price.into(),
            plan_id: String::new(),
            environment: String::new(),
            service_month: month_number(month(if late == 0 { "2026-09" } else { "2026-10" })),
            corrects: late == 0 && feature == 0,
            unit: unit.into(),
            quantity,
            cost: charge,
            charge,
            calls,
        }
    }
}

prop_compose! {
    fn any_adjustment()(
        tenant in prop::sample::select(vec!["acme", "globex", sample::HOSTILE]),
        kind in prop::sample::select(vec!["discount", "adjustment", "commitment", "minimum", "credit"]),
        name in 0..3_u8, picos in -10_i64.pow(13)..10_i64.pow(13),
    ) -> AdjustmentSum {
        let charge = Cost::from_picos(picos.into());
        AdjustmentSum { tenant: tenant.into(), currency: "USD".into(), kind: kind.into(), name: format!("n{name}"), charge }
    }
}

prop_compose! {
    fn any_unmetered()(tenant in prop::sample::select(vec!["acme", "globex"]), feature in 0..2_u8, calls in 1..3_i64) -> UnmeteredSum {
        UnmeteredSum {
            tenant: tenant.into(),
            feature: feature.to_string(),
            provider: "openai".into(),
            model: "gpt-4o".into(),
            currency: "USD".into(),
            service_month: month_number(month("2026-10")),
            corrects: false,
            calls,
        }
    }
}

prop_compose! {
    /// What the ledger says of a month: units, calls without usage, adjustments, and each tenant's sum of all that.
    fn any_sums()(
        units in prop::collection::vec(any_units(), 0..24), unmetered in prop::collection::vec(any_unmetered(), 0..3),
        adjustments in prop::collection::vec(any_adjustment(), 0..6),
    ) -> Sums {
        let mut tenants: BTreeMap<String, TenantSum> = BTreeMap::new();
        let mut add = |tenant: &str, calls: i64, charge: Cost| {
            let zero = TenantSum {
                tenant: tenant.into(), currency: "USD".into(), calls: 0, entries: 0, cost: Cost::ZERO, charge: Cost::ZERO,
            };
            let sum = tenants.entry(tenant.into()).or_insert(zero);
            (sum.calls, sum.charge) = (sum.calls + calls, sum.charge + charge);
        };
        units.iter().for_each(|sum| add(&sum.tenant, sum.calls, sum.charge));
        unmetered.iter().for_each(|sum| add(&sum.tenant, sum.calls, Cost::ZERO));
        adjustments.iter().for_each(|sum| add(&sum.tenant, 0, sum.charge));
        Sums { tenants: tenants.into_values().collect(), units, unmetered, adjustments }
    }
}

fn copy(sums: &Sums) -> Sums {
    Sums {
        tenants: sums.tenants.clone(),
        units: sums.units.clone(),
        unmetered: sums.unmetered.clone(),
        adjustments: sums.adjustments.clone(),
    }
}

/// The same sums in another order; tenants stay in theirs, as the database sorts them.
fn turned(sums: &Sums, by: usize) -> Sums {
    fn turn<T>(list: &mut [T], by: usize) {
        if !list.is_empty() {
            let len = list.len();
            list.rotate_left(by % len);
            list.reverse();
        }
    }
    let mut sums = copy(sums);
    turn(&mut sums.units, by);
    turn(&mut sums.unmetered, by);
    turn(&mut sums.adjustments, by);
    sums
}

/// Adds what rounding and taxes come to, as closing a month posts it.
fn finished(mut sums: Sums, drafts: &[Draft], plans: &PlanShelf) -> Sums {
    for draft in drafts {
        for due in finish::due(draft, plans) {
            let tenant = sums.tenants.iter_mut().find(|sum| sum.tenant == draft.tenant).unwrap();
            tenant.charge += due.amount;
            sums.adjustments.push(AdjustmentSum {
                tenant: draft.tenant.clone(),
                currency: draft.currency.clone(),
                kind: due.kind.into(),
                name: due.name,
                charge: due.amount,
            });
        }
    }
    sums
}

fn invoices(drafts: Vec<Draft>) -> Vec<Invoice> {
    let numbered = drafts.into_iter().zip(1..).map(|(draft, place)| Invoice {
        issued: Some(Issue { number: format!("2026-10-{place:04}"), at: 1, terms: String::new() }),
        draft,
    });
    numbered.collect()
}

/// Every file of every format.
fn all_files(drafts: Vec<Draft>) -> Vec<(String, Vec<u8>)> {
    let invoices = invoices(drafts);
    let formats = [Format::Csv, Format::Json, Format::Focus, Format::Html];
    let made =
        formats.into_iter().flat_map(|format| files(format, month("2026-10"), &invoices, &sample::terms()));
    made.map(|file| (file.name, file.bytes)).collect()
}

/// Lines, subtotals and total of each draft agree with each other and with the sum of its entries.
fn adds_up(drafts: &[Draft], tenants: &[TenantSum]) -> Result<(), TestCaseError> {
    for draft in drafts {
        let entries = tenants.iter().find(|sum| sum.tenant == draft.tenant).unwrap();
        prop_assert_eq!(draft.ledger_amount(), entries.charge);
        prop_assert_eq!(draft.lines.iter().map(|line| line.amount).sum::<Cost>(), draft.amount);
        prop_assert_eq!(draft.subtotals().iter().map(|(_, sum)| *sum).sum::<Cost>(), draft.amount);
        let kinds: Vec<&str> = draft.subtotals().iter().map(|(kind, _)| *kind).collect();
        prop_assert_eq!(
            kinds.len(),
            kinds.iter().collect::<BTreeSet<_>>().len(),
            "each kind has one subtotal"
        );
    }
    let drawn_up: Cost = drafts.iter().map(Draft::ledger_amount).sum();
    prop_assert_eq!(drawn_up, tenants.iter().map(|sum| sum.charge).sum::<Cost>(), "nobody is left out");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn lines_add_up_to_subtotals_totals_and_entries_before_and_after_rounding_and_taxes(sums in any_sums()) {
        let (by, known, period) = (closed_by(), known(), month("2026-10"));
        let drafts = assemble(period, copy(&sums), &known, None).unwrap();
        adds_up(&drafts, &sums.tenants)?;
        let whole = finished(copy(&sums), &drafts, &by.plans);
        let last = assemble(period, copy(&whole), &known, Some(&by)).unwrap();
        adds_up(&last, &whole.tenants)?;
        for (before, after) in drafts.iter().zip(&last) {
            let coin = match after.tenant.as_str() {
                "globex" | "" => 1,
                "acme" => 10_i128.pow(12),
                _ => 10_i128.pow(10),
            };
            prop_assert_eq!(after.currency.as_str(), if after.tenant == "acme" { "JPY" } else { "USD" });
            prop_assert!(after.lines.iter().all(|line| line.amount.picos() % coin == 0), "whole coins");
            // Each tax on everything before it, not on the other.
            let net: Cost = after.lines.iter().filter(|line| line.kind != "tax").map(|line| line.amount).sum();
            for (name, percent) in [("VAT 19 %", 190), ("levy 0.7 %", 7)] {
                let tax: Cost = after.lines.iter().filter(|line| line.description.starts_with(name)).map(|line| line.amount).sum();
                let off = (tax.picos() * 1_000 - net.picos() * percent).abs();
                prop_assert!(after.tenant.is_empty() && tax.is_zero() || 2 * off <= coin * 1_000, "{} of {}", tax, net);
            }
            prop_assert_eq!(before.calls, after.calls);
        }
    }

    #[test]
    fn sums_in_any_order_give_the_same_bytes_in_every_format(sums in any_sums(), turn in 0..24_usize) {
        let (by, known, period) = (closed_by(), known(), month("2026-10"));
        let draw_up = |sums: Sums| {
            let drafts = assemble(period, copy(&sums), &known, None).unwrap();
            assemble(period, finished(sums, &drafts, &by.plans), &known, Some(&by)).unwrap()
        };
        let (one, other) = (draw_up(copy(&sums)), draw_up(turned(&sums, turn)));
        prop_assert_eq!(all_files(one), all_files(other));
    }
}
