//! `docs/reference/config.md`, made from the table of settings.
#![cfg(test)]

use std::fmt::Write;

use super::sections::{KEYS, SECTIONS};
use super::settings::Key;
use crate::golden;

const HEAD: &str = "# Configuration

Every key can be set in the file (`--config FILE`, else `./ledgerline.toml` where it exists) and by the environment
variable beside it; some also by a flag, which `ledgerline COMMAND --help` names. A flag goes before the variable, the
variable before the file, the file before the default. An empty variable sets nothing. `ledgerline config print` shows
every value and where it came from, `ledgerline config check` every fault.

Durations are a whole number and `ms`, `s`, `m`, `h` or `d`; sizes a whole number and `B`, `KiB`, `MiB`, `GiB` or `TiB`
(or `kB`, `MB`, `GB`, `TB`, by thousands). A list is an array of texts in the file, separated by commas in a variable.

This page is made from the program's table of settings; a test keeps it so.
";

fn reference() -> String {
    let mut page = HEAD.to_owned();
    let mut section = |title: &str, meaning: &str, keys: Vec<&Key>| {
        let _ = write!(
            page,
            "\n## {title}\n\n{meaning}\n\n| key | default | allowed | meaning |\n| --- | --- | --- | --- |\n"
        );
        for key in keys {
            let default = match key.default {
                None => "unset".to_owned(),
                Some("") => "empty".to_owned(),
                Some(text) => format!("`{text}`"),
            };
            let _ = writeln!(
                page,
                "| `{}`<br>`{}` | {default} | {} | {} |",
                key.name,
                key.variable(),
                key.expected,
                key.meaning()
            );
        }
    };
    section(
        "Above all sections",
        "Keys that stand at the top of the file.",
        KEYS.iter().filter(|key| key.section.is_empty()).collect(),
    );
    for named in SECTIONS {
        let keys = KEYS.iter().filter(|key| key.section == named.name).collect();
        section(&format!("`[{}]`", named.name), &named.meaning(), keys);
    }
    page
}

#[test]
fn the_reference_page_is_what_the_table_says() {
    golden::check("docs/reference/config.md", &reference());
}

#[test]
fn no_two_keys_share_a_variable() {
    let mut variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
    variables.sort_unstable();
    let count = variables.len();
    variables.dedup();
    assert_eq!(variables.len(), count);
}
