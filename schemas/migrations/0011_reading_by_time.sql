-- What settlement reads of the past it bounds by time: of the log when it was received, of the ledger when it was posted.
-- Both follow the order of the tables' keys closely enough for the ends of each granule to tell.

ALTER TABLE {db}.observation_log {cluster}
    ADD INDEX IF NOT EXISTS by_receipt received_at TYPE minmax GRANULARITY 1;

ALTER TABLE {db}.ledger_entries {cluster}
    ADD INDEX IF NOT EXISTS by_posting posted_at TYPE minmax GRANULARITY 1;
