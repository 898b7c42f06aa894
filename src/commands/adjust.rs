//! `adjust`: corrections that people order. Without `--apply` a command says what it would come to and posts nothing.

use std::collections::BTreeMap;

use anyhow::Context as _;
use billing::adjust::{Adjusted, Asked, Calls, Order};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use domain::money::Cost;
use domain::time::{BillingPeriod, EventTime};
use schemas::rows::month_of;
use serde_json::{Value, json};

use super::job::{self, Job};
use super::usage::instant;
use super::{Context, Outcome};
use crate::billing_arm::now_nanos;
use crate::connect::{Missing, with_database};
use crate::output::{self, Cell, Format, Rows};

/// What to correct.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Give a tenant money: posted at once in an open month, or, with --expires, used up by months as they are closed
    Credit {
        /// Whose
        #[arg(long, value_name = "TENANT")]
        tenant: String,
        /// How much, above zero
        #[arg(long, value_name = "AMOUNT", value_parser = Cost::parse)]
        amount: Cost,
        /// ISO 4217 code; that of the ledger
        #[arg(long, value_name = "CODE")]
        currency: Option<String>,
        /// The month it is for; the next open one takes it where that is closed [default: the current month]
        #[arg(long, value_name = "YYYY-MM", value_parser = BillingPeriod::parse)]
        month: Option<BillingPeriod>,
        /// The first month that may not use it any more; until then months use it up, never beyond what they come to
        #[arg(long, value_name = "YYYY-MM", value_parser = BillingPeriod::parse)]
        expires: Option<BillingPeriod>,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Charge a tenant money that follows from no call, posted at once in an open month
    Charge {
        /// Who pays
        #[arg(long, value_name = "TENANT")]
        tenant: String,
        /// How much, above zero
        #[arg(long, value_name = "AMOUNT", value_parser = Cost::parse)]
        amount: Cost,
        /// ISO 4217 code; that of the ledger
        #[arg(long, value_name = "CODE")]
        currency: Option<String>,
        /// The month it is for; the next open one takes it where that is closed [default: the current month]
        #[arg(long, value_name = "YYYY-MM", value_parser = BillingPeriod::parse)]
        month: Option<BillingPeriod>,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Take calls back: they are not billed, whatever evidence or prices still come
    Reverse {
        #[command(flatten)]
        calls: CallArgs,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Move calls to another tenant or feature; of what is not given they keep what they have
    Reattribute {
        #[command(flatten)]
        calls: CallArgs,
        #[command(flatten)]
        to: ToArgs,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Have an earlier override count no longer: its calls are again what the evidence says, its credit is taken back
    Revoke {
        /// The override
        #[arg(value_name = "OVERRIDE_ID")]
        override_id: String,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// List every override, who ordered it and why
    List,
}

/// Who orders it and why.
#[derive(Debug, clap::Args)]
pub struct OrderArgs {
    /// Why; kept with the order, and on the invoice with a credit or charge
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who orders it [default: the user this runs as]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// An id for the order; the same id is carried out once [default: made of what is asked for and why]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Post it; without this, only say what would change
    #[arg(long)]
    apply: bool,
}

/// Which of the calls that stand: those that meet every condition.
#[derive(Debug, clap::Args)]
pub struct CallArgs {
    /// A trace id, a provider's response id, or an entry or call id of the ledger
    #[arg(value_name = "TRACE_ID|RESPONSE_ID|ENTRY_ID")]
    name: Option<String>,
    /// Only calls that stand for this tenant; "" for those of none
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only calls for this feature
    #[arg(long, value_name = "FEATURE")]
    feature: Option<String>,
    /// Only calls to this provider, by its well-known name
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Only calls of this model, by the provider's own name
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Only calls made from this time on: 2026-10-01 (midnight UTC) or 2026-10-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<DateTime<Utc>>,
    /// … and before this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<DateTime<Utc>>,
}

/// Where to.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub struct ToArgs {
    /// The tenant who pays from now on
    #[arg(long, value_name = "TENANT")]
    to_tenant: Option<String>,
    /// The feature they are for
    #[arg(long, value_name = "FEATURE")]
    to_feature: Option<String>,
    /// The end user
    #[arg(long, value_name = "USER")]
    to_user: Option<String>,
    /// The session
    #[arg(long, value_name = "SESSION")]
    to_session: Option<String>,
    /// The environment
    #[arg(long, value_name = "ENVIRONMENT")]
    to_environment: Option<String>,
}

const COLUMNS: [&str; 7] = ["tenant", "feature", "posted_in", "calls", "cost", "charge", "currency"];

/// Does it.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    let currency = context.loaded.config.billing.currency.code();
    let (asked, order) = match command {
        Command::List => return list(context).await,
        Command::Credit { tenant, amount, currency: stated, month, expires, order } => {
            let asked = Asked::Credit {
                tenant,
                amount: amount.to_string(),
                currency: stated.unwrap_or_else(|| currency.to_string()),
                month: month.unwrap_or_else(this_month).to_string(),
                expires: expires.map(|month| month.to_string()),
            };
            (asked, order)
        }
        Command::Charge { tenant, amount, currency: stated, month, order } => {
            let asked = Asked::Charge {
                tenant,
                amount: amount.to_string(),
                currency: stated.unwrap_or_else(|| currency.to_string()),
                month: month.unwrap_or_else(this_month).to_string(),
            };
            (asked, order)
        }
        Command::Reverse { calls, order } => (Asked::Reverse { calls: calls.read() }, order),
        Command::Reattribute { calls, to, order } => {
            (Asked::Reattribute { calls: calls.read(), to: to.read() }, order)
        }
        Command::Revoke { override_id, order } => (Asked::Revoke { id: override_id }, order),
    };
    let OrderArgs { reason, by, id, apply } = order;
    let order = Order { id, by: by.unwrap_or_else(whoever_runs_this), reason, asked };
    // Faults before the ledger: an order that makes no sense needs none to say so.
    order.check(currency)?;
    let answer = job::run(&Job::Adjust { order, apply }, context).await?;
    print(&answer, apply, context)?;
    Ok(Outcome::Done)
}

impl CallArgs {
    fn read(self) -> Calls {
        let equal = [
            ("tenant", self.tenant),
            ("feature", self.feature),
            ("provider", self.provider),
            ("model", self.model),
        ];
        Calls { name: self.name, equal: stated(equal), from: self.from, to: self.to }
    }
}

impl ToArgs {
    fn read(self) -> BTreeMap<String, String> {
        stated([
            ("tenant", self.to_tenant),
            ("feature", self.to_feature),
            ("user", self.to_user),
            ("session", self.to_session),
            ("environment", self.to_environment),
        ])
    }
}

fn stated<const N: usize>(values: [(&str, Option<String>); N]) -> BTreeMap<String, String> {
    values.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
}

fn this_month() -> BillingPeriod {
    BillingPeriod::containing(EventTime::from_nanos(now_nanos()))
}

/// The name of the user this runs as, else the number.
fn whoever_runs_this() -> String {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    named
        .into_iter()
        .find(|name| !name.trim().is_empty())
        .unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()))
}

fn print(answer: &Value, apply: bool, context: &Context) -> anyhow::Result<()> {
    let mut rows = Rows::new(COLUMNS);
    for change in answer["changes"].as_array().into_iter().flatten() {
        rows.push(COLUMNS.map(|column| match &change[column] {
            Value::Number(number) => Cell::Count(number.as_i64().unwrap_or_default()),
            // One ledger has one currency, which is configured.
            Value::Null => context.loaded.config.billing.currency.code().into(),
            other => other.as_str().unwrap_or_default().into(),
        }));
    }
    rows.print(context.format)?;
    let id = answer["id"].as_str().unwrap_or_default();
    let (entries, calls) = (&answer["entries"], &answer["calls"]);
    let text = match (answer["before"].as_str(), apply) {
        (Some(before), _) => {
            format!(
                "override {id} was carried out {before}; nothing is posted again, another --id orders it anew\n"
            )
        }
        (None, true) => format!("override {id} of {calls} calls is on record; {entries} entries posted\n"),
        (None, false) => {
            format!(
                "override {id} would be of {calls} calls and post {entries} entries; --apply posts them\n"
            )
        }
    };
    match context.format {
        Format::Table => output::print(&text)?,
        // Rows alone go to standard output, for programs.
        Format::Json | Format::Csv => eprint!("{text}"),
    }
    Ok(())
}

/// What an order came to, as it travels.
pub fn answer(adjusted: &Adjusted) -> Value {
    let changes = adjusted.changes.iter().map(|((tenant, feature, month), change)| {
        json!({
            "tenant": tenant,
            "feature": feature,
            "posted_in": month.to_string(),
            "calls": change.calls,
            "cost": change.cost.to_string(),
            "charge": change.charge.to_string(),
        })
    });
    let before = adjusted.before.as_ref().map(|(at, by)| format!("at {} by {by}", micros(*at)));
    json!({
        "id": adjusted.id,
        "before": before,
        "calls": adjusted.calls,
        "changes": changes.collect::<Vec<_>>(),
        "entries": adjusted.entries,
    })
}

async fn list(context: &Context) -> anyhow::Result<Outcome> {
    let known = with_database(&context.loaded, "adjust list", Missing::Refuse, async |database| {
        database.overrides().await.context("the overrides cannot be listed")
    })
    .await?;
    let mut rows = Rows::new([
        "override_id",
        "kind",
        "decided_at",
        "decided_by",
        "reason",
        "tenant",
        "amount",
        "currency",
        "month",
        "expires",
        "calls",
        "revokes",
        "asked",
    ]);
    for row in known {
        let of_money = ["credit", "charge"].contains(&row.kind.as_str());
        let month = of_money.then(|| month_of(row.period).to_string());
        rows.push([
            row.override_id.as_str().into(),
            row.kind.as_str().into(),
            micros(row.decided_at).as_str().into(),
            row.decided_by.as_str().into(),
            row.reason.as_str().into(),
            Cell::text(of_money.then_some(row.tenant)),
            if of_money { Cell::Money(row.amount) } else { Cell::Nothing },
            Cell::text(of_money.then_some(row.currency)),
            Cell::text(month),
            Cell::text(row.expires.map(|month| month_of(month).to_string())),
            Cell::Count(i64::try_from(row.calls).unwrap_or(i64::MAX)),
            Cell::text(Some(row.revokes).filter(|revoked| !revoked.is_empty())),
            row.asked.as_str().into(),
        ]);
    }
    rows.print(context.format)?;
    Ok(Outcome::Done)
}

fn micros(at: i64) -> String {
    EventTime::from_nanos(at.saturating_mul(1000)).to_string()
}
