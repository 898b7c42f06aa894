-- What people read. Each is safe to SUM as it stands: copies of a row count once.

CREATE VIEW IF NOT EXISTS {db}.ledger {cluster} AS
SELECT
    lower(hex(entry_id)) AS entry_id,
    entry_type,
    lower(hex(call_id)) AS call_id,
    state, tenant, feature, user_id, session_id, agent, service, environment, realm,
    provider, request_model, model, operation, occurred_at, posted_at, period, calls,
    input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens,
    usage, unit_costs, service_tier, region, rule, tenant_source, cost, charge, currency, price_id,
    lower(hex(trace_id)) AS trace_id,
    lower(hex(span_id)) AS span_id,
    response_id,
    if(reverses = toFixedString('', 16), '', lower(hex(reverses))) AS reverses
FROM {db}.ledger_entries FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE VIEW IF NOT EXISTS {db}.usage_hourly {cluster} AS
SELECT
    tenant, feature, provider, model, toStartOfHour(occurred_at) AS hour, period,
    sum(e.calls) AS calls,
    sum(e.input_tokens) AS input_tokens,
    sum(e.cache_read_tokens) AS cache_read_tokens,
    sum(e.cache_write_tokens) AS cache_write_tokens,
    sum(e.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(e.output_tokens) AS output_tokens,
    sum(e.reasoning_tokens) AS reasoning_tokens,
    sum(e.cost) AS cost,
    sum(e.charge) AS charge,
    sumIf(e.calls, state = 'unpriced') AS unpriced_calls,
    sumIf(e.calls, state = 'unmetered') AS unmetered_calls
FROM {db}.ledger_entries AS e FINAL
GROUP BY tenant, feature, provider, model, hour, period
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- One row a span: the smallest (collector, position) that reported it, with what became of it. A span without a
-- decision is what its kind says; a call or wrapper without one is billed once its position is settled, pending before.
CREATE VIEW IF NOT EXISTS {db}.observations {cluster} AS
SELECT
    lower(hex(o.trace_id)) AS trace_id,
    lower(hex(o.span_id)) AS span_id,
    if(o.parent_span_id = toFixedString('', 8), '', lower(hex(o.parent_span_id))) AS parent_span_id,
    o.realm AS realm, o.kind AS kind, o.received_at AS received_at, o.started_at AS started_at, o.ended_at AS ended_at,
    o.span_name AS span_name, o.scope_name AS scope_name, o.scope_version AS scope_version, o.convention AS convention,
    o.operation AS operation, o.provider AS provider, o.request_model AS request_model, o.response_model AS response_model,
    o.response_id AS response_id, o.status AS status, o.error_type AS error_type, o.tenant AS tenant, o.feature AS feature,
    o.input_tokens AS input_tokens, o.cache_read_tokens AS cache_read_tokens, o.cache_write_tokens AS cache_write_tokens,
    o.cache_write_1h_tokens AS cache_write_1h_tokens, o.output_tokens AS output_tokens, o.reasoning_tokens AS reasoning_tokens,
    o.attributes AS attributes,
    multiIf(d.outcome != '', d.outcome, o.kind IN ('attribution', 'unrecognised'), o.kind, o.seq <= c.seq, 'billed', 'pending') AS outcome,
    d.outcome_reason AS outcome_reason,
    d.rule AS rule,
    if(d.call_id = toFixedString('', 16), '', lower(hex(d.call_id))) AS call_id,
    if(d.winner_trace_id = toFixedString('', 16), '', lower(hex(d.winner_trace_id))) AS winner_trace_id,
    if(d.winner_span_id = toFixedString('', 8), '', lower(hex(d.winner_span_id))) AS winner_span_id
FROM
(
    SELECT * FROM {db}.observation_log WHERE kind != 'link' ORDER BY collector_id, seq LIMIT 1 BY realm, trace_id, span_id
) AS o
LEFT JOIN (SELECT * FROM {db}.decisions FINAL) AS d ON d.realm = o.realm AND d.trace_id = o.trace_id AND d.span_id = o.span_id
LEFT JOIN (SELECT collector_id, max(seq) AS seq FROM {db}.settle_cursors GROUP BY collector_id) AS c ON c.collector_id = o.collector_id;

CREATE VIEW IF NOT EXISTS {db}.invoices {cluster} AS
SELECT invoice_number, tenant, period_start, period_end, currency, amount, calls, issued_at
FROM {db}.issued_invoices FINAL;

CREATE VIEW IF NOT EXISTS {db}.invoice_lines {cluster} AS
SELECT invoice_number, tenant, period_start, period_end, line, kind, feature, provider, model, unit, quantity, unit_price,
    amount, currency, calls, description
FROM {db}.issued_invoice_lines FINAL;
