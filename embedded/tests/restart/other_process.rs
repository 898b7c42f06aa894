//! An engine in another process, which runs the statements it is sent.
//!
//! The other process is this test binary with one ignored test asked for. It reads a statement a line and writes a line
//! each: `started`, `refused …`, `answer …`, `stopped`; lines of the test harness are skipped. It ends with its input, so
//! nothing outlives the tests.

use std::io::{self, BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use embedded::{Engine, EngineConfig};

const DIRECTORY_VARIABLE: &str = "LEDGERLINE_TEST_ENGINE_DIRECTORY";
const MARK: &str = "engine: ";

/// Dropped, it is killed.
#[derive(Debug)]
pub struct OtherProcess {
    child: Child,
    statements: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl OtherProcess {
    /// Starts an engine on a directory; the text is why it did not start.
    pub fn start(data_dir: &Path) -> Result<Self, String> {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "other_process::the_other_process", "--nocapture"])
            .env(DIRECTORY_VARIABLE, data_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let statements = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { child, statements, lines };
        match process.said().split_once(' ') {
            Some(("refused", reason)) => Err(reason.to_owned()),
            _ => Ok(process),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Runs a statement of one line that must succeed; its result is in TSV.
    pub fn run(&mut self, sql: &str) -> String {
        writeln!(self.statements.as_mut().unwrap(), "{sql}").unwrap();
        let said = self.said();
        let answer = said.strip_prefix("answer ").unwrap_or_else(|| panic!("{sql}: {said}"));
        serde_json::from_str(answer).unwrap()
    }

    /// Lets the engine shut down and the process end.
    pub fn stop(mut self) {
        drop(self.statements.take());
        assert_eq!(self.said(), "stopped");
        assert!(self.child.wait().unwrap().success());
    }

    /// Ends the process as a power switch would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn said(&mut self) -> String {
        let mut lines = self.lines.by_ref().map(|line| line.unwrap());
        lines
            .find_map(|line| line.split_once(MARK).map(|(_, said)| said.to_owned()))
            .expect("the process is there")
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        // Already gone after `stop` and `kill`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "is the other process of the tests beside it"]
fn the_other_process() {
    let data_dir = std::env::var_os(DIRECTORY_VARIABLE).expect("started by a test of this file");
    let engine = match Engine::start(EngineConfig::new(data_dir)) {
        Ok(engine) => engine,
        Err(error) => return say(&format!("refused {error}")),
    };
    say("started");
    for sql in io::stdin().lock().lines() {
        match engine.query(&sql.unwrap(), "TSV") {
            Ok(answer) => say(&format!("answer {}", serde_json::json!(String::from_utf8(answer).unwrap()))),
            Err(error) => say(&format!("failed {error}")),
        }
    }
    engine.shutdown().unwrap();
    say("stopped");
}

fn say(text: &str) {
    // The harness may have begun a line.
    println!("{MARK}{text}");
}
