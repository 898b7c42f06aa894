//! `reprice`: rate again what stands in the ledger, by the prices that are known now.

use billing::settle::Repricing;
use domain::time::BillingPeriod;
use serde_json::{Value, json};

use super::job::{self, Job};
use super::{Context, Outcome};
use crate::output::{self, Cell, Format, Rows};

/// What to rate again. Without a flag: calls that have no price
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also calls that have a price: those that cost something else now are corrected
    #[arg(long)]
    priced: bool,
    /// Only what is billed in this month; what stands in a closed month is corrected in the open one
    #[arg(long, value_name = "YYYY-MM", value_parser = BillingPeriod::parse)]
    month: Option<BillingPeriod>,
    /// Only this tenant's calls
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only calls to this provider, by its well-known name
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Only calls of this model, by the provider's own name
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Post it; without this, only say what would change
    #[arg(long)]
    apply: bool,
}

const COLUMNS: [&str; 8] = ["tenant", "month", "posted_in", "state", "calls", "cost", "charge", "currency"];

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<Outcome> {
    let job = Job::Reprice {
        priced: args.priced,
        month: args.month.map(|month| month.to_string()),
        tenant: args.tenant,
        provider: args.provider,
        model: args.model,
        apply: args.apply,
    };
    let answer = job::run(&job, context).await?;
    let mut rows = Rows::new(COLUMNS);
    for change in answer["changes"].as_array().into_iter().flatten() {
        rows.push(COLUMNS.map(|column| match &change[column] {
            Value::Number(number) => Cell::Count(number.as_i64().unwrap_or_default()),
            // Every grouping is of one ledger, whose currency is configured.
            Value::Null => context.loaded.config.billing.currency.code().into(),
            other => other.as_str().unwrap_or_default().into(),
        }));
    }
    rows.print(context.format)?;
    if context.format == Format::Table {
        let entries = answer["entries"].as_u64().unwrap_or_default();
        let mut text = match (entries, args.apply) {
            (0, _) => "nothing differs\n".to_string(),
            (entries, true) => format!("{entries} entries posted\n"),
            (entries, false) => format!("{entries} entries would be posted; --apply posts them\n"),
        };
        for (reason, calls) in answer["unpriced"].as_object().into_iter().flatten() {
            text += &format!("still without a price: {calls} calls ({reason})\n");
        }
        output::print(&text)?;
    }
    Ok(Outcome::Done)
}

/// What repricing came to, as it travels.
pub fn answer(repricing: &Repricing) -> Value {
    let changes = repricing.changes.iter().map(|change| {
        json!({
            "tenant": change.tenant,
            "month": change.month.to_string(),
            "posted_in": change.posted_in.to_string(),
            "state": change.state.name(),
            "calls": change.calls,
            "cost": change.cost.to_string(),
            "charge": change.charge.to_string(),
        })
    });
    json!({ "changes": changes.collect::<Vec<_>>(), "entries": repricing.entries, "unpriced": repricing.unpriced })
}
