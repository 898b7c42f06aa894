//! The Native format for clients that speak a revision of the native protocol (clickhouse-go, Grafana's data source).

use crate::harness::{Answer, Front};

const BLOCK_INFO: [u8; 8] = [1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0];

const COLUMNS: &[&str] = &[
    "number",
    "toString(number)",
    "toFixedString('abc', 3)",
    "toLowCardinality(toString(number % 3))",
    "toLowCardinality(if(number % 2 = 0, NULL, toString(number)))",
    "if(number % 2 = 0, NULL, number)",
    "range(number % 5)",
    "arrayMap(x -> toLowCardinality(toString(x)), range(number % 3))",
    "CAST([], 'Array(LowCardinality(String))')",
    "map('a', number, 'b', 2)",
    "CAST(map('a', 'b'), 'Map(LowCardinality(String), String)')",
    "tuple(number, 'x', [1])",
    "CAST((1, toLowCardinality('x')), 'Tuple(a UInt8, `b c` LowCardinality(String))')",
    "[[number], []]",
    "toUInt128(number)",
    "toInt256(number)",
    "toDecimal128(1.5, 12)",
    "toDecimal32(1.5, 2)",
    "toDateTime64('2026-10-01 00:00:00', 9, 'UTC')",
    "toDateTime('2026-10-01 00:00:00', 'UTC')",
    "toDate('2026-10-01')",
    "toDate32('2026-10-01')",
    "generateUUIDv4(1) = generateUUIDv4(2)",
    "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')",
    "toIPv4('127.0.0.1')",
    "toIPv6('::1')",
    "CAST('a', 'Enum8(\\'a,)\\' = 1, \\'a\\' = 2)')",
    "true",
    "NULL",
    "toIntervalDay(1)",
    "CAST((1., 2.), 'Point')",
    "toFloat64(1) / 3",
];

async fn native(front: &Front, sql: &str, revision: &str) -> Answer {
    let request = front.owner().query(&[("default_format", "Native"), ("client_protocol_version", revision)]);
    Answer::of(request.body(sql.to_owned())).await
}

#[tokio::test]
async fn every_type_is_rewritten_for_the_revision() {
    let front = Front::start("native_types").await;
    for column in COLUMNS {
        let sql = format!("SELECT {column} AS c FROM numbers(1000)");
        let plain = native(&front, &sql, "0").await;
        let with_info = native(&front, &sql, "54000").await;
        let with_mark = native(&front, &sql, "54460").await;
        assert_eq!(plain.status, 200, "{column}: {}", String::from_utf8_lossy(&plain.body));
        assert_eq!(with_info.status, 200, "{column}: {}", String::from_utf8_lossy(&with_info.body));
        let expected = [&BLOCK_INFO, plain.body.as_slice()].concat();
        assert!(with_info.body == expected, "{column}");
        // The mark stands behind the name of the column and the name of its type.
        let type_size = usize::from(plain.body[5]);
        let at = BLOCK_INFO.len() + 6 + type_size;
        assert_eq!(with_mark.body[at], 0, "{column}");
        let unmarked = [&with_mark.body[..at], &with_mark.body[at + 1..]].concat();
        assert!(unmarked == expected, "{column}");
    }
}

#[tokio::test]
async fn many_columns_and_blocks_are_rewritten() {
    let front = Front::start("native_many").await;
    let sql = format!("SELECT {} FROM numbers(200000)", COLUMNS.join(", "));
    let plain = native(&front, &sql, "0").await;
    let upgraded = native(&front, &sql, "54460").await;
    assert_eq!((plain.status.as_u16(), upgraded.status.as_u16()), (200, 200));
    let per_block = BLOCK_INFO.len() + COLUMNS.len();
    let added = upgraded.body.len() - plain.body.len();
    assert_eq!(added % per_block, 0);
    assert!(added / per_block > 1, "several blocks");
}

#[tokio::test]
async fn a_type_that_cannot_be_rewritten_is_named() {
    let front = Front::start("native_unknown").await;
    let answer = native(&front, "SELECT sumState(number) FROM numbers(3)", "54460").await;
    assert_eq!(answer.code(), 48);
    assert!(answer.text().contains("AggregateFunction(sum, UInt64)"), "{}", answer.text());
    assert_eq!(native(&front, "SELECT sumState(number) FROM numbers(3)", "0").await.status, 200);
}
