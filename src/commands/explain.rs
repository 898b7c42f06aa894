//! `explain`: each span seen for a call, what became of it and why, and how the amount was computed.

use billing::explain::{self, EntryExplained, Explanation, SpanExplained, hex_span, hex_trace};
use schemas::Database;
use serde_json::{Value, json};

use super::{Context, Outcome};
use crate::connect::{Missing, with_database};
use crate::output::{self, Cell, Format, Rows};

/// What to explain.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A trace id, a provider's response id, or an entry or call id of the ledger
    #[arg(value_name = "TRACE_ID|RESPONSE_ID|ENTRY_ID")]
    id: String,
}

impl Args {
    /// Arguments to explain one id.
    pub fn of(id: &str) -> Self {
        Self { id: id.to_string() }
    }
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<Outcome> {
    let explanation = with_database(&context.loaded, "explain", Missing::Refuse, async |database| {
        Ok(explain::explain(database, &args.id).await?)
    })
    .await?;
    let text = match context.format {
        Format::Json => output::json(&as_json(&explanation)),
        Format::Csv => spans(&explanation).csv(),
        Format::Table => for_people(&explanation),
    };
    output::print(&text)?;
    Ok(Outcome::Done)
}

/// The JSON document of a story, as the command prints it, for pages.
pub async fn document(database: &Database, id: &str) -> anyhow::Result<String> {
    Ok(output::json(&as_json(&explain::explain(database, id).await?)))
}

/// The whole story, for people.
pub fn for_people(explanation: &Explanation) -> String {
    let mut text = String::from("Spans seen\n");
    text += &spans(explanation).table(None);
    if let Some(gone) = &explanation.gone {
        text += &format!(
            "\nEvidence received until {} has gone by retention. Of these spans only what became of them is known\n",
            gone.received_until
        );
        for (span, outcome, rule) in &gone.spans {
            text += &format!("  span {} of trace {}: {outcome}, by rule {rule}\n", span.span, span.trace);
        }
    }
    if !explanation.overrides.is_empty() {
        text += "\nDecided by people\n";
    }
    for decided in &explanation.overrides {
        let ordered =
            decided.ordered.as_ref().map_or("begun and never done".to_string(), |(at, by, reason)| {
                format!("ordered at {at} by {by}: {reason}")
            });
        text += &format!(
            "  override {} of span {}: {}, {ordered}\n",
            decided.id, decided.span.span, decided.what
        );
    }
    for (call, entries) in &explanation.calls {
        text += &format!("\nCall {call}\n");
        for explained in entries {
            text += &entry_text(explained);
        }
    }
    text
}

fn entry_text(explained: &EntryExplained) -> String {
    let entry = &explained.entry;
    let facts = &entry.facts;
    let shown = |text: &str| if text.is_empty() { "(none)".to_string() } else { text.to_string() };
    let mut text = format!(
        "  entry {} {} ({}): tenant {} (from {}), feature {}, {} {}, at {}, billed in {}\n",
        entry.id,
        entry.entry_type.name(),
        facts.state.name(),
        shown(&facts.tenant),
        shown(&facts.tenant_source),
        shown(&facts.feature),
        shown(&facts.provider),
        shown(&facts.model),
        facts.occurred_at,
        entry.period,
    );
    if let Some(reverses) = entry.reverses {
        text += &format!("    answers entry {reverses}\n");
    }
    for unit in &explained.units {
        let price = unit.unit_price.map_or("no price".to_string(), |price| price.normalize().to_string());
        text += &format!("    {:>12} {:<24} × {:<14} = {}\n", unit.quantity, unit.unit, price, unit.cost);
    }
    text += &format!(
        "    {:>12} {:<24}   {:<14}   {} {}\n",
        "", "cost", "", entry.quantities.cost, facts.currency
    );
    if !explained.price.is_empty() {
        text += &format!("    price {}: {}\n", facts.price_id, explained.price);
    }
    text
}

fn spans(explanation: &Explanation) -> Rows {
    let mut rows =
        Rows::new(["trace", "span", "name", "instrumentation", "input", "output", "outcome", "rule", "why"]);
    for span in explanation.spans.iter().filter(|span| span.outcome != "link") {
        let seen = &span.seen;
        let count = |count: Option<u64>| Cell::text(count.map(|count| count.to_string()));
        rows.push([
            Cell::text(Some(hex_trace(seen.trace_id))),
            Cell::text(Some(hex_span(seen.span_id))),
            Cell::text(Some(seen.span_name.clone())),
            Cell::text(Some(seen.scope_name.clone())),
            count(seen.input_tokens),
            count(seen.output_tokens),
            Cell::text(Some(span.outcome.clone())),
            Cell::text(Some(span.rule.clone())),
            Cell::text(Some(why(span))),
        ]);
    }
    rows
}

fn why(span: &SpanExplained) -> String {
    let winner = span.winner.map(|winner| match span.outcome.as_str() {
        "merged" => format!("duplicate of {}", winner.span),
        _ => format!("repeats {}", winner.span),
    });
    [winner, (!span.reason.is_empty()).then(|| span.reason.clone())]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

fn as_json(explanation: &Explanation) -> Value {
    let spans: Vec<Value> = explanation
        .spans
        .iter()
        .map(|span| {
            let seen = &span.seen;
            json!({
                "trace_id": hex_trace(seen.trace_id), "span_id": hex_span(seen.span_id),
                "parent_span_id": hex_span(seen.parent_span_id), "name": seen.span_name, "scope": seen.scope_name,
                "scope_version": seen.scope_version, "kind": seen.kind, "realm": seen.realm,
                "provider": seen.provider, "request_model": seen.request_model, "response_model": seen.response_model,
                "response_id": seen.response_id, "tenant": seen.tenant, "feature": seen.feature,
                "input_tokens": seen.input_tokens, "cache_read_tokens": seen.cache_read_tokens,
                "cache_write_tokens": seen.cache_write_tokens, "output_tokens": seen.output_tokens,
                "reasoning_tokens": seen.reasoning_tokens, "outcome": span.outcome, "rule": span.rule,
                "reason": span.reason, "winner_span_id": span.winner.map(|winner| winner.span.to_string()),
                "winner_trace_id": span.winner.map(|winner| winner.trace.to_string()),
                "call_id": span.call.map(|call| call.to_string()),
            })
        })
        .collect();
    let calls: Vec<Value> = explanation
        .calls
        .iter()
        .map(|(call, entries)| json!({"call_id": call.to_string(), "entries": entries.iter().map(entry_json).collect::<Vec<_>>()}))
        .collect();
    let overrides: Vec<Value> = explanation
        .overrides
        .iter()
        .map(|decided| {
            let ordered = decided.ordered.as_ref();
            json!({
                "override_id": decided.id, "what": decided.what, "span_id": decided.span.span.to_string(),
                "trace_id": decided.span.trace.to_string(), "decided_at": ordered.map(|(at, ..)| at.to_string()),
                "decided_by": ordered.map(|(_, by, _)| by), "reason": ordered.map(|(.., reason)| reason),
            })
        })
        .collect();
    let mut document = json!({"spans": spans, "overrides": overrides, "calls": calls});
    if let Some(gone) = &explanation.gone {
        let spans: Vec<Value> = gone
            .spans
            .iter()
            .map(|(span, outcome, rule)| {
                json!({"trace_id": span.trace.to_string(), "span_id": span.span.to_string(), "outcome": outcome, "rule": rule})
            })
            .collect();
        document["gone_by_retention"] =
            json!({"received_until": gone.received_until.to_string(), "spans": spans});
    }
    document
}

fn entry_json(explained: &EntryExplained) -> Value {
    let entry = &explained.entry;
    let facts = &entry.facts;
    let units: Vec<Value> = explained
        .units
        .iter()
        .map(|unit| {
            json!({
                "unit": unit.unit, "quantity": unit.quantity, "cost": unit.cost.to_string(),
                "unit_price": unit.unit_price.map(|price| price.normalize().to_string()),
            })
        })
        .collect();
    json!({
        "entry_id": entry.id.to_string(), "entry_type": entry.entry_type.name(), "state": facts.state.name(),
        "tenant": facts.tenant, "tenant_source": facts.tenant_source, "feature": facts.feature,
        "provider": facts.provider, "model": facts.model, "occurred_at": facts.occurred_at.to_string(),
        "period": entry.period.to_string(), "calls": entry.quantities.calls, "rule": facts.rule, "units": units,
        "cost": entry.quantities.cost.to_string(), "charge": entry.quantities.charge.to_string(),
        "currency": facts.currency, "price_id": facts.price_id, "price": explained.price,
        "reverses": entry.reverses.map(|id| id.to_string()),
    })
}
