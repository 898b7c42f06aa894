//! `estimate`: what calls that state no usage may have come to. Reads the ledger, and posts nothing.

use billing::unmetered::{Estimate, estimate};
use domain::money::Cost;
use domain::sample::Expectation;
use domain::time::BillingPeriod;
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::json;

use super::{Context, Outcome};
use crate::connect::{Missing, with_database};
use crate::output::{self, Cell, Format, Rows};
use crate::retention;

/// What is estimated.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only calls made in this month, whichever they are billed in [default: every month]
    #[arg(long, value_name = "YYYY-MM", value_parser = BillingPeriod::parse)]
    month: Option<BillingPeriod>,
    /// Only this tenant's calls; others' are still gone by where nothing nearer is comparable
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

/// Named so that nobody takes a column for one of the ledger's.
const COLUMNS: [&str; 16] = [
    "month",
    "tenant",
    "feature",
    "provider",
    "model",
    "operation",
    "missing",
    "calls",
    "alike_in",
    "comparable",
    "estimated_input",
    "input_error",
    "estimated_output",
    "output_error",
    "estimated_cost",
    "cost_error",
];

const NOTE: &str = "These are estimates: they are in no ledger entry, no sum and no invoice.";

/// Prints the estimates.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<Outcome> {
    let groups = with_database(&context.loaded, "estimate", Missing::Refuse, async |database| {
        if let Some(month) = args.month {
            retention::has_entries(database, month).await?;
        }
        Ok(database.metered_groups(args.month).await?)
    })
    .await?;
    let mut estimates = estimate(&groups);
    estimates.retain(|estimate| args.tenant.as_ref().is_none_or(|tenant| estimate.tenant == *tenant));
    output::print(&text(&estimates, context.format))?;
    if context.format == Format::Csv {
        // Rows alone go to standard output, for programs.
        eprintln!("{NOTE}");
    }
    Ok(Outcome::Done)
}

/// The report.
fn text(estimates: &[Estimate], format: Format) -> String {
    let mut rows = Rows::new(COLUMNS.into_iter().chain(["currency"]));
    for estimate in estimates {
        rows.push(cells(estimate));
    }
    let all: u64 = estimates.iter().map(|estimate| estimate.calls).sum();
    let estimated: u64 =
        estimates.iter().filter(|estimate| estimate.basis.is_some()).map(|estimate| estimate.calls).sum();
    let without = all - estimated;
    match format {
        Format::Csv => rows.csv(),
        Format::Json => output::json(&json!({
            "note": NOTE, "calls": all, "calls_without_comparable": without, "rows": rows,
        })),
        Format::Table => {
            let none = match without {
                0 => String::new(),
                calls => format!(" {calls} of them have no comparable calls, and no estimate."),
            };
            format!(
                "{}\n{all} calls of which spans do not state all usage.{none}\n{NOTE}\n",
                rows.table(None)
            )
        }
    }
}

fn cells(estimate: &Estimate) -> impl Iterator<Item = Cell> {
    let basis = estimate.basis.as_ref();
    let input = basis.and_then(|basis| basis.input);
    let output = basis.map(|basis| basis.output);
    let cost = basis.map(|basis| basis.cost);
    [
        estimate.month.to_string().into(),
        estimate.tenant.as_str().into(),
        estimate.feature.as_str().into(),
        estimate.provider.as_str().into(),
        estimate.model.as_str().into(),
        estimate.operation.as_str().into(),
        estimate.missing.name().into(),
        calls(estimate.calls),
        basis.map_or("no comparable calls", |basis| basis.likeness.name()).into(),
        calls(basis.map_or(0, |basis| basis.calls)),
        tokens(input),
        token_error(input),
        tokens(output),
        token_error(output),
        money(cost.map(|cost| cost.sum)),
        money(cost.and_then(|cost| cost.error)),
        estimate.currency.as_str().into(),
    ]
    .into_iter()
}

fn calls(number: u64) -> Cell {
    Cell::Count(i64::try_from(number).unwrap_or(i64::MAX))
}

fn tokens(expected: Option<Expectation>) -> Cell {
    whole(expected.map(|expected| expected.sum), RoundingStrategy::MidpointNearestEven)
}

/// In whole tokens, never understated.
fn token_error(expected: Option<Expectation>) -> Cell {
    whole(expected.and_then(|expected| expected.error), RoundingStrategy::AwayFromZero)
}

fn whole(number: Option<Decimal>, rounding: RoundingStrategy) -> Cell {
    let whole = number.and_then(|number| number.round_dp_with_strategy(0, rounding).to_i64());
    whole.map_or(Cell::Nothing, Cell::Count)
}

fn money(amount: Option<Decimal>) -> Cell {
    amount.and_then(|amount| Cost::of(1, amount)).map_or(Cell::Nothing, Cell::Money)
}

#[cfg(test)]
mod tests {
    use billing::unmetered::{Basis, Likeness, Missing as Lacking};

    use super::*;
    use crate::golden;

    fn expected(sum: &str, error: Option<&str>) -> Expectation {
        let decimal = |text: &str| text.parse().unwrap();
        Expectation { sum: decimal(sum), error: error.map(decimal) }
    }

    #[test]
    fn the_report_is_as_it_was() {
        let streams = Estimate {
            month: BillingPeriod::parse("2026-10").unwrap(),
            tenant: "acme".into(),
            feature: "search".into(),
            provider: "openai".into(),
            model: "gpt-4o".into(),
            operation: "chat".into(),
            currency: "USD".into(),
            missing: Lacking::Usage,
            calls: 2,
            basis: Some(Basis {
                likeness: Likeness::Feature,
                calls: 3,
                input: Some(expected("4000", Some("1825.7418"))),
                output: expected("400.5", Some("182.0001")),
                cost: expected("0.014", Some("0.0057008771254956")),
            }),
        };
        let cancelled = Estimate {
            missing: Lacking::Output,
            calls: 1,
            basis: Some(Basis {
                likeness: Likeness::Model,
                calls: 1,
                input: None,
                output: expected("100", None),
                cost: expected("0.001", None),
            }),
            ..streams.clone()
        };
        let alone = Estimate { model: "house-7b".into(), basis: None, ..streams.clone() };
        let estimates = [streams, cancelled, alone];
        for (format, name) in [(Format::Table, "txt"), (Format::Json, "json"), (Format::Csv, "csv")] {
            golden::check(&format!("tests/golden/estimate.{name}"), &text(&estimates, format));
        }
        assert!(text(&[], Format::Table).contains("0 calls of which"));
    }
}
