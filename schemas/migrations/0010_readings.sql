-- Spans read anew from what was kept of them: docs/adr/0012-read-spans-anew.md. A reading is one more row; none is changed.

ALTER TABLE {db}.observation_log {cluster}
    ADD COLUMN IF NOT EXISTS decoder_version UInt32 DEFAULT 0 COMMENT 'of the decoder that read it; 0 in rows from before this column' AFTER fault,
    ADD COLUMN IF NOT EXISTS reread UInt32 DEFAULT 0 COMMENT 'how often the span was read anew; 0 as it came' AFTER decoder_version;

-- One row a span: its newest reading where it was read anew, else the smallest (collector, position) that reported it, with
-- what became of it. A span without a
-- decision is what its kind says; a call or wrapper without one is billed once its position is settled, pending before.
CREATE OR REPLACE VIEW {db}.observations {cluster} AS
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
    o.attributes AS attributes, o.decoder_version AS decoder_version, o.reread AS reread,
    multiIf(d.outcome != '', d.outcome, o.kind IN ('attribution', 'unrecognised'), o.kind, o.seq <= c.seq, 'billed', 'pending') AS outcome,
    d.outcome_reason AS outcome_reason,
    d.rule AS rule,
    if(d.call_id = toFixedString('', 16), '', lower(hex(d.call_id))) AS call_id,
    if(d.winner_trace_id = toFixedString('', 16), '', lower(hex(d.winner_trace_id))) AS winner_trace_id,
    if(d.winner_span_id = toFixedString('', 8), '', lower(hex(d.winner_span_id))) AS winner_span_id
FROM
(
    SELECT * FROM {db}.observation_log
    WHERE kind != 'link' AND reread = 0
        AND (realm, trace_id, span_id) NOT IN (SELECT realm, trace_id, span_id FROM {db}.observation_log WHERE reread > 0)
    ORDER BY collector_id, seq LIMIT 1 BY realm, trace_id, span_id
    UNION ALL
    SELECT * FROM {db}.observation_log
    WHERE reread > 0
    ORDER BY decoder_version DESC, reread DESC, collector_id, seq LIMIT 1 BY realm, trace_id, span_id
) AS o
LEFT JOIN (SELECT * FROM {db}.decisions FINAL) AS d ON d.realm = o.realm AND d.trace_id = o.trace_id AND d.span_id = o.span_id
LEFT JOIN (SELECT collector_id, max(seq) AS seq FROM {db}.settle_cursors GROUP BY collector_id) AS c ON c.collector_id = o.collector_id;
