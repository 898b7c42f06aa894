-- Plans: what tenants are charged. Argued in docs/adr/0009-charge-by-plans.md.

ALTER TABLE {db}.ledger_entries {cluster}
    ADD COLUMN IF NOT EXISTS plan_id LowCardinality(String) DEFAULT '' COMMENT 'what made a charge of the cost; empty: passed through',
    ADD COLUMN IF NOT EXISTS unit_charges Map(LowCardinality(String), Decimal(38, 12)) COMMENT 'with a plan: exact unit class to charge, sums to charge';

-- Every plan file that was ever imported, byte for byte; the newest is in force.
CREATE TABLE IF NOT EXISTS {db}.plan_sources {cluster}
(
    known_from  DateTime64(6, 'UTC'),
    source_id   String                             COMMENT 'hash of the content',
    name        String                             COMMENT 'the file''s name',
    content     String                             CODEC(ZSTD(6)),
    program     LowCardinality(String)
)
ENGINE = {replacing}
ORDER BY (known_from, source_id)
SETTINGS {durable};

CREATE OR REPLACE VIEW {db}.ledger {cluster} AS
SELECT
    lower(hex(entry_id)) AS entry_id,
    entry_type,
    lower(hex(call_id)) AS call_id,
    state, tenant, feature, user_id, session_id, agent, service, environment, realm,
    provider, request_model, model, operation, occurred_at, posted_at, period, calls,
    input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens,
    usage, unit_costs, unit_charges, service_tier, region, rule, tenant_source, cost, charge, currency, price_id, plan_id,
    if(entry_type IN ('adjustment', 'credit'), '', lower(hex(trace_id))) AS trace_id,
    if(entry_type IN ('adjustment', 'credit'), '', lower(hex(span_id))) AS span_id,
    response_id,
    if(reverses = toFixedString('', 16), '', lower(hex(reverses))) AS reverses
FROM {db}.ledger_entries FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;
