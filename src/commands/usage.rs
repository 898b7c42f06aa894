//! `usage`: calls, tokens, cost and charge, grouped. Every figure is a sum over the ledger.

use anyhow::bail;
use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use clap::ArgGroup;
use domain::time::BillingPeriod;
use schemas::Database;
use schemas::reports::{Dimension, UsageQuery, UsageRow, Window};
use serde::Serialize;

use super::{Context, Outcome};
use crate::connect::{Missing, with_database};
use crate::output::{self, Cell, Format, Object, Rows};
use crate::retention;

/// What is counted and how it is grouped.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("window").required(true).args(["month", "from"]))]
pub struct Args {
    /// What is billed in this month, whenever it happened
    #[arg(long, value_name = "YYYY-MM", value_parser = BillingPeriod::parse)]
    month: Option<BillingPeriod>,
    /// What happened from this time on: 2026-10-01 (midnight UTC) or 2026-10-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant, requires = "to")]
    from: Option<DateTime<Utc>>,
    /// … and before this time
    #[arg(long, value_name = "TIME", value_parser = instant, requires = "from")]
    to: Option<DateTime<Utc>>,
    /// What to group by, separated by commas: tenant, feature, provider, model, request_model, day, period, user,
    /// session, agent, service, environment, realm, operation, state, entry_type, service_tier, region
    #[arg(long, value_name = "DIMENSIONS", value_delimiter = ',', value_parser = dimension, default_value = "tenant,feature,provider,model")]
    by: Vec<Dimension>,
    /// Only this tenant's calls
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

/// Sums and what they are sums of, ready to be written.
#[derive(Debug)]
struct Report {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// How many of the first columns are dimensions.
    dimensions: usize,
    rows: Rows,
    /// One row, without dimensions.
    totals: Rows,
    /// Months of whose entries some may be of the window, and are gone.
    retired: Vec<BillingPeriod>,
}

/// The columns after the dimensions.
const FIGURES: [&str; 11] = [
    "calls",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
    "charge",
    "currency",
    "unpriced_calls",
    "unmetered_calls",
];

impl Args {
    /// A month by the default dimensions.
    pub fn month(month: &str) -> anyhow::Result<Self> {
        let by = vec![Dimension::Tenant, Dimension::Feature, Dimension::Provider, Dimension::Model];
        Ok(Self { month: Some(BillingPeriod::parse(month)?), from: None, to: None, by, tenant: None })
    }
}

/// Prints the usage that was asked for.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<Outcome> {
    let window = match (args.month, args.from, args.to) {
        (Some(month), ..) => Window::Month(month),
        (None, Some(from), Some(to)) if from < to => Window::Between(from, to),
        (None, from, to) => {
            bail!("--from {} is not before --to {}; swap or widen them", shown(from), shown(to))
        }
    };
    let mut by = Vec::new();
    for dimension in args.by {
        if !by.contains(&dimension) {
            by.push(dimension);
        }
    }
    let query = UsageQuery { window, by, tenant: args.tenant };
    let currency = context.loaded.config.billing.currency.code();
    let report = with_database(&context.loaded, "usage", Missing::Refuse, async |database| {
        Report::read(database, &query, currency).await
    })
    .await?;
    if let Some(note) = report.note() {
        // Rows alone go to standard output.
        eprintln!("{note}");
    }
    output::print(&report.text(context.format))?;
    Ok(Outcome::Done)
}

/// The JSON document of a report, as the command prints it, for pages.
pub async fn document(database: &Database, query: &UsageQuery, currency: &str) -> anyhow::Result<String> {
    Ok(Report::read(database, query, currency).await?.text(Format::Json))
}

impl Report {
    /// Sums what is there, and says what is not any more.
    async fn read(database: &Database, query: &UsageQuery, currency: &str) -> anyhow::Result<Self> {
        if let Window::Month(month) = query.window {
            retention::has_entries(database, month).await?;
        }
        let report = Self::of(query, &database.usage(query).await?, currency)?;
        let months = database.retired().await?.months;
        // Usage is billed in its month or in a later one.
        let retired = months.into_iter().filter(|month| report.from < month.end()).collect();
        Ok(Self { retired, ..report })
    }

    /// What people are told beside the figures.
    fn note(&self) -> Option<String> {
        let (first, last) = (self.retired.first()?, self.retired.last()?);
        Some(format!(
            "note: entries of this time that were billed in the months {first} to {last} have gone by retention; they are in none of these sums"
        ))
    }

    /// `currency` is that of a report in which nothing costs anything.
    fn of(query: &UsageQuery, found: &[UsageRow], currency: &str) -> anyhow::Result<Self> {
        let (from, to) = match query.window {
            Window::Month(month) => (month.start(), month.end()),
            Window::Between(from, to) => (from, to),
        };
        let mut sums = UsageRow::default();
        found.iter().for_each(|row| sums.add(row));
        let currency = match sums.currencies.as_slice() {
            [] => currency,
            [one] => one,
            several => bail!(
                "the entries are in several currencies ({}), which have no sum; ask for each tenant or time in which one was used with --tenant, --from and --to",
                several.join(", ")
            ),
        };
        let mut rows = Rows::new(query.by.iter().map(|dimension| dimension.name()).chain(FIGURES));
        for row in found {
            rows.push(row.dimensions.iter().map(Cell::from).chain(figures(row, currency)));
        }
        let mut totals = Rows::new(FIGURES);
        totals.push(figures(&sums, currency));
        Ok(Self { from, to, dimensions: query.by.len(), rows, totals, retired: Vec::new() })
    }

    fn text(&self, format: Format) -> String {
        match format {
            Format::Table => self.rows.table(self.totals.last().map(|totals| {
                let label = std::iter::once("total".into()).chain(std::iter::repeat(Cell::Nothing));
                label.take(self.dimensions).chain(totals.cells().iter().cloned()).collect()
            })),
            Format::Csv => self.rows.csv(),
            Format::Json => output::json(&Document {
                period: Period { from: instant_text(self.from), to: instant_text(self.to) },
                rows: &self.rows,
                totals: self.totals.last(),
                retired_months: self.retired.iter().map(BillingPeriod::to_string).collect(),
            }),
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    period: Period,
    rows: &'a Rows,
    totals: Option<Object<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    retired_months: Vec<String>,
}

#[derive(Serialize)]
struct Period {
    from: String,
    to: String,
}

fn figures(row: &UsageRow, currency: &str) -> [Cell; FIGURES.len()] {
    [
        Cell::Count(row.calls),
        Cell::Count(row.input_tokens),
        Cell::Count(row.cache_read_tokens),
        Cell::Count(row.cache_write_tokens),
        Cell::Count(row.output_tokens),
        Cell::Count(row.reasoning_tokens),
        Cell::Money(row.cost),
        Cell::Money(row.charge),
        Cell::from(currency),
        Cell::Count(row.unpriced_calls),
        Cell::Count(row.unmetered_calls),
    ]
}

/// A dimension by its name.
pub fn dimension(name: &str) -> Result<Dimension, String> {
    Dimension::named(name.trim())
        .ok_or_else(|| format!("expected some of {}", Dimension::ALL.map(Dimension::name).join(", ")))
}

/// A time of RFC 3339, or a day for its midnight UTC.
pub fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let instant = DateTime::parse_from_rfc3339(text).map(|instant| instant.to_utc());
    instant.map_err(|_| "expected a day such as 2026-10-01 or a time such as 2026-10-01T12:00:00Z".to_owned())
}

fn instant_text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn shown(instant: Option<DateTime<Utc>>) -> String {
    instant.map_or("(unset)".to_owned(), instant_text)
}

#[cfg(test)]
mod tests {
    use domain::money::Cost;

    use super::*;
    use crate::golden;

    fn row(dimensions: &[&str], calls: i64, cost: &str) -> UsageRow {
        let cost = Cost::parse(cost).unwrap();
        let currencies = if cost.is_zero() { vec![] } else { vec!["USD".to_owned()] };
        UsageRow {
            dimensions: dimensions.iter().map(|text| (*text).to_owned()).collect(),
            calls,
            input_tokens: 3_400,
            cache_read_tokens: 1_200,
            output_tokens: 800,
            cost,
            charge: cost,
            currencies,
            ..UsageRow::default()
        }
    }

    fn query(by: &[Dimension]) -> UsageQuery {
        UsageQuery {
            window: Window::Month(BillingPeriod::parse("2026-10").unwrap()),
            by: by.to_vec(),
            tenant: None,
        }
    }

    fn report() -> Report {
        let by = query(&[Dimension::Tenant, Dimension::Feature, Dimension::Provider, Dimension::Model]);
        let unpriced = UsageRow { unpriced_calls: 2, ..row(&["", "", "openai", "gpt-99"], 2, "0") };
        let unmetered = UsageRow {
            dimensions: ["=cmd|' /C calc'!A0", "search", "anthropic", "claude-sonnet-4-5"]
                .map(String::from)
                .to_vec(),
            calls: 1,
            unmetered_calls: 1,
            ..UsageRow::default()
        };
        let billed = row(&["acme", "search", "openai", "gpt-4o-2024-08-06"], 12, "0.0145");
        Report::of(&by, &[unpriced, unmetered, billed], "USD").unwrap()
    }

    #[test]
    fn a_report_is_written_as_the_contract_has_it() {
        for (format, name) in
            [(Format::Json, "usage.json"), (Format::Table, "usage.table.txt"), (Format::Csv, "usage.csv")]
        {
            golden::check(&format!("tests/golden/{name}"), &report().text(format));
        }
    }

    #[test]
    fn a_report_of_nothing_has_no_rows_and_totals_of_zero() {
        let text = Report::of(&query(&[Dimension::Day]), &[], "EUR").unwrap().text(Format::Json);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["rows"], serde_json::json!([]));
        assert_eq!(json["totals"]["cost"], "0.000000000000");
        assert_eq!(json["totals"]["currency"], "EUR");
        assert_eq!(
            json["period"],
            serde_json::json!({"from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"})
        );
    }

    #[test]
    fn money_of_two_currencies_is_not_added() {
        let mut euros = row(&["b"], 1, "1");
        euros.currencies = vec!["EUR".to_owned()];
        let error =
            Report::of(&query(&[Dimension::Tenant]), &[row(&["a"], 1, "1"), euros], "USD").unwrap_err();
        assert!(error.to_string().contains("EUR, USD"), "{error}");
    }

    #[test]
    fn a_time_is_a_day_or_an_instant() {
        assert_eq!(instant("2026-10-01").unwrap(), instant("2026-10-01T02:00:00+02:00").unwrap());
        assert!(instant("yesterday").is_err() && instant("2026-10-01T12:00:00").is_err());
    }
}
