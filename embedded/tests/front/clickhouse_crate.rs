//! The official Rust client, with validation on.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use clickhouse::{Client, Compression, Row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::harness::Front;

#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
struct Everything {
    key: u128,
    #[serde(with = "clickhouse::serde::uuid")]
    id: Uuid,
    /// Decimal(38, 12)
    amount: i128,
    #[serde(with = "clickhouse::serde::chrono::datetime64::nanos")]
    at: DateTime<Utc>,
    tenant: String,
    attributes: HashMap<String, String>,
    note: Option<String>,
    numbers: Vec<u64>,
    trace: [u8; 16],
    state: i8,
    cached: bool,
}

const TABLE: &str = "CREATE TABLE everything (key UInt128, id UUID, amount Decimal(38, 12), at DateTime64(9, 'UTC'), \
     tenant LowCardinality(String), attributes Map(LowCardinality(String), String), note Nullable(String), \
     numbers Array(UInt64), trace FixedString(16), state Enum8('billed' = 1, 'unpriced' = 2), cached Bool) \
     ENGINE = MergeTree ORDER BY key";

fn row(index: u64) -> Everything {
    Everything {
        key: u128::MAX - u128::from(index),
        id: Uuid::from_u128(u128::from(index)),
        amount: i128::from(index) * 1_000_000_000_001 - 7,
        at: DateTime::from_timestamp(1_790_000_000 + i64::try_from(index).unwrap(), 123_456_789).unwrap(),
        tenant: format!("tenant {}", index % 7),
        attributes: HashMap::from([("model".to_owned(), "gpt\n\t\\'`".to_owned())]),
        note: index.is_multiple_of(2).then(|| "ünïcödé".to_owned()),
        numbers: (0..index % 5).collect(),
        trace: [u8::try_from(index % 256).unwrap(); 16],
        state: 1 + i8::try_from(index % 2).unwrap(),
        cached: index.is_multiple_of(3),
    }
}

async fn insert(client: &Client, rows: u64) {
    let mut insert = client.insert::<Everything>("everything").await.unwrap();
    for index in 0..rows {
        insert.write(&row(index)).await.unwrap();
    }
    insert.end().await.unwrap();
}

async fn all_types_come_back(database: &str, compression: Compression) {
    let front = Front::start(database).await;
    let client = front.crate_client().with_compression(compression);
    client.query(TABLE).execute().await.unwrap();
    insert(&client, 1000).await;
    let mut rows = client.query("SELECT ?fields FROM everything").fetch_all::<Everything>().await.unwrap();
    rows.sort_by_key(|row| std::cmp::Reverse(row.key));
    assert_eq!(rows, (0..1000).map(row).collect::<Vec<_>>());
}

#[tokio::test]
async fn all_types_come_back_uncompressed() {
    all_types_come_back("types_plain", Compression::None).await;
}

#[tokio::test]
async fn all_types_come_back_through_lz4() {
    all_types_come_back("types_lz4", Compression::Lz4).await;
}

#[tokio::test]
async fn two_hundred_thousand_rows_arrive_once() {
    let front = Front::start("crate_many").await;
    let client = front.crate_client();
    client.query(TABLE).execute().await.unwrap();
    insert(&client, 200_000).await;
    let (rows, keys): (u64, u64) =
        client.query("SELECT count(), uniqExact(key) FROM everything").fetch_one().await.unwrap();
    assert_eq!((rows, keys), (200_000, 200_000));
    // Read back over several pieces, each with a header of its own in the engine's stream.
    let mut cursor =
        client.query("SELECT ?fields FROM everything ORDER BY key DESC").fetch::<Everything>().unwrap();
    let mut read = 0;
    while let Some(found) = cursor.next().await.unwrap() {
        assert_eq!(found, row(read));
        read += 1;
    }
    assert_eq!(read, 200_000);
}

#[tokio::test]
async fn server_side_parameters_are_values_not_sql() {
    let front = Front::start("crate_parameters").await;
    let tricky = "it's \\ a \n\t'; DROP TABLE x; -- ünï";
    let found: (String, u64) = front
        .crate_client()
        .query("SELECT {text:String}, arraySum({numbers:Array(UInt32)})")
        .param("text", tricky)
        .param("numbers", vec![1_u32, 2, 3])
        .fetch_one()
        .await
        .unwrap();
    assert_eq!(found, (tricky.to_owned(), 6));
}

#[tokio::test]
async fn errors_reach_the_client_with_their_number() {
    let front = Front::start("crate_errors").await;
    let client = front.crate_client();
    let error = client.query("SELECT * FROM nothing").fetch_all::<u8>().await.unwrap_err();
    assert!(error.to_string().contains("Code: 60."), "{error}");
    let error = client.query("SELECT").execute().await.unwrap_err();
    assert!(error.to_string().contains("Code: 62."), "{error}");
    let wrong = front.crate_client().with_password("wrong");
    let error = wrong.query("SELECT 1").fetch_one::<u8>().await.unwrap_err();
    assert!(error.to_string().contains("Code: 516."), "{error}");
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_result_reaches_the_client() {
    let front = Front::start("crate_middle").await;
    let client = front.crate_client().with_compression(Compression::None);
    for client in [client.clone(), client.with_compression(Compression::Lz4)] {
        let mut cursor = client
            .query("SELECT throwIf(number = 2000000), number FROM numbers(3000000)")
            .fetch::<(u8, u64)>()
            .unwrap();
        let error = loop {
            match cursor.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a part was taken for the whole"),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("Code: 395."), "{error}");
    }
}

#[tokio::test]
async fn a_deduplication_token_makes_a_retried_insert_harmless() {
    let front = Front::start("crate_token").await;
    let client = front.crate_client();
    client
        .query("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100")
        .execute()
        .await
        .unwrap();
    #[derive(Row, Serialize)]
    struct A {
        a: u64,
    }
    for _ in 0..3 {
        let mut insert = client
            .insert::<A>("t")
            .await
            .unwrap()
            .with_setting("insert_deduplication_token", "batch 1")
            .with_setting("async_insert", "0");
        insert.write(&A { a: 1 }).await.unwrap();
        insert.end().await.unwrap();
    }
    assert_eq!(client.query("SELECT count() FROM t").fetch_one::<u64>().await.unwrap(), 1);
}
