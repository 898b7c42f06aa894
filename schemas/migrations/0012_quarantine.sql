-- Rows that the database does not take for what is in them: docs/adr/0018-quarantine-refused-rows.md.

-- Evidence that is not in the log. Of its columns only those that nobody is likely to have put a condition on; the record has all.
CREATE TABLE IF NOT EXISTS {db}.quarantine {cluster}
(
    collector_id    FixedString(16)            COMMENT 'the journal that stamped it',
    seq             UInt64                     COMMENT 'the position it would have in observation_log',
    first_seq       UInt64                     COMMENT 'the batch it is of',
    last_seq        UInt64,
    received_day    Date,
    received_at     DateTime64(9, 'UTC'),
    realm           String,
    trace_id        FixedString(16),
    span_id         FixedString(8),
    kind            String,
    code            String                     COMMENT 'the name of the database''s error',
    reason          String                     COMMENT 'what it said',
    record          String                     COMMENT 'the evidence, byte for byte as journaled, up to its attributes' CODEC(ZSTD(1)),
    attributes      String CODEC(ZSTD(1)),
    refused_at      DateTime64(6, 'UTC'),
    redriven_at     DateTime64(6, 'UTC')       COMMENT 'when it was sent anew, under another position; 1970: it is held'
)
ENGINE = {replacing(redriven_at)}
ORDER BY (collector_id, seq)
SETTINGS {durable};

ALTER TABLE {db}.batches {cluster}
    ADD COLUMN IF NOT EXISTS refused Array(UInt64) DEFAULT [] COMMENT 'positions it does not vouch for: they are in quarantine';

-- As before, and with what is in quarantine: a span that the log does not have, and nobody sent anew.
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
    multiIf(o.refusal != '', 'quarantined', d.outcome != '', d.outcome, o.kind IN ('attribution', 'unrecognised'), o.kind, o.seq <= c.seq, 'billed', 'pending') AS outcome,
    if(o.refusal != '', o.refusal, d.outcome_reason) AS outcome_reason,
    if(o.refusal != '', 'refused', d.rule) AS rule,
    if(d.call_id = toFixedString('', 16), '', lower(hex(d.call_id))) AS call_id,
    if(d.winner_trace_id = toFixedString('', 16), '', lower(hex(d.winner_trace_id))) AS winner_trace_id,
    if(d.winner_span_id = toFixedString('', 8), '', lower(hex(d.winner_span_id))) AS winner_span_id
FROM
(
    SELECT *, '' AS refusal FROM {db}.observation_log
    WHERE kind != 'link' AND reread = 0
        AND (realm, trace_id, span_id) NOT IN (SELECT realm, trace_id, span_id FROM {db}.observation_log WHERE reread > 0)
    ORDER BY collector_id, seq LIMIT 1 BY realm, trace_id, span_id
    UNION ALL
    SELECT *, '' AS refusal FROM {db}.observation_log
    WHERE reread > 0
    ORDER BY decoder_version DESC, reread DESC, collector_id, seq LIMIT 1 BY realm, trace_id, span_id
    UNION ALL
    -- The log's columns with their defaults, and what is known of the row.
    SELECT l.* REPLACE (q.received_day AS received_day, q.collector_id AS collector_id, q.seq AS seq, q.received_at AS received_at,
        q.realm AS realm, q.trace_id AS trace_id, q.span_id AS span_id, q.kind AS kind, q.attributes AS attributes), q.refusal
    FROM
    (
        SELECT *, concat('refused by the database: ', code) AS refusal FROM {db}.quarantine FINAL
        WHERE kind != 'link' AND redriven_at = toDateTime64(0, 6, 'UTC') AND (realm, trace_id, span_id) NOT IN
            (SELECT realm, trace_id, span_id FROM {db}.observation_log WHERE trace_id IN (SELECT trace_id FROM {db}.quarantine))
        ORDER BY collector_id, seq LIMIT 1 BY realm, trace_id, span_id
    ) AS q
    LEFT JOIN (SELECT * FROM {db}.observation_log WHERE 0) AS l ON l.collector_id = q.collector_id AND l.seq = q.seq
) AS o
LEFT JOIN (SELECT * FROM {db}.decisions FINAL) AS d ON d.realm = o.realm AND d.trace_id = o.trace_id AND d.span_id = o.span_id
LEFT JOIN (SELECT collector_id, max(seq) AS seq FROM {db}.settle_cursors GROUP BY collector_id) AS c ON c.collector_id = o.collector_id;
