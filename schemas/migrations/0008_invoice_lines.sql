-- What an invoice line says of usage of other months than its own: docs/adr/0011-correct-invoices-by-later-ones.md.

ALTER TABLE {db}.issued_invoices {cluster}
    ADD COLUMN IF NOT EXISTS kind LowCardinality(String) DEFAULT 'invoice' COMMENT 'invoice, credit_note: what it comes to is below zero',
    ADD COLUMN IF NOT EXISTS terms String DEFAULT '' COMMENT 'the plan file in force when it was issued: names and addresses; empty: none';

ALTER TABLE {db}.issued_invoice_lines {cluster}
    ADD COLUMN IF NOT EXISTS service_month Date DEFAULT period_start COMMENT 'first day of the month the usage is of',
    ADD COLUMN IF NOT EXISTS corrects String DEFAULT '' COMMENT 'the invoice of that month, where the line corrects it',
    ADD COLUMN IF NOT EXISTS exact Decimal(38, 12) DEFAULT amount COMMENT 'the sum of the entries, before the line was rounded to coins';

CREATE OR REPLACE VIEW {db}.invoices {cluster} AS
SELECT invoice_number, tenant, period_start, period_end, currency, amount, calls, issued_at, kind, terms
FROM {db}.issued_invoices FINAL;

CREATE OR REPLACE VIEW {db}.invoice_lines {cluster} AS
SELECT invoice_number, tenant, period_start, period_end, line, kind, feature, provider, model, unit, quantity, unit_price,
    amount, currency, calls, description, service_month, corrects, exact
FROM {db}.issued_invoice_lines FINAL;
