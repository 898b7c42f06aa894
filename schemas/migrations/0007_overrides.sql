-- Overrides: what people decided about calls and tenants' money. Argued in docs/adr/0010-keep-overrides-as-evidence.md.

-- What was ordered, once it is done.
CREATE TABLE IF NOT EXISTS {db}.overrides {cluster}
(
    override_id String,
    kind        LowCardinality(String)             COMMENT 'credit, reverse, reattribute, revoke',
    decided_at  DateTime64(6, 'UTC'),
    decided_by  String,
    reason      String,
    asked       String                             COMMENT 'what it was asked for by, as JSON: the same id with other words is refused',
    revokes     String                             COMMENT 'the override that no longer counts',
    tenant      String                             COMMENT 'of a credit',
    amount      Decimal(38, 12)                    COMMENT 'of a credit',
    currency    LowCardinality(String)             COMMENT 'of a credit',
    period      Date                               COMMENT 'of a credit: the month it is posted in, or may be used from',
    expires     Nullable(Date)                     COMMENT 'of a credit that months use up: the first month that may not',
    calls       UInt64                             COMMENT 'how many calls it is of',
    program     LowCardinality(String)
)
ENGINE = {replacing}
ORDER BY override_id
SETTINGS {durable};

-- One row a call: the report it was billed by when it was decided. Settlement reads these as it reads evidence.
CREATE TABLE IF NOT EXISTS {db}.override_calls {cluster}
(
    trace_id    FixedString(16),
    span_id     FixedString(8),
    realm       LowCardinality(String),
    override_id String,
    kind        LowCardinality(String)             COMMENT 'reverse, reattribute, revoke',
    decided_at  DateTime64(6, 'UTC'),
    moves       Map(LowCardinality(String), String) COMMENT 'of a reattribution: dimension to its new value',
    revokes     String                             COMMENT 'the override that no longer counts'
)
ENGINE = {replacing}
ORDER BY (trace_id, span_id, realm, override_id)
SETTINGS {durable};
