-- Where prices come from, and which book was in force when. Argued in docs/adr/0007-keep-prices-with-two-times.md.

-- Every price file that was ever imported, byte for byte. Only appended to: the newest of an origin is in force, so what
-- was known at any moment can be read again. A row is one insert, hence a file is imported whole or not at all.
CREATE TABLE IF NOT EXISTS {db}.price_sources {cluster}
(
    origin      LowCardinality(String)             COMMENT 'own, imported, bundled: in this order of precedence',
    known_from  DateTime64(6, 'UTC')               COMMENT 'when it was imported; later than every other of its origin',
    source_id   String                             COMMENT 'hash of origin, format, since and content',
    format      LowCardinality(String)             COMMENT 'genai-prices, litellm, toml, csv',
    name        String                             COMMENT 'the file''s name, or the release of bundled data',
    since       Nullable(DateTime64(9, 'UTC'))     COMMENT 'from when prices without a date of their own hold',
    content     String                             CODEC(ZSTD(6)),
    program     LowCardinality(String)             COMMENT 'version of the program that imported it'
)
ENGINE = {replacing}
ORDER BY (origin, known_from, source_id)
SETTINGS {durable};

-- Every change of the book that a settler rates with.
CREATE TABLE IF NOT EXISTS {db}.price_books {cluster}
(
    book        String                             COMMENT 'content hash of the price book',
    adopted_at  DateTime64(6, 'UTC'),
    settler     FixedString(16),
    sources     Array(String)                      COMMENT 'its sources, in order of precedence',
    program     LowCardinality(String)
)
ENGINE = {replacing}
ORDER BY (adopted_at, settler, book)
SETTINGS {durable};
