//! What a request without credentials may do.

use crate::harness::{Answer, Front, engine};

/// Tables in the billing database and outside of it.
fn tables() {
    for sql in [
        "CREATE TABLE IF NOT EXISTS ledgerline.read_me (a UInt8) ENGINE = MergeTree ORDER BY a",
        "CREATE DATABASE IF NOT EXISTS secret ENGINE = Atomic",
        "CREATE TABLE IF NOT EXISTS secret.t (a UInt8) ENGINE = MergeTree ORDER BY a",
        "CREATE TABLE IF NOT EXISTS secret.j (a UInt8, b UInt8) ENGINE = Join(ANY, LEFT, a)",
        "CREATE OR REPLACE VIEW ledgerline.view_of_secret AS SELECT count() AS n FROM secret.t",
    ] {
        engine().query(sql, "Null").unwrap();
    }
}

#[tokio::test]
async fn the_billing_database_and_descriptions_of_the_engine_are_read() {
    let front = Front::start("reader_reads").await;
    tables();
    for sql in [
        "SELECT 1",
        "SELECT version(), timezone(), currentDatabase(), hostName()",
        "SELECT displayName(), version(), revision(), timezone()",
        "SELECT count() FROM read_me",
        "SELECT count() FROM ledgerline.read_me",
        "SELECT r.a AS default FROM ledgerline.read_me AS r",
        "SELECT n FROM view_of_secret",
        "WITH (SELECT count() FROM read_me) AS n SELECT n FORMAT JSON",
        "SELECT name, type FROM system.columns WHERE table = 'read_me'",
        "SELECT name FROM system.databases",
        "SELECT name FROM system.tables LIMIT 1",
        "SELECT name, value FROM system.settings LIMIT 1",
        "SELECT name FROM system.functions LIMIT 1",
        "SELECT value FROM system.build_options LIMIT 1",
        "SELECT table_name FROM information_schema.tables LIMIT 1",
        "SELECT number, toString(number) FROM numbers(3)",
        "SELECT * FROM system.numbers LIMIT 1",
        "SELECT * FROM generateRandom('a UInt8') LIMIT 1",
        "SELECT * FROM values('a UInt8', 1, 2)",
        "SELECT * FROM view(SELECT 1)",
        "SELECT format('{}', 'a'), arrayMap(lower, ['A'])",
        "SELECT 'file(x)', 'secret.t' -- file('x') FROM secret.t",
        "SHOW TABLES",
        "SHOW DATABASES",
        "SHOW CREATE TABLE read_me",
        "DESCRIBE TABLE read_me",
        "EXISTS TABLE read_me",
        "EXPLAIN SELECT count() FROM read_me",
        "SELECT {x:String}",
    ] {
        let answer = Answer::of(front.anyone().query(&[("param_x", "a")]).body(sql)).await;
        assert_eq!(answer.status.as_u16(), 200, "{sql}: {}", String::from_utf8_lossy(&answer.body));
    }
    for user in ["default", "reader"] {
        let asked = front.anyone().header("x-clickhouse-user", user).query(&[("database", "default")]);
        assert_eq!(Answer::of(asked.body("SELECT currentDatabase()")).await.ok(), "ledgerline\n");
    }
}

#[tokio::test]
async fn nothing_is_changed() {
    let front = Front::start("reader_changes").await;
    tables();
    for sql in [
        "INSERT INTO read_me VALUES (1)",
        "INSERT INTO read_me SELECT 1",
        "INSERT INTO FUNCTION file('x.csv') SELECT 1",
        "CREATE TABLE x (a UInt8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE x (a UInt8)",
        "DROP TABLE read_me",
        "ALTER TABLE read_me DELETE WHERE 1",
        "TRUNCATE TABLE read_me",
        "OPTIMIZE TABLE read_me FINAL",
        "KILL QUERY WHERE 1",
        "BACKUP DATABASE ledgerline TO File('x.zip')",
        "SYSTEM SHUTDOWN",
        "SYSTEM STOP MERGES",
        "SET max_threads = 1",
        "USE system",
        "SELECT 1 SETTINGS max_threads = 1",
        "SELECT 1 SETTINGS readonly = 0",
        "CHECK TABLE read_me",
        "ATTACH TABLE x",
    ] {
        let answer = front.read(sql).await;
        assert_eq!(answer.code(), 164, "{sql}: {}", answer.text());
    }
    assert_eq!(front.read("SELECT count() FROM read_me").await.ok(), "0\n");
}

#[tokio::test]
async fn no_function_reaches_beyond_the_database() {
    let front = Front::start("reader_functions").await;
    tables();
    for call in [
        "file('/etc/hostname')",
        "file('/etc/hostname', 'LineAsString')",
        "url('http://127.0.0.1:9/', 'TSV', 'a String')",
        "remote('127.0.0.1', 'system.one')",
        "remoteSecure('127.0.0.1', 'system.one')",
        "cluster('default', 'system.one')",
        "clusterAllReplicas('default', 'system.one')",
        "s3('http://127.0.0.1:9/bucket/key', 'TSV', 'a String')",
        "gcs('http://127.0.0.1:9/bucket/key', 'TSV', 'a String')",
        "azureBlobStorage('http://127.0.0.1:9', 'a', 'b')",
        "mysql('127.0.0.1:9', 'd', 't', 'u', 'p')",
        "postgresql('127.0.0.1:9', 'd', 't', 'u', 'p')",
        "mongodb('127.0.0.1:9', 'd', 't', 'u', 'p', 'a String')",
        "redis('127.0.0.1:9', 'k', 'k String')",
        "sqlite('/tmp/x.db', 't')",
        "odbc('x', 'y')",
        "jdbc('x', 'y')",
        "hdfs('hdfs://127.0.0.1:9/x', 'TSV', 'a String')",
        "executable('x.sh', 'TSV', 'a String')",
        "input('a String')",
        "mergeTreeIndex('secret', 't')",
        "merge('secret', '.*')",
        "loop('secret', 't')",
        "dictionary('x')",
        "deltaLake('http://127.0.0.1:9/')",
        "iceberg('http://127.0.0.1:9/')",
        "icebergLocal('/etc')",
        "eval('SELECT 1')",
        "fileCluster('default', '/etc/hostname')",
        "urlCluster('default', 'http://127.0.0.1:9/')",
        "fuzzQuery('SELECT 1')",
    ] {
        for sql in [
            format!("SELECT * FROM {call}"),
            format!("SELECT * FROM (SELECT * FROM {call})"),
            format!("DESCRIBE TABLE {call}"),
            format!("EXPLAIN SELECT * FROM {call}"),
            format!("SELECT 1 IN (SELECT * FROM {})", call.replacen('(', " /* x */ (", 1)),
        ] {
            let answer = front.read(&sql).await;
            assert_eq!(answer.code(), 497, "{sql}: {}", answer.text());
        }
    }
    for sql in [
        "SELECT file('/etc/hostname')",
        "SELECT `file`('/etc/hostname')",
        "SELECT \"file\" ('/etc/hostname')",
        "SELECT arrayMap(file, ['/etc/hostname'])",
        "SELECT * APPLY(file) FROM (SELECT '/etc/hostname')",
        "SELECT * APPLY file FROM (SELECT '/etc/hostname')",
        "WITH x -> file(x) AS f SELECT f('/etc/hostname')",
        "SELECT dictGet('secret.d', 'a', 1)",
        "SELECT joinGet('secret.j', 'b', 1)",
        "SELECT aiGenerate('collection', 'prompt')",
        "SELECT catboostEvaluate('/etc/hostname', 1)",
        "SELECT hasColumnInTable('secret', 't', 'a')",
    ] {
        let answer = front.read(sql).await;
        assert_eq!(answer.code(), 497, "{sql}: {}", answer.text());
    }
}

#[tokio::test]
async fn no_other_database_is_read() {
    let front = Front::start("reader_databases").await;
    tables();
    for sql in [
        "SELECT * FROM secret.t",
        "SELECT * FROM secret . /* x */ `t`",
        "SELECT * FROM `secret`.t",
        "SELECT * FROM \"secret\".\"t\"",
        "SELECT * FROM “secret”.“t”",
        "SELECT 1 IN secret.t",
        "WITH (SELECT count() FROM secret.t) AS n SELECT n",
        "SELECT * FROM read_me, secret.t",
        "SELECT * FROM default.`/etc/hostname`",
        "DESCRIBE TABLE secret.t",
        "SHOW TABLES FROM secret",
        "SHOW CREATE DATABASE secret",
        "EXISTS TABLE secret.t",
        "SELECT * FROM system.processes",
        "SELECT * FROM system.named_collections",
        "SELECT * FROM system.users",
        "SELECT * FROM system.server_settings",
        "SELECT * FROM system.dictionaries",
        "SELECT * FROM system.stack_trace",
        "SHOW PROCESSLIST",
        "SHOW NAMED COLLECTIONS",
        "SHOW GRANTS",
        "SELECT * FROM {t:Identifier}",
        "SELECT * FROM secret.{t:Identifier}",
    ] {
        let asked = front.anyone().query(&[("param_t", "secret.t")]);
        let answer = Answer::of(asked.body(sql)).await;
        assert_eq!(answer.code(), 497, "{sql}: {}", answer.text());
    }
    for database in ["secret", "system"] {
        let asked = front.anyone().query(&[("database", database)]).body("SELECT 1");
        assert_eq!(Answer::of(asked).await.code(), 497);
    }
}

#[tokio::test]
async fn formats_may_be_chosen_and_bounds_only_narrowed() {
    let front = Front::with("reader_settings", |config| config.reader_limits.execution_s_max = 30).await;
    let ask = |name: &str, value: &str, sql: &str| {
        Answer::of(front.anyone().query(&[(name, value)]).body(sql.to_owned()))
    };
    let quoted =
        ask("output_format_json_quote_64bit_integers", "1", "SELECT toUInt64(1) AS a FORMAT JSONEachRow")
            .await;
    assert_eq!(quoted.ok(), "{\"a\":\"1\"}\n");
    let time = "SELECT getSetting('max_execution_time')";
    for (asked, given) in [("5", "5\n"), ("0.5", "0.5\n"), ("0", "30\n"), ("600", "30\n"), ("x", "30\n")] {
        assert_eq!(ask("max_execution_time", asked, time).await.ok(), given, "{asked}");
    }
    assert_eq!(
        ask("max_memory_usage", "0", "SELECT getSetting('max_memory_usage')").await.ok(),
        "1073741824\n"
    );
    for harmless in ["readonly", "async_insert", "log_queries", "session_id", "send_progress_in_http_headers"]
    {
        assert_eq!(ask(harmless, "1", "SELECT getSetting('readonly')").await.ok(), "1\n", "{harmless}");
    }
    for refused in
        ["max_server_memory_usage", "format_schema", "format_template_row", "allow_introspection_functions"]
    {
        assert_eq!(ask(refused, "1", "SELECT 1").await.code(), 164, "{refused}");
    }
}

#[tokio::test]
async fn there_is_no_reader_where_it_is_switched_off() {
    let front = Front::with("reader_off", |config| config.reader = false).await;
    assert_eq!(front.read("SELECT 1").await.code(), 516);
    assert_eq!(front.run("SELECT 1").await, "1\n");
}
