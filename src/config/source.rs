//! Where values come from, and how one that is refused is reported.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::load::ConfigError;

/// The file that is read where none is named.
const DEFAULT_FILE: &str = "ledgerline.toml";

/// What every variable of ours starts with.
pub(super) const PREFIX: &str = "LEDGERLINE_";

/// The variable that names the file.
pub const FILE_VARIABLE: &str = "LEDGERLINE_CONFIG";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

/// A flag that was given, and the key it sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagValue {
    /// The key's path.
    pub key: &'static str,
    /// The flag, with its dashes.
    pub flag: &'static str,
    /// What was given.
    pub value: String,
}

/// A value that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key's path.
    pub key: String,
    /// The value as it may be shown.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
    /// What is allowed.
    pub allowed: String,
}

/// Everything that values are taken from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file's path and text, where there is one.
    pub file: Option<(PathBuf, String)>,
    /// Environment variables whose names start with `LEDGERLINE_`.
    pub variables: Vec<(String, OsString)>,
    /// Flags.
    pub flags: Vec<FlagValue>,
}

impl Sources {
    /// The sources of this process. `file` is the file that was named; without one `./ledgerline.toml` is read where it
    /// exists.
    ///
    /// # Errors
    /// [`ConfigError::File`] when the file cannot be read.
    pub fn of_process(file: Option<&Path>, flags: Vec<FlagValue>) -> Result<Self, ConfigError> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, value)| name.starts_with(PREFIX) && name != FILE_VARIABLE && !value.is_empty())
            .collect();
        Ok(Self { file: read_file(file)?, variables, flags })
    }
}

fn read_file(named: Option<&Path>) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_path_buf(), text))),
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::File { path: path.to_path_buf(), source }),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({}): expected {}", self.key, self.value, self.origin, self.allowed)
    }
}
