//! What a figure is worth nothing without: machine, disk, versions, and how it was measured.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use chrono::Utc;

use crate::generate::Generator;
use crate::ledger::Ledger;
use crate::options::Options;
use crate::send::{CONNECTIONS, IN_FLIGHT};
use crate::subject::{Ledgerline, Place};

/// As lines of a Markdown list.
pub async fn describe(options: &Options, place: &Place) -> anyhow::Result<String> {
    let engine = {
        let host = Ledgerline::engine_host(place)?;
        Ledger::at(&host.clickhouse).version().await?
    };
    let rotel = match &place.rotel {
        Some(path) => first_line(path, &["--version"])?,
        None => "not measured".to_string(),
    };
    let kernel = rustix::system::uname();
    let generator = Generator::new(options.seed, 100, 0);
    let bytes_per_span = generator.request(0).len() as u64 / generator.batch();
    let lines = [
        format!("date: {}", Utc::now().format("%Y-%m-%d %H:%M UTC")),
        format!("commit of the checkout: {}", commit()),
        format!("program: {}", first_line(&place.ledgerline, &["--version"])?),
        format!("engine: {engine}"),
        format!("Rotel: {rotel}"),
        format!("cores: {}, {}", std::thread::available_parallelism()?, processor()?),
        format!("memory: {:.1} GiB", memory_gib()?),
        format!("kernel: {} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy()),
        format!("disk: {}", file_system(&place.dir)?),
        format!(
            "load: {CONNECTIONS} connections × {IN_FLIGHT} requests in flight, closed loop but for lag; AI spans of 24 to 25 \
             attributes, {bytes_per_span} bytes each; seed {}",
            options.seed
        ),
        "the load generator, the collector and the engine share the cores; every process is fresh for each line".into(),
        format!(
            "acknowledgement: {} rounds of {} s after 1 s of warming up; medians, memory the highest",
            options.rounds, options.seconds
        ),
    ];
    Ok(lines.map(|line| format!("- {line}\n")).concat())
}

/// The commit of the working directory, which the program was presumably built from.
fn commit() -> String {
    let git = |args: &[&str]| first_line(Path::new("git"), args).ok();
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_string() };
    // An empty answer has no first line: nothing differs.
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some();
    if changed { format!("{commit}, with changes") } else { commit }
}

fn first_line(program: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(args).output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .next()
        .with_context(|| format!("{} {args:?} says nothing", program.display()))?
        .to_string())
}

fn processor() -> anyhow::Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(name.map_or_else(|| "of a kind Linux does not name".to_string(), |(_, name)| name.to_string()))
}

fn memory_gib() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    Ok(kib.context("no MemTotal in /proc/meminfo")?.parse::<f64>()? / 1024.0 / 1024.0)
}

/// The kind of file system below a directory, from /proc/mounts: on one in memory a sync costs nothing and proves nothing.
fn file_system(dir: &Path) -> anyhow::Result<String> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    let kind = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (point, kind) = (words.next()?, words.next()?);
            dir.starts_with(point).then_some((point.len(), kind))
        })
        .max_by_key(|(length, _)| *length);
    let (_, kind) = kind.context("no file system in /proc/mounts")?;
    let warning =
        if ["tmpfs", "ramfs"].contains(&kind) { " (in memory: nothing here is durable)" } else { "" };
    Ok(format!("{kind}{warning}"))
}
