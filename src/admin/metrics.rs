//! `/metrics`: every metric in one table, read from the counters at the moment of the request.
//!
//! The books balance in public: spans received = observations + links + rejected + plain, positions appended = shipped +
//! unshipped, spans seen = what they came to, calls among them = calls of the ledger (`balance.rs`). `docs/reference/metrics.md` is made from [`TABLE`].

use std::fmt;

use chrono::Utc;
use collector::trace::Reason;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::Books;
use super::balance::Drawn;
use crate::budgets::Known;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Without the `ledgerline_` that all begin with and without the `_total` of counters.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels: &[], help }
}

const fn labelled_gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

/// Every metric.
pub const TABLE: &[Metric] = &[
    counter("requests", &["protocol", "signal"], "OTLP requests whose head was read"),
    counter("requests_accepted", &[], "requests answered with success; for traces that means durable"),
    counter(
        "requests_refused",
        &["reason"],
        "requests refused; the client is told why and whether to come back",
    ),
    counter("requests_abandoned", &[], "requests whose client went away before the answer"),
    gauge("requests_in_flight", "requests in work"),
    gauge("request_bytes_in_flight", "memory that requests in work hold"),
    gauge("connections_open", "open connections, gRPC and HTTP"),
    counter("spans_received", &[], "spans of acknowledged requests"),
    counter(
        "spans_rejected",
        &["reason"],
        "spans of acknowledged requests that cannot be used; the client is told",
    ),
    counter("observations", &["kind"], "observations made durable, by kind; unrecognised ones want a look"),
    counter("links", &[], "links made durable: spans of AI traces that state nothing else"),
    gauge("journal_bytes", "bytes in journal segments"),
    gauge("journal_capacity_bytes", "the most the journal may take; full, it refuses"),
    gauge("journal_appended_position", "last durable position of this collector"),
    gauge("journal_shipped_position", "last position committed in ClickHouse"),
    gauge(
        "journal_unshipped",
        "durable positions not committed in ClickHouse; appended = shipped + unshipped",
    ),
    counter("journal_group_commits", &[], "group commits: one write and one fdatasync each"),
    counter("journal_failed_appends", &[], "appends refused by the journal"),
    counter("batches_committed", &[], "batches committed in ClickHouse"),
    gauge("ship_failing", "1 while ClickHouse does not take batches; nothing is lost, the journal grows"),
    counter(
        "rows_quarantined",
        &[],
        "rows that ClickHouse refused for what is in them; they are in quarantine and not billed",
    ),
    counter("positions_lost", &[], "acknowledged positions that the disk lost; somebody must look"),
    gauge("settle_pending_traces", "traces that wait for more evidence before they are settled"),
    counter("settle_observations", &[], "rows of evidence settlement has read"),
    counter("settle_entries", &[], "ledger entries posted"),
    counter("settle_failures", &[], "settlement passes that failed and were done again"),
    counter(
        "days_rolled_up",
        &[],
        "days summed for what dashboards read, again where something was posted to them",
    ),
    counter("partitions_retired", &[], "days of evidence and months of entries that went by retention"),
    gauge(
        "retention_held",
        "1 while something is older than its retention and still needed: not settled, or of a month that is not closed",
    ),
    gauge("settle_failing", "1 while settlement fails; nothing is lost, the ledger lags"),
    gauge("settle_chain_number", "vouchers that this settler wrote into its chain of what it posts"),
    gauge(
        "settle_chain_head",
        "the first 12 hexadecimal digits of the head of that chain, as a number: to be kept where nobody rewrites it",
    ),
    counter(
        "calls_posted",
        &["state"],
        "net calls posted, by state; unpriced and unmetered ones want a look",
    ),
    Metric {
        name: "balance_spans",
        kind: Kind::Gauge,
        labels: &["outcome"],
        help: "distinct spans seen, by what they came to, those gone by retention too, when the balance was last drawn",
    },
    gauge(
        "balance_calls",
        "net calls of the ledger, those gone by retention too, when the balance was last drawn",
    ),
    gauge(
        "balance_calls_off",
        "calls by which spans seen and ledger differ; anything but 0 is an error of ours",
    ),
    gauge(
        "quarantine_rows_held",
        "rows in quarantine that nobody sent anew, when the balance was last drawn; somebody must look",
    ),
    gauge("balance_age_seconds", "how long ago the balance was drawn, by the server that settles"),
    counter("trace_requests_offered", &[], "requests offered to the trace arm"),
    counter("trace_spans_kept", &[], "spans sampled in"),
    counter("trace_spans_sampled_out", &[], "spans sampled out"),
    counter("trace_spans_inserted", &[], "sampled spans stored"),
    counter("trace_dropped", &["what", "reason"], "what the trace arm dropped; billing is not affected"),
    gauge("trace_queue_bytes", "bytes that wait to be sampled"),
    counter("forward_requests", &["forward", "outcome"], "requests for a backend, by what became of them"),
    gauge("trace_held_bytes", "bytes of traces that wait for their decision"),
    counter("trace_traces_kept", &["rule"], "traces kept, by the rule that kept them; rest: by chance"),
    counter("trace_traces_left", &[], "traces not kept"),
    counter("trace_traces_early", &[], "traces decided before their time, because too much was held"),
    counter(
        "trace_spans_late",
        &[],
        "spans that came after their trace was decided, and followed the decision",
    ),
    labelled_gauge(
        "budget_used_percent",
        &["budget"],
        "how much of a budget's limit is spent, by the account that spent most",
    ),
    labelled_gauge(
        "budget_accounts_over",
        &["budget"],
        "accounts of a budget at or over its limit, by the ledger",
    ),
    gauge("budget_age_seconds", "how long ago the ledger was last read for budgets"),
    gauge("budget_failing", "1 while the ledger cannot be read for budgets; answers say how old they are"),
    counter("budget_alerts", &["kind"], "alerts of budgets raised, by the server that settles"),
    gauge("budget_alerts_waiting", "alerts that no receiver has taken yet"),
    counter("budget_alerts_delivered", &[], "alerts that the receiver took"),
    counter("budget_attempts_failed", &[], "attempts to deliver an alert that failed; each is repeated"),
    counter("budget_alerts_expired", &[], "alerts that nobody took for days, and that were given up"),
];

/// The page.
pub fn page(books: &Books, drawn: Option<&Drawn>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("ledgerline");
    registry.register_collector(Box::new(Scrape {
        values: [read(books), read_balance(drawn), read_budgets(&books.budgets.borrow())].concat(),
    }));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// A metric's name, the values of its labels, and its value.
type Value = (&'static str, Vec<String>, u64);

#[derive(Debug)]
struct Scrape {
    values: Vec<Value>,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in TABLE {
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for (_, labels, value) in self.values.iter().filter(|(name, ..)| *name == metric.name) {
                let pairs: Labels = metric.labels.iter().copied().zip(labels.iter().cloned()).collect();
                if pairs.is_empty() {
                    write(&mut family, metric.kind, *value)?;
                } else {
                    write(&mut family.encode_family(&pairs)?, metric.kind, *value)?;
                }
            }
        }
        Ok(())
    }
}

type Labels = Vec<(&'static str, String)>;

fn write(encoder: &mut MetricEncoder<'_>, kind: Kind, value: u64) -> Result<(), fmt::Error> {
    match kind {
        Kind::Counter => encoder.encode_counter::<Labels, u64, u64>(&value, None),
        Kind::Gauge => encoder.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX)),
    }
}

/// The balance as last drawn; nothing before the first, and on a server that does not settle.
fn read_balance(drawn: Option<&Drawn>) -> Vec<Value> {
    let Some(Drawn { balance, at }) = drawn else { return Vec::new() };
    let by_outcome = balance.by_outcome();
    let mut values: Vec<Value> = by_outcome
        .iter()
        .map(|(outcome, spans)| ("balance_spans", vec![(*outcome).into()], *spans))
        .collect();
    let calls = u64::try_from(balance.calls.1).unwrap_or(0);
    let age = at.elapsed().as_secs();
    values.extend([
        ("balance_calls", Vec::new(), calls),
        ("balance_calls_off", Vec::new(), balance.calls_off()),
        ("quarantine_rows_held", Vec::new(), balance.held),
        ("balance_age_seconds", Vec::new(), age),
    ]);
    values
}

/// Where budgets stand; nothing where none is configured.
fn read_budgets(known: &Known) -> Vec<Value> {
    let stats = &known.stats;
    let mut values: Vec<Value> = Vec::new();
    for budget in &stats.over {
        values.push(("budget_used_percent", vec![budget.budget.clone()], budget.used_percent_max));
        values.push(("budget_accounts_over", vec![budget.budget.clone()], budget.over));
    }
    let Some(view) = &known.view else { return values };
    let age = u64::try_from((Utc::now() - view.as_of()).num_seconds()).unwrap_or(0);
    values.extend([
        ("budget_age_seconds", Vec::new(), age),
        ("budget_failing", Vec::new(), u64::from(known.trouble.is_some())),
        ("budget_alerts_waiting", Vec::new(), stats.waiting),
        ("budget_alerts_delivered", Vec::new(), stats.delivered),
        ("budget_attempts_failed", Vec::new(), stats.attempts_failed),
        ("budget_alerts_expired", Vec::new(), stats.expired),
    ]);
    values.extend(stats.raised.iter().map(|(kind, count)| ("budget_alerts", vec![(*kind).into()], *count)));
    values
}

/// Reads every counter once.
fn read(books: &Books) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    let mut one = |name: &'static str, value: u64| values.push((name, Vec::new(), value));

    let receive = books.receive.snapshot();
    one("requests_accepted", receive.accepted);
    one("requests_abandoned", receive.abandoned);
    one("requests_in_flight", receive.in_flight);
    one("request_bytes_in_flight", receive.in_flight_bytes);
    one("connections_open", receive.connections_open);
    let fork = books.fork.snapshot();
    one("spans_received", fork.spans);
    one("links", fork.links);
    if let Some(journal) = books.journal.upgrade() {
        let stat = journal.stat();
        one("journal_bytes", stat.used_bytes);
        one("journal_capacity_bytes", stat.capacity_bytes);
        one("journal_group_commits", stat.groups);
        one("journal_failed_appends", stat.failed_appends);
    }
    let ship = books.billing.ship.status();
    one("journal_appended_position", ship.appended_seq);
    one("journal_shipped_position", ship.shipped_seq);
    one("journal_unshipped", ship.unshipped);
    one("batches_committed", ship.committed_batches);
    one("ship_failing", u64::from(ship.trouble.is_some()));
    one("rows_quarantined", ship.quarantined_rows);
    one("positions_lost", ship.lost_positions);
    let settle = books.billing.settle_status.borrow().clone();
    one("settle_pending_traces", settle.pending);
    one("settle_observations", settle.observations_gathered);
    one("settle_entries", settle.entries_posted);
    one("settle_failures", settle.failures);
    one("days_rolled_up", settle.days_rolled_up);
    one("partitions_retired", settle.partitions_retired);
    one("retention_held", u64::from(settle.retention_held.is_some()));
    one("settle_failing", u64::from(settle.last_error.is_some()));
    if let Some(chain) = settle.chain {
        one("settle_chain_number", chain.number);
        let [a, b, c, d, e, f, ..] = chain.head;
        one("settle_chain_head", u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
    }
    let trace = books.trace.snapshot();
    one("trace_requests_offered", trace.requests_offered);
    one("trace_spans_kept", trace.spans_kept);
    one("trace_spans_sampled_out", trace.spans_sampled_out);
    one("trace_spans_inserted", trace.spans_inserted);
    one("trace_queue_bytes", trace.queue_bytes as u64);
    one("trace_held_bytes", trace.held_bytes as u64);
    one("trace_traces_left", trace.traces_left);
    one("trace_traces_early", trace.traces_early);
    one("trace_spans_late", trace.spans_late);

    for (protocol, signal, count) in &receive.requests {
        values.push(("requests", vec![protocol.label().into(), signal.label().into()], *count));
    }
    for (kind, count) in &receive.refused {
        values.push(("requests_refused", vec![kind.code().into()], *count));
    }
    for (reason, count) in &fork.rejected {
        values.push(("spans_rejected", vec![reason.code().into()], *count));
    }
    for (kind, count) in &fork.observations {
        values.push(("observations", vec![kind.name().into()], *count));
    }
    for (state, calls) in &settle.calls_by_state {
        values.push(("calls_posted", vec![(*state).into()], u64::try_from(*calls).unwrap_or(0)));
    }
    for (name, counts) in books.forwards.counts() {
        for (outcome, count) in [
            ("sent", counts.sent),
            ("dropped_queue_full", counts.dropped_queue_full),
            ("dropped_refused", counts.dropped_refused),
            ("dropped_expired", counts.dropped_expired),
            ("abandoned", counts.abandoned),
        ] {
            values.push(("forward_requests", vec![name.clone(), outcome.into()], count));
        }
    }
    for (reason, count) in Reason::ALL.iter().zip(trace.traces_kept) {
        values.push(("trace_traces_kept", vec![reason.name().into()], count));
    }
    for (what, reason, count) in trace.dropped() {
        values.push(("trace_dropped", vec![what.into(), reason.into()], count));
    }
    values
}

/// The reference page.
#[cfg(test)]
fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\nServed at `/metrics` on the admin address. Made from the table in `src/admin/metrics.rs`; \
         `UPDATE_GOLDEN=1 cargo test` writes it.\n\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for metric in TABLE {
        let (kind, suffix) = match metric.kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
        };
        page += &format!(
            "| `ledgerline_{}{suffix}` | {kind} | {} | {} |\n",
            metric.name,
            metric.labels.join(", "),
            metric.help
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_page_is_fresh() {
        crate::golden::check("docs/reference/metrics.md", &reference());
    }

    #[test]
    fn the_page_shows_labels_and_values() {
        let values = vec![("observations", vec!["call".to_string()], 7), ("journal_bytes", vec![], 9)];
        let mut registry = Registry::with_prefix("ledgerline");
        registry.register_collector(Box::new(Scrape { values }));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("ledgerline_observations_total{kind=\"call\"} 7"), "{text}");
        assert!(text.contains("ledgerline_journal_bytes 9"), "{text}");
    }
}
