//! `verify`: recompute the ledger and list what does not hold.

use billing::explain;
use billing::verify::{self, Vouched};
use chrono::{DateTime, SecondsFormat};
use domain::time::BillingPeriod;
use serde_json::json;

use super::{Context, Outcome};
use crate::connect::{Missing, with_database};
use crate::output::{self, Format, hex};
use crate::progress;

/// What to verify.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only the entries billed in this month
    #[arg(long, value_name = "YYYY-MM", value_parser = BillingPeriod::parse)]
    month: Option<BillingPeriod>,
}

/// Runs the command; exit code 1 where something does not hold.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<Outcome> {
    let found = with_database(&context.loaded, "verify", Missing::Refuse, async |database| {
        let step = async || Some(database.progress().step());
        Ok(progress::shown(verify::verify(database, args.month), step).await?)
    })
    .await?;
    let balance = &found.balance;
    let text = if context.format == Format::Json {
        let findings: Vec<_> = found
            .findings
            .iter()
            .map(|finding| json!({"invariant": finding.invariant, "what": finding.what}))
            .collect();
        let collectors: Vec<_> = balance.collectors.iter().map(|one| {
            let unshipped = one.appended.saturating_sub(one.shipped);
            json!({"host": one.host, "appended": one.appended, "shipped": one.shipped, "unshipped": unshipped})
        }).collect();
        output::json(&json!({
            "entries": found.entries, "calls": found.calls, "months": found.months, "outcomes": balance.outcomes,
            "ledger_calls": balance.calls.1, "calls_off": balance.calls_off(),
            "retired_outcomes": balance.retired,
            "retired_until": found.retired.last_day.map(|day| schemas::rows::day_of(day).to_string()),
            "retired_months": found.retired.months.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "quarantine_rows": balance.held, "collectors": collectors,
            "vouched": vouched_json(&found.vouched),
            "findings": findings,
        }))
    } else {
        let mut text = format!(
            "verified {} entries of {} calls in {} months\n",
            found.entries, found.calls, found.months
        );
        for one in &balance.collectors {
            let unshipped = one.appended.saturating_sub(one.shipped);
            text += &format!(
                "collector on {}: {} positions appended = {} shipped + {unshipped} unshipped\n",
                one.host, one.appended, one.shipped
            );
        }
        if balance.seen() > 0 {
            let outcomes: Vec<String> =
                balance.by_outcome().iter().map(|(outcome, spans)| format!("{spans} {outcome}")).collect();
            text += &format!(
                "balance: {} spans seen = {}; {} of them stand for a call, the ledger has {} calls\n",
                balance.seen(),
                outcomes.join(" + "),
                balance.standing(),
                balance.calls.1
            );
        }
        if let Some(gone) = explain::gone_in_words(&found.retired) {
            text += &format!(
                "retention: {gone} have gone, {} spans and {} calls of the above; they were not looked at\n",
                found.retired.spans(),
                found.retired.calls
            );
        }
        if balance.held > 0 {
            text += &format!(
                "quarantine: {} rows that ClickHouse refuses for what is in them; see `ledgerline quarantine list`\n",
                balance.held
            );
        }
        text += &vouched_text(&found.vouched);
        for finding in &found.findings {
            text += &format!("{}: {}\n", finding.invariant, finding.what);
        }
        text += if found.findings.is_empty() { "everything holds\n" } else { "NOT everything holds\n" };
        text
    };
    output::print(&text)?;
    Ok(if found.findings.is_empty() { Outcome::Done } else { Outcome::Failed })
}

/// What settlers vouched for, in a line, and where their chains are.
fn vouched_text(vouched: &Vouched) -> String {
    let Some(since) = vouched.since.and_then(DateTime::from_timestamp_micros) else {
        return "vouched for: nothing yet; nobody posted since there are vouchers\n".into();
    };
    let mut text = format!(
        "vouched for: {} entries posted since {}, by {} vouchers in {} chains",
        vouched.entries,
        since.format("%Y-%m-%dT%H:%M:%SZ"),
        vouched.vouchers,
        vouched.chains
    );
    if vouched.before > 0 {
        text += &format!("; {} from before that are not", vouched.before);
    }
    if vouched.broken_off > 0 {
        text += &format!("; {} by settlers that broke off and did not post them", vouched.broken_off);
    }
    text.push('\n');
    for head in &vouched.heads {
        let (chain, number) = (hex(&head.chain), head.number);
        text += &format!("head of chain {chain} at voucher {number}: {}\n", hex(&head.head));
    }
    text
}

fn vouched_json(vouched: &Vouched) -> serde_json::Value {
    let heads: Vec<_> = vouched
        .heads
        .iter()
        .map(|head| json!({"chain": hex(&head.chain), "number": head.number, "head": hex(&head.head)}))
        .collect();
    json!({
        "since": vouched.since.and_then(DateTime::from_timestamp_micros).map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        "entries": vouched.entries, "vouchers": vouched.vouchers, "chains": vouched.chains,
        "entries_before": vouched.before, "entries_broken_off": vouched.broken_off, "heads": heads,
    })
}
