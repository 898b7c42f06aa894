//! Runs the program in a directory of its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{fs, io};

use tempfile::TempDir;

/// The program, and the directory it runs in.
pub struct Program {
    dir: TempDir,
}

/// What a run left.
#[derive(Debug)]
pub struct Run {
    code: Option<i32>,
    /// The result.
    pub stdout: String,
    /// Logs and failures.
    pub stderr: String,
}

/// A run must have ended with this exit code.
pub fn check(run: &Run, code: i32) {
    assert_eq!(run.code, Some(code), "{run:#?}");
}

impl Program {
    /// An empty directory.
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The names of what is in the directory.
    pub fn files(&self) -> Vec<String> {
        let entries: io::Result<Vec<_>> = fs::read_dir(self.dir.path()).unwrap().collect();
        entries.unwrap().into_iter().map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    /// Runs a command line (words without blanks) to its end.
    pub fn run(&self, line: &str) -> Run {
        let output = self.command(line).output().unwrap();
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command line whose output nobody reads.
    pub fn run_unread(&self, line: &str) -> Run {
        let mut child = self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        Run {
            code: output.status.code(),
            stdout: String::new(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command line that must succeed, and reads its JSON.
    pub fn json(&self, line: &str) -> serde_json::Value {
        let run = self.run(&format!("{line} --format json"));
        check(&run, 0);
        serde_json::from_str(&run.stdout).unwrap()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ledgerline"));
        command.args(line.split_whitespace()).current_dir(self.dir.path()).stdin(Stdio::null());
        // The engine's library is the one thing that must be found wherever it is installed.
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("LEDGERLINE_") && name_text != "LEDGERLINE_ENGINE_LIBRARY" {
                command.env_remove(&name);
            }
        }
        command
    }
}
