//! How fast can appends be acknowledged durably, and at what CPU cost?
//!
//! `cargo run --release -p ledgerline-journal --example append_rate -- DIR [THREADS] [IN_FLIGHT] [RECORDS] [BYTES] [SECONDS]`
//!
//! Each of THREADS keeps IN_FLIGHT appends of RECORDS records of BYTES bytes on their way for SECONDS. Everything is
//! released as it becomes durable, so the journal stays within its bound. Nothing is asserted: figures are for
//! comparing on one machine.

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use journal::{AppendError, Appender, Config, Cursor, Journal, Kind, Records, ReleasePolicy};

const OBSERVATION: Kind = Kind::new(1);

struct Load {
    in_flight: usize,
    records: usize,
    bytes: usize,
    until: Instant,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("the journal's directory is missing")?);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (threads, in_flight, records, bytes) = (number(4)?, number(4)?, number(40)?, number(400)?);
    let seconds = number(3)?;

    let config = Config { capacity_bytes: 1 << 30, ..Config::default() };
    let (journal, _) = Journal::open(&dir, config)?;
    let started = Instant::now();
    let load = Load { in_flight, records, bytes, until: started + Duration::from_secs(seconds as u64) };
    let cpu_before = cpu_seconds();
    let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
        let appenders: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| append(&journal.appender(), &load))).collect();
        while Instant::now() < load.until {
            release(&journal);
        }
        appenders.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu_before;

    latencies.sort_unstable();
    let quantile = |q: f64| latencies[((latencies.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3;
    let stat = journal.stat();
    let per_second = |count: u64| count as f64 / elapsed;
    println!("{threads} threads x {in_flight} in flight, {records} records of {bytes} bytes an append");
    println!("{:>10.0} appends/s", per_second(stat.appended_frames));
    println!("{:>10.0} records/s", per_second(stat.appended_records));
    println!("{:>10.1} MB/s", per_second(stat.appended_bytes) / 1e6);
    println!("{:>10.0} syncs/s, {:.0} KiB each", per_second(stat.groups), {
        stat.appended_bytes as f64 / stat.groups as f64 / 1024.0
    });
    println!("{:>10.3} ms p50, {:.3} ms p99 until durable", quantile(0.5), quantile(0.99));
    println!("{:>10.3} CPU s per million records", cpu * 1e6 / stat.appended_records as f64);
    Ok(())
}

/// Appends until the time is over, and returns how long each took to be durable.
fn append(appender: &Appender, load: &Load) -> Vec<Duration> {
    let content = vec![b'x'; load.bytes];
    let (answered, answers) = channel();
    let mut latencies = Vec::new();
    let mut under_way = 0;
    while Instant::now() < load.until || under_way > 0 {
        while under_way < load.in_flight && Instant::now() < load.until {
            under_way += usize::from(submit(appender, &content, load.records, answered.clone()).is_ok());
        }
        if under_way > 0 {
            under_way -= 1;
            latencies.extend(answers.recv().into_iter().flatten());
        }
    }
    latencies
}

fn submit(
    appender: &Appender,
    content: &[u8],
    count: usize,
    answered: Sender<Option<Duration>>,
) -> Result<(), AppendError> {
    let mut records = Records::with_capacity(count * (content.len() + 3));
    for _ in 0..count {
        records.push(OBSERVATION, content);
    }
    let submitted = Instant::now();
    appender.submit(records, move |outcome| {
        // Those waiting for answers outlive the appends.
        let _ = answered.send(outcome.ok().map(|_| submitted.elapsed()));
    })
}

fn release(journal: &Journal) {
    let durable =
        journal.wait_durable_past(journal.stat().released_seq + 100_000, Duration::from_millis(100));
    let mut checkpoint = journal.checkpoint();
    checkpoint.set(journal.collector_id(), Cursor { shipped: durable, released: durable });
    let policy = ReleasePolicy { keep: Duration::ZERO, now: SystemTime::now() };
    if let Err(error) = journal.store_checkpoint(&checkpoint) {
        eprintln!("{error}");
    }
    if let Err(error) = journal.release(&policy) {
        eprintln!("{error}");
    }
}

/// CPU time of this process, user and system, in seconds (clock ticks of 10 ms).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}
