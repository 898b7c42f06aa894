//! The program from outside: exit codes, what goes to which stream, and `usage` on a ledger with a known content.
//!
//! Every command runs in an empty directory of its own, without the variables of whoever runs the tests.

mod bad_files;
mod ledger;
mod program;

use program::{Program, check};

#[test]
fn wrong_usage_is_exit_code_two() {
    let program = Program::new();
    for line in [
        "",
        "nonsense",
        "usage",
        "usage --month 2026-13",
        "usage --month 2026-10 --from 2026-10-01",
        "usage --month 2026-10 --by colour",
        "serve --otlp-grpc-addr nonsense",
        "serve --clickhouse-addr 127.0.0.1",
        "serve --data-dir d --admin-addr 127.0.0.1:99999",
    ] {
        let run = program.run(line);
        check(&run, 2);
        assert!(run.stdout.is_empty(), "{line}: {}", run.stdout);
    }
}

#[test]
fn a_refused_flag_is_wrong_usage_and_the_same_value_in_a_file_is_not() {
    let program = Program::new();
    let flag = program.run("serve --otlp-http-addr nonsense");
    check(&flag, 2);
    assert_eq!(flag.stderr.lines().count(), 1, "{}", flag.stderr);
    for said in ["--otlp-http-addr", "nonsense", "127.0.0.1"] {
        assert!(flag.stderr.contains(said), "{}", flag.stderr);
    }
    program.write("ledgerline.toml", "[otlp]\nhttp_addr = \"nonsense\"\n");
    check(&program.run("serve"), 1);
    assert_eq!(program.files(), ["ledgerline.toml"]);
}

#[test]
fn a_failure_is_one_line_that_says_what_where_and_what_to_do() {
    let program = Program::new();
    let run = program.run("usage --month 2026-10 --data-dir nowhere");
    check(&run, 1);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("nowhere") && run.stderr.contains("--data-dir"), "{}", run.stderr);
    assert!(!program.path("nowhere").exists(), "a question must not make a ledger");
}

#[test]
fn a_database_that_does_not_answer_is_a_failure_with_a_hint() {
    // Port 1 of loopback is nobody's.
    let run = Program::new().run("usage --month 2026-10 --clickhouse-url http://127.0.0.1:1");
    check(&run, 1);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", run.stderr);
    assert!(lines[0].contains("http://127.0.0.1:1") && lines[1].starts_with("hint: "), "{}", run.stderr);
}

#[test]
fn every_fault_of_a_configuration_is_listed_and_nothing_is_started() {
    let program = Program::new();
    program.write(
        "ledgerline.toml",
        "[billing]\nlate_limit = \"soon\"\n[clickhouse]\npassword = \"hunter2\"\nuzer = \"x\"\n",
    );
    let run = program.run("config check --format json");
    check(&run, 1);
    let faults: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let keys: Vec<&str> =
        faults.as_array().unwrap().iter().map(|fault| fault["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["clickhouse.uzer", "billing.late_limit"]);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("hunter2"));
    let refused = program.run("prices list");
    check(&refused, 1);
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    assert_eq!(program.files(), ["ledgerline.toml"]);
}

#[test]
fn the_effective_configuration_names_the_source_of_each_value_and_masks_secrets() {
    let program = Program::new();
    program.write("ledgerline.toml", "[clickhouse]\npassword = \"hunter2\"\n");
    let run = program.run("config print --format json --data-dir here");
    check(&run, 0);
    assert!(!run.stdout.contains("hunter2"));
    let rows: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let from = |key: &str| {
        let row = rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap();
        (row["value"].as_str().unwrap().to_owned(), row["from"].as_str().unwrap().to_owned())
    };
    assert_eq!(from("data_dir"), ("here".to_owned(), "--data-dir".to_owned()));
    assert_eq!(from("clickhouse.password"), ("…".to_owned(), "ledgerline.toml".to_owned()));
    assert_eq!(from("billing.late_limit"), ("35d".to_owned(), "default".to_owned()));
}

#[test]
fn a_reader_that_goes_away_is_not_a_failure() {
    // More than a pipe holds, so that writing must meet the closed end.
    let run = Program::new().run_unread("prices list --format json");
    check(&run, 0);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_key_is_shown_once_and_listed_until_after_it_is_revoked() {
    let program = Program::new();
    let created = program.json("keys create gateway --operator --data-dir d");
    let (key, id) = (created[0]["key"].as_str().unwrap(), created[0]["id"].as_str().unwrap());
    assert!(key.starts_with("llk_"));
    let again = program.run("keys create gateway --data-dir d");
    check(&again, 1);
    let listed = program.run("keys list --format csv --data-dir d");
    check(&listed, 0);
    assert!(listed.stdout.contains(id) && !listed.stdout.contains(key), "{}", listed.stdout);
    let revoked = program.json("keys revoke gateway --data-dir d");
    assert!(revoked[0]["revoked_at"].is_string());
    check(&program.run("keys revoke gateway --data-dir d"), 1);
}

#[test]
fn a_model_is_quoted_with_its_price_id_and_the_rule_that_found_it() {
    let program = Program::new();
    let quotes = program.json("prices show gpt-4o --provider openai --at 2026-01-01");
    let input = quotes.as_array().unwrap().iter().find(|row| row["unit"] == "input").unwrap();
    assert_eq!(input["unit_price"], "0.0000025");
    assert_eq!(input["price_id"].as_str().unwrap().len(), 32);
    assert!(input["rule"].as_str().unwrap().starts_with("openai"));
    let unknown = program.run("prices show no-such-model --provider openai");
    check(&unknown, 1);
    assert!(unknown.stderr.contains("no-such-model"), "{}", unknown.stderr);
}
