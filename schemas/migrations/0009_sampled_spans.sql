-- What later versions of the OpenTelemetry Collector's exporter have in `otel_traces` too, and what is read with it.

ALTER TABLE {db}.otel_traces {cluster}
    MODIFY COLUMN Duration UInt64 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS ResourceAttributeItems Array(String)
        ALIAS arrayMap(kv -> concat(kv.1, '=', kv.2), CAST(ResourceAttributes, 'Array(Tuple(String, String))')),
    ADD COLUMN IF NOT EXISTS SpanAttributeItems Array(String)
        ALIAS arrayMap(kv -> concat(kv.1, '=', kv.2), CAST(SpanAttributes, 'Array(Tuple(String, String))')),
    ADD INDEX IF NOT EXISTS idx_lower_span_name lower(SpanName) TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 8;

-- Sampled spans with their money, of both kinds and never mixed: what the trace arm estimated when it kept a span
-- (`estimated_cost`; times `weight` it estimates what all spans cost), and what the ledger says now of the calls that are
-- billed by the span (`cost`, `charge`, `entries`; no entry: null). Asked for with a time, so that both sides read only that
-- much: SELECT * FROM sampled_spans(from = '2026-11-01 00:00:00', to = '2026-11-02 00:00:00').
--
-- A call is in the ledger at the hour of its end: one that lasted longer than a day is not found here.

CREATE VIEW IF NOT EXISTS {db}.sampled_spans {cluster} AS
SELECT
    s.started_at AS started_at, s.trace_id AS trace_id, s.span_id AS span_id, s.parent_span_id AS parent_span_id,
    s.name AS name, s.service AS service, s.duration_nanos AS duration_nanos, s.status AS status, s.rule AS rule, s.weight AS weight,
    s.estimated_cost AS estimated_cost,
    l.tenant AS tenant, l.feature AS feature, l.model AS model, l.cost AS cost, l.charge AS charge, l.currency AS currency,
    l.entries AS entries
FROM
(
    SELECT
        Timestamp AS started_at, TraceId AS trace_id, SpanId AS span_id, ParentSpanId AS parent_span_id, SpanName AS name,
        ServiceName AS service, Duration AS duration_nanos, StatusCode AS status,
        SpanAttributes['ledgerline.sampling.rule'] AS rule,
        toFloat64OrNull(SpanAttributes['ledgerline.sampling.weight']) AS weight,
        toDecimal128OrNull(SpanAttributes['ledgerline.estimated_cost'], 12) AS estimated_cost
    FROM {db}.otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp <= {to:DateTime}
    LIMIT 1 BY TraceId, SpanId
) AS s
LEFT JOIN
(
    SELECT
        lower(hex(e.trace_id)) AS trace_id, lower(hex(e.span_id)) AS span_id,
        argMax(e.tenant, e.posted_at) AS tenant, argMax(e.feature, e.posted_at) AS feature, argMax(e.model, e.posted_at) AS model,
        sum(e.cost) AS cost, sum(e.charge) AS charge, any(e.currency) AS currency,
        arraySort(groupArray(lower(hex(e.entry_id)))) AS entries
    FROM {db}.ledger_entries AS e FINAL
    WHERE toStartOfHour(e.occurred_at) >= toStartOfHour({from:DateTime})
        AND toStartOfHour(e.occurred_at) <= {to:DateTime} + toIntervalDay(1)
        AND e.trace_id IN (
            SELECT unhex(TraceId) FROM {db}.otel_traces WHERE Timestamp >= {from:DateTime} AND Timestamp <= {to:DateTime}
        )
    GROUP BY e.trace_id, e.span_id
) AS l ON l.trace_id = s.trace_id AND l.span_id = s.span_id
SETTINGS join_use_nulls = 1;
