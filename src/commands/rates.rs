//! `rates`: import the exchange rates that invoices are converted by, and look at those in force.

use std::path::PathBuf;

use billing::rates::{self, RateShelf, RateSource};
use clap::Subcommand;
use schemas::Database;

use super::prices::read_bounded;
use super::{Context, Outcome};
use crate::billing_arm::now_nanos;
use crate::connect::{Missing, with_database};
use crate::output::{self, Rows};

/// What to do with exchange rates.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Import a rate file (TOML), whole or not at all; it replaces the one before, closed months keep theirs
    Import {
        /// The file
        file: PathBuf,
    },
    /// List the exchange rates in force, and the first month each is not used for any more
    List,
}

/// Does it.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    match command {
        Command::Import { file } => import(file, context).await,
        Command::List => list(context).await,
    }
}

async fn import(file: PathBuf, context: &Context) -> anyhow::Result<Outcome> {
    let content = read_bounded(&file)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let source = RateSource { name, content };
    let currency = context.loaded.config.billing.currency.code();
    // Faults before the ledger: a file that cannot be used needs none to say so.
    source.check(currency)?;
    let fresh =
        with_database(&context.loaded, "rates import", Missing::Create, async |database: &Database| {
            Ok(rates::import(database, &source, currency, now_nanos() / 1000).await?)
        })
        .await?;
    let verb = if fresh { "is in force" } else { "is in force already" };
    output::print(&format!("{:?} {verb}; rates {}\n", source.name, source.id()))?;
    Ok(Outcome::Done)
}

async fn list(context: &Context) -> anyhow::Result<Outcome> {
    let shelf = with_database(&context.loaded, "rates", Missing::Refuse, async |database: &Database| {
        Ok(RateShelf::of(database).await?)
    })
    .await?;
    let mut rows = Rows::new(["base", "quote", "rate", "date", "until", "source"]);
    for stated in shelf.rates.iter() {
        let rate = &stated.rate;
        rows.push([
            rate.base.code().into(),
            rate.quote.code().into(),
            rate.rate.normalize().to_string().into(),
            rate.date.to_string().into(),
            stated.until.to_string().into(),
            rate.source.as_str().into(),
        ]);
    }
    rows.print(context.format)?;
    Ok(Outcome::Done)
}
