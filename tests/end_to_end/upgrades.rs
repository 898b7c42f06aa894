//! What earlier versions wrote, read by this one: tables of every schema version, and a journal of every format.
//!
//! A new schema version needs nothing here: the tables of those before it are made from the migrations themselves. A new
//! journal format needs a directory of the old one in `tests/fixtures/formats` (its README says how).

use std::path::{Path, PathBuf};

use schemas::migrate::{Layout, MIGRATIONS, history_statements};
use schemas::{Database, Target};

use crate::replay::{as_owner, ledger, rows_as_owner};
use crate::server::Server;
use crate::spans::request;

/// A database of the server's ClickHouse, as its owner.
fn database(server: &Server, name: &str) -> Database {
    let password = std::fs::read_to_string(server.data_dir.join("clickhouse-owner-password")).unwrap();
    Database::new(Target {
        url: server.clickhouse.clone(),
        user: "ledgerline".into(),
        password: password.trim().into(),
        database: name.into(),
        cluster: None,
    })
}

fn run_all(server: &Server, statements: &[String]) {
    for sql in statements {
        as_owner(server, sql);
    }
}

fn layout(name: &str) -> Layout {
    Layout { database: name.into(), cluster: None }
}

/// The tables of a database as they stand, without its name.
fn tables(server: &Server, name: &str) -> Vec<String> {
    let rows = rows_as_owner(
        server,
        &format!(
            "SELECT replaceAll(replaceAll(create_table_query, '{name}.', ''), 'ledgerline.', '') AS ddl FROM system.tables WHERE database = '{name}' \
         AND name != 'schema_history' ORDER BY name"
        ),
    );
    rows.iter().map(|row| row["ddl"].as_str().unwrap().to_owned()).collect()
}

/// A database as a program of an earlier version left it: its tables, with the rows of today's as far as they fit.
fn make(server: &Server, name: &str, version: u32) {
    let layout = layout(name);
    run_all(server, &history_statements(&layout));
    for migration in MIGRATIONS.iter().filter(|migration| migration.version <= version) {
        run_all(server, &migration.statements(&layout));
        let sql =
            format!("INSERT INTO {name}.schema_history (version, name) VALUES ({}, 'x')", migration.version);
        as_owner(server, &sql);
    }
    let columns = rows_as_owner(
        server,
        &format!(
            "SELECT table, arrayStringConcat(groupArray(name), ', ') AS names FROM system.columns WHERE database = '{name}' \
         AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') \
         AND table IN (SELECT name FROM system.tables WHERE database = '{name}' AND engine LIKE '%MergeTree' \
         AND name != 'schema_history') GROUP BY table"
        ),
    );
    for row in columns {
        let (table, names) = (row["table"].as_str().unwrap(), row["names"].as_str().unwrap());
        as_owner(
            server,
            &format!("INSERT INTO {name}.{table} ({names}) SELECT {names} FROM ledgerline.{table}"),
        );
    }
}

/// Scenario: a database at every earlier version of the schema, with a settled ledger in it, is migrated.
/// Guarantees: the tables are those of a new database, the ledger's sums are what they were, `verify` finds nothing.
#[test]
fn a_ledger_of_every_earlier_schema_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    server.post("application/json", &request(0..20)).unwrap();
    server.succeed("settle");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for version in 1..MIGRATIONS.len() as u32 {
        let name = format!("old_{version}");
        make(&server, &name, version);
        let old = database(&server, &name);
        let applied = runtime.block_on(old.migrate()).unwrap();
        assert_eq!(applied.first(), Some(&(version + 1)));
        assert_eq!(tables(&server, &name), tables(&server, "ledgerline"), "from version {version}");
        let verified = runtime.block_on(billing::verify::verify(&old, None)).unwrap();
        assert_eq!((verified.entries, &verified.findings), (20, &Vec::new()), "from version {version}");
    }
    server.stop();
}

/// Scenario: a migration is killed behind each of its statements, before it is written down as done, and done again.
/// Guarantees: it ends with the tables of a new database.
#[test]
fn a_migration_killed_behind_any_statement_is_finished_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let (layout, name) = (layout("killed"), "killed");
    run_all(&server, &history_statements(&layout));
    let mut kills = 0;
    for migration in MIGRATIONS {
        let statements = migration.statements(&layout);
        for done in 1..=statements.len() {
            run_all(&server, &statements[..done]);
            kills += 1;
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let applied = runtime.block_on(database(&server, name).migrate()).unwrap();
    assert_eq!(applied.len(), MIGRATIONS.len());
    assert_eq!(tables(&server, name), tables(&server, "ledgerline"));
    println!("{kills} kills in {} migrations", MIGRATIONS.len());
    server.stop();
}

/// Scenario: a data directory whose journal was written by an earlier version, with nothing shipped yet.
/// Guarantees: everything acknowledged then is billed now.
#[test]
fn a_journal_of_every_earlier_format_is_shipped_and_billed() {
    let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
    let mut journals: Vec<PathBuf> = std::fs::read_dir(formats)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    journals.sort();
    assert!(!journals.is_empty());
    for journal in journals {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("journal")).unwrap();
        for file in std::fs::read_dir(&journal).unwrap() {
            let file = file.unwrap().path();
            std::fs::copy(&file, dir.path().join("journal").join(file.file_name().unwrap())).unwrap();
        }
        let server = Server::start(dir.path(), &[]);
        server.succeed("settle");
        let sums = ledger(&server);
        assert_eq!(
            (&sums[0]["calls"], &sums[0]["input"]),
            (&10.into(), &1024.into()),
            "{}",
            journal.display()
        );
        assert!(server.succeed("verify").contains("everything holds"));
        server.stop();
    }
}
