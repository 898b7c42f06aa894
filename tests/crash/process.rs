//! A `ledgerline serve` under conditions: settings, a limit of open files, no database or one that comes later.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::campaign::BINARY;
use crate::wire::{Answer, http};

/// A running server. Dropped, it is killed.
pub struct Server {
    child: Child,
    pub otlp_http: String,
    pub admin: String,
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Starts on a data directory and waits until it is ready. `files_max` bounds its open files.
    pub fn start(dir: &Path, settings: &[(&str, &str)], files_max: u64) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n $1; exec \"$2\" serve", "sh", &files_max.to_string(), BINARY]);
        for address in ["OTLP_GRPC_ADDR", "OTLP_HTTP_ADDR", "ADMIN_ADDR", "CLICKHOUSE_ADDR"] {
            command.env(format!("LEDGERLINE_{address}"), "127.0.0.1:0");
        }
        command.env("LEDGERLINE_DATA_DIR", dir).env("LEDGERLINE_BILLING_LATE_LIMIT", "36500d");
        command.env("LEDGERLINE_LOG_LEVEL", "error").envs(settings.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = |key: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("no {key} in {line:?}")).to_owned()
        };
        Self { otlp_http: address("otlp_http"), admin: address("admin"), child }
    }

    /// Posts an export request; `None` where the server went away before it answered.
    pub fn post(&self, body: &[u8]) -> Option<Answer> {
        http(&self.otlp_http, "POST", "/v1/traces", &[("content-type", "application/json")], body)
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> u64 {
        let page = http(&self.admin, "GET", "/metrics", &[], b"").unwrap().body;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    /// The most memory it ever had, in bytes.
    pub fn memory_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
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
        // Gone already after `stop`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command on a data directory that no server has; returns its exit code and what it said.
pub fn run(dir: &Path, line: &str) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    command.args(line.split_whitespace()).arg("--data-dir").arg(dir);
    command.env("LEDGERLINE_BILLING_LATE_LIMIT", "36500d").env("LEDGERLINE_LOG_LEVEL", "error");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// How many calls the ledger of a stopped server has, once everything is settled.
pub fn calls_in_the_ledger(dir: &Path) -> u64 {
    let (code, said) = run(dir, "settle");
    assert_eq!(code, Some(0), "{said}");
    let (_, usage) = run(dir, "usage --from 2000-01-01T00:00:00Z --to 2100-01-01T00:00:00Z --format json");
    let usage: serde_json::Value = serde_json::from_str(&usage).unwrap_or_else(|_| panic!("{usage}"));
    usage["totals"]["calls"].as_u64().unwrap()
}
