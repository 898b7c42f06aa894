//! A span in OTLP as a row of `otel_traces`, as the OpenTelemetry Collector's ClickHouse exporter writes it.
//!
//! Infallible: what does not hold together within a span is left out from there on. The table is the exporter's and
//! takes no column of ours, so what we say of a span are attributes: [`PROBABILITY`], [`WEIGHT`], [`RULE`] and
//! [`ESTIMATED_COST`]. No client can say them for us.

use domain::Cost;
use schemas::rows::{SpanRow, TextMap};

use super::content::{is_content, is_event_content};
use super::judge::Reason;
use super::policy::Policy;
use super::sample::Kept;
use crate::otlp::{
    Attribute, Attributes, EventView, LinkView, ResourceView, ScopeView, SpanKind, SpanView, StatusCode,
};

/// The span attribute that says how likely its trace was to be kept: what was kept stands for `1 / probability`.
pub const PROBABILITY: &str = "ledgerline.sampling.probability";

/// The span attribute that says how many spans this one stands for: `1 / probability`.
pub const WEIGHT: &str = "ledgerline.sampling.weight";

/// The span attribute that says why its trace was kept: the name of a [`Reason`].
pub const RULE: &str = "ledgerline.sampling.rule";

/// The span attribute that says what the call is expected to cost that is billed by this span, as a decimal: an estimate,
/// never a billed amount. Spans that no call is billed by have none, nor have calls without a known price.
pub const ESTIMATED_COST: &str = "ledgerline.estimated_cost";

/// Every attribute of ours.
pub(super) const OURS: [&str; 4] = [PROBABILITY, WEIGHT, RULE, ESTIMATED_COST];

/// What we say of a span that is kept.
#[derive(Debug, Clone)]
pub(super) struct Mark<'a> {
    pub(super) kept: Kept<'a>,
    pub(super) reason: Reason,
    pub(super) estimated_cost: Option<Cost>,
}

impl Mark<'_> {
    /// It as attributes.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (String, String)> {
        let probability = self.kept.probability;
        let cost = self.estimated_cost.map(|cost| (ESTIMATED_COST.to_string(), cost.to_string()));
        [
            (PROBABILITY.to_string(), probability.to_string()),
            (WEIGHT.to_string(), (1.0 / probability).to_string()),
            (RULE.to_string(), self.reason.name().to_string()),
        ]
        .into_iter()
        .chain(cost)
    }
}

/// Turns spans into rows.
#[derive(Debug, Clone)]
pub(super) struct RowMaker {
    /// What may be stored.
    pub(super) policy: Policy,
}

/// What the spans of one resource share.
#[derive(Debug, Clone)]
pub(super) struct ResourceColumns {
    service_name: String,
    attributes: TextMap,
}

impl RowMaker {
    /// The columns of a resource.
    pub(super) fn resource(&self, resource: &ResourceView<'_>) -> ResourceColumns {
        let mut attributes = resource.attributes().map_while(Result::ok);
        let service_name = attributes.find(|attribute| attribute.key == "service.name");
        ResourceColumns {
            service_name: service_name
                .and_then(|attribute| attribute.value.text())
                .unwrap_or_default()
                .to_string(),
            attributes: self.map(resource.attributes(), is_content),
        }
    }

    /// The row of a span that was kept.
    pub(super) fn row(
        &self,
        span: &SpanView<'_>,
        mark: &Mark<'_>,
        resource: &ResourceColumns,
        scope: &ScopeView<'_>,
    ) -> SpanRow {
        let mut row = SpanRow {
            timestamp: nanos(span.start_unix_nano),
            trace_id: span.trace_id.to_string(),
            span_id: span.span_id.to_string(),
            parent_span_id: id_text(span.parent),
            trace_state: mark.kept.trace_state.to_string(),
            span_name: span.name.to_string(),
            span_kind: kind_text(span.kind).to_string(),
            service_name: resource.service_name.clone(),
            resource_attributes: resource.attributes.clone(),
            scope_name: scope.name.to_string(),
            scope_version: scope.version.to_string(),
            span_attributes: self.map(span.attributes(), is_content),
            // A span that ends before it starts comes from a clock that was set back; it took no time.
            duration: span.end_unix_nano.saturating_sub(span.start_unix_nano),
            status_code: status_text(span.status).to_string(),
            status_message: self.policy.said(span.status_message).into_owned(),
            ..SpanRow::default()
        };
        // Ours alone: a client cannot say how we sampled, or what we believe it costs.
        row.span_attributes.retain(|(key, _)| !OURS.contains(&key.as_str()));
        row.span_attributes.extend(mark.attributes());
        span.events().map_while(Result::ok).for_each(|event| self.push_event(&mut row, &event));
        span.links().map_while(Result::ok).for_each(|link| self.push_link(&mut row, &link));
        row
    }

    fn push_event(&self, row: &mut SpanRow, event: &EventView<'_>) {
        row.events_timestamp.push(nanos(event.time_unix_nano));
        row.events_name.push(event.name.to_string());
        row.events_attributes.push(self.map(event.attributes(), |key| is_event_content(event.name, key)));
    }

    fn push_link(&self, row: &mut SpanRow, link: &LinkView<'_>) {
        row.links_trace_id.push(id_text(link.trace_id));
        row.links_span_id.push(id_text(link.span_id));
        row.links_trace_state.push(link.trace_state.to_string());
        row.links_attributes.push(self.map(link.attributes(), is_content));
    }

    fn map(&self, attributes: Attributes<'_>, is_content: impl Fn(&str) -> bool) -> TextMap {
        let stored = |attribute: Attribute<'_>| {
            let text = self.policy.stored(is_content(attribute.key), attribute.value)?;
            Some((attribute.key.to_string(), text))
        };
        attributes.map_while(Result::ok).filter_map(stored).collect()
    }
}

/// `DateTime64(9)` holds nanoseconds until 2262; spans may say anything.
fn nanos(unix_nano: u64) -> i64 {
    i64::try_from(unix_nano).unwrap_or(i64::MAX)
}

fn id_text<Id: ToString>(id: Option<Id>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn kind_text(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "Unspecified",
        SpanKind::Internal => "Internal",
        SpanKind::Server => "Server",
        SpanKind::Client => "Client",
        SpanKind::Producer => "Producer",
        SpanKind::Consumer => "Consumer",
    }
}

fn status_text(status: StatusCode) -> &'static str {
    match status {
        StatusCode::Unset => "Unset",
        StatusCode::Ok => "Ok",
        StatusCode::Error => "Error",
    }
}
