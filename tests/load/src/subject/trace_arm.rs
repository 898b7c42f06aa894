//! States of the trace arm, as settings of a server.

use std::path::Path;

use anyhow::Context as _;

/// How the trace arm fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceArm {
    /// Nothing is sampled.
    Off,
    /// At work: one trace in ten is kept by chance, and what rules name.
    Sampling,
    /// At work: everything is kept.
    Keeping,
    /// Everything is kept; storing it takes seconds, and a backend takes connections and answers nothing.
    Stalled,
    /// Everything is kept; storing it fails, and a backend refuses connections.
    Failing,
    /// Everything is to be kept, in a hundredth of the memory that takes.
    Full,
}

impl TraceArm {
    /// The states that are compared, off first.
    pub const COMPARED: [Self; 5] = [Self::Off, Self::Sampling, Self::Stalled, Self::Failing, Self::Full];

    /// What it is called in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Sampling => "sampling 10 %",
            Self::Keeping => "keeping all",
            Self::Stalled => "stalled, keeping all",
            Self::Failing => "failing, keeping all",
            Self::Full => "out of memory, keeping all",
        }
    }

    /// The variables that make it so. `deaf` is an address that answers nothing.
    pub fn variables(self, dir: &Path, deaf: &str) -> anyhow::Result<Vec<(String, String)>> {
        let set = |key: &str, value: &str| (format!("LEDGERLINE_TRACE_{key}"), value.to_string());
        let forwards = |url: &str| {
            let path = dir.join("forwards.toml");
            let text =
                format!("[[forward]]\nname = \"backend\"\nurl = \"http://{url}\"\nprotocol = \"http\"\n");
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            anyhow::Ok(set("FORWARDS", &path.to_string_lossy()))
        };
        // A short wait: what is kept is stored, or not, while billing is looked at.
        let all = [set("SAMPLE_RATIO", "1"), set("WAIT", "1s")];
        Ok(match self {
            Self::Off => vec![set("ENABLED", "false")],
            Self::Sampling => vec![set("SAMPLE_RATIO", "0.1"), set("WAIT", "1s")],
            Self::Keeping => all.to_vec(),
            Self::Stalled => [all.as_slice(), &[forwards(deaf)?]].concat(),
            // The discard port, where nobody listens.
            Self::Failing => [all.as_slice(), &[forwards("127.0.0.1:9")?]].concat(),
            Self::Full => [all.as_slice(), &[set("QUEUE", "512KiB"), set("HOLD", "512KiB")]].concat(),
        })
    }
}
