//! Sessions of the owner.

use reqwest::RequestBuilder;

use crate::harness::{Answer, Front};

fn session(front: &Front, id: &str) -> RequestBuilder {
    front.owner().query(&[("session_id", id)])
}

async fn run(front: &Front, id: &str, sql: &str) -> String {
    Answer::of(session(front, id).body(sql.to_owned())).await.ok()
}

#[tokio::test]
async fn a_session_keeps_settings_tables_and_database() {
    let front = Front::start("sessions_keep").await;
    run(&front, "a", "SET max_threads = 3").await;
    run(&front, "a", "CREATE TEMPORARY TABLE mine (a UInt8)").await;
    run(&front, "a", "INSERT INTO mine VALUES (7)").await;
    assert_eq!(run(&front, "a", "SELECT getSetting('max_threads'), a FROM mine").await, "3\t7\n");
    let other = Answer::of(session(&front, "b").body("SELECT a FROM mine")).await;
    assert_eq!(other.code(), 60);
    assert_ne!(run(&front, "b", "SELECT getSetting('max_threads')").await, "3\n");
}

#[tokio::test]
async fn what_a_request_sets_is_gone_with_it() {
    let front = Front::start("sessions_settings").await;
    run(&front, "a", "SET max_threads = 3, output_format_json_quote_64bit_integers = 1").await;
    let once = session(&front, "a").query(&[("max_threads", "5"), ("session_timezone", "Asia/Tokyo")]);
    assert_eq!(
        Answer::of(once.body("SELECT getSetting('max_threads'), timezone()")).await.ok(),
        "5\tAsia/Tokyo\n"
    );
    let after = run(
        &front,
        "a",
        "SELECT getSetting('max_threads'), timezone() = 'Asia/Tokyo', getSetting('log_comment')",
    )
    .await;
    assert_eq!(after, "3\t0\t\n");
    let failing = session(&front, "a").query(&[("max_threads", "7"), ("nonsense", "1")]).body("SELECT 1");
    assert_eq!(Answer::of(failing).await.code(), 115);
    let failed = session(&front, "a").query(&[("max_threads", "7")]).body("SELECT * FROM nothing");
    assert_eq!(Answer::of(failed).await.code(), 60);
    assert_eq!(run(&front, "a", "SELECT getSetting('max_threads')").await, "3\n");
}

#[tokio::test]
async fn a_document_around_the_rows_is_not_repeated() {
    let front = Front::start("sessions_array").await;
    run(&front, "a", "SET output_format_json_array_of_rows = 1").await;
    let rows = run(&front, "a", "SELECT number FROM numbers(200000) FORMAT JSONEachRow").await;
    let rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 200_000);
}

#[tokio::test]
async fn a_session_runs_one_statement_at_a_time() {
    let front = Front::start("sessions_locked").await;
    let slow = session(&front, "a")
        .body("SELECT sleepEachRow(1) AS slow_one FROM numbers(3) SETTINGS max_block_size = 1");
    let slow = tokio::spawn(Answer::of(slow));
    let running =
        "SELECT count() FROM system.processes WHERE query LIKE '%slow_one%' AND query NOT LIKE '%processes%'";
    while front.run(running).await == "0\n" {}
    let second = Answer::of(session(&front, "a").body("SELECT 1")).await;
    assert_eq!((second.code(), second.status.as_u16()), (373, 500));
    assert_eq!(run(&front, "b", "SELECT 1").await, "1\n");
    slow.await.unwrap().ok();
    assert_eq!(run(&front, "a", "SELECT 1").await, "1\n");
}

#[tokio::test]
async fn sessions_end_by_time_by_request_and_are_checked() {
    let front = Front::start("sessions_end").await;
    let check = |id: &str| Answer::of(session(&front, id).query(&[("session_check", "1")]).body("SELECT 1"));
    assert_eq!(check("a").await.code(), 372);
    run(&front, "a", "SELECT 1").await;
    assert_eq!(check("a").await.ok(), "1\n");
    Answer::of(session(&front, "a").query(&[("close_session", "1")]).body("SELECT 1")).await.ok();
    assert_eq!(check("a").await.code(), 372);
    Answer::of(session(&front, "b").query(&[("session_timeout", "0")]).body("SELECT 1")).await.ok();
    assert_eq!(check("b").await.code(), 372);
    let forever = session(&front, "c").query(&[("session_timeout", "1000000")]).body("SELECT 1");
    assert_eq!(Answer::of(forever).await.code(), 374);
}

#[tokio::test]
async fn get_only_reads_in_a_session_too() {
    let front = Front::start("sessions_get").await;
    run(&front, "a", "CREATE TABLE t (a UInt8) ENGINE = Memory").await;
    let get = front
        .get("/?session_id=a&query=DROP+TABLE+sessions_get.t")
        .header("x-clickhouse-user", embedded::OWNER)
        .header("x-clickhouse-key", crate::harness::PASSWORD);
    assert_eq!(Answer::of(get).await.code(), 164);
    run(&front, "a", "INSERT INTO t VALUES (1)").await;
    assert_eq!(run(&front, "a", "SELECT count() FROM t").await, "1\n");
}
