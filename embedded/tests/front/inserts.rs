//! Inserts in every form clients send them.

use std::io::Write;

use reqwest::multipart::{Form, Part};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, Front, PASSWORD};

const TABLE: &str = "CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a";
const COUNT: &str = "SELECT count(), sum(a), max(s) FROM t";

#[tokio::test]
async fn statement_and_data_may_be_split_in_any_way() {
    let front = Front::start("inserts_split").await;
    front.run(TABLE).await;
    let url = |query: &str| front.owner().query(&[("query", query)]);
    Answer::of(url("INSERT INTO t FORMAT CSV").body("1,\"x;y\"\n")).await.ok();
    Answer::of(url("INSERT INTO t VALUES").body("(2, ';')")).await.ok();
    Answer::of(url("INSERT INTO t (a) VALUES (3)")).await.ok();
    Answer::of(url("INSERT INTO t (a) SETTINGS max_threads = 1 FORMAT TSV").body("4\n5")).await.ok();
    front.run("INSERT INTO t FORMAT JSONEachRow\n{\"a\":6,\"s\":\"z\"}").await;
    front.run("INSERT INTO t VALUES (7, 'z');").await;
    front.run("INSERT INTO t SELECT 8, 'z'").await;
    assert_eq!(front.run(COUNT).await, "8\t36\tz\n");
    assert_eq!(front.ask("INSERT INTO t VALUES (9, 'z'); DROP TABLE t").await.status.as_u16(), 400);
    assert_eq!(front.run(COUNT).await, "8\t36\tz\n");
}

#[tokio::test]
async fn binary_data_follows_its_statement_in_one_body() {
    let front = Front::start("inserts_native").await;
    front.run(TABLE).await;
    let mut body = b"INSERT INTO t FORMAT RowBinary\n".to_vec();
    for number in [0xffff_ffff_ffff_fffe_u64, 1] {
        body.extend(number.to_le_bytes());
        body.extend(b"\x02\xff;");
    }
    Answer::of(front.owner().body(body)).await.ok();
    assert_eq!(front.run("SELECT count(), hex(any(s)) FROM t").await, "2\tFF3B\n");
}

#[tokio::test]
async fn bodies_are_unpacked() {
    let front = Front::start("inserts_packed").await;
    front.run(TABLE).await;
    let rows = b"INSERT INTO t FORMAT CSV\n1,a\n2,b\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(rows).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(rows).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(rows).unwrap();
    let packed = [
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("lz4", lz4.finish().unwrap()),
        ("zstd", zstd::bulk::compress(rows, 1).unwrap()),
        ("identity", rows.to_vec()),
    ];
    for (encoding, body) in packed.clone() {
        Answer::of(front.owner().header("content-encoding", encoding).body(body)).await.ok();
    }
    assert_eq!(front.run(COUNT).await, "10\t15\tb\n");
    let unknown = front.owner().header("content-encoding", "br").body("x");
    assert_eq!(Answer::of(unknown).await.code(), 48);
    for (encoding, body) in packed {
        if encoding != "identity" {
            let cut = body[..body.len() / 2].to_vec();
            let answer = Answer::of(front.owner().header("content-encoding", encoding).body(cut)).await;
            assert_ne!(answer.status.as_u16(), 200, "{encoding}");
        }
    }
    assert_eq!(front.run(COUNT).await, "10\t15\tb\n");
}

#[tokio::test]
async fn a_damaged_native_block_inserts_nothing() {
    let front = Front::start("inserts_checksum").await;
    front.run(TABLE).await;
    let mut block = vec![0; 16];
    block.extend([0x02]);
    block.extend((9_u32 + 4).to_le_bytes());
    block.extend(4_u32.to_le_bytes());
    block.extend(b"1,a\n");
    let insert = front.owner().query(&[("query", "INSERT INTO t FORMAT CSV"), ("decompress", "1")]);
    assert_eq!(Answer::of(insert.body(block)).await.code(), 40);
    assert_eq!(front.run(COUNT).await, "0\t0\t\n");
}

#[tokio::test]
async fn forms_carry_statement_and_parameters() {
    let front = Front::start("inserts_form").await;
    let form =
        Form::new().text("query", "SELECT {x:String}, {n:UInt8}").text("param_x", "a'b").text("param_n", "7");
    assert_eq!(Answer::of(front.owner().multipart(form)).await.ok(), "a\\'b\t7\n");
    let external = Form::new().text("query", "SELECT 1").part("table", Part::text("1").file_name("table"));
    assert_eq!(Answer::of(front.owner().multipart(external)).await.code(), 48);
}

#[tokio::test]
async fn bad_data_is_an_error_of_the_client() {
    let front = Front::start("inserts_bad").await;
    front.run(TABLE).await;
    let answer = front.ask("INSERT INTO t FORMAT TSV\n1\ta\nnot a number\tb\n").await;
    assert_eq!((answer.code(), answer.status.as_u16()), (27, 400), "{}", answer.text());
    assert_eq!(front.ask("INSERT INTO t (nothing) FORMAT TSV\n1\n").await.code(), 16);
    assert_eq!(front.ask("INSERT INTO nothing FORMAT TSV\n1\n").await.code(), 60);
    assert_eq!(front.ask("INSERT INTO t FORMAT Nonsense\n1\n").await.code(), 73);
    assert_eq!(front.run(COUNT).await, "0\t0\t\n");
}

#[tokio::test]
async fn inserts_are_synchronous_unless_asked_otherwise() {
    let front = Front::start("inserts_async").await;
    assert_eq!(front.run("SELECT getSetting('async_insert')").await, "false\n");
    let asked = front.owner().query(&[("async_insert", "1")]).body("SELECT getSetting('async_insert')");
    assert_eq!(Answer::of(asked).await.ok(), "true\n");
    assert_eq!(front.run("SELECT getSetting('async_insert')").await, "false\n");
}

#[tokio::test]
async fn two_hundred_thousand_rows_stream_in_chunks() {
    let front = Front::start("inserts_many").await;
    front.run(TABLE).await;
    let chunks = (0..200_u64).map(|chunk| {
        let rows = (chunk * 1000..(chunk + 1) * 1000).map(|row| format!("{row}\tx\n"));
        Ok::<_, std::io::Error>(rows.collect::<String>())
    });
    let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let insert = front.owner().query(&[("query", "INSERT INTO t FORMAT TSV")]).body(body);
    Answer::of(insert).await.ok();
    assert_eq!(front.run(COUNT).await, "200000\t19999900000\tx\n");
}

#[tokio::test]
async fn a_body_that_ends_early_commits_nothing_of_its_block() {
    let front = Front::start("inserts_cut").await;
    front.run(TABLE).await;
    let head = format!(
        "POST /?query=INSERT+INTO+t+FORMAT+TSV&database=inserts_cut&user=ledgerline&password={} HTTP/1.1\r\n\
         Host: localhost\r\nContent-Length: 1000\r\n\r\n1\ta\n2\tb\n",
        PASSWORD.replace(' ', "+").replace('\'', "%27")
    );
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    // The front hangs up when it has dealt with the request; an answer may or may not come first.
    let _ = stream.read_to_end(&mut Vec::new()).await;
    front.stop().await;
    let front = Front::start("inserts_cut_after").await;
    assert_eq!(front.run("SELECT count() FROM inserts_cut.t").await, "0\n");
}
