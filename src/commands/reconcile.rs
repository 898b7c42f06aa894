//! `reconcile`: the ledger against a provider's own usage or cost export. Posts nothing.

use std::path::PathBuf;

use anyhow::Context as _;
use billing::reconcile::{Class, Comparison, Statement, StatementFormat, Tolerance, ZONE_HOURS, compare};
use chrono::{DateTime, Utc};
use domain::naming;
use domain::time::BillingPeriod;
use rust_decimal::Decimal;
use serde_json::json;

use super::usage::instant;
use super::{Context, Outcome};
use crate::connect::{Missing, with_database};
use crate::output::{self, Cell, Format, Rows};
use crate::retention;

/// What to compare with.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose file it is: openai, anthropic (their usage or cost API's JSON, or the CSV people download); any other
    /// provider's is read as FOCUS 1.x, and `focus` is of all providers
    #[arg(long, value_name = "PROVIDER")]
    provider: String,
    /// The provider's file
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Only what begins in this month (UTC)
    #[arg(long, value_name = "YYYY-MM", value_parser = BillingPeriod::parse, conflicts_with_all = ["from", "to"])]
    month: Option<BillingPeriod>,
    /// Only what begins at this time or later: 2026-10-01 (midnight UTC) or 2026-10-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<DateTime<Utc>>,
    /// … and before this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<DateTime<Utc>>,
    /// How much a figure may differ, as a part of the larger one: 0.5% or 0.005
    #[arg(long, value_name = "SHARE", value_parser = tolerance, default_value = "0.1%")]
    tolerance: Tolerance,
}

fn tolerance(text: &str) -> Result<Tolerance, String> {
    let (digits, scale) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim(), Decimal::ONE_HUNDRED),
        None => (text, Decimal::ONE),
    };
    let share = Decimal::from_str_exact(digits).ok().map(|share| share / scale);
    let share = share.filter(|share| (Decimal::ZERO..Decimal::ONE).contains(share));
    share
        .map(|share| Tolerance { share })
        .ok_or_else(|| "expected a share below one, such as 0.5% or 0.005".to_owned())
}

/// Runs the command; exit code 1 where more differs than is tolerated.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<Outcome> {
    let provider = naming::provider(&args.provider).map_or(args.provider.clone(), |known| known.into_owned());
    let format = match provider.as_str() {
        "openai" => StatementFormat::OpenAi,
        "anthropic" => StatementFormat::Anthropic,
        _ => StatementFormat::Focus,
    };
    let only = (provider != "focus").then_some(provider.as_str());
    let content =
        std::fs::read(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
    let statement = Statement::read(&content, format)
        .with_context(|| format!("{} cannot be compared with", args.file.display()))?;
    let (first, last) = statement.span();
    let (from, to) = match args.month {
        Some(month) => (month.start().timestamp(), month.end().timestamp()),
        None => (args.from.map_or(first, |from| from.timestamp()), args.to.map_or(last, |to| to.timestamp())),
    };
    let statement = statement.between(from, to);
    let (from, to) = statement.span();
    let beyond = ZONE_HOURS * 3600;
    let hours = with_database(&context.loaded, "reconcile", Missing::Refuse, async |database| {
        if let Some(first) = DateTime::from_timestamp(from, 0) {
            retention::has_entries(database, BillingPeriod::of_day(first.date_naive())).await?;
        }
        Ok(database.provider_hours(only, from - beyond, to + beyond).await?)
    })
    .await?;
    let comparison = compare(&statement, &hours, args.tolerance);
    let shown = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    output::print(&text(&comparison, &provider, (shown(from), shown(to)), context.format))?;
    let agrees = comparison.differences.is_empty() && comparison.figures > 0;
    Ok(if agrees { Outcome::Done } else { Outcome::Failed })
}

/// The report.
fn text(
    comparison: &Comparison,
    provider: &str,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    format: Format,
) -> String {
    let mut rows =
        Rows::new(["day", "model", "tier", "class", "ledger", "provider", "difference", "cause", "why"]);
    for found in &comparison.differences {
        rows.push([
            found.day.to_string().into(),
            found.model.as_str().into(),
            Cell::text(found.tier.clone()),
            found.class.name().into(),
            number(found.ledger),
            number(found.stated),
            number(found.stated - found.ledger),
            found.cause.name().into(),
            found.cause.to_string().into(),
        ]);
    }
    let mut totals = Rows::new(["class", "ledger", "provider", "difference", "unseen"]);
    for (&class, &(ledger, stated)) in &comparison.totals {
        totals.push([
            class.name().into(),
            number(ledger),
            number(stated),
            number(stated - ledger),
            Cell::text(unseen(comparison, class)),
        ]);
    }
    match format {
        Format::Csv => rows.csv(),
        Format::Json => output::json(&json!({
            "provider": provider, "period": {"from": from, "to": to}, "figures": comparison.figures,
            "differences": rows, "totals": totals,
        })),
        Format::Table => {
            let mut text = if comparison.differences.is_empty() {
                format!("{} figures agree\n", comparison.figures)
            } else {
                let count = comparison.differences.len();
                format!("{count} of {} figures differ\n", comparison.figures) + &rows.table(None)
            };
            text += &format!(
                "\n{provider}, {from} to {to}; unseen: the share of the provider's that no span shows\n"
            );
            text + &totals.table(None)
        }
    }
}

fn unseen(comparison: &Comparison, class: Class) -> Option<String> {
    let share = comparison.unseen(class)?;
    Some(format!("{}%", (share * Decimal::ONE_HUNDRED).normalize()))
}

fn number(number: Decimal) -> Cell {
    number.normalize().to_string().into()
}

#[cfg(test)]
mod tests {
    use schemas::ProviderHour;

    use super::*;
    use crate::golden;

    #[test]
    fn the_report_is_as_it_was() {
        let statement = r#"{"object":"page","data":[{"object":"bucket","start_time":1791590400,"end_time":1791676800,"results":[
            {"object":"organization.usage.completions.result","model":"gpt-4o-2024-08-06","input_tokens":1500,
             "input_cached_tokens":400,"output_tokens":150,"num_model_requests":3,"batch":false},
            {"object":"organization.usage.completions.result","model":"gpt-4o-mini","input_tokens":100,
             "input_cached_tokens":50,"output_tokens":10,"num_model_requests":1,"batch":false}]}],"has_more":false}"#;
        let statement = Statement::read(statement.as_bytes(), StatementFormat::OpenAi).unwrap();
        let hour = |model: &str, calls, input, output| ProviderHour {
            hour: 1_791_590_400 + 7200,
            model: model.into(),
            calls,
            input,
            output,
            ..ProviderHour::default()
        };
        let hours = [hour("gpt-4o-2024-08-06", 2, 1_000, 100), hour("gpt-4o-mini", 1, 100, 10)];
        let comparison = compare(&statement, &hours, tolerance("0.1%").unwrap());
        let shown = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let period = (shown(1_791_590_400), shown(1_791_676_800));
        for (format, name) in [(Format::Table, "txt"), (Format::Json, "json"), (Format::Csv, "csv")] {
            golden::check(
                &format!("tests/golden/reconcile.{name}"),
                &text(&comparison, "openai", period, format),
            );
        }
    }

    #[test]
    fn a_tolerance_is_a_share() {
        assert_eq!(tolerance("0.5%").unwrap(), tolerance("0.005").unwrap());
        assert!(["", "1", "100%", "-1%", "x"].into_iter().all(|text| tolerance(text).is_err()));
    }
}
