-- What settlers are about to post, each pass hashed onto the one before: docs/adr/0023-vouch-before-posting.md.

-- Written before the entries it vouches for, so that an entry that none vouches for was put in by somebody else.
CREATE TABLE IF NOT EXISTS {db}.vouchers {cluster}
(
    posted_at  DateTime64(6, 'UTC')  COMMENT 'what its entries say; grows along a chain',
    chain      FixedString(16)       COMMENT 'vouchers that one settler wrote without an interruption; random',
    number     UInt64                COMMENT 'from 1, without gaps; the first of a chain posts nothing',
    settler    FixedString(16)       COMMENT 'the process',
    leaves     Array(UInt64)         COMMENT 'of its entries, by entry_id: the first eight bytes of a hash of all they say but when' CODEC(NONE),
    ends       Array(Tuple(FixedString(16), UInt64, FixedString(32), Array(UInt64))) COMMENT 'of a first one, the chains that ended before it: chain, last number, its head, which of its leaves stood',
    before     UInt64                COMMENT 'of the first of all: entries that stood before there were chains',
    head       FixedString(32)       COMMENT 'a hash of all this and of the head before it'
)
ENGINE = {replacing}
PARTITION BY toYYYYMM(posted_at)
ORDER BY (posted_at, chain, number)
SETTINGS {durable};

ALTER TABLE {db}.periods {cluster}
    ADD COLUMN IF NOT EXISTS chain_heads Array(Tuple(FixedString(16), UInt64, FixedString(32))) DEFAULT [] COMMENT 'where the chains were when it was closed: chain, number, head';
