-- Billing tables. Their keys are argued in docs/adr/0001-key-the-billing-tables.md.
-- `{...}` are filled in by `ledgerline schema`: {db} the database, {cluster} `ON CLUSTER name` or nothing,
-- {replacing} the engine family for one server or for a cluster, {durable} the settings that make a committed row
-- survive power loss, through merges too.

CREATE DATABASE IF NOT EXISTS {db} {cluster};

-- Every piece of evidence, as the journal holds it. Keyed and partitioned only by what the journal stamped once, so
-- that sending a batch again rewrites the same rows.
CREATE TABLE IF NOT EXISTS {db}.observation_log {cluster}
(
    received_day     Date                         COMMENT 'UTC day of received_at; the partition',
    collector_id     FixedString(16)              COMMENT 'the journal that stamped it',
    seq              UInt64                       COMMENT 'position in that journal, contiguous from 1',
    received_at      DateTime64(9, 'UTC')         COMMENT 'collector clock',
    realm            LowCardinality(String)       COMMENT 'account of the API key',
    trace_id         FixedString(16),
    span_id          FixedString(8),
    parent_span_id   FixedString(8)               COMMENT 'zeros: none',
    kind             LowCardinality(String)       COMMENT 'call, possible_wrapper, attribution, unrecognised, link',
    started_at       DateTime64(9, 'UTC')         COMMENT 'client clock',
    ended_at         DateTime64(9, 'UTC')         COMMENT 'client clock',
    span_name        LowCardinality(String),
    scope_name       LowCardinality(String),
    scope_version    LowCardinality(String),
    convention       LowCardinality(String)       COMMENT 'the table of the decoder that read it',
    operation        LowCardinality(String),
    provider         LowCardinality(String),
    request_model    LowCardinality(String),
    response_model   LowCardinality(String),
    response_id      String,
    response_key     UInt64                       COMMENT 'hash of realm and strong response id; 0: none',
    pair_key         UInt64                       COMMENT 'hash by which a report without id finds its partner in another trace; 0: none',
    status           LowCardinality(String),
    error_type       LowCardinality(String),
    tenant           LowCardinality(String)       COMMENT 'as the span states it; attribution happens later',
    feature          LowCardinality(String),
    input_tokens           Nullable(UInt64),
    cache_read_tokens      Nullable(UInt64),
    cache_write_tokens     Nullable(UInt64),
    cache_write_1h_tokens  Nullable(UInt64),
    output_tokens          Nullable(UInt64),
    reasoning_tokens       Nullable(UInt64),
    fault            LowCardinality(String)       COMMENT 'why the stated usage cannot be billed',
    attributes       String COMMENT 'JSON of non-content attributes of AI namespaces' CODEC(ZSTD(1)),
    record           String COMMENT 'the evidence, byte for byte as journaled' CODEC(ZSTD(1)),
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_response response_key TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_pair pair_key TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {replacing}
PARTITION BY received_day
ORDER BY (collector_id, seq)
SETTINGS {durable};

-- One row per committed batch: the proof that the range is complete, and what its rows must hash to.
CREATE TABLE IF NOT EXISTS {db}.batches {cluster}
(
    collector_id  FixedString(16),
    first_seq     UInt64,
    last_seq      UInt64,
    received_day  Date,
    rows          UInt64,
    content_hash  UInt64,
    committed_at  DateTime64(6, 'UTC')
)
ENGINE = {replacing(committed_at)}
ORDER BY (collector_id, first_seq)
SETTINGS {durable};

-- What each collector says of itself: who is alive, and how much it holds that is not here yet.
CREATE TABLE IF NOT EXISTS {db}.collectors {cluster}
(
    collector_id  FixedString(16),
    host          String,
    version       String,
    appended_seq  UInt64,
    shipped_seq   UInt64,
    settles       Bool,
    heartbeat_at  DateTime64(6, 'UTC')
)
ENGINE = {replacing(heartbeat_at)}
ORDER BY collector_id
SETTINGS {durable};

-- Up to where each collector's evidence is settled for good. A restart resumes here; resuming too early is harmless.
CREATE TABLE IF NOT EXISTS {db}.settle_cursors {cluster}
(
    collector_id  FixedString(16),
    seq           UInt64,
    settler       FixedString(16),
    at            DateTime64(6, 'UTC')
)
ENGINE = {replacing(seq)}
ORDER BY collector_id
SETTINGS {durable};

-- The ledger. Only ever appended to. `entry_id` is a function of the call, the entries it answers and its content, and
-- the sorting key and the partition are functions of that content: an entry posted twice is one row.
CREATE TABLE IF NOT EXISTS {db}.ledger_entries {cluster}
(
    entry_id        FixedString(16),
    entry_type      LowCardinality(String)     COMMENT 'usage, correction, adjustment, credit',
    call_id         FixedString(16),
    state           LowCardinality(String)     COMMENT 'billed, unpriced, unmetered, partial',
    tenant          LowCardinality(String),
    feature         LowCardinality(String),
    user_id         String,
    session_id      String,
    agent           LowCardinality(String),
    service         LowCardinality(String),
    environment     LowCardinality(String),
    realm           LowCardinality(String),
    provider        LowCardinality(String),
    request_model   LowCardinality(String),
    model           LowCardinality(String),
    operation       LowCardinality(String),
    occurred_at     DateTime64(9, 'UTC')       COMMENT 'end of the winning report, client clock',
    posted_at       DateTime64(6, 'UTC')       COMMENT 'settler clock; not part of the entry''s identity',
    period          Date                       COMMENT 'first day of the month it is billed in',
    calls           Int64,
    input_tokens           Int64,
    cache_read_tokens      Int64,
    cache_write_tokens     Int64,
    cache_write_1h_tokens  Int64,
    output_tokens          Int64,
    reasoning_tokens       Int64,
    usage           Map(LowCardinality(String), Int64)            COMMENT 'exact unit class to quantity',
    unit_costs      Map(LowCardinality(String), Decimal(38, 12))  COMMENT 'exact unit class to cost; sums to cost',
    service_tier    LowCardinality(String),
    region          LowCardinality(String),
    rule            LowCardinality(String)     COMMENT 'what decided that this report is the call',
    tenant_source   LowCardinality(String)     COMMENT 'where the tenant was read: key, span, duplicate, ancestor, enclosing, resource',
    cost            Decimal(38, 12),
    charge          Decimal(38, 12),
    currency        LowCardinality(String),
    price_id        LowCardinality(String),
    trace_id        FixedString(16),
    span_id         FixedString(8),
    response_id     String,
    reverses        FixedString(16)            COMMENT 'zeros: none',
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_call call_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {replacing}
PARTITION BY period
ORDER BY (toStartOfHour(occurred_at), tenant, call_id, entry_id)
SETTINGS {durable};

-- What became of each span that is not plainly billed; the newest decision stands.
CREATE TABLE IF NOT EXISTS {db}.decisions {cluster}
(
    realm           LowCardinality(String),
    trace_id        FixedString(16),
    span_id         FixedString(8),
    outcome         LowCardinality(String),
    outcome_reason  String,
    rule            LowCardinality(String),
    call_id         FixedString(16)            COMMENT 'zeros: none',
    winner_trace_id FixedString(16)            COMMENT 'the span it lost to; zeros: none',
    winner_span_id  FixedString(8),
    decided_at      DateTime64(6, 'UTC')
)
ENGINE = {replacing(decided_at)}
ORDER BY (trace_id, span_id, realm)
SETTINGS {durable};

-- Every price an entry was rated with, so that an amount can be recomputed for ever.
CREATE TABLE IF NOT EXISTS {db}.prices {cluster}
(
    price_id    String                                COMMENT 'a function of all columns that describe the card',
    provider    LowCardinality(String),
    model       String,
    valid_from  Nullable(DateTime64(9, 'UTC')),
    valid_to    Nullable(DateTime64(9, 'UTC')),
    daily       Array(Tuple(UInt64, UInt64))          COMMENT 'hours of the day it holds, nanoseconds since midnight; empty: all day',
    context     Map(LowCardinality(String), String)   COMMENT 'service tier and the like; empty: standard',
    rates       Map(LowCardinality(String), String)   COMMENT 'unit class to price of one unit, a decimal, with its tiers',
    unsupported Array(String)                         COMMENT 'price keys of the source that were not understood',
    minimums    Map(LowCardinality(String), UInt64)   COMMENT 'unit class to the least that is billed',
    source      String                                COMMENT 'where the price was read',
    book        String                                COMMENT 'content hash of the price book',
    known_from  DateTime64(6, 'UTC')
)
ENGINE = {replacing(known_from)}
ORDER BY price_id
SETTINGS {durable};

-- Closed months. An entry of a closed month is never posted again.
CREATE TABLE IF NOT EXISTS {db}.periods {cluster}
(
    period      Date,
    closed_at   DateTime64(6, 'UTC'),
    entries     UInt64,
    cost        Decimal(38, 12),
    charge      Decimal(38, 12)
)
ENGINE = {replacing}
ORDER BY period
SETTINGS {durable};

CREATE TABLE IF NOT EXISTS {db}.issued_invoices {cluster}
(
    invoice_number  String,
    tenant          String,
    period_start    Date,
    period_end      Date,
    currency        LowCardinality(String),
    amount          Decimal(38, 12),
    calls           Int64,
    issued_at       DateTime64(6, 'UTC')
)
ENGINE = {replacing}
ORDER BY (period_start, tenant, invoice_number)
SETTINGS {durable};

CREATE TABLE IF NOT EXISTS {db}.issued_invoice_lines {cluster}
(
    invoice_number  String,
    tenant          String,
    period_start    Date,
    period_end      Date,
    line            UInt32,
    kind            LowCardinality(String),
    feature         String,
    provider        LowCardinality(String),
    model           String,
    unit            LowCardinality(String),
    quantity        Int64,
    unit_price      Decimal(38, 18),
    amount          Decimal(38, 12),
    currency        LowCardinality(String),
    calls           Int64,
    description     String
)
ENGINE = {replacing}
ORDER BY (period_start, tenant, invoice_number, line)
SETTINGS {durable};
