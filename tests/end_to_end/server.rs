//! A `ledgerline serve` process and what a client does with it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::wire::{Answer, http};

pub const BINARY: &str = env!("CARGO_BIN_EXE_ledgerline");

/// A running server. Dropped, it is killed.
pub struct Server {
    child: Child,
    pub data_dir: PathBuf,
    pub otlp_http: String,
    pub otlp_grpc: String,
    pub admin: String,
    pub clickhouse: String,
}

impl Server {
    /// Starts on a data directory with free ports and waits for `ready`.
    pub fn start(data_dir: &Path, extra: &[&str]) -> Self {
        Self::start_with(data_dir, extra, &[])
    }

    /// The same with variables of the environment.
    pub fn start_with(data_dir: &Path, extra: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(BINARY);
        command.arg("serve").arg("--data-dir").arg(data_dir);
        for flag in ["--otlp-grpc-addr", "--otlp-http-addr", "--admin-addr", "--clickhouse-addr"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        command
            .args(extra)
            .env("LEDGERLINE_BILLING_LATE_LIMIT", "36500d")
            .env("LEDGERLINE_LOG_LEVEL", "error")
            .envs(variables.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = |key: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("no {key} in {line:?}")).to_string()
        };
        Self {
            data_dir: data_dir.to_path_buf(),
            otlp_http: address("otlp_http"),
            otlp_grpc: address("otlp_grpc"),
            admin: address("admin"),
            clickhouse: address("clickhouse"),
            child,
        }
    }

    /// Posts an export request; `None` where the server went away before it answered.
    pub fn post(&self, content_type: &str, body: &[u8]) -> Option<Answer> {
        http(&self.otlp_http, "POST", "/v1/traces", &[("content-type", content_type)], body)
    }

    /// What a table holds, one JSON object a row, as the read-only reader.
    pub fn rows(&self, sql: &str) -> Vec<Value> {
        let address = self.clickhouse.trim_start_matches("http://");
        let body = format!("{sql} FORMAT JSONEachRow");
        let path = "/?output_format_json_quote_64bit_integers=0&output_format_json_quote_decimals=1";
        let answer = http(address, "POST", path, &[], body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{sql}: {}", answer.body);
        answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a statement answers to the owner of the embedded ClickHouse, as text.
    pub fn as_owner(&self, sql: &str) -> String {
        let password = std::fs::read_to_string(self.data_dir.join("clickhouse-owner-password")).unwrap();
        let headers = [("x-clickhouse-user", "ledgerline"), ("x-clickhouse-key", password.trim())];
        let address = self.clickhouse.trim_start_matches("http://");
        let answer = http(address, "POST", "/", &headers, sql.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{sql}: {}", answer.body);
        answer.body
    }

    /// The metrics page.
    pub fn metrics(&self) -> String {
        let address = self.admin.trim_start_matches("http://");
        http(address, "GET", "/metrics", &[], b"").unwrap().body
    }

    /// Runs a command on the server's data directory.
    pub fn command(&self, line: &str) -> Output {
        let words = line.split_whitespace();
        Command::new(BINARY).args(words).arg("--data-dir").arg(&self.data_dir).output().unwrap()
    }

    /// Runs a command that must succeed; returns its standard output.
    pub fn succeed(&self, line: &str) -> String {
        let output = self.command(line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Ends the process as a power switch would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it dies at the point that it was started with.
    pub fn died(mut self) {
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(rustix::process::Signal::KILL.as_raw()), "{status:?}");
    }

    /// Asks it to stop; it must end well.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone after `kill` and `stop`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
