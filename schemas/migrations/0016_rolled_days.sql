-- Sums of whole days, so that a month is seen without reading each entry of it: docs/adr/0025-roll-up-whole-days.md.

-- Computed from the ledger, never added to. A day that was summed twice has two rows of a key, of which the later sums more.
CREATE TABLE IF NOT EXISTS {db}.usage_days {cluster}
(
    period                 Date,
    day                    Date                    COMMENT 'of occurred_at, in UTC',
    tenant                 LowCardinality(String),
    feature                LowCardinality(String),
    provider               LowCardinality(String),
    model                  LowCardinality(String),
    entry_type             LowCardinality(String),
    state                  LowCardinality(String),
    entries                UInt64                  COMMENT 'how many it sums; entries only come, so the row that sums more is the newer',
    calls                  Int64,
    input_tokens           Int64,
    cache_read_tokens      Int64,
    cache_write_tokens     Int64,
    cache_write_1h_tokens  Int64,
    output_tokens          Int64,
    reasoning_tokens       Int64,
    cost                   Decimal(38, 12),
    charge                 Decimal(38, 12)
)
ENGINE = {replacing(entries)}
PARTITION BY period
ORDER BY (day, tenant, feature, provider, model, entry_type, state, period)
SETTINGS {durable};

-- One row: how far the above may be believed.
CREATE TABLE IF NOT EXISTS {db}.rolled_up {cluster}
(
    through  DateTime64(6, 'UTC')   COMMENT 'what was posted until then, of days before `before`, is in usage_days',
    before   Date,
    days     Array(Tuple(Date, Date, UInt64, DateTime64(6, 'UTC'))) COMMENT 'of periods that were open: period, day, rows of the ledger, when the newest was posted',
    closed   Array(Date)            COMMENT 'periods that were closed: nothing is posted to them any more'
)
ENGINE = {replacing(through)}
ORDER BY tuple()
SETTINGS {durable};

-- The sums of the ledger between two instants, both included, whose rows add up to exactly what its entries do: whole days as
-- they were rolled up; entry by entry the days that something was posted to since, and the ends of the time that are no whole days.
CREATE VIEW IF NOT EXISTS {db}.usage_between {cluster} AS
WITH
    (SELECT (max(through), argMax(before, through)) FROM {db}.rolled_up) AS rolled,
    (SELECT groupUniqArray(toDate(occurred_at)) FROM {db}.ledger_entries
     WHERE posted_at > rolled.1 AND occurred_at < toDateTime64(rolled.2, 9, 'UTC')) AS touched,
    arrayFlatten(arrayMap(day -> arrayMap(hour -> toDateTime(day, 'UTC') + hour * 3600, range(24)), touched)) AS touched_hours,
    toDate({from:DateTime64(9, 'UTC')} + INTERVAL 1 DAY - INTERVAL 1 NANOSECOND) AS first_whole,
    least(toDate({to:DateTime64(9, 'UTC')} + INTERVAL 1 NANOSECOND), rolled.2) AS after_whole
SELECT
    toDateTime64(day, 9, 'UTC') AS at,
    period, tenant, feature, provider, model, entry_type, state, calls,
    input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, cost, charge
FROM {db}.usage_days FINAL
WHERE day >= first_whole AND day < after_whole AND day NOT IN touched
SETTINGS do_not_merge_across_partitions_select_final = 1
UNION ALL
SELECT
    occurred_at AS at,
    period, tenant, feature, provider, model, entry_type, state, calls,
    input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, cost, charge
FROM {db}.ledger_entries FINAL
WHERE occurred_at >= {from:DateTime64(9, 'UTC')} AND occurred_at <= {to:DateTime64(9, 'UTC')}
  AND (occurred_at < toDateTime64(first_whole, 9, 'UTC') OR occurred_at >= toDateTime64(after_whole, 9, 'UTC')
       OR toStartOfHour(occurred_at) IN (SELECT arrayJoin(touched_hours)))
SETTINGS do_not_merge_across_partitions_select_final = 1;
