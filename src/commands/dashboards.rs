//! `dashboards`: the Grafana dashboards that come with this program, as files.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;

use super::{Context, Outcome};
use crate::output::Rows;

/// What to do with the dashboards.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write dashboards, data source and alert rules as files that Grafana provisions itself from
    Export {
        /// Where to; made where it is not there. Files of the same names are replaced
        dir: PathBuf,
    },
}

/// Every file, by its path below the directory.
const FILES: &[(&str, &str)] = &[
    ("invoices.json", include_str!("../../dashboards/invoices.json")),
    ("latency.json", include_str!("../../dashboards/latency.json")),
    ("models.json", include_str!("../../dashboards/models.json")),
    ("month.json", include_str!("../../dashboards/month.json")),
    ("pipeline.json", include_str!("../../dashboards/pipeline.json")),
    ("spend.json", include_str!("../../dashboards/spend.json")),
    ("tenant.json", include_str!("../../dashboards/tenant.json")),
    ("traces.json", include_str!("../../dashboards/traces.json")),
    (
        "provisioning/alerting/ledgerline.yaml",
        include_str!("../../dashboards/provisioning/alerting/ledgerline.yaml"),
    ),
    (
        "provisioning/dashboards/ledgerline.yaml",
        include_str!("../../dashboards/provisioning/dashboards/ledgerline.yaml"),
    ),
    (
        "provisioning/datasources/ledgerline.yaml",
        include_str!("../../dashboards/provisioning/datasources/ledgerline.yaml"),
    ),
];

/// Does it.
pub fn run(command: &Command, context: &Context) -> anyhow::Result<Outcome> {
    let Command::Export { dir } = command;
    let mut rows = Rows::new(["file"]);
    for (name, text) in FILES {
        let path = dir.join(name);
        write(&path, text)?;
        rows.push([path.display().to_string().as_str().into()]);
    }
    rows.print(context.format)?;
    Ok(Outcome::Done)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn files_below(dir: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                files_below(&entry, root, found);
            } else if entry.extension().is_some_and(|extension| extension == "json" || extension == "yaml") {
                found.insert(entry.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }

    #[test]
    fn every_file_of_the_directory_is_exported() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
        let mut there = BTreeSet::new();
        files_below(&root, &root, &mut there);
        assert_eq!(FILES.iter().map(|(name, _)| (*name).to_string()).collect::<BTreeSet<_>>(), there);
    }
}
