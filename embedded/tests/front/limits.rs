//! The bounds of a front.

use futures::stream;
use reqwest::Body;

use crate::harness::{Answer, Front};

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_however_it_is_sent() {
    let front = Front::with("limits_body", |config| config.body_bytes_max = 1000).await;
    front.run("CREATE TABLE t (s String) ENGINE = MergeTree ORDER BY s").await;
    let insert = || front.owner().query(&[("query", "INSERT INTO t FORMAT TSV")]);
    let announced = Answer::of(insert().body("x".repeat(1001))).await;
    assert_eq!((announced.code(), announced.status.as_u16()), (229, 413));
    let chunks = stream::iter((0..2000).map(|_| Ok::<_, std::io::Error>("x")));
    let chunked = Answer::of(insert().body(Body::wrap_stream(chunks))).await;
    assert_eq!((chunked.code(), chunked.status.as_u16()), (229, 413));
    Answer::of(insert().body("x".repeat(1000))).await.ok();
    assert_eq!(front.run("SELECT count() FROM t").await, "1\n");
}

#[tokio::test]
async fn a_statement_that_is_too_large_is_refused() {
    let front = Front::with("limits_statement", |config| config.statement_bytes_max = 100_000).await;
    let answer = front.ask(&format!("SELECT '{}'", "x".repeat(300_000))).await;
    assert_eq!((answer.code(), answer.status.as_u16()), (229, 413));
}

#[tokio::test]
async fn one_statement_more_than_may_run_is_refused() {
    let front = Front::with("limits_concurrent", |config| config.concurrent_max = 1).await;
    let other = Front::start("limits_concurrent_watch").await;
    let first = front.owner().body("SELECT sleepEachRow(1) FROM numbers(3) SETTINGS max_block_size = 1");
    let first = tokio::spawn(Answer::of(first));
    let running = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(1) FROM numbers(3)%' AND query NOT LIKE '%processes%'";
    while other.run(running).await == "0\n" {}
    let second = front.ask("SELECT 1").await;
    assert_eq!((second.code(), second.status.as_u16()), (202, 503));
    assert_eq!(Answer::of(front.get("/ping")).await.ok(), "Ok.\n");
    first.await.unwrap().ok();
    assert_eq!(front.run("SELECT 1").await, "1\n");
}

#[tokio::test]
async fn a_result_that_must_be_whole_is_bounded() {
    let front = Front::with("limits_whole", |config| config.whole_result_bytes_max = 100_000).await;
    let large = front.ask("SELECT number FROM numbers(1000000) FORMAT JSON").await;
    assert_eq!(large.code(), 396);
    assert!(large.text().contains("JSONEachRow"), "{}", large.text());
    let rows = front.run("SELECT number FROM numbers(1000000) FORMAT JSONEachRow").await;
    assert_eq!(rows.lines().count(), 1_000_000);
    let waiting = front.owner().query(&[("wait_end_of_query", "1")]);
    let held = Answer::of(waiting.body("SELECT number FROM numbers(1000000) FORMAT TSV")).await;
    assert_eq!(held.code(), 396);
}
