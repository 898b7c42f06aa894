//! `config`: what is wrong with the configuration, or what is in force and why.

use clap::Subcommand;

use super::{Context, Outcome};
use crate::config::{ConfigError, Entry, SECTIONS, Section, Sources, load};
use crate::output::{self, Cell, Format, Rows};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every source and list every fault; starts nothing
    Check,
    /// Print every key with its value and where it came from, secrets masked
    Print {
        /// As a configuration file that sets what is in force now
        #[arg(long)]
        toml: bool,
    },
}

/// Lists the faults of a configuration, if there are any.
pub fn check(sources: &Sources, format: Format) -> anyhow::Result<Outcome> {
    let mut rows = Rows::new(["key", "value", "from", "expected"]);
    match load(sources) {
        Ok(loaded) => {
            for notice in loaded.notices {
                eprintln!("note: {notice}");
            }
            match format {
                Format::Table => output::print("the configuration holds\n")?,
                _ => rows.print(format)?,
            }
            Ok(Outcome::Done)
        }
        Err(ConfigError::Faults(faults)) => {
            let count = faults.len();
            for fault in faults {
                rows.push([
                    fault.key.into(),
                    fault.value.into(),
                    fault.origin.to_string().into(),
                    fault.allowed.into(),
                ]);
            }
            rows.print(format)?;
            eprintln!("error: the configuration has faults ({count}); they are listed on standard output");
            Ok(Outcome::Failed)
        }
        Err(error) => Err(error.into()),
    }
}

/// Prints a configuration.
pub fn run(command: &Command, context: &Context) -> anyhow::Result<Outcome> {
    let entries = &context.loaded.entries;
    match command {
        Command::Print { toml: true } => output::print(&file(entries))?,
        Command::Print { toml: false } => {
            let mut rows = Rows::new(["key", "value", "from", "variable"]);
            for entry in entries {
                rows.push([
                    entry.key.path.into(),
                    value(entry),
                    entry.origin.to_string().into(),
                    entry.key.variable().into(),
                ]);
            }
            rows.print(context.format)?;
        }
        // Answered before, since a configuration that does not hold cannot be a context.
        Command::Check => return Ok(Outcome::Done),
    }
    Ok(Outcome::Done)
}

/// A value as people read it: texts without quotes.
fn value(entry: &Entry) -> Cell {
    match &entry.value {
        Some(toml::Value::String(text)) => text.into(),
        Some(other) => other.to_string().into(),
        None => Cell::Nothing,
    }
}

/// A file that sets what is in force, with what each key means and may be. What cannot be written (a secret, an unset key)
/// stands as a comment.
fn file(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut section = "";
    for Entry { key, value, origin } in entries {
        if key.section != section {
            section = key.section;
            let about = SECTIONS.iter().find(|known| known.name == section).map(Section::meaning);
            text.push_str(&format!("# {}\n[{section}]\n\n", about.unwrap_or_default()));
        }
        text.push_str(&format!("# {}\n# Expected: {}. From: {origin}.\n", key.meaning(), key.expected));
        text.push_str(&match value {
            Some(_) if key.secret => format!("# {} is set where it is not shown\n\n", key.name),
            Some(value) => format!("{} = {value}\n\n", key.name),
            None => format!("# {} is unset\n\n", key.name),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_file_gives_the_same_configuration_and_no_secret() {
        let variables = vec![
            ("LEDGERLINE_CLICKHOUSE_PASSWORD".to_owned(), "hunter2".into()),
            ("LEDGERLINE_BILLING_LATE_LIMIT".to_owned(), "3650d".into()),
            ("LEDGERLINE_ATTRIBUTES_TENANT".to_owned(), "customer,org.id".into()),
        ];
        let loaded = load(&Sources { variables, ..Sources::default() }).unwrap();
        let text = file(&loaded.entries);
        assert!(!text.contains("hunter2"), "{text}");
        let password = [("LEDGERLINE_CLICKHOUSE_PASSWORD".to_owned(), "hunter2".into())].to_vec();
        let again =
            Sources { file: Some(("printed.toml".into(), text)), variables: password, ..Sources::default() };
        assert_eq!(load(&again).unwrap().config, loaded.config);
    }
}
