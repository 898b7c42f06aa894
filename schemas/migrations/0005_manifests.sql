-- What a closed month was closed with, beyond its sums: docs/adr/0008-close-months-by-manifest.md.

ALTER TABLE {db}.periods {cluster}
    ADD COLUMN IF NOT EXISTS calls Int64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS merkle_root FixedString(32) DEFAULT '' COMMENT 'over its entries, in order of the table''s key; zeros: closed before there were roots',
    ADD COLUMN IF NOT EXISTS price_book String DEFAULT '' COMMENT 'content hash of the book in force when it was closed',
    ADD COLUMN IF NOT EXISTS plans String DEFAULT '' COMMENT 'content hash of the plans in force when it was closed; empty: none',
    ADD COLUMN IF NOT EXISTS config String DEFAULT '' COMMENT 'hash of the configuration that billing depends on',
    ADD COLUMN IF NOT EXISTS program String DEFAULT '' COMMENT 'version of the program that closed it',
    ADD COLUMN IF NOT EXISTS settler FixedString(16) DEFAULT '';
