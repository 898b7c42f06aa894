//! `schema`: the tables, as DDL for people or brought into being.

use clap::Subcommand;
use schemas::migrate::{Layout, MIGRATIONS, history_statements};

use super::{Context, Outcome};
use crate::connect::{Missing, with_database};
use crate::output::{self, Cell, Rows};

/// What to do with the schema.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the DDL of every table and view
    Print {
        /// For this cluster: `ON CLUSTER`, replicated engines [default: key `clickhouse.cluster`]
        #[arg(long, value_name = "NAME", value_parser = crate::config::read_text::<crate::config::Name>)]
        cluster: Option<crate::config::Name>,
    },
    /// Bring the tables up to date; repeating it is harmless
    Migrate,
}

/// Does it.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    let clickhouse = &context.loaded.config.clickhouse;
    match command {
        Command::Print { cluster } => {
            let cluster = cluster.or_else(|| clickhouse.cluster.clone()).map(|name| name.as_str().to_owned());
            let database = clickhouse.database.as_str().to_owned();
            output::print(&ddl(&Layout { database, cluster }))?;
        }
        Command::Migrate => {
            let work = async |database: &schemas::Database| Ok(database.migrate().await?);
            let applied = with_database(&context.loaded, "schema migrate", Missing::Create, work).await?;
            let mut rows = Rows::new(["version", "name", "applied"]);
            for migration in MIGRATIONS {
                let now = applied.contains(&migration.version);
                rows.push([
                    Cell::Count(migration.version.into()),
                    migration.name.into(),
                    Cell::from(if now { "now" } else { "before" }),
                ]);
            }
            rows.print(context.format)?;
        }
    }
    Ok(Outcome::Done)
}

/// Statements that can be piped into a client as they stand.
fn ddl(layout: &Layout) -> String {
    let mut text = String::new();
    for statement in history_statements(layout) {
        text.push_str(&statement);
        text.push_str(";\n\n");
    }
    for migration in MIGRATIONS {
        text.push_str(&format!(
            "-- {:04} {}\n\n{}\n",
            migration.version,
            migration.name,
            migration.text(layout)
        ));
    }
    text
}
