//! The command line: flags that every command has, and the list of commands. Each command's own flags stand in its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    adjust, config, dashboards, demo, estimate, explain, invoice, journal, keys, period, plans, prices,
    quarantine, rates, reconcile, redecode, reprice, schema, serve, settle, try_to_lose_a_call, usage,
    verify,
};
use crate::config::{FlagValue, HttpUrl, read_text};
use crate::output::Format;

/// What was asked for.
#[derive(Debug, Parser)]
#[command(
    name = "ledgerline",
    version,
    about = "An OTLP collector with an exactly-once billing ledger for AI calls in ClickHouse",
    after_help = "Exit codes: 0 done, 1 failed (standard error says what, where, and what to do), 2 wrong usage.",
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub struct Cli {
    /// Flags that every command has.
    #[command(flatten)]
    pub globals: Globals,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// The configuration file [default: ./ledgerline.toml where it exists]
    #[arg(long, global = true, value_name = "FILE", env = crate::config::FILE_VARIABLE, hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// The directory of journal, keys and embedded ClickHouse (key `data_dir`)
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// A ClickHouse server's HTTP interface instead of the embedded one (key `clickhouse.url`)
    #[arg(long, global = true, value_name = "URL", value_parser = read_text::<HttpUrl>)]
    pub clickhouse_url: Option<HttpUrl>,
    /// How rows are printed: for people, for programs, for spreadsheets
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, hide_possible_values = true, value_name = "table|json|csv")]
    pub format: Format,
}

/// The commands, in the order in which people meet them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receive OTLP; keep the journal, the ledger and a sample of traces
    Serve(serve::Args),
    /// Settle everything that was acknowledged, waiting for nothing
    Settle(settle::Args),
    /// Show calls, tokens, cost and charge, grouped
    Usage(usage::Args),
    /// Show why a number is what it is: the spans seen, what became of each, the arithmetic
    Explain(explain::Args),
    /// Estimate what calls came to whose spans state no usage, by comparable ones; posts nothing
    Estimate(estimate::Args),
    /// Preview, issue and export monthly invoices
    #[command(subcommand)]
    Invoice(invoice::Command),
    /// Close a billing month, or see how it stands
    #[command(subcommand)]
    Period(period::Command),
    /// Recompute the ledger and list what does not hold
    Verify(verify::Args),
    /// Create, list and revoke the API keys of OTLP clients
    #[command(subcommand)]
    Keys(keys::Command),
    /// Import prices, and look into the price book
    #[command(subcommand)]
    Prices(prices::Command),
    /// Import what tenants are charged by, and look at it
    #[command(subcommand)]
    Plans(plans::Command),
    /// Import the exchange rates that invoices in other currencies are converted by, and look at them
    #[command(subcommand)]
    Rates(rates::Command),
    /// Rate again what stands in the ledger, by the prices that are known now
    Reprice(reprice::Args),
    /// Correct what stands: give credits, post charges, take calls back, move calls to other tenants or features
    #[command(subcommand)]
    Adjust(Box<adjust::Command>),
    /// Compare the ledger with what a provider says it counted or charged, and name what differs
    Reconcile(reconcile::Args),
    /// Look into the journal, check it, ship again what ClickHouse lost
    #[command(subcommand)]
    Journal(journal::Command),
    /// Look at the rows that ClickHouse refused for what is in them, and send them anew
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Read kept spans anew, by what this version understands, and correct what was billed by the old readings
    Redecode(redecode::Args),
    /// Print the ClickHouse DDL, or apply it
    #[command(subcommand)]
    Schema(schema::Command),
    /// Write the Grafana dashboards, their data source and alert rules as files
    #[command(subcommand)]
    Dashboards(dashboards::Command),
    /// Check the configuration, or print what is in force
    #[command(subcommand)]
    Config(config::Command),
    /// Show the whole loop on sample calls: send, settle, usage, explain, invoice
    Demo(demo::Args),
    /// Kill collectors while calls are sent, and compare the ledger with what the clients were told
    TryToLoseACall(try_to_lose_a_call::Args),
}

impl Cli {
    /// The flags that set keys of the configuration.
    pub fn flag_values(&self) -> Vec<FlagValue> {
        let globals = &self.globals;
        let mut flags = Vec::new();
        set(&mut flags, "data_dir", "--data-dir", globals.data_dir.as_deref());
        set(
            &mut flags,
            "clickhouse.url",
            "--clickhouse-url",
            globals.clickhouse_url.as_ref().map(HttpUrl::as_str),
        );
        if let Command::Serve(args) = &self.command {
            set(&mut flags, "otlp.grpc_addr", "--otlp-grpc-addr", args.otlp_grpc_addr.as_deref());
            set(&mut flags, "otlp.http_addr", "--otlp-http-addr", args.otlp_http_addr.as_deref());
            set(&mut flags, "admin.addr", "--admin-addr", args.admin_addr.as_deref());
            set(&mut flags, "clickhouse.addr", "--clickhouse-addr", args.clickhouse_addr.as_deref());
        }
        flags
    }

    /// Whether it runs until it is told to stop, and so logs what it does.
    pub fn serves(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }
}

fn set(flags: &mut Vec<FlagValue>, key: &'static str, flag: &'static str, value: Option<impl ToString>) {
    flags.extend(value.map(|value| FlagValue { key, flag, value: value.to_string() }));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::golden;

    /// Every command's help, by the path of the command.
    fn helps(command: &mut clap::Command, path: &str, out: &mut Vec<(String, String)>) {
        out.push((path.to_owned(), command.render_long_help().to_string()));
        for sub in command.get_subcommands_mut() {
            let path = format!("{path}-{}", sub.get_name());
            helps(sub, &path, out);
        }
    }

    #[test]
    fn the_help_of_every_command_is_as_it_was() {
        let mut command = Cli::command();
        command.build();
        let mut found = Vec::new();
        helps(&mut command, "ledgerline", &mut found);
        for (path, help) in found {
            golden::check(&format!("tests/golden/help/{path}.txt"), &help);
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_flag_sets_its_key_before_or_after_the_command() {
        for line in ["ledgerline --data-dir /d config check", "ledgerline config check --data-dir /d"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(
                cli.flag_values(),
                [FlagValue { key: "data_dir", flag: "--data-dir", value: "/d".into() }]
            );
        }
    }
}
