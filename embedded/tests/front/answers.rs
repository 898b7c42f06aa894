//! Status, headers and packing of answers.

use std::io::Read;

use reqwest::{Method, StatusCode};

use crate::harness::{Answer, Front};

#[tokio::test]
async fn a_server_that_is_up_says_ok() {
    let front = Front::start("answers_ping").await;
    for path in ["/ping", "/", "/replicas_status"] {
        assert_eq!(Answer::of(front.get(path)).await.ok(), "Ok.\n", "{path}");
    }
    let head = Answer::of(front.client().head(format!("{}ping", front.url()))).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(Answer::of(front.get("/nothing")).await.status, StatusCode::NOT_FOUND);
    let delete = Answer::of(front.client().request(Method::DELETE, front.url())).await;
    assert_eq!(delete.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_format_is_taken_from_the_statement_then_the_request() {
    let front = Front::start("answers_format").await;
    let plain = front.ask("SELECT 1 AS a").await;
    assert_eq!(plain.header("x-clickhouse-format"), "TabSeparated");
    assert_eq!(plain.header("content-type"), "text/tab-separated-values; charset=UTF-8");
    assert_eq!(plain.ok(), "1\n");
    let asked = || front.owner().query(&[("default_format", "JSONEachRow")]);
    let row = Answer::of(asked().body("SELECT 1 AS a")).await;
    assert_eq!(row.header("content-type"), "application/x-ndjson; charset=UTF-8");
    assert_eq!(row.ok(), "{\"a\":1}\n");
    assert_eq!(Answer::of(asked().body("SELECT 1 AS a FORMAT CSV ; -- end")).await.ok(), "1\n");
    let header = front.owner().header("x-clickhouse-format", "JSONCompactEachRow").body("SELECT 1");
    assert_eq!(Answer::of(header).await.ok(), "[1]\n");
    let json = front.ask("SELECT 1 AS a FORMAT JSON").await;
    assert_eq!(json.header("content-type"), "application/json; charset=UTF-8");
    assert_eq!(front.ask("SELECT 1 FORMAT Nonsense").await.code(), 73);
}

#[tokio::test]
async fn answers_name_query_server_and_counts() {
    let front = Front::start("answers_headers").await;
    let answer =
        Answer::of(front.owner().query(&[("query_id", "my query")]).body("SELECT * FROM numbers(10)")).await;
    assert_eq!(answer.header("x-clickhouse-query-id"), "my query");
    assert!(!answer.header("x-clickhouse-timezone").is_empty());
    assert!(!answer.header("x-clickhouse-server-display-name").is_empty());
    assert_eq!(answer.header("x-clickhouse-exception-tag").len(), 16);
    assert_eq!(answer.header("content-length"), "20");
    let summary = |answer: &Answer| -> serde_json::Value {
        serde_json::from_str(answer.header("x-clickhouse-summary")).unwrap()
    };
    assert_eq!(summary(&answer)["result_rows"], "10");
    front.run("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a").await;
    let insert = front.ask("INSERT INTO t VALUES (1), (2), (3)").await;
    assert_eq!(summary(&insert)["written_rows"], "3");
}

#[tokio::test]
async fn errors_have_the_status_a_server_gives_them() {
    let front = Front::start("answers_errors").await;
    let table = [
        ("SELECT", 62, 400),
        ("SELECT toUInt8('x')", 6, 400),
        ("SELECT * FROM nothing", 60, 404),
        ("SELECT nothing", 47, 404),
        ("SELECT no_such_function(1)", 46, 404),
        ("SELECT * FROM nowhere.nothing", 81, 404),
        ("SELECT 1 SETTINGS nonsense = 1", 115, 404),
        ("SELECT throwIf(1)", 395, 500),
        ("SELECT count() FROM system.numbers SETTINGS max_execution_time = 0.1", 159, 408),
        ("", 62, 400),
        ("-- nothing", 62, 400),
    ];
    for (sql, code, status) in table {
        let answer = front.ask(sql).await;
        assert_eq!((answer.code(), answer.status.as_u16()), (code, status), "{sql}: {}", answer.text());
    }
    let unknown = front.owner().query(&[("nonsense", "1")]).body("SELECT 1");
    assert_eq!(Answer::of(unknown).await.code(), 115);
    let nowhere = front.owner().header("x-clickhouse-database", "ignored").query(&[("database", "nowhere")]);
    assert_eq!(Answer::of(nowhere.body("SELECT 1")).await.code(), 81);
    let role = front.owner().query(&[("role", "admin")]).body("SELECT 1");
    assert_eq!(Answer::of(role).await.code(), 511);
}

#[tokio::test]
async fn answers_are_packed_as_asked() {
    let front = Front::start("answers_packed").await;
    let sql = "SELECT number FROM numbers(300000)";
    let expected: String = (0..300_000).map(|number| format!("{number}\n")).collect();
    for encoding in ["gzip", "deflate", "zstd", "lz4"] {
        let answer = Answer::of(front.owner().header("accept-encoding", encoding).body(sql)).await;
        assert_eq!(answer.header("content-encoding"), encoding);
        let packed = answer.body.as_slice();
        let mut reader: Box<dyn Read> = match encoding {
            "gzip" => Box::new(flate2::read::GzDecoder::new(packed)),
            "deflate" => Box::new(flate2::read::ZlibDecoder::new(packed)),
            "zstd" => Box::new(zstd::stream::read::Decoder::new(packed).unwrap()),
            _ => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
        };
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(text == expected, "{encoding}");
    }
    let off =
        front.owner().header("accept-encoding", "gzip").query(&[("enable_http_compression", "0")]).body(sql);
    assert!(Answer::of(off).await.ok() == expected);
}
