//! What the owner may do, and what nobody may.

use embedded::OWNER;

use crate::harness::{Answer, Front, PASSWORD, engine};

#[tokio::test]
async fn the_owner_proves_it_in_one_of_three_ways() {
    let front = Front::start("owner_auth").await;
    let create = |table: &str| format!("CREATE TABLE owner_auth.{table} (a UInt8) ENGINE = Memory");
    let basic = front.anyone().basic_auth(OWNER, Some(PASSWORD)).body(create("a"));
    Answer::of(basic).await.ok();
    let headers = front.anyone().header("x-clickhouse-user", OWNER).header("x-clickhouse-key", PASSWORD);
    Answer::of(headers.body(create("b"))).await.ok();
    let url = front.anyone().query(&[("user", OWNER), ("password", PASSWORD)]);
    Answer::of(url.body(create("c"))).await.ok();
    for password in ["", "wrong", &PASSWORD[1..]] {
        let answer = Answer::of(front.anyone().basic_auth(OWNER, Some(password)).body("SELECT 1")).await;
        assert_eq!((answer.code(), answer.status.as_u16()), (516, 403));
        assert!(!answer.text().contains(PASSWORD));
    }
}

#[tokio::test]
async fn nobody_runs_two_statements_in_one_request() {
    let front = Front::start("owner_multi").await;
    front.run("CREATE TABLE t (a UInt8) ENGINE = Memory").await;
    for sql in [
        "SELECT 1; DROP TABLE t",
        "SELECT 1;;DROP TABLE t",
        "SELECT ';' /* ; */; DROP TABLE t",
        "DROP TABLE t; SELECT 1",
    ] {
        assert_eq!(front.ask(sql).await.code(), 62, "{sql}");
        assert_eq!(front.read(sql).await.code(), 62, "{sql}");
    }
    let parallel = front.ask("CREATE TABLE u (a UInt8) ENGINE = Memory PARALLEL WITH DROP TABLE t").await;
    assert_eq!(parallel.code(), 62);
    assert_eq!(front.run("SELECT count() FROM t;").await, "0\n");
    assert_eq!(front.run("SELECT ';' -- ;\n").await, ";\n");
}

#[tokio::test]
async fn nobody_reads_or_writes_files_through_client_features() {
    let front = Front::start("owner_files").await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.csv");
    for sql in [
        format!("SELECT 1 INTO OUTFILE '{}'", file.display()),
        format!("SELECT 1 INTO/**/OUTFILE '{}' FORMAT CSV", file.display()),
        format!("EXPLAIN SELECT 1 into outfile '{}'", file.display()),
    ] {
        assert_eq!(front.ask(&sql).await.code(), 497, "{sql}");
        assert_eq!(front.read(&sql).await.code(), 497, "{sql}");
    }
    assert!(!file.exists());
    let infile = front.ask("INSERT INTO t FROM INFILE '/etc/hostname' FORMAT TSV").await;
    assert_eq!(infile.code(), 497);
}

#[tokio::test]
async fn the_method_get_only_reads() {
    let front = Front::start("owner_get").await;
    front.run("CREATE TABLE t (a UInt8) ENGINE = Memory").await;
    let get = |query: &str| {
        let request = front.get("/").basic_auth(OWNER, Some(PASSWORD));
        Answer::of(request.query(&[("database", "owner_get"), ("query", query)]))
    };
    assert_eq!(get("SELECT count() FROM t").await.ok(), "0\n");
    assert_eq!(get("SELECT getSetting('max_threads') SETTINGS max_threads = 1").await.ok(), "1\n");
    for sql in [
        "DROP TABLE t",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t SELECT 1",
        "INSERT INTO FUNCTION null('a UInt8') SELECT 1",
    ] {
        let answer = get(sql).await;
        assert_eq!(answer.code(), 164, "{sql}");
    }
    let asked = front.owner().query(&[("readonly", "1")]).body("DROP TABLE t");
    assert_eq!(Answer::of(asked).await.code(), 164);
    assert_eq!(front.run("SELECT count() FROM t").await, "0\n");
}

#[tokio::test]
async fn a_request_without_a_database_uses_the_default_one() {
    let front = Front::start("owner_database").await;
    let current = front.anyone().basic_auth(OWNER, Some(PASSWORD)).body("SELECT currentDatabase()");
    assert_eq!(Answer::of(current).await.ok(), "ledgerline\n");
    assert_eq!(front.run("SELECT currentDatabase()").await, "owner_database\n");
    let fresh =
        Front::with("owner_fresh", |config| config.default_database = "not made yet".to_owned()).await;
    let make = fresh
        .anyone()
        .basic_auth(OWNER, Some(PASSWORD))
        .body("CREATE DATABASE `not made yet` ENGINE = Atomic");
    Answer::of(make).await.ok();
    let current = fresh.anyone().basic_auth(OWNER, Some(PASSWORD)).body("SELECT currentDatabase()");
    assert_eq!(Answer::of(current).await.ok(), "not made yet\n");
}

#[tokio::test]
async fn a_backup_is_written_where_it_may_be_and_restored() {
    let front = Front::start("owner_backup").await;
    front.run("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a").await;
    front.run("INSERT INTO t SELECT number FROM numbers(1000)").await;
    front.run("BACKUP DATABASE owner_backup TO File('one')").await;
    front.run("DROP TABLE t").await;
    front.run("RESTORE TABLE owner_backup.t FROM File('one')").await;
    assert_eq!(front.run("SELECT sum(a) FROM t").await, "499500\n");
    assert!(engine().data_dir().join("backups").join("one").is_dir());
    assert_ne!(front.ask("BACKUP DATABASE owner_backup TO File('/tmp/elsewhere')").await.status, 200);
}
