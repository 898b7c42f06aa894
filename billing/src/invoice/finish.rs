//! What an invoice ends with: lines in whole coins, and taxes.
//!
//! Where a tenant's plan says so, every line is rounded once, to the currency's smallest coin by the currency's rule
//! ([`Currency::rounding`]); subtotals and the total are sums of the rounded lines and are not rounded again. What that
//! adds or takes is one entry of the ledger, posted at close under the rule [`ROUNDING`], so that the invoice goes on
//! being the sum of its entries. It has no line of its own: it is what the lines differ by from their entries.
//!
//! Taxes come last, each on the sum of all lines before them, rounded like a line.

use domain::invoice::TaxRate;
use domain::money::{Cost, Currency};
use domain::plan::Adjustment;

use super::convert::wanted;
use super::draft::Draft;
use super::line::Line;
use crate::plans::PlanShelf;

/// The kind of the entry that holds what rounding a tenant's lines came to.
pub(crate) const ROUNDING: &str = "rounding";

/// The kind of line of a tax.
pub(crate) const TAX: &str = "tax";

/// What the lines of a tenant's invoice, as they stand before rounding and taxes, lead to by the plan file in force.
pub(crate) fn due(draft: &Draft, plans: &PlanShelf) -> Vec<Adjustment> {
    let mut due = Vec::new();
    if draft.tenant.is_empty() {
        return due;
    }
    let mut lines = draft.lines.clone();
    let coins = whole_coins(plans, draft);
    if let Some(currency) = coins {
        let added = round(&mut lines, currency);
        due.push(Adjustment { kind: ROUNDING, name: "rounding to coins".into(), amount: added });
    }
    let net: Cost = lines.iter().map(|line| line.amount).sum();
    for rate in TaxRate::of(&plans.in_force.taxes, &draft.tenant, draft.period) {
        // A sum of entries is far below the bound of a cost.
        let exact = rate.on(net).unwrap_or_default();
        let amount = coins.map_or(exact, |currency| in_coins(exact, currency));
        due.push(Adjustment { kind: TAX, name: rate.title(), amount });
    }
    due.retain(|due| !due.amount.is_zero());
    due
}

/// The ledger's currency, if the tenant's plan wants lines in whole coins of it. Lines that are converted are rounded by that,
/// and must not be rounded twice.
pub(super) fn whole_coins(plans: &PlanShelf, draft: &Draft) -> Option<Currency> {
    let plan = plans.plan_of(&draft.tenant, draft.period)?;
    let converted = wanted(plans, &draft.tenant, draft.period, &draft.currency).is_some();
    let rounded = plan.whole_coins && !draft.tenant.is_empty() && !converted;
    rounded.then(|| Currency::parse(&draft.currency).ok()).flatten()
}

/// Rounds lines; returns what that adds to their sum.
pub(super) fn round(lines: &mut [Line], currency: Currency) -> Cost {
    let mut added = Cost::ZERO;
    for line in lines {
        line.amount = in_coins(line.exact, currency);
        added += line.amount - line.exact;
        if line.amount != line.exact {
            let said = format!("rounded from {}", line.exact.shown());
            line.description =
                if line.description.is_empty() { said } else { format!("{}; {said}", line.description) };
        }
    }
    added
}

/// Money rounded once to whole coins, by the currency's rule.
pub(super) fn in_coins(exact: Cost, currency: Currency) -> Cost {
    exact.amount(currency, currency.rounding()).cost().unwrap_or(exact)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample;
    use super::*;
    use crate::plans::PlanSource;

    fn plans(text: &str) -> PlanShelf {
        let source = PlanSource { name: "plans.toml".into(), content: text.as_bytes().to_vec() };
        PlanShelf::with(source.read(None).unwrap())
    }

    const COINS: &str =
        "[[plan]]\nname = \"coins\"\nround = \"coin\"\n[[assign]]\ntenant = \"*\"\nplan = \"coins\"\n";
    const VAT: &str = "[[tax]]\ntenant = \"*\"\nname = \"VAT\"\npercent = 19\n";

    fn draft(amounts: &[&str]) -> Draft {
        sample::of("acme", amounts.iter().map(|amount| sample::led_to("usage", "", amount)).collect()).draft
    }

    fn shown(due: &[Adjustment]) -> Vec<String> {
        due.iter().map(|due| format!("{} {} {}", due.kind, due.name, due.amount.shown())).collect()
    }

    #[test]
    fn lines_are_rounded_once_half_away_from_zero_and_taxes_come_last() {
        let both = format!("{COINS}{VAT}");
        for (text, amounts, expected) in [
            ("", ["1.005", "0.004", "2"], vec![]),
            // 1.01 + 0.00 + 2.00
            (COINS, ["1.005", "0.004", "2"], vec!["rounding rounding to coins 0.001"]),
            (COINS, ["-1.005", "0.014", "2"], vec!["rounding rounding to coins -0.009"]),
            (COINS, ["0.006", "-0.006", "2"], vec![]),
            (VAT, ["1.005", "0.004", "2"], vec!["tax VAT 19 % 0.57171"]),
            // 19 % of 3.01 is 0.5719.
            (&both, ["1.005", "0.004", "2"], vec!["rounding rounding to coins 0.001", "tax VAT 19 % 0.57"]),
            (&both, ["-1.005", "0", "0"], vec!["rounding rounding to coins -0.005", "tax VAT 19 % -0.19"]),
        ] {
            assert_eq!(shown(&due(&draft(&amounts), &plans(text))), expected, "{text} {amounts:?}");
        }
        let mut nobodys = draft(&["1.005"]);
        nobodys.tenant.clear();
        assert_eq!(due(&nobodys, &plans(&both)), [], "what is nobody's is neither rounded nor taxed");
    }

    proptest! {
        #[test]
        fn rounded_lines_are_whole_coins_and_add_up_with_what_rounding_came_to(
            picos in prop::collection::vec(-10_i128.pow(15)..10_i128.pow(15), 0..20), yen in any::<bool>(),
        ) {
            let currency = if yen { Currency::Jpy } else { Currency::Usd };
            let mut lines: Vec<Line> = picos
                .iter()
                .map(|picos| Line { exact: Cost::from_picos(*picos), ..sample::led_to("usage", "", "0") })
                .collect();
            let added = round(&mut lines, currency);
            let sum = |of: fn(&Line) -> Cost| lines.iter().map(of).sum::<Cost>();
            prop_assert_eq!(sum(|line| line.amount), sum(|line| line.exact) + added);
            let coin = 10_i128.pow(12 - currency.decimals());
            for line in &lines {
                prop_assert_eq!(line.amount.picos() % coin, 0);
                prop_assert!(2 * (line.amount - line.exact).picos().abs() <= coin);
            }
        }
    }
}
