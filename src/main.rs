//! The one binary: commands, configuration, topology.
//!
//! Results go to standard output, logs and failures to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage.

mod admin;
mod admin_client;
mod billing_arm;
mod budgets;
mod cli;
mod commands;
mod config;
mod connect;
mod console;
mod data_dir;
mod failure;
mod forwards;
mod golden;
mod logging;
mod output;
mod progress;
mod retention;
mod running_server;
mod stage;
mod topology;
mod trace_arm;
mod trial;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

use cli::{Cli, Command};
use commands::{Context, Outcome};
use config::Sources;

/// Evidence is many small strings, made on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Wrong usage, `--help` and `--version` end here.
    let cli = Cli::parse();
    match run(cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => match failure::report(&error) {
            Some(text) => {
                eprintln!("{text}");
                if failure::is_wrong_usage(&error) { ExitCode::from(2) } else { ExitCode::FAILURE }
            }
            None => ExitCode::SUCCESS,
        },
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let sources = Sources::of_process(cli.globals.config.as_deref(), cli.flag_values())?;
    let format = cli.globals.format;
    if let Command::Config(commands::config::Command::Check) = cli.command {
        // The one command that is about a configuration which may not hold.
        return commands::config::check(&sources, format);
    }
    let context = Context { loaded: config::load(&sources)?, format };
    logging::start(&context.loaded, cli.serves());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(dispatch(cli.command, &context))
}

async fn dispatch(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    match command {
        Command::Serve(_) => commands::serve::run(context).await,
        Command::Settle(args) => commands::settle::run(args, context).await,
        Command::Explain(args) => commands::explain::run(args, context).await,
        Command::Estimate(args) => commands::estimate::run(args, context).await,
        Command::Invoice(command) => commands::invoice::run(command, context).await,
        Command::Period(command) => commands::period::run(command, context).await,
        Command::Verify(args) => commands::verify::run(args, context).await,
        Command::Demo(args) => commands::demo::run(args, context).await,
        Command::TryToLoseACall(args) => commands::try_to_lose_a_call::run(args, context).await,
        Command::Usage(args) => commands::usage::run(args, context).await,
        Command::Keys(command) => commands::keys::run(command, context),
        Command::Prices(command) => commands::prices::run(command, context).await,
        Command::Plans(command) => commands::plans::run(command, context).await,
        Command::Rates(command) => commands::rates::run(command, context).await,
        Command::Reprice(args) => commands::reprice::run(args, context).await,
        Command::Reconcile(args) => commands::reconcile::run(args, context).await,
        Command::Quarantine(command) => commands::quarantine::run(command, context).await,
        Command::Redecode(args) => commands::redecode::run(args, context).await,
        Command::Adjust(command) => commands::adjust::run(*command, context).await,
        Command::Journal(command) => commands::journal::run(command, context).await,
        Command::Dashboards(command) => commands::dashboards::run(&command, context),
        Command::Schema(command) => commands::schema::run(command, context).await,
        Command::Config(command) => commands::config::run(&command, context),
    }
}
