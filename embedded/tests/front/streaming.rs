//! Results that are sent while they are made, and clients that leave before the end.

use std::time::Duration;

use reqwest::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, Front, PASSWORD};

const ROWS: usize = 300_000;

async fn rows(front: &Front, format: &str) -> String {
    front.run(&format!("SELECT number AS a, 'x' AS b FROM numbers({ROWS}) FORMAT {format}")).await
}

#[tokio::test]
async fn a_header_comes_once_however_many_pieces_follow() {
    let front = Front::start("streaming_headers").await;
    let table = [
        ("TSV", 0, ""),
        ("TSVWithNames", 1, "a\tb\n"),
        ("TSVWithNamesAndTypes", 2, "a\tb\nUInt64\tString\n"),
        ("CSVWithNames", 1, "\"a\",\"b\"\n"),
        ("CSVWithNamesAndTypes", 2, "\"a\",\"b\"\n\"UInt64\",\"String\"\n"),
        ("JSONCompactEachRowWithNamesAndTypes", 2, "[\"a\", \"b\"]\n[\"UInt64\", \"String\"]\n"),
    ];
    for (format, lines, header) in table {
        let text = rows(&front, format).await;
        assert_eq!(text.lines().count(), ROWS + lines, "{format}");
        let head: String = text.split_inclusive('\n').take(lines).collect();
        assert_eq!(head.replace(' ', ""), header.replace(' ', ""), "{format}");
        assert_eq!(text.matches('a').count(), header.matches('a').count(), "{format}");
    }
    let names = "SELECT 1 AS \"a\nb\", 2 AS \"c\"\"d\" FROM numbers(150000) FORMAT CSVWithNames";
    let text = front.run(names).await;
    assert!(text.starts_with("\"a\nb\",\"c\"\"d\"\n1,2\n"), "{}", &text[..40]);
    assert_eq!(text.lines().count(), 150_002);
}

#[tokio::test]
async fn documents_are_whole() {
    let front = Front::start("streaming_documents").await;
    let json: serde_json::Value = serde_json::from_str(&rows(&front, "JSON").await).unwrap();
    assert_eq!(json["rows"], ROWS);
    let sql = format!(
        "SELECT number FROM numbers({ROWS}) SETTINGS output_format_json_array_of_rows = 1 FORMAT JSONEachRow"
    );
    let array: serde_json::Value = serde_json::from_str(&front.run(&sql).await).unwrap();
    assert_eq!(array.as_array().unwrap().len(), ROWS);
    let totals = format!(
        "SELECT number % 2 AS k, count() FROM numbers({ROWS}) GROUP BY k WITH TOTALS ORDER BY k FORMAT TSV"
    );
    assert_eq!(front.run(&totals).await, "0\t150000\n1\t150000\n\n0\t300000\n");
    assert_eq!(front.run("SELECT 1 WHERE 0 FORMAT TSVWithNames").await, "1\n");
    assert_eq!(front.run("SELECT 1 WHERE 0 FORMAT JSONEachRow").await, "");
}

#[tokio::test]
async fn a_failure_in_the_middle_cuts_the_body() {
    let front = Front::start("streaming_failure").await;
    let sql = "SELECT throwIf(number = 3000000), number FROM numbers(4000000)";
    let mut response: Response = front.owner().body(sql).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let tag = response.headers()["x-clickhouse-exception-tag"].to_str().unwrap().to_owned();
    let mut body = Vec::new();
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => panic!("the body ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    let end = String::from_utf8_lossy(&body[body.len() - 400..]).into_owned();
    assert!(end.contains(&format!("__exception__\r\n{tag}\r\nCode: 395.")), "{end}");
    assert!(end.ends_with(&format!("{tag}\r\n__exception__\r\n")), "{end}");
    let early = front.ask("SELECT throwIf(number = 100), number FROM numbers(4000000)").await;
    assert_eq!(early.code(), 395);
    let waiting = front.owner().query(&[("wait_end_of_query", "1")]).body(sql);
    assert_eq!(Answer::of(waiting).await.code(), 395);
}

/// Sends a statement over a connection of its own, which the caller may drop.
async fn send(front: &Front, sql: &str) -> TcpStream {
    let password = PASSWORD.replace(' ', "+").replace('\'', "%27");
    let head = format!(
        "POST /?user=ledgerline&password={password} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{sql}",
        sql.len()
    );
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Statements running with `word` in them.
async fn running(front: &Front, word: &str) -> bool {
    let sql = format!(
        "SELECT count() FROM system.processes WHERE query LIKE '%{word}%' AND query NOT LIKE '%system.processes%'"
    );
    front.run(&sql).await != "0\n"
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_stream() {
    let front = Front::start("streaming_leave").await;
    let mut stream = send(&front, "SELECT number AS endless_stream FROM system.numbers").await;
    let mut some = vec![0; 3 << 20];
    stream.read_exact(&mut some).await.unwrap();
    assert!(running(&front, "endless_stream").await);
    drop(stream);
    while running(&front, "endless_stream").await {}
}

#[tokio::test]
async fn a_client_that_leaves_stops_a_statement_that_has_no_rows_yet() {
    let front = Front::start("streaming_silent").await;
    for sql in [
        "SELECT count() AS endless_count FROM system.numbers WHERE NOT ignore(number)",
        "SELECT count() AS endless_count FROM system.numbers WHERE NOT ignore(number) FORMAT JSON",
        "SELECT count() AS endless_count FROM system.numbers WHERE NOT ignore(number) SETTINGS log_comment = 'mine'",
    ] {
        let stream = send(&front, sql).await;
        while !running(&front, "endless_count").await {}
        drop(stream);
        while running(&front, "endless_count").await {}
    }
}

#[tokio::test]
async fn a_statement_is_killed_by_the_id_its_client_knows() {
    let front = Front::start("streaming_kill").await;
    let endless =
        |word: &str| format!("SELECT count() AS {word} FROM system.numbers WHERE NOT ignore(number)");
    let other = send(&front, &endless("kill_spared")).await;
    let named = front.owner().query(&[("query_id", "it's mine")]).body(endless("kill_named"));
    let named = tokio::spawn(Answer::of(named));
    for word in ["kill_named", "kill_spared"] {
        while !running(&front, word).await {}
    }
    let by_stranger = front.read("KILL QUERY WHERE query_id = 'it\\'s mine'").await;
    assert_eq!(by_stranger.code(), 164);
    front.run("KILL QUERY WHERE query_id = 'it\\'s mine'").await;
    let answer = tokio::time::timeout(Duration::from_secs(60), named).await.expect("the statement ends");
    let answer = answer.unwrap();
    assert_eq!(answer.code(), 394);
    assert_eq!(answer.header("x-clickhouse-query-id"), "it's mine");

    assert!(running(&front, "kill_spared").await);
    let id = "SELECT query_id FROM system.processes WHERE query LIKE '%AS kill_spared%' AND query NOT LIKE '%processes%'";
    let id = front.run(id).await;
    front.run(&format!("KILL QUERY WHERE query_id = '{}'", id.trim())).await;
    while running(&front, "kill_spared").await {}
    drop(other);
}

#[tokio::test]
async fn a_statement_that_changes_something_outlives_its_client() {
    let front = Front::start("streaming_change").await;
    front.run("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a").await;
    let sql = "INSERT INTO streaming_change.t SELECT sleepEachRow(0.5) + number FROM numbers(3) SETTINGS max_block_size = 1";
    let stream = send(&front, sql).await;
    while !running(&front, "sleepEachRow(0.5)").await {}
    drop(stream);
    while running(&front, "sleepEachRow(0.5)").await {}
    assert_eq!(front.run("SELECT sum(a) FROM t").await, "3\n");
}

#[tokio::test]
async fn stopping_lets_statements_end() {
    let front = Front::start("streaming_stop").await;
    let watch = Front::start("streaming_stop_watch").await;
    let slow = front
        .owner()
        .body("SELECT sleepEachRow(0.5), 'last_words' FROM numbers(3) SETTINGS max_block_size = 1");
    let slow = tokio::spawn(Answer::of(slow));
    while !running(&watch, "last_words").await {}
    let address = front.address;
    front.stop().await;
    assert_eq!(slow.await.unwrap().ok(), "0\tlast_words\n".repeat(3));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn stopping_stops_statements_that_take_too_long() {
    let short = |config: &mut embedded::FrontConfig| config.shutdown_timeout = Duration::from_millis(200);
    let front = Front::with("streaming_stop_late", short).await;
    let watch = Front::start("streaming_stop_late_watch").await;
    let stream =
        send(&front, "SELECT count() AS never_done FROM system.numbers WHERE NOT ignore(number)").await;
    while !running(&watch, "never_done").await {}
    front.stop().await;
    while running(&watch, "never_done").await {}
    drop(stream);
}
