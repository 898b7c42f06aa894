//! `try-to-lose-a-call`: a minute of kills against collectors of one's own, and then the balance.

use std::io::{IsTerminal as _, Write as _};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use super::{Context, Outcome};
use crate::output::{self, Format};
use crate::trial::{self, Options, Plan};

/// Kill collectors while calls are sent, and compare the ledger with what the clients were told
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long to go on
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    seconds: u64,
    /// Go on until so many processes were killed, however long that takes
    #[arg(long, default_value_t = 0, value_name = "N")]
    kills: u64,
    /// How long to go on for the sake of fail points that no process reached yet (debug builds)
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    chasing: u64,
    /// How many collectors are sent the same calls; the first hosts the database
    #[arg(long, default_value = "3", value_name = "N")]
    collectors: NonZeroUsize,
    /// What chooses moments, collectors and ways to send [default: the time]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// Runs the command; exit code 1 where a call was lost, doubled or altered.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<Outcome> {
    let seed = args.seed.unwrap_or(crate::billing_arm::now_nanos() as u64 % 1_000_000);
    let home = std::env::temp_dir().join(format!("ledgerline-trial-{}-{seed}", std::process::id()));
    std::fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let options = Options {
        plan: Plan {
            lasting: Duration::from_secs(args.seconds),
            kills: args.kills,
            chasing: Duration::from_secs(args.chasing),
        },
        collectors: args.collectors.get(),
        seed,
        engine_library: context.loaded.config.engine.library.clone(),
    };
    let on_terminal = std::io::stderr().is_terminal();
    if on_terminal {
        eprintln!(
            "Sending AI calls to {} collectors, and killing them. Their data is in {} until this ends.",
            options.collectors,
            home.display()
        );
    }
    let begun = Instant::now();
    let progress = move |kills: u64, acknowledged: u64| {
        if on_terminal {
            let mut stderr = std::io::stderr();
            let seconds = begun.elapsed().as_secs();
            // Progress that nobody can see matters to nobody.
            let _ = write!(
                stderr,
                "\r  {seconds:>4} s   {kills:>5} kills   {acknowledged:>7} requests acknowledged "
            );
            let _ = stderr.flush();
        }
    };
    let outcome = trial::run(&options, &home, progress).await;
    if on_terminal {
        eprintln!("\r{:60}", "");
    }
    let outcome =
        outcome.with_context(|| format!("the trial was given up; logs are in {}", home.display()))?;
    let text = match context.format {
        Format::Json => output::json(&document(&outcome, &options, begun.elapsed())),
        Format::Table | Format::Csv => page(&outcome, &options, begun.elapsed()),
    };
    output::print(&text)?;
    if outcome.holds() {
        std::fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))?;
        return Ok(Outcome::Done);
    }
    eprintln!("{}{}the data is kept in {}", outcome.balance.examples(), outcome.findings, home.display());
    Ok(Outcome::Failed)
}

/// For programs.
fn document(outcome: &trial::Outcome, options: &Options, took: Duration) -> serde_json::Value {
    let (balance, tally) = (&outcome.balance, &outcome.tally);
    let [acknowledged, refused, unanswered, hung_up, repeated] = outcome.requests;
    let at_points: serde_json::Map<_, _> =
        tally.at_points.iter().map(|(point, kills)| (point.name().to_owned(), json!(kills))).collect();
    json!({
        "seed": options.seed,
        "collectors": options.collectors,
        "seconds": took.as_secs(),
        "kills": tally.kills(),
        "kills_at_random": tally.at_random,
        "kills_at_points": at_points,
        "points_not_reached": tally.not_reached.iter().map(|point| point.name()).collect::<Vec<_>>(),
        "database_outages": tally.engine,
        "requests": {
            "acknowledged": acknowledged, "refused": refused, "unanswered": unanswered, "hung_up": hung_up,
            "repeated": repeated,
        },
        "calls_sent": balance.sent,
        "calls_acknowledged": balance.acknowledged,
        "calls_once": balance.once,
        "lost": balance.lost.len(),
        "doubled": balance.doubled.len(),
        "altered": balance.altered.len(),
        "invented": balance.invented,
        "positions_lost": outcome.positions_lost,
        "verified": outcome.verified,
        "holds": outcome.holds(),
    })
}

/// For people.
fn page(outcome: &trial::Outcome, options: &Options, took: Duration) -> String {
    let (balance, tally) = (&outcome.balance, &outcome.tally);
    let [_, refused, unanswered, hung_up, repeated] = outcome.requests;
    let at_points: u64 = tally.at_points.values().sum();
    let kills = match at_points {
        0 => "at random moments".to_owned(),
        _ => format!(
            "{} at random moments, {at_points} at {} fail points",
            tally.at_random,
            tally.at_points.len()
        ),
    };
    let mut text = String::new();
    let mut line = |what: &str, figure: u64, remark: &str| {
        let row = format!("  {what:<28}{:>12}   {remark}", grouped(figure));
        text += row.trim_end();
        text.push('\n');
    };
    line("collectors", options.collectors as u64, &format!("{} s, seed {}", took.as_secs(), options.seed));
    line("killed", tally.kills(), &kills);
    line("database gone", tally.engine, "its host was among the killed");
    line("requests unanswered", unanswered + hung_up, &format!("{hung_up} of them given up by the client"));
    line("requests refused", refused, "to be sent again");
    line("requests sent twice", repeated, "though acknowledged");
    text += "  ────────────────────────────────────────\n";
    let mut line = |what: &str, figure: u64, remark: &str| {
        let row = format!("  {what:<28}{:>12}   {remark}", grouped(figure));
        text += row.trim_end();
        text.push('\n');
    };
    line("calls sent", balance.sent, "");
    line("calls acknowledged", balance.acknowledged, "");
    line(
        "in the ledger once",
        balance.once,
        &format!("{} of them without a heard answer", grouped(balance.unheard)),
    );
    line("lost", balance.lost.len() as u64, "acknowledged, and not in the ledger");
    line("doubled", balance.doubled.len() as u64, "");
    line("altered", balance.altered.len() as u64, "with other usage than was sent");
    line("never sent", balance.invented, "");
    let verified = if outcome.verified == [true; 2] { "everything holds" } else { "NOT everything holds" };
    text += &format!("  {:<28}{verified}, before the month was closed and after\n\n", "verify");
    text += if outcome.holds() { "Nothing lost, nothing twice.\n" } else { "It does NOT hold.\n" };
    text
}

/// A number as people write it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}
