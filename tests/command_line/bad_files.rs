//! Files that cannot be imported, through the program: exit code 1, one line, and no ledger is made for them.

use crate::program::{Program, check};

/// Scenario: price, plan and rate files with faults, in a directory without a ledger; a price file that is none; no file at all.
/// Guarantees: exit code 1 and one line that names the file and every fault; nothing is made, so nothing is half imported.
#[test]
fn a_file_with_faults_is_refused_in_one_line_before_any_ledger_is_made() {
    let program = Program::new();
    let files: [(&str, &[u8], &[&str]); 7] = [
        (
            "own.csv",
            b"provider,model,unit,price\na,m,input_mtok,-1\na,n,smell,1\na,o,input_mtok,1e30\n",
            &["line 2", "line 3", "line 4"],
        ),
        (
            "own.toml",
            b"[[price]]\nprovider = \"a\"\nmodel = \"m\"\ninput_mtok = -1\nsmell_mtok = 1\n",
            &["line 4", "line 5"],
        ),
        (
            "genai.json",
            b"[{\"id\": \"a\"}, {\"id\": \"a\"}, {\"id\": \"\"}]",
            &["listed twice", "provider 2"],
        ),
        (
            "litellm.json",
            b"{\"m\": {\"litellm_provider\": \"a\", \"input_cost_per_token\": 1e30}, \"n\": 1, \"m\": 1}",
            &["\"m\"", "\"n\"", "stands twice"],
        ),
        ("cut.json", b"[{\"id\": \"a\", ", &["line 1"]),
        ("empty.csv", b"", &["is empty"]),
        ("wide.toml", b"\xff\xfe[\0[\0", &["UTF-16"]),
    ];
    let refused = |line: &str, expected: &[&str]| {
        let run = program.run(line);
        check(&run, 1);
        assert_eq!((run.stdout.as_str(), run.stderr.lines().count()), ("", 1), "{run:?}");
        for text in expected {
            assert!(run.stderr.contains(text), "{line}: {text}: {}", run.stderr);
        }
    };
    for (name, bytes, expected) in files {
        std::fs::write(program.path(name), bytes).unwrap();
        for flag in ["", " --dry-run"] {
            refused(&format!("prices import {name} --data-dir data{flag}"), expected);
        }
    }
    let plans =
        "[[plan]]\nname = \"a\"\nmarkup_percent = -5\nsmell = 1\n[[assign]]\ntenant = \"x\"\nplan = \"b\"\n";
    program.write("plans.toml", plans);
    refused("plans import plans.toml --data-dir data", &["line 3", "line 4", "line 5"]);
    program.write("plans.toml", "\n");
    refused("plans import plans.toml --data-dir data", &["plans.toml", "is empty"]);
    let rates = "[[rate]]\nbase = \"USD\"\nquote = \"EUR\"\nrate = 0\ndate = \"30.2.2026\"\n[[rate]]\nbase = \"EUR\"\nquote = \"USD\"\nrate = 1.1\ndate = 2026-10-30\n";
    program.write("rates.toml", rates);
    refused("rates import rates.toml --data-dir data", &["rates.toml", "line 4", "line 5", "line 7"]);
    program.write("rates.toml", "\n");
    refused("rates import rates.toml --data-dir data", &["rates.toml", "is empty"]);
    refused("prices import nowhere.csv --data-dir data", &["nowhere.csv"]);
    check(&program.run("prices import --data-dir data"), 2);
    assert!(!program.path("data").exists(), "{:?}", program.files());
}
