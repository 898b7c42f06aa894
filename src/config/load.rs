//! From sources to a configuration, or to everything that is wrong with them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::relations;
use super::sections::{Config, KEYS, SECTIONS};
use super::setting::Setting;
use super::settings::Key;
use super::source::{Fault, Origin, Sources};

/// A configuration that holds.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Each key with its value as text of the file and where it came from, in the order of the table.
    pub entries: Vec<Entry>,
    /// What is odd but harmless, a line each.
    pub notices: Vec<String>,
    sources: Sources,
}

/// One key of a configuration.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: &'static Key,
    /// Its value as the file would have it, secrets masked; `None` where it is unset.
    pub value: Option<Value>,
    /// Where the value came from.
    pub origin: Origin,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {} is not TOML: line {line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser said.
        problem: String,
    },
    /// Values that are not allowed: all of them.
    #[error("the configuration has {}: {}", counted(.0), .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("; "))]
    Faults(Vec<Fault>),
}

impl ConfigError {
    /// Whether a value that is not allowed stood on the command line.
    pub fn blames_a_flag(&self) -> bool {
        let Self::Faults(faults) = self else { return false };
        faults.iter().any(|fault| matches!(fault.origin, Origin::Flag(_)))
    }
}

/// Values by key, and the faults found while they are read.
pub(super) struct Values {
    found: BTreeMap<&'static str, (Value, Origin)>,
    faults: Vec<Fault>,
}

/// Reads a configuration.
///
/// # Errors
/// [`ConfigError::Syntax`] for a file that is not TOML, else [`ConfigError::Faults`] with every fault there is.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut values = Values { found: BTreeMap::new(), faults: Vec::new() };
    // The weakest first: a later source replaces what an earlier one said.
    if let Some((path, text)) = &sources.file {
        values.take_file(path, text)?;
    }
    let notices = values.take_variables(sources);
    for flag in &sources.flags {
        if let Some(key) = KEYS.iter().find(|key| key.path == flag.key) {
            values.found.insert(key.path, (Value::String(flag.value.clone()), Origin::Flag(flag.flag)));
        }
    }
    match Config::read(&mut values) {
        Some(mut config) => {
            if !values.found.contains_key(relations::EVIDENCE_KEPT) {
                relations::keep_evidence_long_enough(&mut config);
            }
            let entries = entries(&config, &values);
            values.faults.extend(relations::faults(&config, &entries));
            if values.faults.is_empty() {
                Ok(Loaded { config, entries, notices, sources: sources.clone() })
            } else {
                Err(ConfigError::Faults(values.faults))
            }
        }
        None => Err(ConfigError::Faults(values.faults)),
    }
}

fn entries(config: &Config, values: &Values) -> Vec<Entry> {
    let entry = |(key, value): (&'static Key, Option<Value>)| {
        let origin = values.found.get(key.path).map_or(Origin::Default, |(_, origin)| origin.clone());
        Entry { key, value, origin }
    };
    KEYS.iter().zip(config.written()).map(entry).collect()
}

impl Loaded {
    /// The configuration with the file as it is now, if it says something else than before. Variables and flags of a process
    /// do not change.
    ///
    /// # Errors
    /// As [`load`]; [`ConfigError::File`] where the file cannot be read any more.
    pub fn reread(&self) -> Result<Option<Self>, ConfigError> {
        let Some((path, text)) = &self.sources.file else { return Ok(None) };
        let now = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::File { path: path.clone(), source })?;
        if now == *text {
            return Ok(None);
        }
        load(&Sources { file: Some((path.clone(), now)), ..self.sources.clone() }).map(Some)
    }

    /// Where a key's value came from.
    pub fn origin(&self, path: &str) -> &Origin {
        self.entries
            .iter()
            .find(|entry| entry.key.path == path)
            .map_or(&Origin::Default, |entry| &entry.origin)
    }
}

impl Values {
    /// The value of a key, from its strongest source. A refused one is a fault, and `None`.
    pub(super) fn read<T: Setting>(&mut self, path: &'static str) -> Option<T> {
        let Some((value, origin)) = self.found.get(path) else {
            let default = KEYS.iter().find(|key| key.path == path).and_then(|key| key.default);
            return match default {
                Some(text) => T::read(&Value::String(text.to_owned())),
                None => T::unset(),
            };
        };
        let read = T::read(value);
        if read.is_none() {
            let (key, value, origin) = (path.to_owned(), T::shown(value), origin.clone());
            self.faults.push(Fault { key, value, origin, allowed: T::EXPECTED.to_owned() });
        }
        read
    }

    fn take_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table: Table = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.to_path_buf(),
            line: error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1),
            problem: error.message().lines().collect::<Vec<_>>().join(" "),
        })?;
        let origin = Origin::File(path.to_path_buf());
        for (name, value) in table {
            match value {
                Value::Table(keys) if SECTIONS.iter().any(|section| section.name == name) => {
                    for (key, value) in keys {
                        self.take_key(&format!("{name}.{key}"), value, &origin);
                    }
                }
                value => self.take_key(&name, value, &origin),
            }
        }
        Ok(())
    }

    fn take_key(&mut self, path: &str, value: Value, origin: &Origin) {
        match KEYS.iter().find(|key| key.path == path) {
            Some(key) => {
                self.found.insert(key.path, (value, origin.clone()));
            }
            None => self.faults.push(Fault {
                key: path.to_owned(),
                // Whatever stands under a misspelt key may be a password.
                value: "…".to_owned(),
                origin: origin.clone(),
                allowed: allowed_instead(path),
            }),
        }
    }

    /// Takes the variables that name a key. Others only make a notice: an orchestrator puts variables of its own under
    /// the name of a service (`LEDGERLINE_SERVICE_HOST`), and a process that refuses them does not start.
    fn take_variables(&mut self, sources: &Sources) -> Vec<String> {
        let mut notices = Vec::new();
        for (name, value) in &sources.variables {
            let Some(key) = KEYS.iter().find(|key| key.variable() == *name) else {
                notices.push(format!(
                    "the environment variable {name} sets nothing; `ledgerline config print` shows the keys"
                ));
                continue;
            };
            let origin = Origin::Variable(name.clone());
            match value.to_str() {
                Some(text) => {
                    self.found.insert(key.path, (Value::String(text.to_owned()), origin));
                }
                None => {
                    let (key, value) = (key.path.to_owned(), "…".to_owned());
                    self.faults.push(Fault { key, value, origin, allowed: "UTF-8".to_owned() });
                }
            }
        }
        notices
    }
}

/// The keys that may stand where an unknown one does.
fn allowed_instead(path: &str) -> String {
    let section = path.split_once('.').map_or("", |(section, _)| section);
    let keys = KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
    let sections = SECTIONS.iter().filter(|_| section.is_empty()).map(|section| section.name);
    let names: Vec<&str> = keys.chain(sections).collect();
    let place = if section.is_empty() { "the file".to_owned() } else { format!("[{section}]") };
    format!("a key of {place}: {}", names.join(", "))
}

fn counted(faults: &[Fault]) -> String {
    match faults.len() {
        1 => "a fault".to_owned(),
        count => format!("{count} faults"),
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
