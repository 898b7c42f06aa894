//! `plans`: import what tenants are charged by, and look at what is in force.

use std::path::PathBuf;

use billing::plans::{self, PlanShelf, PlanSource};
use clap::Subcommand;
use domain::money::Cost;
use domain::time::BillingPeriod;
use schemas::Database;

use super::prices::read_bounded;
use super::{Context, Outcome};
use crate::billing_arm::now_nanos;
use crate::connect::{Missing, with_database};
use crate::output::{self, Cell, Rows};

/// What to do with plans.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Import a plan file (TOML), whole or not at all; it replaces the one before
    Import {
        /// The file
        file: PathBuf,
    },
    /// List who is charged by which plan, and the credits given
    List,
    /// Show what a month comes to for each tenant as it stands now: usage, and what its plan makes of it
    Preview {
        /// The billing month
        #[arg(long, value_name = "YYYY-MM", value_parser = BillingPeriod::parse)]
        month: BillingPeriod,
    },
}

/// Does it.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    match command {
        Command::Import { file } => import(file, context).await,
        Command::List => list(context).await,
        Command::Preview { month } => preview(month, context).await,
    }
}

async fn import(file: PathBuf, context: &Context) -> anyhow::Result<Outcome> {
    let content = read_bounded(&file)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let source = PlanSource { name, content };
    let currency = context.loaded.config.billing.currency.code();
    // Faults before the ledger: a file that cannot be used needs none to say so.
    source.check(currency)?;
    let fresh =
        with_database(&context.loaded, "plans import", Missing::Create, async |database: &Database| {
            Ok(plans::import(database, &source, currency, now_nanos() / 1000).await?)
        })
        .await?;
    let verb = if fresh { "is in force" } else { "is in force already" };
    output::print(&format!("{:?} {verb}; plans {}\n", source.name, source.id()))?;
    Ok(Outcome::Done)
}

async fn list(context: &Context) -> anyhow::Result<Outcome> {
    let shelf = shelf(context).await?;
    let mut rows =
        Rows::new(["kind", "tenant", "name", "from", "to", "amount", "invoice_currency", "plan_id"]);
    let month = |month: Option<BillingPeriod>| Cell::text(month.map(|month| month.to_string()));
    for known in shelf.in_force.assignments.iter() {
        let plan = shelf.in_force.plans.get(&known.plan);
        rows.push([
            "plan".into(),
            known.tenant.clone().unwrap_or_else(|| "*".into()).into(),
            known.plan.as_str().into(),
            month(known.from),
            month(known.to),
            Cell::Nothing,
            Cell::text(
                plan.and_then(|plan| plan.invoice_currency).map(|currency| currency.code().to_string()),
            ),
            Cell::text(plan.map(domain::plan::Plan::id).filter(|id| !id.is_empty())),
        ]);
    }
    for credit in &shelf.in_force.credits {
        rows.push([
            "credit".into(),
            credit.tenant.as_str().into(),
            credit.name.as_str().into(),
            month(credit.from),
            month(credit.expires),
            Cell::Money(credit.amount),
            Cell::Nothing,
            Cell::Nothing,
        ]);
    }
    rows.print(context.format)?;
    Ok(Outcome::Done)
}

async fn preview(month: BillingPeriod, context: &Context) -> anyhow::Result<Outcome> {
    let found = with_database(&context.loaded, "plans", Missing::Refuse, async |database: &Database| {
        let shelf = PlanShelf::of(database).await?;
        Ok((
            database.usage_charges(month).await?,
            database.correction_charges(month).await?,
            billing::period::due(database, &shelf, month, i64::MAX).await?,
        ))
    })
    .await?;
    let mut rows = Rows::new(["tenant", "kind", "name", "amount"]);
    let (usage, corrections, mut due) = found;
    let mut push = |tenant: &str, kind: &str, name: &str, amount: Cost| {
        rows.push([tenant.into(), kind.into(), name.into(), Cell::Money(amount)]);
    };
    for sum in usage {
        push(&sum.tenant, "usage", "", sum.charge);
        for made in due.remove(&sum.tenant).unwrap_or_default() {
            push(&sum.tenant, made.kind, &made.name, made.amount);
        }
    }
    for sum in corrections {
        push(&sum.tenant, "correction", "of earlier months", sum.charge);
    }
    // Commitments without any usage.
    for (tenant, made) in due {
        made.iter().for_each(|made| push(&tenant, made.kind, &made.name, made.amount));
    }
    rows.print(context.format)?;
    Ok(Outcome::Done)
}

async fn shelf(context: &Context) -> anyhow::Result<PlanShelf> {
    with_database(&context.loaded, "plans", Missing::Refuse, async |database: &Database| {
        Ok(PlanShelf::of(database).await?)
    })
    .await
}
