//! The collectors of a trial: processes of this very program on data directories of their own.
//!
//! The first hosts the embedded engine; the others ship to it, and the second of them settles. One alone does everything.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use sabotage::Point;
use tokio::time::sleep;

use crate::data_dir::DataDir;
use crate::running_server::RunningServer;

/// How long a process may take to say that it is ready.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How often a process is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// Settings that make a minute hold what else takes a day: batches of moments, segments that go at once.
const SETTINGS: [(&str, &str); 9] = [
    ("LEDGERLINE_OTLP_GRPC_ADDR", "127.0.0.1:0"),
    ("LEDGERLINE_OTLP_HTTP_ADDR", "127.0.0.1:0"),
    ("LEDGERLINE_ADMIN_ADDR", "127.0.0.1:0"),
    ("LEDGERLINE_JOURNAL_KEEP", "0s"),
    ("LEDGERLINE_SHIP_INTERVAL", "50ms"),
    ("LEDGERLINE_SETTLE_INTERVAL", "100ms"),
    ("LEDGERLINE_SETTLE_QUIET", "400ms"),
    ("LEDGERLINE_BILLING_LATE_LIMIT", "36500d"),
    ("LEDGERLINE_LOG_LEVEL", "warn"),
];

/// The collectors.
#[derive(Debug)]
pub struct Fleet {
    home: PathBuf,
    collectors: Vec<Collector>,
    engine_library: Option<PathBuf>,
    clickhouse_port: u16,
    stopped: AtomicBool,
}

#[derive(Debug)]
struct Collector {
    dir: PathBuf,
    /// Where it answers, while it does.
    server: Mutex<Option<RunningServer>>,
}

/// When a process is to be killed at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KillAt {
    /// Where.
    pub point: Point,
    /// The how manieth time it gets there.
    pub time: u64,
}

/// A process that was ready.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

/// How starting a process went.
#[derive(Debug)]
pub enum Started {
    /// It serves.
    Ready(Process),
    /// It was killed at its point before it was ready.
    Killed,
}

impl Fleet {
    /// A fleet below a directory. Nothing is started.
    ///
    /// # Errors
    /// When there is no free port or no directory.
    pub fn new(home: &Path, collectors: usize, engine_library: Option<PathBuf>) -> anyhow::Result<Self> {
        // Others find the engine there again after its host was killed.
        let clickhouse_port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut made = Vec::new();
        for at in 1..=collectors {
            let dir = home.join(format!("collector-{at}"));
            std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            made.push(Collector { dir, server: Mutex::default() });
        }
        let stopped = AtomicBool::new(false);
        Ok(Self { home: home.to_owned(), collectors: made, engine_library, clickhouse_port, stopped })
    }

    /// How many collectors.
    pub fn len(&self) -> usize {
        self.collectors.len()
    }

    /// The one that settles.
    pub fn settler(&self) -> usize {
        usize::from(self.len() > 1)
    }

    /// Tells clients to end.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether clients are to end.
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// The data directory of a collector.
    pub fn dir(&self, at: usize) -> &Path {
        &self.collectors[at].dir
    }

    /// Where the engine answers.
    pub fn clickhouse(&self) -> String {
        format!("127.0.0.1:{}", self.clickhouse_port)
    }

    /// Where a collector answers, if it does.
    pub fn server(&self, at: usize) -> Option<RunningServer> {
        self.collectors[at].server.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where any collector answers, chosen by a number.
    pub fn any(&self, choice: u64) -> Option<RunningServer> {
        (0..self.len()).find_map(|step| self.server((choice as usize + step) % self.len()))
    }

    /// A command of this program in the surroundings of a collector.
    ///
    /// # Errors
    /// When the program's own path or the engine's password cannot be had.
    pub fn command(&self, at: usize) -> anyhow::Result<Command> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(program);
        // Nothing of the surroundings may point such a process to a ledger that is in use.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LEDGERLINE_"))
        {
            command.env_remove(name);
        }
        command.current_dir(&self.home).envs(SETTINGS).env("LEDGERLINE_DATA_DIR", self.dir(at));
        if let Some(library) = &self.engine_library {
            command.env("LEDGERLINE_ENGINE_LIBRARY", library);
        }
        if at != self.settler() {
            command.env("LEDGERLINE_SETTLE_ENABLED", "false");
        }
        if at == 0 {
            command.env("LEDGERLINE_CLICKHOUSE_ADDR", self.clickhouse());
        } else {
            let path = self.dir(0).join("clickhouse-owner-password");
            let password =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            command
                .env("LEDGERLINE_CLICKHOUSE_URL", format!("http://{}", self.clickhouse()))
                .env("LEDGERLINE_CLICKHOUSE_USER", "ledgerline")
                .env("LEDGERLINE_CLICKHOUSE_PASSWORD", password.trim());
        }
        Ok(command)
    }

    /// Starts a collector and waits until it is ready.
    ///
    /// # Errors
    /// When it ends by itself, or does not get ready.
    pub async fn start(&self, at: usize, kill_at: Option<KillAt>) -> anyhow::Result<Started> {
        let mut command = self.command(at)?;
        if let Some(KillAt { point, time }) = kill_at {
            command.env(sabotage::KILL_VARIABLE, format!("{}:{time}", point.name()));
        }
        let log = self.dir(at).with_extension("log");
        let log = File::options().create(true).append(true).open(&log);
        command
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.context("cannot open a log")?);
        let mut child = command.spawn().context("cannot start a collector")?;
        let output = child.stdout.take().context("a collector has no output")?;
        let first_line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).map(|_| line)
        });
        let mut process = Process { child };
        let Ok(line) = tokio::time::timeout(START_PATIENCE, first_line).await else {
            bail!(
                "collector {} was not ready within {START_PATIENCE:?}; see its log in {}",
                at + 1,
                self.home.display()
            );
        };
        if !line??.starts_with("ready") {
            let status = process.end().await?;
            if kill_at.is_some() && was_killed(status) {
                return Ok(Started::Killed);
            }
            bail!(
                "collector {} ended at its start: {status}; see its log in {}",
                at + 1,
                self.home.display()
            );
        }
        let server = RunningServer::find(&DataDir::new(self.dir(at)))?;
        *self.collectors[at].server.lock().unwrap_or_else(PoisonError::into_inner) = server;
        Ok(Started::Ready(process))
    }

    /// Clients are not to find a collector any more.
    pub fn withdraw(&self, at: usize) {
        *self.collectors[at].server.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Process {
    /// Waits until it ends by itself; `None` where it lives on at the deadline, or until `given_up`.
    pub async fn ended_by(
        &mut self,
        deadline: Instant,
        given_up: impl Fn() -> bool,
    ) -> anyhow::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline || given_up() {
                return Ok(None);
            }
            sleep(GLANCE).await;
        }
    }

    /// Ends it as a power switch would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, and waits for that.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = self.end().await?;
        anyhow::ensure!(status.success(), "a collector that was asked to stop ended with {status}");
        Ok(())
    }

    async fn end(&mut self) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + START_PATIENCE;
        self.ended_by(deadline, || false).await?.context("a collector does not end")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already, unless the trial was given up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process was ended by `kill -9`.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(rustix::process::Signal::KILL.as_raw())
}
