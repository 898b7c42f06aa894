//! Converted invoices: tables written as people write money, the laws of any month, and the files as they look.

use domain::money::StatedRate;
use proptest::prelude::*;

use super::super::csv;
use super::super::files::{Format, files};
use super::super::issue::Invoice;
use super::super::line::Issued;
use super::super::sample;
use super::*;
use crate::plans::PlanSource;

const PLANS: &str = r#"
[[plan]]
name = "euros"
invoice_currency = "EUR"
round = "coin"
[[plan]]
name = "yen"
invoice_currency = "JPY"
[[plan]]
name = "dinars"
invoice_currency = "KWD"
[[plan]]
name = "dollars"
invoice_currency = "USD"
[[plan]]
name = "pounds"
invoice_currency = "GBP"
[[assign]]
tenant = "acme"
plan = "euros"
[[assign]]
tenant = "globex"
plan = "yen"
[[assign]]
tenant = "initech"
plan = "dinars"
[[assign]]
tenant = "hooli"
plan = "dollars"
[[assign]]
tenant = "poor"
plan = "pounds"
from = "2026-10"
[[tax]]
tenant = "*"
name = "VAT"
percent = 19
"#;

fn plans() -> PlanShelf {
    let source = PlanSource { name: "plans.toml".into(), content: PLANS.as_bytes().to_vec() };
    PlanShelf::with(source.read(Some("USD")).unwrap())
}

fn rates() -> RateTable {
    let of = |quote, rate| StatedRate { rate: sample::rate(quote, rate), until: sample::month("2026-11") };
    RateTable::new(vec![
        of(Currency::Eur, "0.8571"),
        of(Currency::Jpy, "149.325"),
        of(Currency::Kwd, "0.3061"),
    ])
}

/// A draft of usage of these amounts, with the tax that the ledger has of it.
fn draft(tenant: &str, amounts: &[&str]) -> Draft {
    let mut lines: Vec<Line> = amounts.iter().map(|amount| sample::led_to("usage", "", amount)).collect();
    let net: Cost = lines.iter().map(|line| line.exact).sum();
    let tax = TaxRate::of(&plans().in_force.taxes, tenant, sample::month("2026-10"))[0].on(net).unwrap();
    if !tax.is_zero() {
        lines.push(sample::led_to("tax", "VAT 19 %", &tax.to_string()));
    }
    sample::of(tenant, lines).draft
}

fn converted(tenant: &str, amounts: &[&str]) -> Draft {
    let mut draft = draft(tenant, amounts);
    convert(&mut draft, (&plans(), &rates()), &Known::default()).unwrap();
    draft
}

#[test]
fn lines_are_rounded_once_to_the_invoices_coins_and_tax_is_of_what_is_read() {
    for (tenant, dollars, lines, tax, total) in [
        // 8.5 × 0.8571 = 7.28535; 19 % of 7.29 + 0.86 is 1.5485.
        ("acme", &["8.5", "1"][..], "0.86 7.29", "VAT 19 % of 8.15 EUR: 1.55", "9.7 EUR"),
        // Rounded to cents first, 0.005 would be 0.01 and then 0.01 euros: by one rounding it is 0.00.
        ("acme", &["0.005", "0.005"], "0 0", "VAT 19 % of 0 EUR: 0", "0 EUR"),
        ("acme", &["-8.5"], "-7.29", "VAT 19 % of -7.29 EUR: -1.39", "-8.68 EUR"),
        ("globex", &["1", "0.003"], "0 149", "VAT 19 % of 149 JPY: 28", "177 JPY"),
        ("initech", &["12.345678"], "3.779", "VAT 19 % of 3.779 KWD: 0.718", "4.497 KWD"),
        ("hooli", &["0.005"], "0.005", "VAT 19 %: 0.00095", "0.00595 USD"),
        ("nobody in particular", &["0.005"], "0.005", "VAT 19 %: 0.00095", "0.00595 USD"),
    ] {
        let draft = converted(tenant, dollars);
        let mut of_usage: Vec<Cost> =
            draft.lines.iter().filter(|line| line.kind == "usage").map(|line| line.amount).collect();
        of_usage.sort();
        let shown: Vec<String> = of_usage.into_iter().map(Cost::shown).collect();
        assert_eq!(shown.join(" "), lines, "{tenant} {dollars:?}");
        let taxes = draft.lines.iter().filter(|line| line.kind == "tax");
        let taxes: Vec<String> =
            taxes.map(|line| format!("{}: {}", line.description, line.amount.shown())).collect();
        assert_eq!(taxes.join(", "), tax, "{tenant} {dollars:?}");
        assert_eq!(format!("{} {}", draft.amount.shown(), draft.currency), total, "{tenant} {dollars:?}");
    }
}

#[test]
fn a_line_says_what_it_was_and_by_which_rate_of_which_day_it_became_what_it_is() {
    let mut draft = sample::of("acme", vec![sample::usage("gpt-4o", "input", 3_400_000, "0.0000025")]).draft;
    convert(&mut draft, (&plans(), &rates()), &Known::default()).unwrap();
    let line = &draft.lines[0];
    assert_eq!(line.said(), "8.5 USD at 1 USD = 0.8571 EUR (ECB euro reference rates, 2026-10-30)");
    assert_eq!(
        (line.unit_price.to_string(), line.ledger_price.to_string()),
        ("0.00000214275".into(), "0.0000025".into())
    );
    assert_eq!((draft.ledger_amount().shown(), draft.ledger_currency()), ("8.5".into(), "USD"));
}

#[test]
fn without_a_rate_nothing_is_converted_and_the_refusal_says_what_to_do() {
    let before = draft("poor", &["1"]);
    let mut after = before.clone();
    let refused = convert(&mut after, (&plans(), &rates()), &Known::default()).unwrap_err();
    let DraftError::RateMissing(missing) = refused else { panic!("{refused}") };
    let said = "no rate of USD in GBP holds in 2026-10, and \"poor\" is invoiced in GBP; state one with `ledgerline rates import`";
    assert_eq!(missing.to_string(), said);
    assert_eq!((after.amount, after.currency.as_str()), (before.amount, "USD"));
    leave(&mut after, &missing);
    assert_eq!(after.lines[0].description, "not in GBP: no rate of USD in GBP holds in 2026-10 yet");

    let check = |tenants: &[&str], month| {
        check((&plans(), &rates()), tenants.iter().copied(), sample::month(month), "USD")
            .map_err(|missing| missing.tenant)
    };
    assert_eq!(check(&["acme", "globex", ""], "2026-10"), Ok(()));
    assert_eq!(check(&["acme", "poor"], "2026-10"), Err("poor".into()));
    assert_eq!(check(&["poor"], "2026-09"), Ok(()), "the plan is of October on");
    assert_eq!(check(&["globex", "acme"], "2026-11"), Err("acme".into()), "October's rate is not November's");
}

#[test]
fn a_correction_gives_back_at_the_rate_it_was_charged_at() {
    let back = Line {
        service_month: sample::month("2026-09"),
        corrects: "2026-09-0001".into(),
        ..sample::led_to("usage", "", "-100")
    };
    let mut known = Known::default();
    let issued =
        Issued { number: "2026-09-0001".into(), conversion: Some(sample::rate(Currency::Eur, "0.9")) };
    known.issued.insert(("acme".into(), sample::month("2026-09")), vec![issued]);
    // In dollars the month comes to nothing, so the ledger has no tax; in euros it does not.
    let mut draft = sample::of("acme", vec![sample::led_to("usage", "", "100"), back]).draft;
    convert(&mut draft, (&plans(), &rates()), &known).unwrap();
    let shown: Vec<String> =
        draft.lines.iter().map(|line| format!("{} {}", line.kind, line.amount.shown())).collect();
    assert_eq!(shown, ["usage 85.71", "usage -90", "tax -0.82"], "{draft:#?}");
    assert_eq!(draft.ledger_amount(), Cost::ZERO);
    assert!(
        draft.lines[1].said().ends_with("-100 USD at 1 USD = 0.9 EUR (ECB euro reference rates, 2026-10-30)")
    );
    // Of an invoice in another currency nothing can be taken.
    known.issued.values_mut().flatten().for_each(|invoice| {
        invoice.conversion = Some(sample::rate(Currency::Jpy, "150"));
    });
    let mut other = sample::of("acme", vec![draft.lines[1].clone()]).draft;
    convert(&mut other, (&plans(), &rates()), &known).unwrap();
    assert_eq!(other.lines[0].amount.shown(), "-85.71");
}

#[test]
fn converted_files_stay_as_they_are() {
    let invoice = sample::invoice();
    let mut draft = Draft { amount: Cost::ZERO, ..invoice.draft };
    draft.lines.push(sample::led_to("tax", "VAT 19 %", "3.4257"));
    convert(&mut draft, (&plans(), &rates()), &Known::default()).unwrap();
    let invoice = Invoice { draft, issued: invoice.issued };
    sample::check_golden("converted.csv", &csv::invoice(&invoice));
    sample::check_golden("converted-summary.csv", &csv::summary(std::slice::from_ref(&invoice)));
    for (format, ending) in [(Format::Json, "json"), (Format::Focus, "focus.csv"), (Format::Html, "html")] {
        let file = files(format, sample::month("2026-10"), std::slice::from_ref(&invoice), &sample::terms())
            .remove(0);
        sample::check_golden(&format!("converted.{ending}"), &file.bytes);
    }
}

prop_compose! {
    fn any_draft()(
        tenant in prop::sample::select(vec!["acme", "globex", "initech"]),
        picos in prop::collection::vec((-10_i128.pow(16)..10_i128.pow(16), any::<bool>()), 0..12),
    ) -> Draft {
        let line = |(picos, is_usage): (i128, bool)| {
            let cost = Cost::from_picos(picos).to_string();
            let kind = if is_usage { "usage" } else { "discount" };
            sample::led_to(kind, "", &cost)
        };
        let lines: Vec<Line> = picos.into_iter().map(line).collect();
        sample::of(tenant, lines).draft
    }
}

proptest! {
    #[test]
    fn lines_subtotals_and_total_agree_and_the_ledgers_sum_stays(draft in any_draft(), turn in 0..12_usize) {
        let known = Known::default();
        let mut whole = draft.clone();
        convert(&mut whole, (&plans(), &rates()), &known).unwrap();
        let sum = |of: fn(&Line) -> Cost| whole.lines.iter().map(of).sum::<Cost>();
        prop_assert_eq!(sum(|line| line.amount), whole.amount);
        prop_assert_eq!(whole.subtotals().iter().map(|(_, sum)| *sum).sum::<Cost>(), whole.amount);
        prop_assert_eq!(sum(|line| line.exact), draft.amount, "what the entries add up to");
        let rate = whole.conversion.clone().unwrap();
        let coin = 10_i128.pow(12 - rate.quote.decimals());
        let (mantissa, scale) = (rate.rate.mantissa(), 10_i128.pow(rate.rate.scale()));
        for line in whole.lines.iter().filter(|line| line.kind != "tax") {
            prop_assert_eq!(line.amount.picos() % coin, 0, "whole coins");
            let off = line.amount.picos() * scale - line.exact.picos() * mantissa;
            prop_assert!(2 * off.abs() <= coin * scale, "off by half a coin at most: rounded once");
        }
        let (net, tax): (Vec<&Line>, Vec<&Line>) = whole.lines.iter().partition(|line| line.kind != "tax");
        let (net, tax): (Cost, Cost) = (net.iter().map(|line| line.amount).sum(), tax.iter().map(|line| line.amount).sum());
        prop_assert!(2 * (tax.picos() * 100 - net.picos() * 19).abs() <= coin * 100, "{} of {}", tax, net);

        // The same lines in another order, and the same given back.
        let mut turned = draft.clone();
        if !turned.lines.is_empty() {
            let turn = turn % turned.lines.len();
            turned.lines.rotate_left(turn);
        }
        convert(&mut turned, (&plans(), &rates()), &known).unwrap();
        prop_assert_eq!(&turned, &whole);
        let mut back = draft;
        for line in &mut back.lines {
            line.exact = -line.exact;
            line.ledger_price = -line.ledger_price;
        }
        convert(&mut back, (&plans(), &rates()), &known).unwrap();
        prop_assert_eq!(back.amount, -whole.amount);
    }
}
