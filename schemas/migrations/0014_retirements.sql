-- What went by retention: docs/adr/0022-retire-whole-partitions.md.

-- One row a partition that was dropped. Written before anything is dropped, and once more when it is.
CREATE TABLE IF NOT EXISTS {db}.retirements {cluster}
(
    class        LowCardinality(String)    COMMENT 'observations or ledger',
    partition    Date                      COMMENT 'the received_day, or the period',
    begun_at     DateTime64(6, 'UTC')      COMMENT 'settler clock, before it was dropped',
    dropped_at   DateTime64(6, 'UTC')      COMMENT '1970: begun, and perhaps not done',
    rows         UInt64                    COMMENT 'rows of the partition, copies and links included',
    calls        Int64                     COMMENT 'of a period: net calls of its entries',
    outcomes     Map(String, UInt64)       COMMENT 'of a day: spans of which nothing is left, by what they came to',
    settled      Array(Tuple(FixedString(16), UInt64)) COMMENT 'of a day: up to where each collector of it was settled',
    frozen_until DateTime64(9, 'UTC')      COMMENT 'calls that ended until then are not judged again',
    merkle_root  FixedString(32)           COMMENT 'of a period: over its entries, as its manifest has it',
    retention    UInt64                    COMMENT 'the setting it follows from, in seconds',
    settler      FixedString(16),
    program      LowCardinality(String)
)
ENGINE = {replacing(dropped_at)}
ORDER BY (class, partition, begun_at)
SETTINGS {durable};

-- What entries of a retired period used of credits. What is left of one is a sum over all months.
CREATE TABLE IF NOT EXISTS {db}.retired_credits {cluster}
(
    period    Date,
    entry_id  FixedString(16),
    tenant    String,
    name      String                       COMMENT 'the credit',
    posted_at DateTime64(6, 'UTC'),
    charge    Decimal(38, 12)              COMMENT 'below zero'
)
ENGINE = {replacing}
ORDER BY (period, entry_id)
SETTINGS {durable};
