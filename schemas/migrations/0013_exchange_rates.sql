-- Invoices in another currency than the ledger's: docs/adr/0021-convert-on-the-invoice.md.

-- Every rate file that was ever imported, byte for byte; the newest is in force.
CREATE TABLE IF NOT EXISTS {db}.rate_sources {cluster}
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

ALTER TABLE {db}.periods {cluster}
    ADD COLUMN IF NOT EXISTS rates String DEFAULT '' COMMENT 'content hash of the rate file in force when it was closed; empty: none';

ALTER TABLE {db}.issued_invoices {cluster}
    ADD COLUMN IF NOT EXISTS ledger_currency LowCardinality(String) DEFAULT currency COMMENT 'what its amounts were converted from; the same as currency where they were not',
    ADD COLUMN IF NOT EXISTS ledger_amount Decimal(38, 12) DEFAULT amount COMMENT 'what its entries add up to, in ledger_currency',
    ADD COLUMN IF NOT EXISTS rate Nullable(Decimal(38, 12)) COMMENT 'of currency for one of ledger_currency; null: not converted',
    ADD COLUMN IF NOT EXISTS rate_date Nullable(Date) COMMENT 'the day the rate is of',
    ADD COLUMN IF NOT EXISTS rate_source String DEFAULT '' COMMENT 'who states the rate';

ALTER TABLE {db}.issued_invoice_lines {cluster}
    ADD COLUMN IF NOT EXISTS ledger_currency LowCardinality(String) DEFAULT currency COMMENT 'of exact and ledger_price',
    ADD COLUMN IF NOT EXISTS ledger_price Decimal(38, 18) DEFAULT unit_price COMMENT 'the unit price before it was converted',
    ADD COLUMN IF NOT EXISTS rate Nullable(Decimal(38, 12)) COMMENT 'what amount and unit_price were converted by; null: not converted',
    ADD COLUMN IF NOT EXISTS rate_date Nullable(Date) COMMENT 'the day the rate is of',
    ADD COLUMN IF NOT EXISTS rate_source String DEFAULT '' COMMENT 'who states the rate';

CREATE OR REPLACE VIEW {db}.invoices {cluster} AS
SELECT invoice_number, tenant, period_start, period_end, currency, amount, calls, issued_at, kind, terms,
    ledger_currency, ledger_amount, rate, rate_date, rate_source
FROM {db}.issued_invoices FINAL;

CREATE OR REPLACE VIEW {db}.invoice_lines {cluster} AS
SELECT invoice_number, tenant, period_start, period_end, line, kind, feature, provider, model, unit, quantity, unit_price,
    amount, currency, calls, description, service_month, corrects, exact,
    ledger_currency, ledger_price, rate, rate_date, rate_source
FROM {db}.issued_invoice_lines FINAL;
