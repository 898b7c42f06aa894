//! A `ledgerline serve` under conditions: settings, a limit of open files, no database or one that comes later.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::campaign::BINARY;
use crate::wire::{Answer, http};

/// No test comes near: for a process that must die.
const FAR: Duration = Duration::from_secs(120);

/// A running server. Dropped, it is killed.
pub struct Server {
    child: Child,
    dir: PathBuf,
    pub otlp_http: String,
    pub admin: String,
    clickhouse: String,
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Starts on a data directory and waits until it is ready. `files_max` bounds its open files.
    pub fn start(dir: &Path, settings: &[(&str, &str)], files_max: u64) -> Self {
        Self::start_or_die(dir, settings, files_max).expect("it gets ready")
    }

    /// The same of one that may be killed by a fail point before it is ready.
    pub fn start_or_die(dir: &Path, settings: &[(&str, &str)], files_max: u64) -> Option<Self> {
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
        if line.is_empty() {
            assert_killed(&mut child);
            return None;
        }
        let address = |key: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("no {key} in {line:?}")).to_owned()
        };
        let (otlp_http, admin, clickhouse) = (address("otlp_http"), address("admin"), address("clickhouse"));
        Some(Self { child, dir: dir.to_owned(), otlp_http, admin, clickhouse })
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

    /// Runs a statement as the owner of its engine.
    pub fn as_owner(&self, sql: &str) {
        let password = std::fs::read_to_string(self.dir.join("clickhouse-owner-password")).unwrap();
        let headers = [("x-clickhouse-user", "ledgerline"), ("x-clickhouse-key", password.trim())];
        let address = self.clickhouse.trim_start_matches("http://");
        let answer = http(address, "POST", "/", &headers, sql.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{sql}: {}", answer.body);
    }

    /// Does something again and again until it died at its fail point.
    pub fn dies_while(mut self, point: &str, mut doing: impl FnMut()) {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < FAR, "it does not get to {point}");
            doing();
        }
        assert_killed(&mut self.child);
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

fn assert_killed(child: &mut Child) {
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(rustix::process::Signal::KILL.as_raw()), "{status:?}");
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
