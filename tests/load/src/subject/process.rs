//! A process under measurement, and what Linux counts of it. Dropped, it is killed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::Context as _;

/// Threads of the server that are named by the stage they run. What other threads of a process spend is `other`.
pub const STEPS: [&str; 5] = ["receive", "journal", "ship", "settle", "trace"];

/// A started process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    errors: PathBuf,
    /// Name and ticks of every thread at the last look at it, so that what a thread spent keeps its name when it ends.
    threads: RefCell<Threads>,
}

/// By thread id: name, and CPU time in clock ticks.
type Threads = BTreeMap<String, (String, u64)>;

/// CPU time spent since the process began, in clock ticks.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    whole: u64,
    by_thread_name: BTreeMap<String, u64>,
}

/// CPU time by step.
#[derive(Clone, Debug, Default)]
pub struct CpuSeconds {
    /// Of each of [`STEPS`].
    pub steps: [f64; STEPS.len()],
    /// Of all other threads.
    pub other: f64,
}

impl Process {
    /// Starts it with its standard error in a file.
    pub fn start(command: &mut Command, stdout: Stdio, errors: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&errors).with_context(|| format!("cannot create {}", errors.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
        Ok(Self { child, errors, threads: RefCell::default() })
    }

    /// The first line of a piped standard output; empty where the process ended without one.
    pub fn first_line(&mut self) -> anyhow::Result<String> {
        let output = self.child.stdout.take().context("standard output is not piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok(line)
    }

    /// The last lines it wrote to standard error, for a message.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.errors).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.reverse();
        lines.join("\n")
    }

    /// CPU time so far. Idle threads end after some seconds: over longer waits look now and then, or what they spent since
    /// the last look counts as `other`.
    pub fn spent(&self) -> anyhow::Result<Spent> {
        Spent::of(&self.child.id().to_string(), &mut self.threads.borrow_mut())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Has the peak of memory begin now.
    pub fn forget_peak(&self) -> anyhow::Result<()> {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&path, "5").with_context(|| format!("cannot write {path}"))
    }

    /// The most memory it ever had resident, in MiB.
    pub fn peak_rss_mib(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
        Ok(kib.context("no VmHWM in /proc/PID/status")?.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Spent {
    /// Of this process.
    pub fn of_myself() -> anyhow::Result<Self> {
        Self::of("self", &mut Threads::new())
    }

    fn of(process: &str, threads: &mut Threads) -> anyhow::Result<Self> {
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let task = task?;
            // A thread may end while we look.
            let Ok(stat) = fs::read_to_string(task.path().join("stat")) else { continue };
            threads.insert(task.file_name().to_string_lossy().into_owned(), parse_stat(&stat)?);
        }
        let mut by_thread_name = BTreeMap::new();
        for (name, ticks) in threads.values() {
            *by_thread_name.entry(name.clone()).or_default() += ticks;
        }
        let (_, whole) = parse_stat(&fs::read_to_string(format!("/proc/{process}/stat"))?)?;
        Ok(Self { whole, by_thread_name })
    }

    /// What was spent since an earlier look.
    pub fn since(&self, earlier: &Self) -> CpuSeconds {
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        let ticks = |spent: &Self, name: &str| spent.by_thread_name.get(name).copied().unwrap_or(0);
        let steps =
            STEPS.map(|step| ticks(self, step).saturating_sub(ticks(earlier, step)) as f64 / per_second);
        let whole = self.whole.saturating_sub(earlier.whole) as f64 / per_second;
        CpuSeconds { steps, other: (whole - steps.iter().sum::<f64>()).max(0.0) }
    }
}

impl CpuSeconds {
    /// Of the whole process.
    pub fn whole(&self) -> f64 {
        self.steps.iter().sum::<f64>() + self.other
    }

    /// For each million of `spans`.
    pub fn per_million(&self, spans: u64) -> Self {
        let millions = spans as f64 / 1e6;
        Self { steps: self.steps.map(|seconds| seconds / millions), other: self.other / millions }
    }
}

/// Name and ticks, user and system together, of a `stat` file: fields 2, 14 and 15 in proc(5).
fn parse_stat(stat: &str) -> anyhow::Result<(String, u64)> {
    let parsed = stat.split_once('(').and_then(|(_, rest)| {
        // A name may contain parentheses and blanks.
        let (name, rest) = rest.rsplit_once(')')?;
        let mut after_name = rest.split_whitespace().skip(11);
        let user: u64 = after_name.next()?.parse().ok()?;
        let system: u64 = after_name.next()?.parse().ok()?;
        Some((name.to_string(), user + system))
    });
    parsed.with_context(|| format!("not the stat of a process: {stat:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_gives_name_and_ticks_however_odd_the_name() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 7 7 20 0 9 0 100 1000 200";
        assert_eq!(parse_stat(stat).unwrap(), ("a) b (c)".to_string(), 300));
        assert!(parse_stat("42 (short) S 1").is_err());
    }

    #[test]
    fn what_no_step_spent_is_other() {
        let spent = |whole, receive, engine| Spent {
            whole,
            by_thread_name: [("receive".to_string(), receive), ("BgSchPool".to_string(), engine)].into(),
        };
        let cpu = spent(1_000, 600, 100).since(&spent(100, 100, 0));
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        assert!((cpu.whole() * per_second - 900.0).abs() < 1e-6);
        assert!((cpu.steps[0] * per_second - 500.0).abs() < 1e-6);
        assert!((cpu.other * per_second - 400.0).abs() < 1e-6);
    }

    #[test]
    fn a_thread_that_has_ended_keeps_what_it_spent() {
        let gone = ("not a thread id".to_string(), ("receive".to_string(), 250));
        let mut threads = Threads::from([gone]);
        let spent = Spent::of("self", &mut threads).unwrap();
        assert_eq!(spent.by_thread_name["receive"], 250);
        assert!(spent.by_thread_name.len() > 1, "this process was read: {spent:?}");
    }
}
